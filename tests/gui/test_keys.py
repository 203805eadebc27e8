"""None of napari's own keys is shadowed by one of ours, whatever layer is active in each canvas."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from napari._app_model import get_app_model
from napari.layers import Image, Labels, Points, Shapes, Surface, Tracks, Vectors
from napari.utils.key_bindings import KeymapHandler, coerce_keybinding
from qtpy.QtGui import QAction, QKeySequence, QShortcut
from real_events import wait_until

from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import StraightDock

BLOCK = np.zeros((4, 8, 8), np.uint8)
NM = {"units": ("nm",) * 3}
LAYERS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "image": lambda: Image(BLOCK, contrast_limits=(0, 255), **NM),
    "labels": lambda: Labels(BLOCK, **NM),
    "points": lambda: Points(np.zeros((2, 3)), **NM),
    "shapes": lambda: Shapes([np.eye(3) * 4], ndim=3, shape_type="path", **NM),
    "surface": lambda: Surface((np.eye(3) * 4, np.array([[0, 1, 2]])), **NM),
    "tracks": lambda: Tracks(np.array([[1, 0, 0, 0], [1, 1, 1, 1]]), **NM),
    "vectors": lambda: Vectors(np.zeros((1, 2, 3)), **NM),
}
OURS = {
    coerce_keybinding(value): name
    for name, value in vars(keys).items()
    if name.isupper() and isinstance(value, str)
}
ON_BOTH_SPACES = {
    *("FLIP", "NEXT_SLICE", "PREVIOUS_SLICE", "CENTRE_HERE", "UP_SIDE_HERE"),
    *("NEXT_SUSPICIOUS", "PREVIOUS_SUSPICIOUS", "MARK_GOOD", "MARK_BAD"),
}
ON_TRACES = {"INSERT_POINT", "WALK_ALONG", "UNDO", "REDO"}


def resolved(model: Any, layer: Any) -> dict[Any, Any]:
    """What every key does on a canvas while a layer is active."""
    handler = KeymapHandler()
    model = getattr(model, "__wrapped__", model)
    handler.keymap_providers = [model] if layer is None else [layer, model]
    return dict(handler.active_keymap)


def of_ours(model: Any, layer: Any = None) -> set[str | None]:
    """Names of the keys that do something of ours; None for one that keys.py does not know."""
    keymap = resolved(model, layer)
    return {OURS.get(key) for key, f in keymap.items() if "ouroboros" in module_of(f)}


def module_of(function: Any) -> str:
    function = getattr(function, "func", function)
    return str(getattr(inspect.unwrap(function), "__module__", ""))


def with_layer(model: Any, kind: str) -> Any:
    layer = LAYERS[kind]()
    if layer is not None:
        model.add_layer(layer)
        model.layers.selection.active = layer
    else:
        model.layers.selection.clear()
    return layer


def napari_alone() -> dict[str, dict[Any, Any]]:
    """Key maps of a viewer without our docks, with each type of layer active."""
    from napari.components import ViewerModel

    found = {}
    for kind in LAYERS:
        model = ViewerModel()
        found[kind] = resolved(model, with_layer(model, kind))
    return found


def test_no_key_of_napari_is_shadowed(window: Callable[..., Any]) -> None:
    viewer = window()
    baseline = napari_alone()
    scene = scene_of(viewer)
    viewer.window.add_dock_widget(StraightDock(viewer), area="right")
    viewer.add_image(BLOCK, name="volume", contrast_limits=(0, 255), **NM)
    wait_until(lambda: all(of_ours(x) >= ON_BOTH_SPACES for x in (viewer, scene.straight)), "keys")
    for space, model in (("volume", viewer), ("straightened", scene.straight)):
        for kind in LAYERS:
            layer = with_layer(model, kind)
            now = resolved(model, layer)
            shadowed = [
                f"{key}: {module_of(now.get(key))}"
                for key, function in baseline[kind].items()
                if module_of(now.get(key)) != module_of(function)
            ]
            assert not shadowed, f"{space}, {kind} layer"
            ours = of_ours(model, layer)
            # Every key of ours is in keys.py, and those of both spaces work.
            assert None not in ours, f"{space}, {kind} layer: a key that keys.py does not know"
            assert ours >= ON_BOTH_SPACES, f"{space}, {kind} layer"
            if layer is not None:
                model.layers.remove(layer)
            if space == "straightened" and kind != "labels":  # which have an undo of their own
                assert ours >= {"UNDO", "REDO"}


def test_no_key_of_napari_is_shadowed_on_a_trace(window: Callable[..., Any]) -> None:
    viewer = window()
    baseline = napari_alone()
    scene = scene_of(viewer)
    viewer.window.add_dock_widget(StraightDock(viewer), area="right")
    layer = viewer.add_points(np.array([[0.0, 0, 0], [0, 4, 4]]), **NM)
    scene.traces.use(layer)
    viewer.layers.selection.active = layer
    wait_until(lambda: of_ours(viewer, layer) >= ON_TRACES, "the keys of a trace")
    now = resolved(viewer, layer)
    for key, function in baseline["points"].items():
        assert module_of(now[key]) == module_of(function), f"{key} is napari's on points"
    assert None not in of_ours(viewer, layer)


def test_no_key_of_a_menu_is_one_of_ours(window: Callable[..., Any]) -> None:
    viewer = window()
    viewer.window.add_dock_widget(StraightDock(viewer), area="right")
    qt_window = viewer.window._qt_window
    wait_until(lambda: len(qt_window.findChildren(QShortcut)) > 0, "the keys of the window")
    text = QKeySequence.SequenceFormat.PortableText
    taken = {
        sequence.toString(text)
        for action in qt_window.findChildren(QAction)
        for sequence in action.shortcuts()
    } | {shortcut.key().toString(text) for shortcut in qt_window.findChildren(QShortcut)}
    taken |= {str(rule.keybinding) for rule in get_app_model().keybindings}
    assert "Ctrl+O" in taken  # the menus are there
    ours = {QKeySequence(str(key)).toString(text): name for key, name in OURS.items()}
    found = {ours[key] for key in taken & set(ours)}
    assert found == set()


def test_every_key_has_a_title_and_one_meaning() -> None:
    assert set(keys.TITLES) == {
        value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)
    }
    assert len(OURS) == len(keys.TITLES)
