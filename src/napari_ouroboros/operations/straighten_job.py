"""Straighten into a file: slices perpendicular to a trace, streamed as write units."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.recipe import save as save_recipe
from napari_ouroboros.operations.boxes import Box, check_slice, slabs, voxels_of
from napari_ouroboros.operations.outputs import (
    CHUNK,
    check_free,
    check_recipe_free,
    is_replaceable,
    local_path,
    output_kind,
    recipe_path,
    source_record,
    volume_writer,
)
from napari_ouroboros.operations.outside_volume import check_reach
from napari_ouroboros.operations.plan import Cancel, Plan, Progress, Unit, default_threads
from napari_ouroboros.operations.sampler import DEFAULT_MEMORY, Missing, SliceSampler
from napari_ouroboros.operations.slice_grid import choose_interpolation

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.writing.chunk_writer import ChunkWriter
    from napari_ouroboros.volumes.writing.staging import StagedFile, StagedFolder


@dataclass(frozen=True)
class StraightenReport:
    """What a run of `straighten_to` did.

    Attributes
    ----------
    path, recipe : Path
        The straightened volume and its recipe.
    shape : tuple of int
        (slices, rows, columns) or (slices, rows, columns, channels) as written.
    dtype : str
    straightening : Straightening
        The map with every length settled.
    mip : int
    samples_outside : int
        Samples beyond the volume, set to the fill value.
    chunks_fetched, chunks_missing : int
    seconds : float
    """

    path: Path
    recipe: Path
    shape: tuple[int, ...]
    dtype: str
    straightening: Straightening
    mip: int
    samples_outside: int
    chunks_fetched: int
    chunks_missing: int
    seconds: float


class StraightenOptions(TypedDict, total=False):
    """Keywords of `straighten_to` and `StraightenJob`, explained in the former."""

    slices: tuple[int, int] | None
    fill: float | None
    missing: Missing | None
    kind: str | None
    memory: int
    threads: int | None
    overwrite: bool
    command: str | None


def straighten_to(
    path: str | os.PathLike[str],
    volume: Volume,
    straightening: Straightening,
    mip: int = 0,
    interpolation: str | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    **options: Unpack[StraightenOptions],
) -> StraightenReport:
    """Straighten into a file, streamed: never the whole stack in memory.

    Parameters
    ----------
    path : path or ``precomputed://file://...``
        ``.tif`` / ``.tiff`` for a TIFF; ``.zarr`` for OME-Zarr with zyx = (slice, row, column);
        another folder name for Neuroglancer precomputed with xyz = (column, row, slice). The
        recipe is written beside it, as ``NAME.recipe.json``.
    volume, straightening, mip, interpolation, fill, missing
        As for `straighten`.
    slices : (first, last + 1), optional
        Only these slices. The recipe stays that of the whole; labels of the part come home
        with a labels offset.
    kind : {"image", "segmentation"}, optional
        What the layer says of the volume.
    memory : int
        Bytes for decoded chunks.
    threads : int, optional
        Default one per processor.
    overwrite : bool
        Replace an earlier result.
    command : str, optional
        Noted in the result's metadata.
    progress : callable, optional
        ``progress(done, total)`` in slabs of slices.
    cancel : object with ``is_set()``, optional
        Stops the job; nothing that looks finished is left.

    Returns
    -------
    StraightenReport

    Raises
    ------
    UserError, SourceError, DestinationError, Cancelled
        One line each; the destination is as it was before.
    """
    start = time.monotonic()
    job = StraightenJob(path, volume, straightening, mip, interpolation, **options)
    return job.run(progress, cancel, start)


class StraightenJob:
    """A straightening run with everything checked, and its plan, before anything is written."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        volume: Volume,
        straightening: Straightening,
        mip: int = 0,
        interpolation: str | None = None,
        *,
        slices: tuple[int, int] | None = None,
        fill: float | None = None,
        missing: Missing | None = None,
        kind: str | None = None,
        memory: int = DEFAULT_MEMORY,
        threads: int | None = None,
        overwrite: bool = False,
        command: str | None = None,
    ) -> None:
        self.output = output_kind(path)
        self.path = local_path(path)
        self.volume, self.mip = volume, mip
        if self.output == "precomputed" and volume.dtype == np.float64:
            raise UserError("precomputed has no float64; write a .tif or .zarr instead")
        self.method = choose_interpolation(volume, interpolation, kind)
        self.level = volume.mip(mip)
        self.map = straightening.resolved(self.level.resolution)
        self.slices = _slice_range(slices, self.map.shape[0])
        self.is_segmentation = "segmentation" in (volume.kind, kind)
        self.overwrite, self.command = overwrite, command
        check_free(self.path, overwrite)
        check_recipe_free(self.path, overwrite)
        check_slice(self.map, volume, memory)
        self.outside = check_reach(volume, self.map, mip)
        self.threads = threads or default_threads()
        self._progress: Progress | None = None
        self._writer: ChunkWriter
        self.sampler = SliceSampler(
            volume, self.map, mip, self.method, fill, missing, memory, self.threads
        )
        self.sampler.notices_cuts = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as written."""
        first, last = self.slices
        shape = (last - first, self.map.height, self.map.width)
        return shape if self.volume.channels == 1 else (*shape, self.volume.channels)

    def boxes(self) -> list[Box]:
        """The write units: slabs of whole slices for TIFF, else layers of chunks."""
        first, last = self.slices
        shape = (last - first, self.map.height, self.map.width)
        if self.output == "tiff":
            parts = slabs(shape, self.volume.channels)
        else:
            parts = _aligned(shape, CHUNK, self.volume.channels * self.volume.dtype.itemsize)
        return [Box((b.slices[0] + first, b.slices[1] + first), b.rows, b.columns) for b in parts]

    def plan(self) -> Plan:
        """What the run will fetch, write and hold; computed from geometry alone."""
        boxes = self.boxes()
        chunks: set[tuple[int, ...]] = set()
        for box in boxes:
            chunks.update(map(tuple, self.sampler.chunks(box).tolist()))
        item = self.volume.dtype.itemsize * self.volume.channels
        to_fetch = voxels_of(np.array(sorted(chunks)), self.level) * item
        largest = max(int(np.prod(box.shape)) for box in boxes) * item
        if self.output == "tiff":
            # Pages follow each other in the one file, so the file is the unit.
            units = [Unit(self.path.name, self._write_tiff)]
        else:
            units = [Unit(str(self._target(box)), partial(self._write_box, box)) for box in boxes]
        return Plan(
            "straightening",
            units,
            bytes_to_fetch=to_fetch,
            bytes_to_write=int(np.prod(self.shape)) * self.volume.dtype.itemsize,
            memory_bytes=min(to_fetch, self.sampler.memory) + 2 * largest,
            chunks_to_fetch=len(chunks),
        )

    def metadata(self) -> dict[str, Any]:
        """What the result says of itself."""
        facts: dict[str, Any] = {
            "recipe": recipe_path(self.path).name,
            "frames_sha256": self.map.recipe_hash,
            "slices": list(self.slices),
            "mip": self.mip,
            "kind": "segmentation" if self.is_segmentation else "image",
        }
        if self.map.adaptive_radius_nm is not None:
            facts["adaptive"] = {"radius_nm": self.map.adaptive_radius_nm}
        if self.command:
            facts["command"] = self.command
        return facts

    def run(
        self, progress: Progress | None, cancel: Cancel | None, start: float
    ) -> StraightenReport:
        """Do it."""
        with self.sampler:
            if self.output == "tiff":
                self._progress = progress
                self._write_tiff(cancel)
            else:
                self._write_chunks(progress, cancel)
        first, last = self.slices
        return StraightenReport(
            path=self.path,
            recipe=recipe_path(self.path),
            shape=self.shape,
            dtype=str(self.volume.dtype),
            straightening=self.map,
            mip=self.mip,
            samples_outside=int(self.outside[first:last].sum()),
            chunks_fetched=self.sampler.chunks_fetched,
            chunks_missing=len(self.sampler.missing_chunks),
            seconds=time.monotonic() - start,
        )

    def _write_tiff(self, cancel: Cancel | None) -> None:
        from napari_ouroboros.volumes.writing.staging import StagedFile
        from napari_ouroboros.volumes.writing.tiff import write_tiff

        boxes = self.boxes()
        squeeze = self.volume.channels == 1
        with self._staged_recipe() as recipe, StagedFile(self.path, self.overwrite) as file:
            stream = _counted(self.sampler.stream(boxes, cancel), len(boxes), self._progress)
            with closing(stream):
                write_tiff(
                    file.path,
                    (slab[..., 0] if squeeze else slab for slab in stream),
                    shape=self.shape,
                    dtype=self.volume.dtype,
                    pitch_nm=self.map.pitch_nm,
                    spacing_nm=self.map.mean_spacing_nm,
                    metadata=self.metadata(),
                    # Labels shrink a hundredfold; the noise of an image does not.
                    compression="zlib" if self.is_segmentation else None,
                )
            self._commit(recipe, file)

    def _write_chunks(self, progress: Progress | None, cancel: Cancel | None) -> None:
        from napari_ouroboros.volumes.writing.staging import StagedFolder

        is_ours = partial(is_replaceable, output=self.output)
        with (
            self._staged_recipe() as recipe,
            StagedFolder(self.path, self.overwrite, is_ours) as folder,
        ):
            self._writer = volume_writer(self.output)(
                folder,
                shape=self.shape[:3],
                resolution=(self.map.mean_spacing_nm, self.map.pitch_nm, self.map.pitch_nm),
                voxel_offset=(0, 0, 0),
                dtype=self.volume.dtype,
                kind="segmentation" if self.is_segmentation else "image",
                chunk=CHUNK,
                channels=self.volume.channels,
                extra_info=self.metadata(),
            )
            # One unit more than processors: one waits for its chunks while the others compute.
            self.plan().run(self.threads + 1, progress, cancel, folder.done)
            self._commit(recipe, folder)

    @contextmanager
    def _staged_recipe(self) -> Iterator[StagedFile]:
        """The recipe, written before the result is: a full disk is met early."""
        from napari_ouroboros.volumes.writing.staging import StagedFile

        record = source_record(self.volume, self.mip, self.path)
        # Whose recipe may be replaced was settled at the start.
        with StagedFile(recipe_path(self.path), overwrite=True) as recipe:
            with recipe.writing():
                save_recipe(self.map, recipe.path, record, output=self.path.name)
            yield recipe

    def _commit(self, recipe: StagedFile, result: StagedFile | StagedFolder) -> None:
        """Both in their places, the recipe first: a result is never there without its recipe.

        Killed in between, this leaves a recipe for which the result can be made again; labels of
        an older result do not fit it, and say so.
        """
        path = recipe.destination
        older = path.read_bytes() if path.exists() else None
        recipe.commit()
        try:
            result.commit()
        except BaseException:
            if older is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(older)
            raise

    def _target(self, box: Box) -> Box:
        """Where a box lies in what is written: from the first slice asked for."""
        first = self.slices[0]
        return Box((box.slices[0] - first, box.slices[1] - first), box.rows, box.columns)

    def _write_box(self, box: Box, cancel: Cancel) -> None:
        slab = self.sampler.read(box, cancel)
        self._writer.write(
            self._target(box).as_tuple(), slab[..., 0] if self.volume.channels == 1 else slab
        )


def _aligned(shape: tuple[int, int, int], chunk: tuple[int, int, int], item: int) -> list[Box]:
    """Boxes of whole chunks, at most about 64 MB each, in order along the trace."""
    n, rows, columns = shape
    layer = max(1, 64 * 2**20 // (chunk[0] * item))
    wide = max(1, min(-(-columns // chunk[2]), layer // (chunk[1] * chunk[2]))) * chunk[2]
    tall = max(1, min(-(-rows // chunk[1]), layer // (chunk[1] * wide))) * chunk[1]
    return [
        Box((k, min(k + chunk[0], n)), (r, min(r + tall, rows)), (c, min(c + wide, columns)))
        for k in range(0, n, chunk[0])
        for r in range(0, rows, tall)
        for c in range(0, columns, wide)
    ]


def _counted(
    stream: Iterator[NDArray[Any]], total: int, progress: Progress | None
) -> Generator[NDArray[Any], None, None]:
    """The stream, telling progress after each box has been taken (written)."""
    if progress is not None:
        progress(0, total)
    for i, slab in enumerate(stream):
        yield slab
        if progress is not None:
            progress(i + 1, total)


def _slice_range(slices: tuple[int, int] | None, n: int) -> tuple[int, int]:
    if slices is None:
        return 0, n
    first, last = slices
    if not 0 <= first < last <= n:
        raise UserError(f"slices {first}:{last} are not within 0:{n}, the slices that there are")
    return int(first), int(last)
