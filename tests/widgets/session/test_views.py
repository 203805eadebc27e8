"""How the straightened space was looked at: kept where it showed something, and of one session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_ouroboros.session import read_session
from napari_ouroboros.widgets.straighten import live_preview_of


def seen(window: Any) -> tuple[Any, ...]:
    """How a window looks at the straightened layers, which come now at the latest."""
    live_preview_of(window.scene)
    window.loop.until(lambda: len(window.scene.straight.layers) > 0, "the straightened layers")
    window.settle()
    camera = window.scene.straight.scene.camera
    return tuple(camera.center), float(camera.zoom), tuple(camera.angles)


def saved(window: Any, file: Path, zoom: float | None = None) -> Path:
    if zoom is not None:
        window.scene.straight.scene.camera.zoom = zoom
    window.work.save(file)
    window.settle()
    return file


def opened(window: Any, file: Path) -> None:
    window.work.open(file)
    window.settle()
    assert window.failed == []


def test_a_space_without_layers_has_no_camera_to_keep(
    windows: Callable[[], Any], tmp_path: Path
) -> None:
    """The first straightened picture is then seen whole, as it is without a session."""
    looks = []
    first = windows()
    first.open()
    file = saved(first, tmp_path / "a.ouroboros")
    assert read_session(file).straightened.camera is None
    assert read_session(file).volume.camera is not None
    second = windows()
    opened(second, file)
    for window in (first, second):
        window.scene.settings.width, window.scene.settings.height = 24, 16
        window.scene.traces.new(window.small.points_nm, "nerve")
        looks.append(seen(window))
    assert looks[0] == looks[1]
    assert looks[0][1] != 1.0


@pytest.mark.parametrize("zoom", [0.75, None])
def test_of_two_sessions_only_the_later_one_counts(
    window: Any, windows: Callable[[], Any], tmp_path: Path, zoom: float | None
) -> None:
    later = saved(window, tmp_path / "b.ouroboros")
    whole = seen(window)
    earlier = saved(window, tmp_path / "a.ouroboros", 3.25)
    if zoom is not None:
        saved(window, later, zoom)
    other = windows()
    opened(other, earlier)
    opened(other, later)
    assert len(other.scene.straight.layers) == 0
    assert seen(other)[1] == (whole[1] if zoom is None else zoom)


def test_what_has_not_been_shown_yet_is_kept(
    window: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    seen(window)
    file = saved(window, tmp_path / "a.ouroboros", 3.25)
    wanted = read_session(file).straightened
    other = windows()
    opened(other, file)
    again = saved(other, tmp_path / "b.ouroboros")
    assert read_session(again).straightened == wanted
    assert seen(other)[1] == 3.25
    other.scene.straight.scene.camera.zoom = 0.5
    assert read_session(saved(other, again)).straightened.camera.zoom == 0.5
