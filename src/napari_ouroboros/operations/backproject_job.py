"""Backproject: labels of the straightened volume home into the original one, exactly."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Grid, Straightening
from napari_ouroboros.geometry.touched import block_box, touched_chunks
from napari_ouroboros.operations.gather import Block, Gatherer, LabelGrid
from napari_ouroboros.operations.outputs import (
    CHUNK,
    check_free,
    local_path,
    output_kind,
    recipe_grid,
)
from napari_ouroboros.operations.plan import Cancel, Plan, Progress, Unit, default_threads

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.precomputed_writer import PrecomputedWriter

Pairs = Sequence[tuple[Any, Straightening]]


@dataclass(frozen=True)
class BackprojectReport:
    """What a run of `backproject` did.

    Attributes
    ----------
    path : Path
        The precomputed segmentation.
    mip : int
        The source's level whose grid it has.
    dtype : str
    voxels_in_tube : int
        Voxels whose centre lies in a slice, background included.
    voxels_labelled : int
    voxels_contested : int
        Voxels that several slices of one trace claim; the nearest centre line got them.
    voxels_between_traces : int
        Voxels to which two traces gave different labels.
    chunks_touched, chunks_written : int
    bounds : tuple or None
        Box of the written chunks, ((z0, z1), (y0, y1), (x0, x1)) in array indices.
    seconds : float
    """

    path: Path
    mip: int
    dtype: str
    voxels_in_tube: int
    voxels_labelled: int
    voxels_contested: int
    voxels_between_traces: int
    chunks_touched: int
    chunks_written: int
    bounds: tuple[tuple[int, int], ...] | None
    seconds: float


def backproject(
    labels: Any,
    straightening: Straightening | Sequence[Straightening],
    destination: str | os.PathLike[str],
    like: Volume | None = None,
    mip: int | None = None,
    *,
    keep: Sequence[int] | None = None,
    labels_scale: Sequence[float] | None = None,
    labels_offset: Sequence[float] | None = None,
    dtype: DTypeLike | None = None,
    conflicts: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> BackprojectReport:
    """Bring labels home as a Neuroglancer segmentation that lies exactly on the source.

    Every voxel centre in the tube asks which slices pass through it and takes the nearest
    sample of the nearest one (gather): no holes at any spacing, ids never averaged. Only chunks
    that the tube touches are visited; those that stay empty are not written.

    Parameters
    ----------
    labels : path, array, or a list of them
        (slices, rows, columns): .tif, .npy, a precomputed folder, numpy or dask array. Several:
        one per trace; the nearer centre line wins where both are labelled, the earlier on ties.
    straightening : Straightening, or a list of them
        The map that the labels belong to.
    destination : path or ``precomputed://file://...``
        A folder.
    like : Volume, optional
        The source. Default: what the recipe recorded of it; it need not be reachable.
    mip : int, optional
        Level whose grid the result gets. Default the recipe's, else 0.
    keep : sequence of int, optional
        Only these labels.
    labels_scale : (z, y, x), optional
        The labels have round(n f) samples where the recipe has n.
    labels_offset : (z, y, x), optional
        The labels are a crop that starts at this sample of the recipe.
    dtype : dtype, optional
        A wider unsigned type for the result. Default the labels' own; signed becomes unsigned
        of the same width, bool uint8.
    conflicts : path, optional
        Folder for a uint8 mask of the contested voxels.
    threads : int, optional
        Default one per processor.
    overwrite : bool
        Replace an earlier result.
    command : str, optional
        Noted in the result.
    progress : callable, optional
        ``progress(done, total)`` in chunks.
    cancel : object with ``is_set()``, optional

    Returns
    -------
    BackprojectReport

    Raises
    ------
    UserError
        Labels of another shape or recipe, negative or fractional ids, a destination that exists.
    DestinationError, SourceError, Cancelled
        The destination is as it was before.
    """
    job = BackprojectJob(
        labels, straightening, destination, like, mip, keep=keep, labels_scale=labels_scale,
        labels_offset=labels_offset, dtype=dtype, conflicts=conflicts, threads=threads,
        overwrite=overwrite, command=command,
    )  # fmt: skip
    return job.run(progress, cancel)


class BackprojectJob:
    """A backprojection with everything checked, and its plan, before anything is written."""

    def __init__(
        self,
        labels: Any,
        straightening: Straightening | Sequence[Straightening],
        destination: str | os.PathLike[str],
        like: Volume | None = None,
        mip: int | None = None,
        *,
        keep: Sequence[int] | None = None,
        labels_scale: Sequence[float] | None = None,
        labels_offset: Sequence[float] | None = None,
        dtype: DTypeLike | None = None,
        conflicts: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        overwrite: bool = False,
        command: str | None = None,
    ) -> None:
        if output_kind(destination) != "precomputed":
            raise UserError(
                "labels go home into a precomputed folder; "
                f"{os.fspath(destination)} asks for a TIFF"
            )
        self.start = time.monotonic()
        self.path = local_path(destination)
        self.conflicts = None if conflicts is None else local_path(conflicts)
        if self.conflicts == self.path:
            raise UserError("the conflicts need a folder of their own, not the labels'")
        for path in filter(None, (self.path, self.conflicts)):
            check_free(path, overwrite)
        self.overwrite, self.command = overwrite, command
        self.threads = threads or default_threads()
        maps = [straightening] if isinstance(straightening, Straightening) else list(straightening)
        stacks = [labels] if isinstance(straightening, Straightening) else list(labels)
        if len(maps) != len(stacks) or not maps:
            raise UserError(
                f"{len(stacks)} label volumes for {len(maps)} recipes; give one for each"
            )
        self.grid, self.mip, self.key = _target(maps[0], like, mip)
        self.gatherers = [
            Gatherer(map_, self.grid, LabelGrid.of(stack, map_, keep, labels_scale, labels_offset))
            for stack, map_ in zip(stacks, maps, strict=True)
        ]
        self.dtype = _result_dtype(self.gatherers, dtype)
        self.blocks = _blocks(self.gatherers)
        self._lock = threading.Lock()
        self._totals = np.zeros(5, np.int64)
        self._box: list[tuple[int, ...]] = []
        self._writer: PrecomputedWriter
        self._conflict_writer: PrecomputedWriter | None = None

    def plan(self) -> Plan:
        """What the run will visit and hold; computed from geometry alone."""
        voxels = int(np.prod(CHUNK))
        slabs = max((g.largest_need(self.blocks) for g in self.gatherers), default=0)
        return Plan(
            "backprojection",
            [
                Unit("_".join(map(str, index)), partial(self._write_block, index, parts))
                for index, parts in self.blocks
            ],
            bytes_to_fetch=0,
            bytes_to_write=len(self.blocks) * voxels * self.dtype.itemsize,
            memory_bytes=self.threads * (voxels * (self.dtype.itemsize + 9) + slabs),
        )

    def run(self, progress: Progress | None, cancel: Cancel | None) -> BackprojectReport:
        """Do it."""
        from napari_ouroboros.volumes.precomputed_writer import (
            PrecomputedWriter,
            is_our_precomputed,
        )
        from napari_ouroboros.volumes.staging import StagedFolder

        facts: dict[str, Any] = {
            "frames_sha256": [g.straightening.recipe_hash for g in self.gatherers],
            "mip": self.mip,
        }
        if self.command:
            facts["command"] = self.command
        place: dict[str, Any] = {
            "shape": self.grid.shape,
            "resolution": self.grid.resolution,
            "voxel_offset": _whole_offset(self.grid),
            "kind": "segmentation",
            "chunk": CHUNK,
            "key": self.key,
        }
        with ExitStack() as stack:
            folder = stack.enter_context(
                StagedFolder(self.path, self.overwrite, is_our_precomputed)
            )
            self._writer = PrecomputedWriter(folder, dtype=self.dtype, extra_info=facts, **place)
            conflicts = None
            if self.conflicts is not None:
                conflicts = stack.enter_context(
                    StagedFolder(self.conflicts, self.overwrite, is_our_precomputed)
                )
                self._conflict_writer = PrecomputedWriter(
                    conflicts, dtype=np.uint8, extra_info={**facts, "conflicts": True}, **place
                )
            try:
                self.plan().run(self.threads, progress, cancel, folder.done)
            except UserError:
                # Of several negative slices any may have been met first; name the first one.
                for gatherer in self.gatherers:
                    gatherer.labels.look_for_negative()
                raise
            if conflicts is not None:
                conflicts.commit()
            folder.commit()
        tube, labelled, contested, between, written = (int(n) for n in self._totals)
        return BackprojectReport(
            path=self.path,
            mip=self.mip,
            dtype=str(self.dtype),
            voxels_in_tube=tube,
            voxels_labelled=labelled,
            voxels_contested=contested,
            voxels_between_traces=between,
            chunks_touched=len(self.blocks),
            chunks_written=written,
            bounds=_bounds(self._box, self.grid.shape),
            seconds=time.monotonic() - self.start,
        )

    def _write_block(
        self, index: tuple[int, int, int], parts: dict[int, NDArray[np.int64]], cancel: Cancel
    ) -> None:
        merged: Block | None = None
        between = 0
        for number, segments in parts.items():
            block = self.gatherers[number].block(index, CHUNK, segments, cancel)
            if merged is None:
                merged = block
            else:
                between += _merge(merged, block)
        if merged is None:
            return
        labels = merged.labels.astype(self.dtype, copy=False)
        contested = merged.claims > 1
        box = block_box(index, CHUNK, self.grid.shape)
        written = 0
        labelled = int(np.count_nonzero(labels))
        if labelled:
            written = 1
            self._writer.write(box, labels)
        if self._conflict_writer is not None and contested.any():
            self._conflict_writer.write(box, contested.astype(np.uint8))
        with self._lock:
            self._totals += (
                int(np.count_nonzero(merged.claims)), labelled, int(contested.sum()), between,
                written,
            )  # fmt: skip
            if written:
                self._box.append(index)


def _merge(into: Block, other: Block) -> int:
    """Labels of a later trace into those of earlier ones; how many voxels both had labelled.

    0 never overwrites; of two labels the nearer centre line's counts, the earlier's on ties.
    """
    new = other.labels.astype(np.result_type(into.labels, other.labels), copy=False)
    old = into.labels.astype(new.dtype, copy=False)
    both = (old != 0) & (new != 0)
    take = (new != 0) & ((old == 0) | (other.distance < into.distance))
    into.labels = np.where(take, new, old)
    into.distance = np.where(take, other.distance, into.distance)
    into.claims = np.maximum(into.claims, other.claims)
    return int(np.count_nonzero(both & (old != new)))


def _blocks(
    gatherers: Sequence[Gatherer],
) -> list[tuple[tuple[int, int, int], dict[int, NDArray[np.int64]]]]:
    """Touched chunks in order along the first trace, with each trace's segments in them."""
    blocks: dict[tuple[int, int, int], dict[int, NDArray[np.int64]]] = {}
    for number, gatherer in enumerate(gatherers):
        for index, segments in touched_chunks(gatherer.straightening, gatherer.grid, CHUNK):
            blocks.setdefault(index, {})[number] = segments
    if not blocks:
        raise UserError(
            "the trace lies wholly outside the volume: there is no voxel to label; do recipe "
            "and volume belong together?"
        )
    return list(blocks.items())


def _target(
    straightening: Straightening, like: Volume | None, mip: int | None
) -> tuple[Grid, int, str]:
    """Grid, mip and scale key of the result."""
    if like is None:
        return recipe_grid(straightening.source, mip, "the recipe")
    if mip is None:
        mip = int((straightening.source or {}).get("mip", 0))
    level = like.mip(mip)
    return Grid(level.shape, level.resolution, level.voxel_offset), mip, level.key


def _whole_offset(grid: Grid) -> tuple[int, int, int]:
    z, y, x = (round(o) for o in grid.voxel_offset)
    return z, y, x


def _result_dtype(gatherers: Sequence[Gatherer], dtype: DTypeLike | None) -> np.dtype[Any]:
    own = np.result_type(*(g.labels.dtype for g in gatherers))
    if dtype is None:
        return own
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise UserError(f"{dtype!r} is no dtype; use uint8, uint16, uint32 or uint64") from error
    if wanted.kind != "u" or wanted.itemsize < own.itemsize:
        raise UserError(
            f"the labels are {own}; the result may be {own} or a wider unsigned type, not {wanted}"
        )
    return wanted


def _bounds(
    indices: list[tuple[int, ...]], shape: tuple[int, int, int]
) -> tuple[tuple[int, int], ...] | None:
    if not indices:
        return None
    table = np.asarray(indices)
    return tuple(
        (int(a) * c, min((int(b) + 1) * c, n))
        for a, b, c, n in zip(table.min(0), table.max(0), CHUNK, shape, strict=True)
    )
