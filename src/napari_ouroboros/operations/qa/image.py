"""What the picture says about each slice: intensity, missing chunks, jumps between neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.boxes import Box, check_slice, slabs, voxels_of
from napari_ouroboros.operations.outside_volume import outside
from napari_ouroboros.operations.plan import Cancel, Progress
from napari_ouroboros.operations.qa.sound import sound_samples
from napari_ouroboros.operations.sampler import DEFAULT_MEMORY, SliceSampler
from napari_ouroboros.operations.slice_grid import choose_interpolation

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ImageChecks:
    """Per slice (n,); NaN where a slice has not come yet, or has nothing to be said about.

    Attributes
    ----------
    done : bool array
        The slices that have come.
    samples : int array
        Samples inside the volume whose chunks are there, and that are no NaN; all channels.
    chunks_missing : int array
        Chunks that the slice needs and the store does not have.
    mean, std : arrays
        Intensity of these samples; NaN for ids.
    jump : array
        From the slice before: 1 - the normalised cross-correlation of the samples that both
        have, 0 for equal up to contrast; NaN where either is of one value. For ids the share of
        samples that differ. The first slice of an open trace has none.
    """

    done: Bool
    samples: NDArray[np.int64]
    chunks_missing: NDArray[np.int64]
    mean: Float
    std: Float
    jump: Float

    def __len__(self) -> int:
        return len(self.mean)

    @classmethod
    def empty(cls, n: int) -> ImageChecks:
        """Checks of `n` slices of which none has come."""
        return cls(
            np.zeros(n, bool), np.zeros(n, np.int64), np.zeros(n, np.int64),
            np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan),
        )  # fmt: skip


#: ``partial(checks, first, last)``: slices `first` to `last` of the checks have come.
Partial = Callable[[ImageChecks, int, int], None]


def image_checks(
    volume: Volume,
    straightening: Straightening,
    mip: int = 0,
    *,
    interpolation: str | None = None,
    memory: int = DEFAULT_MEMORY,
    threads: int | None = None,
    partial: Partial | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> ImageChecks:
    """Straighten every slice once and look at it; only a slab of them is held.

    Parameters
    ----------
    volume : Volume
    straightening : Straightening
        Lengths left open become the finest resolution of the level.
    mip : int
        A coarse level is quicker, and shows the same jumps.
    interpolation : {"nearest", "linear", "cubic"}, optional
        As for `straighten`.
    memory : int
        Bytes for decoded chunks.
    threads : int, optional
    partial : callable, optional
        ``partial(checks, first, last)`` after every slab, in this thread; always the same checks,
        which grow. The jump of slice 0 of a closed trace comes with the last slab.
    progress : callable, optional
        ``progress(slices done, slices)``.
    cancel : object with ``is_set()``, optional

    Raises
    ------
    UserError, SourceError, Cancelled
        As `straighten_to`.
    """
    method = choose_interpolation(volume, interpolation)
    map_ = straightening.resolved(volume.mip(mip).resolution)
    check_slice(map_, volume, memory)
    n = map_.shape[0]
    checks = ImageChecks.empty(n)
    has_outside = outside(volume, map_, mip) > 0
    boxes = slabs(map_.shape, volume.channels)
    ids = volume.holds_labels
    first: _Slice | None = None
    before: _Slice | None = None
    if progress is not None:
        progress(0, n)
    with SliceSampler(volume, map_, mip, method, None, "fill", memory, threads) as sampler:
        for box, values in zip(boxes, sampler.stream(boxes, cancel), strict=True):
            k0, k1 = box.slices
            for k, picture in enumerate(values, k0):
                missing = _missing(sampler, k)
                sound = None
                if len(missing) or has_outside[k]:
                    sound = sound_samples(map_, volume.mip(mip), k, missing, method)
                here = _Slice.of(picture, sound, ids)
                checks.chunks_missing[k] = len(missing)
                checks.samples[k] = np.count_nonzero(here.sound)
                checks.mean[k], checks.std[k] = here.intensity(ids)
                if before is not None:
                    checks.jump[k] = here.jump(before, ids)
                first = here if first is None else first
                before = here
            if k1 == n and n > 1 and map_.trace.closed and first is not None and before is not None:
                checks.jump[0] = first.jump(before, ids)
            checks.done[k0:k1] = True
            if partial is not None:
                partial(checks, k0, k1)
            if progress is not None:
                progress(k1, n)
    return checks


@dataclass(frozen=True)
class ImageCost:
    """What `image_checks` takes.

    Attributes
    ----------
    slices, chunks, bytes_to_fetch : int
        Bytes as they are in memory, before compression.
    """

    slices: int
    chunks: int
    bytes_to_fetch: int

    @property
    def text(self) -> str:
        """One line."""
        return (
            f"{self.slices:,} slices, {self.chunks:,} chunks, {self.bytes_to_fetch / 1e6:.3g} MB "
            "to fetch"
        )


def image_cost(
    volume: Volume, straightening: Straightening, mip: int = 0, *, cancel: Cancel | None = None
) -> ImageCost:
    """Say what `image_checks` would read; from geometry alone.

    Raises
    ------
    Cancelled
    """
    level = volume.mip(mip)
    map_ = straightening.resolved(level.resolution)
    needed: set[tuple[int, ...]] = set()
    method = choose_interpolation(volume, None)
    with SliceSampler(volume, map_, mip, method, None, "fill") as sampler:
        for box in slabs(map_.shape, volume.channels):
            if cancel is not None and cancel.is_set():
                raise Cancelled("the cost of the check is not wanted any more")
            needed.update(map(tuple, sampler.chunks(box).tolist()))
    chunks = np.array(sorted(needed), np.int64).reshape(-1, 3)
    voxel = volume.dtype.itemsize * volume.channels
    return ImageCost(map_.shape[0], len(chunks), voxels_of(chunks, level) * voxel)


@dataclass(frozen=True, eq=False)
class _Slice:
    """Values of a slice and which of them are sound: (samples,), all channels."""

    values: NDArray[Any]
    sound: Bool

    @classmethod
    def of(cls, picture: NDArray[Any], sound: Bool | None, ids: bool) -> _Slice:
        # Ids stay as they are: as floats the large ones would all be the same.
        values = picture.reshape(-1) if ids else picture.reshape(-1).astype(np.float64)
        good = np.ones(len(values), bool)
        if sound is not None:
            good &= np.repeat(sound.reshape(-1), picture.shape[-1])
        if values.dtype.kind == "f":
            good &= np.isfinite(values)
        return cls(values, good)

    def intensity(self, ids: bool) -> tuple[float, float]:
        """Mean and standard deviation."""
        if ids or not self.sound.any():
            return np.nan, np.nan
        values = self.values[self.sound]
        return float(values.mean()), float(values.std())

    def jump(self, before: _Slice, ids: bool) -> float:
        """See `ImageChecks.jump`."""
        both = self.sound & before.sound
        if not both.any():
            return np.nan
        a, b = self.values[both], before.values[both]
        if ids:
            return float(np.mean(a != b))
        # Exactly of one value: rounding of its mean must not look like a picture.
        if np.ptp(a) == 0 or np.ptp(b) == 0:
            return np.nan
        a, b = a - a.mean(), b - b.mean()
        return float(1 - np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))


def _missing(sampler: SliceSampler, k: int) -> NDArray[np.int64]:
    """Chunks (m, 3) that a slice needs and that were not there."""
    if not sampler.missing_chunks:
        return np.zeros((0, 3), np.int64)
    _, rows, columns = sampler.straightening.shape
    ids = sampler.chunks(Box((k, k + 1), (0, rows), (0, columns)))
    known = sampler.missing_chunks
    return ids[[(int(z), int(y), int(x)) in known for z, y, x in ids]].reshape(-1, 3)
