"""What the menus open, in the real window."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest
from qtpy.QtWidgets import QDockWidget, QWidget
from real_events import wait_until

import napari_ouroboros
from napari_ouroboros.operations.demo.phantom import make_phantom, write_phantom
from napari_ouroboros.widgets.open import AllDocks, OpenDock, recent
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import arrange
from napari_ouroboros.widgets.spaces.arranging import TASKS
from napari_ouroboros.widgets.streaming import watch


@pytest.fixture
def small_nerve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small nerve where the sample keeps its own."""
    folder = tmp_path / f"demo-nerve-{napari_ouroboros.__version__}"
    write_phantom(folder, make_phantom((60, 180, 150), (160.0, 80.0, 80.0), (41, 103, 77)))
    monkeypatch.setenv("NAPARI_OUROBOROS_CACHE", str(tmp_path))
    monkeypatch.setattr(recent, "usual_file", lambda: tmp_path / "recent.json")


def our_manifest() -> PluginManifest:
    """As `npe2` reads it, whether the package is installed or not."""
    return PluginManifest.from_file(Path(napari_ouroboros.__file__).with_name("napari.yaml"))


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[..., Any]) -> Any:
    shown = make_napari_viewer_proxy(show=True)
    manager = PluginManager.instance()
    if "napari-ouroboros" not in manager:
        manager.register(our_manifest())
    return shown


def docks_of(viewer: Any) -> dict[str, QDockWidget]:
    """Docks of ours by the classes of what is in them."""
    window = viewer.window.dock_widgets
    found = {}
    for widget in window.values():
        native = getattr(widget, "native", widget)
        parent = native.parentWidget()
        if type(native).__module__.startswith("napari_ouroboros") and parent is not None:
            found[type(native).__name__] = parent
    return found


def test_the_sample_is_seen(viewer: Any, small_nerve: None) -> None:
    viewer.open_sample("napari-ouroboros", "demo_nerve")
    assert [layer.name for layer in viewer.layers] == ["em", "truth", "trace"]

    def seen() -> bool:
        image = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        grey = np.ptp(image, axis=-1) < 8
        # Tissue: grey of many shades. The truth over it: colours.
        return len(np.unique(image[grey])) > 50 and (~grey).mean() > 0.01

    wait_until(lambda: watch(viewer.__wrapped__).settled, "the volume")
    wait_until(seen, "tissue and truth")


def test_a_nerve_that_is_not_there_is_made_with_progress(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_OUROBOROS_CACHE", str(tmp_path))
    viewer.open_sample("napari-ouroboros", "demo_nerve")
    wait_until(lambda: "OpenDock" in docks_of(viewer), "the dock")
    dock = docks_of(viewer)["OpenDock"].findChild(OpenDock)
    assert dock is not None
    wait_until(lambda: dock.job.bar.value() > 0, "progress", 60.0)
    assert dock.job.status.text().startswith("Making the demo nerve")
    assert len(viewer.layers) == 0
    dock.job.cancel_button.click()
    assert dock.job.status.text() == "Cancelled."
    assert not list(tmp_path.rglob("state.json"))


def test_the_sample_scene_opens_docks_and_nerve(viewer: Any, small_nerve: None) -> None:
    viewer.open_sample("napari-ouroboros", "demo_scene")
    scene = scene_of(viewer)
    wait_until(lambda: "OpenDock" in docks_of(viewer), "the docks", 30.0)
    dock = docks_of(viewer)["OpenDock"].findChild(OpenDock)
    assert dock is not None
    wait_until(
        lambda: {"em", "truth", "trace"} <= {x.name for x in viewer.layers}, "the nerve", 60.0
    )
    wait_until(lambda: not dock.job.running, "the opening to be done")
    assert dock.banner.text == ""
    names = [layer.name for layer in viewer.layers]
    assert "the demo nerve is being opened" not in names
    wait_until(lambda: scene.traces.active is not None, "the trace")
    wanted = {"OpenDock", "TraceDock", "StraightenDock", "StraightDock"}
    wait_until(lambda: set(docks_of(viewer)) >= wanted, "all docks")


def arranged(viewer: Any) -> None:
    """Wait until every dock has had its turn: each asks for the next one's."""
    wait_until(lambda: "QaDock" in docks_of(viewer), "the last dock")
    for _ in range(len(TASKS) + 2):
        done: list[bool] = []
        scene_of(viewer).deliver(lambda: done.append(True))  # noqa: B023
        wait_until(lambda: done, "a turn")  # noqa: B023


def test_open_all_arranged_leaves_only_the_docks(viewer: Any) -> None:
    def ask() -> weakref.ref[QWidget]:
        _, widget = viewer.window.add_plugin_dock_widget("napari-ouroboros", "Open all, arranged")
        assert isinstance(widget, AllDocks)
        return weakref.ref(widget)

    for _ in range(2):  # the second time it arranges what is there
        widget = ask()
        wait_until(lambda: "OpenDock" in docks_of(viewer), "the docks", 30.0)
        wait_until(lambda: "AllDocks" not in docks_of(viewer), "its own dock to go")

        def gone(widget: weakref.ref[QWidget] = widget) -> bool:
            gc.collect()
            return widget() is None

        wait_until(gone, "the end of the widget in the menu")
        arranged(viewer)
        assert len([d for d in docks_of(viewer) if d == "OpenDock"]) == 1


def test_the_menu_knows_the_docks_that_were_arranged(viewer: Any) -> None:
    docks = arrange(viewer)
    tasks = ("Open a volume", "Trace", "Straighten", "Backproject", "QA")
    titles = ("Straightened view", *tasks)
    assert [dock.windowTitle() for dock in docks] == list(titles)
    for title, dock in zip(titles, docks, strict=True):
        found, _ = viewer.window.add_plugin_dock_widget("napari-ouroboros", title)
        assert found is dock


def test_the_page_of_preferences_is_shown(plugin_settings: None, npe2pm: Any, qtbot: Any) -> None:
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog
    from qtpy.QtWidgets import QLabel

    npe2pm.register(our_manifest())
    dialog = PreferencesDialog()
    try:
        texts = {label.text() for label in dialog.findChildren(QLabel)}
        assert {"Width (pixels)", "Cache on disk (GB)", "Recent sources"} <= texts
    finally:
        dialog.close()
        dialog.deleteLater()
