from __future__ import annotations

import gc
from weakref import ref

import numpy as np
from gui_loop import GuiLoop
from napari.components import ViewerModel

from napari_ouroboros.widgets.spaces.overlays import ScaleAndAxes


def shown(viewer: ViewerModel) -> tuple[bool, bool]:
    overlays = viewer.canvas.overlays
    return overlays.scale_bar.visible, overlays.axes.visible


def add(viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((4, 5, 6), np.uint8), axis_labels=("slice", "row", "column"))


def test_there_with_the_first_layer_and_gone_with_the_last() -> None:
    viewer = ViewerModel()
    overlays = ScaleAndAxes(viewer)
    assert shown(viewer) == (False, False)
    add(viewer)
    assert shown(viewer) == (True, True)
    viewer.layers.clear()
    assert shown(viewer) == (False, False)
    overlays.close()
    add(viewer)
    assert shown(viewer) == (False, False)


def test_what_is_switched_off_stays_off() -> None:
    viewer = ViewerModel()
    overlays = ScaleAndAxes(viewer)
    add(viewer)
    viewer.canvas.overlays.axes.visible = False
    add(viewer)
    viewer.layers.pop()
    assert shown(viewer) == (True, False)
    overlays.close()


def test_the_picture_of_the_axes_has_short_names_and_the_layers_keep_theirs() -> None:
    viewer = ViewerModel()
    overlays = ScaleAndAxes(viewer)
    for _ in range(2):
        add(viewer)
        assert viewer.dims.axis_labels == ("slice", "row", "col")
    assert viewer.layers.axis_labels == ("slice", "row", "column")
    overlays.close()


def test_each_has_a_turn_of_its_own() -> None:
    viewer, loop = ViewerModel(), GuiLoop()
    overlays = ScaleAndAxes(viewer, loop.deliver)
    add(viewer)
    seen = [shown(viewer)]
    for _ in range(2):
        loop.turn()
        seen.append(shown(viewer))
    assert seen == [(False, False), (True, False), (True, True)]
    overlays.close()


def test_what_has_gone_or_closed_meanwhile_stays_away() -> None:
    viewer, loop = ViewerModel(), GuiLoop()
    overlays = ScaleAndAxes(viewer, loop.deliver)
    add(viewer)
    viewer.layers.clear()
    loop.turn()
    assert shown(viewer) == (False, False)
    add(viewer)
    overlays.close()
    loop.turn()
    assert shown(viewer) == (False, False)
    other = ViewerModel()
    ScaleAndAxes(other, loop.deliver)
    add(other)
    kept = ref(other)
    del other
    gc.collect()
    assert kept() is None
    loop.turn()


def test_the_brush_that_is_put_away_leaves_no_box() -> None:
    viewer = ViewerModel()
    overlays = ScaleAndAxes(viewer)
    assert not viewer.canvas.overlays["_brush_circle"].box
    overlays.close()
