"""The story of the plugin, told by a real mouse and real keys on a slow volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gui_watcher import Watcher
from real_events import Person
from scene_server import Served
from story import Story

#: Where the trace is clicked: (y, x) in voxels of the finest level, around the middle of what is
#: shown, on the plane that is shown. The nerve comes through there.
CLICKS = [(0.30, 0.30), (0.42, 0.42), (0.58, 0.47), (0.66, 0.62)]


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
            story.go_to_slice(len(story.truth()[0].frames) // 2)
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
    for gap in watcher.gaps:
        print(gap)
    watcher.check()
