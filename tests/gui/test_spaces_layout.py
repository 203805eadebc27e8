"""Who has how much of a window of 1366 x 768, and how it is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from leaks import Alive
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QDockWidget
from real_events import qt_viewer, settle, still, wait_until
from test_spaces import dock_in, open_window, part_of_canvas, with_image

from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.open import OpenDock
from napari_ouroboros.widgets.qa import QaDock
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import arrange, arrange_softly, flip
from napari_ouroboros.widgets.spaces.flipping import docked
from napari_ouroboros.widgets.straighten import StraightenDock
from napari_ouroboros.widgets.trace import TraceDock


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    viewer = open_window(make_napari_viewer, tmp_path, arranged=True)
    dock = dock_in(viewer)
    with_image(viewer)
    found = SimpleNamespace(
        viewer=viewer, scene=scene_of(viewer), dock=dock, main=dock.main_window,
        ours=qt_viewer(scene_of(viewer).straight).canvas.native,
        theirs=qt_viewer(viewer).canvas.native,
    )  # fmt: skip
    del viewer, dock
    yield found
    vars(found).clear()  # napari's own fixture looks for what is left alive


def size(widget: Any) -> tuple[int, int]:
    return widget.width(), widget.height()


def resting_size(widget: Any) -> tuple[int, int]:
    """Once nothing changes it any more."""
    found = wait_until(still(lambda: QPoint(*size(widget))), "the size to be still")
    return found.x(), found.y()


def alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] - other[0]) <= 2 and abs(one[1] - other[1]) <= 4


def test_the_straightened_canvas_has_the_height_and_both_have_the_width(window: Any) -> None:
    ours, theirs = window.ours, window.theirs
    points = next(x for x in window.viewer.layers if x.name == "trace")
    window.viewer.layers.selection.active = points
    for front, height in ((False, 200), (True, 260), (False, 200)):
        if window.dock.in_front is not front:
            flip(window.viewer)
        larger, smaller = (ours, theirs) if front else (theirs, ours)
        wait_until(
            lambda: larger.width() >= 600 and smaller.width() >= 380,  # noqa: B023
            "the widths",
        )
        wait_until(lambda: ours.height() >= height, "the height")  # noqa: B023
        strip = window.dock.strip.view.canvas
        wait_until(lambda: 44 <= strip.height() <= 100, "the strip's height")  # noqa: B023
        assert size(window.main) == (1366, 768)


def test_a_flip_and_back_gives_what_the_user_had_dragged(window: Any) -> None:
    frame = docked(window.dock)
    window.main.resizeDocks([frame], [500], Qt.Orientation.Horizontal)
    wait_until(lambda: frame.width() == 500, "the dock as it was dragged")
    dragged = resting_size(window.ours)
    flip(window.viewer)
    wait_until(lambda: window.ours.width() >= 600, "the flip")
    flipped = resting_size(window.ours)
    for _ in range(3):
        flip(window.viewer)
        wait_until(lambda: alike(size(window.ours), dragged), "the size that was dragged")
        flip(window.viewer)
        wait_until(lambda: alike(size(window.ours), flipped), "the size of the flip")


def test_a_folded_strip_gives_its_height_to_the_canvas_and_takes_it_back(window: Any) -> None:
    strip, ours = window.dock.strip, window.ours
    wait_until(lambda: window.scene.live.idle and window.dock.links.idle, "the links")
    _, before = resting_size(ours)
    picture = strip.view.canvas.height()
    strip.button.click()
    wait_until(lambda: ours.height() >= before + picture, "the canvas to grow")
    assert not strip.view.axis.isVisible()
    strip.button.click()
    wait_until(lambda: ours.height() == before, "the canvas as it was")
    assert strip.view.axis.isVisible()


def test_depth_is_offered_once_with_a_button_that_turns_it(window: Any) -> None:
    viewer, offer = window.viewer, window.dock.offer
    assert not offer.isVisible()
    viewer.dims.ndisplay = 3
    assert offer.isVisible()
    assert offer.label.text() == "In 3D napari shows this volume as in a mirror."
    offer.take_button.click()
    assert str(viewer.scene.camera.orientation[0]) == "away"
    assert not offer.isVisible()
    viewer.dims.ndisplay = 2
    viewer.scene.camera.orientation = ("towards", "down", "right")
    viewer.dims.ndisplay = 3
    assert not offer.isVisible()


def test_a_flip_fits_the_slice_into_its_place_above_the_tasks(window: Any) -> None:
    straight = window.scene.straight
    resting_size(window.ours)
    straight.reset_view()
    for _ in range(3):
        flip(window.viewer)
        wait_until(lambda: (window.ours.width() >= 600) is window.dock.in_front, "the flip")
        resting_size(window.ours)
        assert 0.85 < part_of_canvas(straight) < 1.0


def titles(main: Any) -> list[str]:
    return [d.windowTitle() for d in main.findChildren(QDockWidget) if not d.isHidden()]


def test_softly_arranged_is_the_same_in_turns(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer(show=True)
    viewer = getattr(viewer, "__wrapped__", viewer)
    done: list[Any] = []
    arrange_softly(viewer, done.append)
    main = dock_in(viewer).main_window
    tasks = {"Open a volume", "Trace", "Straighten", "Backproject", "QA"}
    assert not tasks & set(titles(main))
    wait_until(lambda: bool(done), "the docks")
    assert tasks | {"Straightened view"} <= set(titles(main))
    (docks,) = done
    assert len(main.tabifiedDockWidgets(docks[1])) == len(tasks) - 1
    # Again: nothing is opened twice.
    before = len(main.findChildren(QDockWidget))
    arrange_softly(viewer, done.append)
    wait_until(lambda: len(done) == 2, "the docks once more")
    assert len(main.findChildren(QDockWidget)) == before
    done.clear()


def test_a_window_closed_while_it_is_arranged_is_left_alone(
    make_napari_viewer: Callable[..., Any],
) -> None:
    viewer = make_napari_viewer(show=True)
    done: list[Any] = []
    arrange_softly(viewer, done.append)
    viewer.close()
    for _ in range(20):
        QApplication.processEvents()
    assert done == []


def test_a_window_closed_as_soon_as_it_is_arranged_is_left_alone(
    make_napari_viewer: Callable[..., Any],
) -> None:
    """What was to be done in the next turn is not done."""
    viewer = make_napari_viewer(show=True)
    arrange(viewer)
    alive = Alive()
    alive.note(dock_in(getattr(viewer, "__wrapped__", viewer)))
    viewer.close()
    alive.expect_gone()


@pytest.mark.parametrize("kind", [OpenDock, TraceDock, StraightenDock, BackprojectDock, QaDock])
def test_every_dock_ends_the_scene_with_its_window(
    make_napari_viewer: Callable[..., Any], kind: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer = getattr(viewer, "__wrapped__", viewer)
    viewer.window.add_dock_widget(kind(viewer), name="task", area="right")
    settle(turns=5)
    scene = scene_of(viewer)
    ended: list[bool] = []

    def note() -> None:
        ended.append(True)

    scene.closing.connect(note)
    viewer.close()
    wait_until(lambda: ended == [True], "the end of the scene")
