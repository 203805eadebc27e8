"""Straighten: slices perpendicular to a trace, lazily as an array or streamed into a file."""

from __future__ import annotations

import os
import time
import warnings
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.recipe import save as save_recipe
from napari_ouroboros.operations.outputs import (
    CHUNK,
    check_recipe_free,
    local_path,
    output_kind,
    recipe_path,
    source_record,
)
from napari_ouroboros.operations.plan import Cancel, Plan, Progress, Unit, default_threads
from napari_ouroboros.operations.sampler import (
    DEFAULT_MEMORY,
    Box,
    Missing,
    SliceSampler,
    affine,
    choose_interpolation,
)

if TYPE_CHECKING:
    import dask.array

    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.precomputed_writer import PrecomputedWriter
    from napari_ouroboros.volumes.staging import StagedFile

# Samples of one box of the lazy array and of one slab of a stream: some milliseconds of work.
_BOX_SAMPLES = 4_000_000
# Decoded chunks kept for a lazy array while somebody looks at it.
_LAZY_MEMORY = 256 * 1024 * 1024


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


def straighten(
    volume: Volume,
    straightening: Straightening,
    mip: int = 0,
    interpolation: str | None = None,
    *,
    fill: float | None = None,
    missing: Missing | None = None,
) -> dask.array.Array:
    """Return the straightened volume as a lazy array.

    Parameters
    ----------
    volume : Volume
        From `open_volume`.
    straightening : Straightening
        Lengths left open become the finest resolution of the level.
    mip : int
        Level of the volume to read.
    interpolation : {"nearest", "linear"}, optional
        Default nearest for segmentations and uint64, else linear.
    fill : number, optional
        Value outside the volume; default 0, NaN for floats.
    missing : {"fill", "error"}, optional
        Chunks that the store does not have.

    Returns
    -------
    dask array (slices, rows, columns) or (slices, rows, columns, channels)
        Of the volume's dtype: rounded half up and kept within its range.

    Raises
    ------
    UserError
        A mip that is not there; linear interpolation of labels; a trace outside the volume.
    SourceError
        On computing: the source does not deliver, or a chunk cannot be decoded.
    """
    import dask.array as da
    from dask.base import tokenize

    method = choose_interpolation(volume, interpolation)
    level = volume.mip(mip)
    map_ = straightening.resolved(level.resolution)
    _check_reach(volume, map_, mip)
    sampler = SliceSampler(volume, map_, mip, method, fill, missing, _LAZY_MEMORY)
    boxes = slabs(map_.shape, volume.channels)
    name = "straighten-" + tokenize(
        volume.url, mip, map_.recipe_hash, map_.shape, method, str(fill), missing
    )
    squeeze = volume.channels == 1
    tail = () if squeeze else (0,)

    def block(box: Box) -> NDArray[Any]:
        out = sampler.read(box)
        return out[..., 0] if squeeze else out

    graph = {(name, i, 0, 0, *tail): (block, box) for i, box in enumerate(boxes)}
    chunks: tuple[tuple[int, ...], ...] = (
        tuple(box.shape[0] for box in boxes), (map_.height,), (map_.width,),
    )  # fmt: skip
    if not squeeze:
        chunks = (*chunks, (volume.channels,))
    array = da.Array(graph, name, chunks, dtype=volume.dtype)
    # The fetching threads end with the last array that can ask for a slice.
    weakref.finalize(block, sampler.close)
    return array


def outside(volume: Volume, straightening: Straightening, mip: int = 0) -> NDArray[np.int64]:
    """Count the samples of every slice that lie beyond the volume, from geometry alone.

    Returns
    -------
    array (slices,) of int64
    """
    from napari_ouroboros.geometry.sample_kernel import count_outside

    level = volume.mip(mip)
    map_ = straightening.resolved(level.resolution)
    n, rows, columns = map_.shape
    out = np.empty(n, np.int64)
    grid = affine(map_, level, Box((0, n), (0, rows), (0, columns)))
    count_outside(*grid, rows, columns, np.asarray(level.shape), out)
    return out


def straighten_to(
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
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> StraightenReport:
    """Straighten into a file, streamed: never the whole stack in memory.

    Parameters
    ----------
    path : path or ``precomputed://file://...``
        ``.tif`` / ``.tiff`` for a TIFF; a folder name for Neuroglancer precomputed with
        xyz = (column, row, slice). The recipe is written beside it, as
        ``NAME.recipe.json``.
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
    job = StraightenJob(
        path, volume, straightening, mip, interpolation, slices=slices, fill=fill, missing=missing,
        kind=kind, memory=memory, threads=threads, overwrite=overwrite, command=command,
    )  # fmt: skip
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
        self.method = choose_interpolation(volume, interpolation, kind)
        self.level = volume.mip(mip)
        self.map = straightening.resolved(self.level.resolution)
        self.slices = _slice_range(slices, self.map.shape[0])
        self.is_segmentation = "segmentation" in (volume.kind, kind)
        self.overwrite, self.command = overwrite, command
        self.outside = _check_reach(volume, self.map, mip)
        check_recipe_free(self.path, overwrite)
        self.threads = threads or default_threads()
        self._progress: Progress | None = None
        self._writer: PrecomputedWriter
        self.sampler = SliceSampler(
            volume, self.map, mip, self.method, fill, missing, memory, self.threads
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as written."""
        first, last = self.slices
        shape = (last - first, self.map.height, self.map.width)
        return shape if self.volume.channels == 1 else (*shape, self.volume.channels)

    def boxes(self) -> list[Box]:
        """The write units: slabs of whole slices for TIFF, chunk layers for precomputed."""
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
        to_fetch = len(chunks) * int(np.prod(self.level.chunk)) * item
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
                self._write_precomputed(progress, cancel)
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
        from napari_ouroboros.volumes.staging import StagedFile
        from napari_ouroboros.volumes.tiff import write_tiff

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
            file.commit()
            recipe.commit()

    def _write_precomputed(self, progress: Progress | None, cancel: Cancel | None) -> None:
        from napari_ouroboros.volumes.precomputed_writer import (
            PrecomputedWriter,
            is_our_precomputed,
        )
        from napari_ouroboros.volumes.staging import StagedFolder

        if self.volume.dtype == np.float64:
            raise UserError("precomputed has no float64; write a .tif instead")
        with (
            self._staged_recipe() as recipe,
            StagedFolder(self.path, self.overwrite, is_our_precomputed) as folder,
        ):
            self._writer = PrecomputedWriter(
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
            folder.commit()
            recipe.commit()

    @contextmanager
    def _staged_recipe(self) -> Iterator[StagedFile]:
        """The recipe, on disk before the result appears: neither is ever there alone."""
        from napari_ouroboros.volumes.staging import StagedFile

        record = source_record(self.volume, self.mip, self.path)
        # Whose recipe may be replaced was settled at the start.
        with StagedFile(recipe_path(self.path), overwrite=True) as recipe:
            with recipe.writing():
                save_recipe(self.map, recipe.path, record, output=self.path.name)
            yield recipe

    def _target(self, box: Box) -> Box:
        """Where a box lies in what is written: from the first slice asked for."""
        first = self.slices[0]
        return Box((box.slices[0] - first, box.slices[1] - first), box.rows, box.columns)

    def _write_box(self, box: Box, cancel: Cancel) -> None:
        slab = self.sampler.read(box, cancel)
        self._writer.write(
            self._target(box).as_tuple(), slab[..., 0] if self.volume.channels == 1 else slab
        )


def slabs(shape: tuple[int, int, int], channels: int = 1) -> list[Box]:
    """Cut a straightened volume into slabs of whole slices, some million samples each."""
    n, rows, columns = shape
    step = max(1, _BOX_SAMPLES // (rows * columns * channels))
    return [Box((k, min(k + step, n)), (0, rows), (0, columns)) for k in range(0, n, step)]


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


def _check_reach(volume: Volume, map_: Straightening, mip: int) -> NDArray[np.int64]:
    """Error for a trace wholly outside, notices for one partly outside or a finer mip at hand."""
    level = volume.mip(mip)
    count = outside(volume, map_, mip)
    total = map_.height * map_.width * len(count)
    if count.sum() == total:
        low, high = (np.round(b).astype(np.int64).tolist() for b in level.bounds_nm)
        points = map_.trace.points_nm
        raise UserError(
            "the trace lies wholly outside the volume: its points span "
            f"{points.min(0).round().astype(np.int64).tolist()} to "
            f"{points.max(0).round().astype(np.int64).tolist()} nm (zyx), the volume {low} to "
            f"{high}; are the units of the points right?"
        )
    if count.any():
        share = 100 * count.sum() / total
        warnings.warn(
            f"{share:.2g} % of the samples, in {np.count_nonzero(count)} of {len(count)} slices, "
            "lie outside the volume and get the fill value",
            Notice,
            stacklevel=3,
        )
    if map_.pitch_nm > 2 * min(level.resolution):
        better = best_mip(volume, map_.pitch_nm)
        advice = (
            f"mip {better} fits better (--mip auto takes it)"
            if better > mip
            else "there is no coarser mip; smaller pixels would not skip any"
        )
        warnings.warn(
            f"pixels of {map_.pitch_nm:g} nm skip voxels of mip {mip} "
            f"({min(level.resolution):g} nm): {advice}",
            Notice,
            stacklevel=3,
        )
    return count


def best_mip(volume: Volume, pitch_nm: float) -> int:
    """The coarsest mip whose voxels are not coarser than a pixel."""
    fitting = [
        mip
        for mip, level in enumerate(volume.levels)
        if min(level.resolution) <= pitch_nm * (1 + 1e-9)
    ]
    return max(fitting, default=0)
