"""Backproject: labels of the straightened volume home into the original one, exactly."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.touched import block_bounds, block_box
from napari_ouroboros.operations.backproject_check import CheckedBackprojection
from napari_ouroboros.operations.backproject_report import (
    BackprojectOptions,
    BackprojectReport,
    notice_empty,
    what_is_empty,
)
from napari_ouroboros.operations.destination import (
    Scale,
    corner_nm,
    label_tiff,
    label_writer,
    staged,
    staged_file,
)
from napari_ouroboros.operations.gather import Block
from napari_ouroboros.operations.merge import TouchedBlock, merge
from napari_ouroboros.operations.outputs import CHUNK
from napari_ouroboros.operations.plan import Cancel, Plan, Progress, Unit
from napari_ouroboros.operations.pyramid import CoarserScale

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.level import Index
    from napari_ouroboros.volumes.writing.chunk_writer import ChunkWriter, WrittenVolume
    from napari_ouroboros.volumes.writing.label_tiff import LabelTiff
    from napari_ouroboros.volumes.writing.staging import StagedFile, StagedFolder

# Bytes of shard indices that are kept while a pyramid is made.
_INDEX_CACHE = 16 * 2**20


def backproject(
    labels: Any,
    straightening: Straightening | Sequence[Straightening],
    destination: str | os.PathLike[str],
    like: Volume | None = None,
    mip: int | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    **options: Unpack[BackprojectOptions],
) -> BackprojectReport:
    """Bring labels home as a segmentation that lies exactly on the source.

    Every voxel centre in the tube asks which slices pass through it and takes the nearest
    sample of the nearest one (gather): no holes at any spacing, ids never averaged. Only chunks
    that the tube touches are visited; those that stay empty are not written.

    Parameters
    ----------
    labels : path, URL, array, or a list of them
        (slices, rows, columns): .tif, .npy, .zarr, a precomputed folder, numpy, dask or zarr
        array. Several: one per trace; the nearer centre line wins where both are labelled, the
        earlier on ties.
    straightening : Straightening, or a list of them
        The map that the labels belong to.
    destination : path or ``precomputed://file://...``
        A folder: Neuroglancer precomputed, or OME-Zarr where the name ends in ``.zarr``. Or a
        ``.tif``: the box of the chunks that hold labels, one page for each plane in z; where the
        box begins is noted in it and in the report.
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
    pyramid : bool
        Add the source's coarser scales by majority: of the voxels whose centres lie in a coarser
        one, the id that is most frequent, the smallest of several. Background counts as well.
    sharded : bool
        Precomputed only: many gzipped chunks in one file. A shard's labels (at most 128 MB) are
        held until it is written, twice for a moment.
    memory : int
        Bytes: a quarter of it for decoded slices of labels, half for shards in the making.
    timeout : float
        Seconds without a byte after which labels at a URL are given up.
    threads : int, optional
        Default one per processor.
    overwrite : bool
        Replace an earlier result.
    command : str, optional
        Noted in the result.
    progress : callable, optional
        ``progress(done, total)`` in write units: chunks or shards.
    cancel : object with ``is_set()``, optional

    Returns
    -------
    BackprojectReport

    Raises
    ------
    UserError
        Labels of another shape or recipe, negative or fractional ids, a destination that exists,
        nothing to put into a TIFF.
    DestinationError, SourceError, Cancelled
        The destination is as it was before.
    """
    job = BackprojectJob(labels, straightening, destination, like, mip, **options)
    return job.run(progress, cancel)


class BackprojectJob(CheckedBackprojection):
    """A backprojection with its plan; parameters as `backproject` has them."""

    # The one or the other, once the job runs.
    _writer: ChunkWriter
    _tiff: LabelTiff | None = None
    _conflict_writer: ChunkWriter | None = None

    def plan(self) -> Plan:
        """What the run will visit and hold; computed from geometry alone."""
        voxels = int(np.prod(CHUNK))
        slices = max((g.largest_need(self.blocks) for g in self.gatherers), default=0)
        kept = sum(int(np.prod(g.labels.shape)) * g.labels.dtype.itemsize for g in self.gatherers)
        return Plan(
            "backprojection",
            [
                Unit("_".join(map(str, index)), partial(self._write_unit, blocks))
                for index, blocks in self.units.items()
            ],
            bytes_to_fetch=0,
            bytes_to_write=len(self.blocks) * voxels * self.dtype.itemsize,
            memory_bytes=min(kept, self.memory // 4)
            + self.threads * (voxels * 9 + self.held_bytes + slices),
            later=[Unit("planes", self._write_planes)]
            if self.output == "tiff"
            else [unit for scale in self.pyramid for unit in self._coarser_units(scale)],
        )

    def run(self, progress: Progress | None, cancel: Cancel | None) -> BackprojectReport:
        """Do it."""
        self._lock = threading.Lock()
        self._totals = np.zeros(4, np.int64)
        self._written: set[Index] = set()
        with self.files, ExitStack() as stack:
            result, done = self._open_result(stack)
            conflicts = None
            if self.conflicts is not None:
                place, output = self.conflicts
                conflicts = stack.enter_context(staged(place, output, self.overwrite))
                facts = {**self._facts(self.conflict_scale), "conflicts": True}
                self._conflict_writer = label_writer(
                    conflicts, output, self.conflict_scale, np.uint8, facts
                )
            try:
                self.plan().run(self.threads, progress, cancel, done)
            except UserError:
                # Of several negative slices any may have been met first; name the first one.
                for gatherer in self.gatherers:
                    gatherer.labels.look_for_negative()
                raise
            if conflicts is not None:
                conflicts.commit()
            result.commit()
        tube, labelled, contested, between = (int(n) for n in self._totals)
        if not labelled:
            notice_empty(self.keep)
        bounds = block_bounds(self._written, CHUNK, self.scale.written.shape)
        return BackprojectReport(
            path=self.path,
            mip=self.mip,
            coarser_mips=tuple(scale.scale.mip for scale in self.pyramid),
            dtype=str(self.dtype),
            voxels_in_tube=tube,
            voxels_labelled=labelled,
            voxels_contested=contested,
            voxels_between_traces=between,
            chunks_touched=len(self.blocks),
            chunks_written=len(self._written),
            bounds=bounds,
            corner_nm=None if bounds is None else corner_nm(self.scale.source, bounds),
            shift_nm=self.scale.shift_nm,
            seconds=time.monotonic() - self.start,
        )

    # -- what is written ----------------------------------------------------------------------

    def _open_result(
        self, stack: ExitStack
    ) -> tuple[StagedFolder | StagedFile, Callable[[str], None] | None]:
        """The result in the making, its writers being set, and who is told of finished units."""
        facts = self._facts(self.scale)
        if self.output == "tiff":
            file = stack.enter_context(staged_file(self.path, self.overwrite))
            self._tiff = label_tiff(file, self.scale, self.dtype, facts)
            return file, None
        folder = stack.enter_context(staged(self.path, self.output, self.overwrite))
        self._writer = label_writer(
            folder, self.output, self.scale, self.dtype, facts, self.sharded
        )
        self._coarser_writers = {
            scale.mip: self._writer.coarser(
                shape=scale.written.shape,
                resolution=scale.written.resolution,
                voxel_offset=scale.written.voxel_offset,
                key=scale.key,
            )
            for scale in (coarser.scale for coarser in self.pyramid)
        }
        return folder, folder.done

    def _write_planes(self, cancel: Cancel) -> None:
        """All of a TIFF, whose box is known when the last chunk is."""
        if not self._written:
            raise UserError(f"{what_is_empty(self.keep)}, so there is nothing to put into a TIFF")
        assert self._tiff is not None
        self._tiff.finish(cancel)

    def _facts(self, scale: Scale) -> dict[str, Any]:
        """What the result says of itself."""
        facts: dict[str, Any] = {
            "frames_sha256": [g.straightening.recipe_hash for g in self.gatherers],
            "mip": scale.mip,
        }
        if any(scale.shift_nm):
            facts["shift_nm"] = scale.shift_nm
        if self.command:
            facts["command"] = self.command
        return facts

    def _write_unit(self, blocks: Sequence[TouchedBlock], cancel: Cancel) -> None:
        pieces = []
        for index, parts in blocks:
            merged, between = self._block(index, parts, cancel)
            labels = merged.labels.astype(self.dtype, copy=False)
            labelled = int(np.count_nonzero(labels))
            box = block_box(index, CHUNK, self.scale.written.shape)
            if labelled:
                pieces.append((box, labels))
            contested = merged.claims > 1
            if self._conflict_writer is not None and contested.any():
                self._conflict_writer.write(box, contested.astype(np.uint8))
            with self._lock:
                tube = int(np.count_nonzero(merged.claims))
                self._totals += (tube, labelled, int(contested.sum()), between)
                if labelled:
                    self._written.add(index)
        (self._tiff or self._writer).write_unit(pieces)

    def _block(
        self, index: Index, parts: dict[int, NDArray[np.int64]], cancel: Cancel
    ) -> tuple[Block, int]:
        """All traces' labels of a chunk, and the number of voxels that several had labelled."""
        (first, segments), *others = parts.items()
        # Without other traces nobody asks how near the centre line is.
        distances = len(others) > 0
        merged = self.gatherers[first].block(index, CHUNK, segments, cancel, distances)
        between = 0
        for number, segments in others:
            between += merge(merged, self.gatherers[number].block(index, CHUNK, segments, cancel))
        return merged, between

    def _coarser_units(self, coarser: CoarserScale) -> list[Unit]:
        return coarser.units(
            written=lambda index: index in self._written,
            read=lambda box: self._finest.read(box),
            write=lambda pieces: self._coarser_writers[coarser.scale.mip].write_unit(pieces),
        )

    @cached_property
    def _finest(self) -> WrittenVolume:
        """What the coarser scales are made from; whole chunks are read, so only indices repeat."""
        return self._writer.read_back(_INDEX_CACHE if self.sharded else 0)
