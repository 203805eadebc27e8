"""The second half of the story: painted by mouse, filled between, brought home, compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gui_watcher import Watcher
from labels_story import LabelsStory, box_of, gathered, in_slices, located
from numpy.typing import NDArray
from real_events import Person, Waited
from scene_server import Served
from scene_server import served as serve

from napari_ouroboros import open_volume, straighten
from napari_ouroboros.widgets import streaming
from napari_ouroboros.widgets.home.overlays import HomeOverlays
from napari_ouroboros.widgets.spaces import arrange

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")

#: Beyond what a float holds.
LABEL = 2**63 + 300
#: Slices that are painted by hand, and the distance between them.
SLICES, STEP = 30, 2


def begun(window: Callable[..., Any], person: Person, near: Served) -> LabelsStory:
    """A window with the nerve and its trace, all docks open."""
    story = LabelsStory(window(), person, near)
    arrange(story.viewer)
    streaming.add_layers(story.viewer, streaming.prepare_volume(near.volume, "em"))
    story.scene.traces.new(near.points_nm)
    story.settled()
    return story


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def whole_one(truth: NDArray[np.uint64]) -> int:
    """The largest fascicle of a straightened truth that never comes near an edge of the slices."""
    ids = [i for i in np.unique(truth) if i]
    edge = truth.copy()
    edge[:, 3:-3, 3:-3] = 0
    whole = [i for i in ids if not (edge == i).any() and (truth == i).any(axis=(1, 2)).all()]
    return int(max(whole, key=lambda i: int((truth == i).sum())))


def test_painted_by_mouse_and_brought_home(
    window: Callable[..., Any], person: Person, demo_nerve: Path, tmp_path: Path
) -> None:
    with serve(demo_nerve, latency=0.02) as near:
        story = begun(window, person, near)
        story.new_labels()
        map_, mip = story.truth()
        first = map_.shape[0] // 2 - SLICES * STEP // 2
        slices = range(first, first + SLICES * STEP, STEP)
        truth_volume = open_volume(demo_nerve / "truth")
        stack = np.asarray(straighten(truth_volume, map_, mip=0)[first : slices[-1] + 1])
        fascicle_id = whole_one(stack)
        fascicle = stack == fascicle_id
        # What a person sees of it in each slice: where its middle is.
        middles = {k: np.argwhere(fascicle[k - first]).mean(axis=0).tolist() for k in slices}
        story.go_to_slice(first)
        diameter = 2 * np.sqrt(fascicle.sum() / len(fascicle) / np.pi)
        story.flip()
        story.take_brush(diameter, LABEL)
        story.paint_slices(middles)
        painted = np.asarray(story.entry.array)
        assert np.unique(painted).tolist() == [0, LABEL]
        assert [k for k in range(map_.shape[0]) if painted[k].any()] == list(slices)
        story.flip()
        story.look_at_plane(slices[-1], middles[slices[-1]])
        story.check_overlay()

        story.interpolate()
        filled = np.asarray(story.entry.array)
        assert filled[first : slices[-1] + 1].any(axis=(1, 2)).all()
        assert np.unique(filled).tolist() == [0, LABEL]
        np.testing.assert_array_equal(filled[slices], painted[slices])
        straight = dice(filled[first : slices[-1] + 1] == LABEL, fascicle)
        assert straight > 0.85
        story.check_overlay()

        layer = story.backproject_to(tmp_path / "home")
        assert layer.name
        home = open_volume(tmp_path / "home")
        assert home.dtype == np.uint64
        box = box_of(story.entry, near.volume, mip)
        at = located(story.entry, near.volume, mip, box)
        truth, sure = gathered(story.entry, at, box)
        assert sure.mean() > 0.999
        voxels = home.read(0, box)
        assert int((voxels != truth)[sure].sum()) == 0
        everything = home.read(0)
        assert int((everything == LABEL).sum()) == int((voxels == LABEL).sum())
        # The promise: the boundary moves by about half a sample, so of a disc of radius r (in
        # samples) at most 1/r of its area.
        between = in_slices(at, box, first, slices[-1])
        found = truth_volume.read(0, box)
        at_home = dice((voxels == LABEL)[between], (found == fascicle_id)[between])
        assert at_home == pytest.approx(straight, abs=2 / diameter)
        home.close()
        truth_volume.close()


@pytest.mark.timed
def test_nobody_waits_for_labels(
    window: Callable[..., Any], person: Person, demo_nerve: Path, tmp_path: Path
) -> None:
    """From the first label to the checks of all slices: nothing of ours takes long."""
    with serve(demo_nerve, latency=0.02) as near:
        story = begun(window, person, near)
        with Watcher() as watcher:
            with watcher.during("new labels"):
                story.new_labels()
            k = story.scene.place.slice_index
            places = {k + step: (50 + step, 50 - step) for step in range(0, 12, 4)}
            story.take_brush(20, LABEL)
            with watcher.during("paint"):
                story.paint_slices(places)
                story.settled()
            with watcher.during("interpolate"):
                story.interpolate()
                story.settled()
            with watcher.during("backproject"):
                story.backproject_to(tmp_path / "home")
            with watcher.during("check and measure"):
                story.check_and_measure()
        for gap in watcher.gaps:
            print(gap)
        # napari maps ids to colours on all processors at once, and waits for the busiest of them;
        # its first progress bar takes a while, too.
        watcher.check(limit=0.25)


@pytest.mark.parametrize("switched_off", [False, True])
def test_the_story_fails_without_the_overlay(
    window: Callable[..., Any],
    person: Person,
    demo_nerve: Path,
    monkeypatch: pytest.MonkeyPatch,
    switched_off: bool,
) -> None:
    """Its check sees whether the labels are shown in the volume."""
    if switched_off:
        monkeypatch.setattr(HomeOverlays, "_is_wanted", lambda self, entry: False)
    with serve(demo_nerve, latency=0.0) as near:
        story = begun(window, person, near)
        story.new_labels()
        k = story.scene.place.slice_index
        story.take_brush(12, LABEL)
        story.paint_slices({k: (50, 50)})
        story.look_at_plane(k, (50, 50))
        if switched_off:
            with pytest.raises(Waited, match="painted labels"):
                story.check_overlay(seconds=2)
        else:
            story.check_overlay()
