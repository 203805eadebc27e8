"""What napari is told about the plugin must be true."""

from __future__ import annotations

import pytest
from napari._app_model.constants import MenuId
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name


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


def test_contributions_use_commands_that_exist(manifest: PluginManifest) -> None:
    contributions = manifest.contributions
    known = {command.id for command in contributions.commands or []}
    used = [
        *(reader.command for reader in contributions.readers or []),
        *(sample.command for sample in contributions.sample_data or []),
        *(widget.command for widget in contributions.widgets or []),
        *(writer.command for writer in contributions.writers or []),
    ]
    assert set(used) <= known


def test_menus_are_known_to_napari(manifest: PluginManifest) -> None:
    # napari drops items of unknown menus without a word.
    known = {str(menu) for menu in MenuId.contributables()}
    ours = {submenu.id for submenu in manifest.contributions.submenus or []}
    assert set(manifest.contributions.menus or {}) <= known | ours
