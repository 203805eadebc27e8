"""What napari is told about the plugin must be true."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from napari._app_model.constants import MenuId
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

from napari_ouroboros.widgets.preferences import Preferences, preferences

#: In this order in Plugins > napari-ouroboros.
DOCKS = {
    "napari-ouroboros.all": "Open all, arranged",
    "napari-ouroboros.open": "Open a volume",
    "napari-ouroboros.trace": "Trace",
    "napari-ouroboros.straighten": "Straighten",
    "napari-ouroboros.backproject": "Backproject",
    "napari-ouroboros.qa": "QA",
    "napari-ouroboros.straightened": "Straightened view",
}


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    """The manifest as napari finds it: through the entry point of the installed package."""
    return PluginManifest.from_distribution("napari-ouroboros")


def test_every_command_resolves(manifest: PluginManifest) -> None:
    commands = manifest.contributions.commands
    assert commands
    for command in commands:
        assert command.id.startswith("napari-ouroboros.")
        assert command.title
        assert command.python_name
        assert callable(import_python_name(command.python_name))


def test_npe2_finds_nothing_wrong() -> None:
    spec = find_spec("napari_ouroboros")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).with_name("napari.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", "--imports", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid!" in done.stdout


def test_contributions_use_commands_that_exist(manifest: PluginManifest) -> None:
    contributions = manifest.contributions
    known = {command.id for command in contributions.commands or []}
    used = [
        *(reader.command for reader in contributions.readers or []),
        *(sample.command for sample in contributions.sample_data or []),
        *(widget.command for widget in contributions.widgets or []),
        *(writer.command for writer in contributions.writers or []),
        *(item.command for items in contributions.menus.values() for item in items),
    ]
    # And no command is left that nothing leads to.
    assert set(used) == known


def test_menus_are_known_to_napari(manifest: PluginManifest) -> None:
    # napari drops items of unknown menus without a word.
    known = {str(menu) for menu in MenuId.contributables()}
    assert manifest.contributions.menus
    ours = {submenu.id for submenu in manifest.contributions.submenus or []}
    assert set(manifest.contributions.menus) <= known | ours


def test_docks_are_in_the_plugins_menu(manifest: PluginManifest) -> None:
    widgets = manifest.contributions.widgets or []
    assert {widget.command: widget.display_name for widget in widgets} == DOCKS
    assert [widget.command for widget in widgets] == list(DOCKS)


def test_titles_read_well(manifest: PluginManifest) -> None:
    titles = [command.title for command in manifest.contributions.commands or []]
    assert len(set(titles)) == len(titles)
    for title in titles:
        assert title[0].isupper()
        assert not title.endswith(".")
        assert "_" not in title


def test_docks_are_named_alike_however_they_are_opened(manifest: PluginManifest) -> None:
    # napari names a dock of the menu after the display name, one of the API after the plugin.
    assert manifest.display_name == manifest.name


@pytest.fixture
def page(plugin_settings: None, npe2pm: Any) -> Any:
    """Our page of preferences, in a folder of its own."""
    from napari.settings import get_plugin_settings

    npe2pm.register(PluginManifest.from_distribution("napari-ouroboros"))
    return get_plugin_settings("napari-ouroboros")


def test_preferences_are_those_of_the_page(page: Any) -> None:
    assert preferences() == Preferences()  # the same defaults in the manifest and in the code
    page.slices.width = 64
    page.chunks.disk_gb = 2.5
    page.open.recent = 3
    assert preferences() == Preferences(width=64, disk_gb=2.5, recent=3)
    assert preferences().cache_bytes == 2.5e9
    assert "width: 64" in page.config_path.read_text()


def test_preferences_have_limits_and_words(page: Any, manifest: PluginManifest) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        page.slices.width = 0
    for group in manifest.contributions.configurations.values():
        assert group.title
        for setting in group.properties.values():
            assert setting.title
            assert setting.description


def test_preferences_without_the_plugin(plugin_settings: None) -> None:
    assert preferences() == Preferences()
    assert preferences().cache_bytes is None


def test_preferences_are_used(page: Any) -> None:
    from napari_ouroboros.volumes.streaming import shared_chunks
    from napari_ouroboros.widgets.preferences import apply_memory, slice_settings

    page.slices.width, page.slices.height = 33, 44
    settings = slice_settings()
    assert (settings.width, settings.height) == (33, 44)
    before = shared_chunks().limit_bytes
    try:
        page.chunks.memory_mb = 128
        apply_memory()
        assert shared_chunks().limit_bytes == 128_000_000
    finally:
        shared_chunks().limit_bytes = before
