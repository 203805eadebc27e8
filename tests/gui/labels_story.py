"""How the story goes on: labels painted slice by slice, filled between, and brought home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracles.literal_map import LiteralMap, Located
from real_events import on_screen, settle, still, wait_until, way
from story import Story

from napari_ouroboros import Volume
from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.labels import StraightLabels
from napari_ouroboros.widgets.labels.form import LabelsForm
from napari_ouroboros.widgets.qa import QaDock

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


class LabelsStory(Story):
    """Goes on where there is a trace."""

    @property
    def entry(self) -> StraightLabels:
        """The labels that are painted."""
        entry = self.scene.labels.active
        assert entry is not None
        return entry

    def new_labels(self) -> None:
        """Press "New labels" in the Backproject dock."""
        self.bring_to_front(BackprojectDock)
        self.press(self.dock(LabelsForm).new)
        wait_until(lambda: self.scene.labels.active is not None, "the labels")
        wait_until(lambda: self.entry.layer is not None, "their layer")
        wait_until(lambda: self.scene.overlays.idle, "the labels in the volume")
        self.settled()

    def take_brush(self, size: float, label: int) -> None:
        """Take the brush by its key, over the straightened canvas."""
        layer = self.entry.layer
        self.scene.straight.layers.selection.active = layer
        self.person.focus(self.window)
        place = self.world_of(self.scene.place.slice_index, (1, 1))
        self.person.click_world(self.scene.straight, place)
        self.person.key("P")
        wait_until(lambda: layer.mode == "paint", "the brush")
        layer.brush_size = size
        layer.selected_label = label

    def world_of(self, k: int, at: Sequence[float]) -> NDArray[np.float64]:
        """Where a pixel (row, column) of a slice is in the straightened view."""
        return np.array([k, *at]) * np.asarray(self.straight_image.scale)

    def stroke(self, k: int, middle: Sequence[float]) -> None:
        """Drag the brush two pixels across a pixel (row, column) of the shown slice."""
        straight = self.scene.straight
        first, last = (self.world_of(k, (middle[0], middle[1] + d)) for d in (-1, 1))
        start = wait_until(still(lambda: on_screen(straight, first)), "the slice to be still")
        self.person.drag(way(start, on_screen(straight, last), steps=2))

    def paint_slices(self, places: dict[int, Sequence[float]]) -> None:
        """Walk from slice to slice by key and paint each at its (row, column)."""
        for k, middle in places.items():
            while (now := self.scene.place.slice_index) != k:
                self.person.key(keys.NEXT_SLICE if now < k else keys.PREVIOUS_SLICE)
                wait_until(lambda was=now: self.scene.place.slice_index != was, "a step")  # type: ignore[misc]
            wait_until(lambda: int(self.scene.straight.dims.current_step[0]) == k, "the slice")  # noqa: B023
            self.stroke(k, middle)
            assert self.entry.array[k].any(), f"the mouse did not paint slice {k}"

    def interpolate(self) -> None:
        """Press "Interpolate between slices" and wait for it."""
        self.bring_to_front(BackprojectDock)
        form = self.dock(LabelsForm)
        self.press(form.job.button)
        wait_until(lambda: not self.scene.labels.running, "the slices between")
        settle()

    def backproject_to(self, path: Path) -> Any:
        """Choose a folder, press the button, and wait for the layer that shows the result."""
        dock = self.bring_to_front(BackprojectDock)
        home = dock.home
        home.destination.format.setCurrentText("Neuroglancer precomputed (folder)")
        self.reveal(home.destination.path)
        self.person.click_on(home.destination.path)
        self.person.type(str(path))
        self.person.key("Return")
        wait_until(home.job.button.isEnabled, "the button that backprojects")
        before = set(self.viewer.layers)
        self.press(home.job.button)
        layer = wait_until(
            lambda: next((x for x in self.viewer.layers if x not in before), None), "the result"
        )
        wait_until(lambda: not self.scene.overlays.runs.running, "the run to end")
        self.settled()
        return layer

    def check_and_measure(self) -> None:
        """Press the buttons of the QA dock, one after the other, and wait for each."""
        dock, qa = self.bring_to_front(QaDock), self.scene.qa
        for job, found in (
            (dock.checks.image, lambda: qa.checks.image and qa.checks.image.done.all()),
            (dock.checks.round_trip, lambda: qa.checks.round_trip),
            (dock.measures.job, lambda: qa.measuring.report),
        ):
            self.press(job.button)
            wait_until(found, "what the check has found")
            wait_until(lambda: not job.running and qa.idle, "its end")  # noqa: B023
        self.settled()

    def look_at_plane(self, k: int, pixel: Sequence[float]) -> None:
        """Slide the volume to the plane in which a pixel (row, column) of slice k lies."""
        map_, first = literal(self.entry)
        nm = map_.to_volume((k - first, *pixel))
        self.viewer.dims.set_point(0, nm[0])
        self.settled()

    # -- what has to be true ----------------------------------------------------------------

    def check_overlay(self, seconds: float = 5.0) -> None:
        """The volume's canvas shows what is painted, where the literal map says it lies."""
        volume = self.served.volume
        overlay = self.scene.overlays.layer_of(self.entry)
        mip = 0 if overlay is None else overlay.data_level
        level = volume.levels[mip]
        at_z = self.viewer.dims.point[0] / level.resolution[0] - level.voxel_offset[0] - 0.5
        _, rows, columns = box_of(self.entry, volume, mip)
        box = ((round(at_z), round(at_z) + 1), rows, columns)
        truth, sure = gathered(self.entry, located(self.entry, volume, mip, box), box)
        assert truth.any(), "nothing is painted in the plane that is shown"

        def is_shown() -> bool:
            layer = self.scene.overlays.layer_of(self.entry)
            if layer is None or not layer.visible or layer not in self.viewer.layers:
                return False
            seen = np.asarray(layer._slice.image.raw)
            assert layer.data_level == mip
            assert seen.shape[0] >= level.shape[1], "only a part of the volume is in view"
            part = seen[slice(*rows), slice(*columns)]
            return bool((part == truth[0])[sure[0]].all())

        wait_until(is_shown, "the painted labels in the volume", seconds)


#: Slices on either side of the painted ones that may claim a voxel among them. All others are
#: more than a slice's diagonal away: the demo's nerve does not come near itself.
_NEAR = 20


def literal(entry: StraightLabels) -> tuple[LiteralMap, int]:
    """The map as the contract's sentences have it, around what is painted; its first slice."""
    map_, f = entry.map, entry.map.frames
    painted = np.flatnonzero(np.asarray(entry.array).any(axis=(1, 2)))
    first, last = max(painted[0] - _NEAR, 0), painted[-1] + _NEAR + 1
    part = slice(first, last)
    shape = (len(f.c[part]), *map_.shape[1:])
    cut = LiteralMap(
        f.c[part], f.N[part], f.B[part], f.T[part], shape, map_.pitch_nm, map_.spacing_nm
    )
    return cut, int(first)


def box_of(entry: StraightLabels, volume: Volume, mip: int) -> Box:
    """Voxels of a level among which all painted samples lie, with one more on each side."""
    level = volume.levels[mip]
    map_, first = literal(entry)
    nm = map_.to_volume(np.argwhere(np.asarray(entry.array)) - (first, 0, 0))
    index = nm / level.resolution - level.voxel_offset
    low = np.clip(np.floor(index.min(0)).astype(int) - 1, 0, level.shape)
    high = np.clip(np.ceil(index.max(0)).astype(int) + 1, 0, level.shape)
    z, y, x = zip(low.tolist(), high.tolist(), strict=True)
    return z, y, x


def located(entry: StraightLabels, volume: Volume, mip: int, box: Box) -> Located:
    """Where the literal map has the voxels of a box, in C order."""
    level = volume.levels[mip]
    index = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in box), indexing="ij"), -1)
    nm = (index.reshape(-1, 3) + level.voxel_offset + 0.5) * level.resolution
    map_, first = literal(entry)
    found = map_.to_straightened(nm)
    return replace(found, index=found.index + (first, 0, 0))


def gathered(
    entry: StraightLabels, found: Located, box: Box
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """What every voxel of a box has to be, and where no rounding decides."""
    claimed = ~np.isnan(found.index[:, 0])
    near = np.where(claimed[:, None], found.index, 0.0)
    nearest = np.clip(np.floor(near + 0.5), 0, np.array(entry.map.shape) - 1).astype(int)
    k, row, column = nearest.T
    truth = np.where(claimed, np.asarray(entry.array)[k, row, column], 0)
    halfway = np.abs(near - np.floor(near) - 0.5).min(axis=1)
    sure = (found.margin > 1e-6) & (halfway > 1e-6)
    shape = [b - a for a, b in box]
    return truth.reshape(shape), sure.reshape(shape)


def in_slices(found: Located, box: Box, first: int, last: int) -> NDArray[np.bool_]:
    """The voxels of a box that lie in a range of slices, both ends included."""
    k = found.index[:, 0]
    inside: NDArray[np.bool_] = (k > first - 0.5) & (k < last + 0.5)
    return inside.reshape([b - a for a, b in box])
