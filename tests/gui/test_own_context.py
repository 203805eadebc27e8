"""Several canvases in one program: none deletes what belongs to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QOpenGLContext
from real_events import qt_viewer, settle, wait_until
from vispy.gloo import gl

from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import StraightDock
from napari_ouroboros.widgets.spaces.second_window import open_in_window

DELETES = ("glDeleteProgram", "glDeleteTexture", "glDeleteBuffer")


@pytest.fixture
def deleted_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """In which context each thing of OpenGL was deleted."""
    found: list[Any] = []

    def noted(delete: Callable[[int], None]) -> Callable[[int], None]:
        def call(handle: int) -> None:
            found.append(QOpenGLContext.currentContext())
            delete(handle)

        return call

    for name in DELETES:
        monkeypatch.setattr(gl, name, noted(getattr(gl, name)))
    yield found
    found.clear()


def models(window: Callable[..., Any]) -> tuple[Any, Any, Any]:
    """The volume, the straightened space beside it, and the second window on that."""
    viewer = window()
    viewer.window.add_dock_widget(StraightDock(viewer), name="Straightened view", area="right")
    viewer = getattr(viewer, "__wrapped__", viewer)
    scene = scene_of(viewer)
    second = open_in_window(scene)
    second = getattr(second, "__wrapped__", second)
    wait_until(lambda: all(qt_viewer(each).isVisible() for each in (viewer, second)), "both")
    return viewer, scene.straight, second


def test_layers_that_go_are_deleted_in_the_context_of_their_canvas(
    window: Callable[..., Any], deleted_in: list[Any]
) -> None:
    """Also when another canvas was painted last; napari alone takes that one's."""
    shown = models(window)
    for model in shown:
        for _ in range(3):
            model.add_labels(np.ones((4, 8, 8), np.uint8))
    settle(turns=20)
    for model in shown:
        for take in (model.layers.pop, model.layers.clear):
            for other in shown:
                if other is not model:
                    canvas = qt_viewer(other).canvas
                    canvas.native.grab()  # paints now
            deleted_in.clear()
            take()
            own = qt_viewer(model).canvas.native.context()
            assert deleted_in, "nothing was deleted"
            assert all(context is own for context in deleted_in)
    shown[-1].close()
