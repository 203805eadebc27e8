"""The story of the plugin, told by a real mouse and real keys on a slow volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from gui_watcher import Watcher
from real_events import Person
from scene_server import Served
from scene_server import served as serve
from story import Story

from napari_ouroboros import Straightening, straighten
from napari_ouroboros.widgets import streaming
from napari_ouroboros.widgets.spaces import arrange
from napari_ouroboros.widgets.spaces.linked_cursor import LinkedCursor
from napari_ouroboros.widgets.spaces.riding_frame import RidingFrame
from napari_ouroboros.widgets.straighten.volume_feed import VolumeFeed

#: Where the trace is clicked: (y, x) in voxels of the finest level, around the middle of what is
#: shown, on the plane that is shown. The nerve comes through there.
CLICKS = [(0.30, 0.30), (0.42, 0.42), (0.58, 0.47), (0.66, 0.62)]


@pytest.mark.timed
@pytest.mark.both_bindings
def test_the_story(
    window: Callable[..., Any], person: Person, served: Served, tmp_path: Path
) -> None:
    story = Story(window(), person, served)
    with Watcher() as watcher:
        with watcher.during("open the docks"):
            story.open_all_docks()
        with watcher.during("open the link"):
            story.open_by_link(served.link_of("em"))
        low, high = np.array(served.volume.bounds_nm)
        z = story.viewer.dims.point[0]

        def world(share: tuple[float, float]) -> np.ndarray:
            return np.array([z, *(low[1:] + np.array(share) * (high - low)[1:])])

        with watcher.during("append points"):
            story.begin_trace()
            for share in CLICKS[:3]:
                story.append(world(share))
            story.settled()
        story.check_preview()
        story.check_frame()
        story.check_cursor()
        first, strip = story.shown_slice().copy(), story.strip.feed.strips[0].data.copy()

        with watcher.during("go to a slice"):
            story.go_to_slice(len(story.truth()[0].frames) // 4)
            story.settled()
        story.check_preview()
        assert not np.array_equal(story.shown_slice(), first)
        first = story.shown_slice().copy()

        with watcher.during("append again"):
            story.append(world(CLICKS[3]))
            story.settled()
        with watcher.during("insert a point"):
            story.insert(world((0.36, 0.40)))
            story.settled()
        story.check_preview()
        assert len(story.points) == 5
        np.testing.assert_allclose(story.points[1], world((0.36, 0.40)), atol=3000)
        with watcher.during("drag a point"):
            story.drag(2, world((0.46, 0.36)))
            story.settled()
        assert story.dragging
        story.check_preview()
        story.check_frame()
        story.check_cursor()
        assert not np.array_equal(story.strip.feed.strips[0].data, strip)

        with watcher.during("flip"):
            story.flip()
        assert story.straight.in_front
        story.check_cursor()
        with watcher.during("flip"):
            story.flip()
        assert not story.straight.in_front

        with watcher.during("straighten to a file"):
            story.straighten_to(tmp_path / "nerve.tif")
        map_, mip = story.truth()
        whole = straighten(served.volume, map_, mip=mip)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "nerve.tif"), np.asarray(whole))
        assert Straightening.load(tmp_path / "nerve.recipe.json").shape == map_.shape
        story.check_preview()  # the result in the preview's place
    for gap in watcher.gaps:
        print(gap)
    # All docks at once are made once per window, a second canvas of napari's among them.
    watcher.check(apart={"open the docks": 1.5})


def switch_off_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures stay those of the first map."""
    cut = VolumeFeed.cut

    def once(self: VolumeFeed, *arguments: Any) -> Any:
        return self.live or cut(self, *arguments)

    monkeypatch.setattr(VolumeFeed, "cut", once)


def switch_off_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LinkedCursor, "_take_hover", lambda self: None)


def switch_off_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RidingFrame, "draw", lambda self: None)


@pytest.mark.parametrize(
    ("switch_off", "fails"),
    [
        (None, None),
        (switch_off_preview, "check_preview"),
        (switch_off_cursor, "check_cursor"),
        (switch_off_frame, "check_frame"),
    ],
)
def test_the_story_fails_without(
    window: Callable[..., Any],
    person: Person,
    demo_nerve: Path,
    monkeypatch: pytest.MonkeyPatch,
    switch_off: Callable[[pytest.MonkeyPatch], None] | None,
    fails: str | None,
) -> None:
    """The story's own checks see when a part is switched off, each its own part."""
    if switch_off is not None:
        switch_off(monkeypatch)
    with serve(demo_nerve, latency=0.0) as near:
        story = Story(window(), person, near)
        arrange(story.viewer)
        streaming.add_layers(story.viewer, streaming.prepare_volume(near.volume, "em"))
        trace = story.scene.traces.new(near.points_nm)
        story.settled()
        trace.move({5: near.points_nm[5] + (0.0, 900.0, -700.0)})
        story.settled()
        for check in ("check_preview", "check_cursor", "check_frame"):
            if check == fails:
                with pytest.raises(AssertionError):
                    getattr(story, check)()
            else:
                getattr(story, check)()
