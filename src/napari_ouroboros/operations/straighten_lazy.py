"""The straightened volume as a lazy array: slices are fetched and sampled when asked for."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.sampling import start_compiling
from napari_ouroboros.operations.boxes import Box, check_slice, slabs
from napari_ouroboros.operations.outside_volume import check_reach
from napari_ouroboros.operations.sampler import DEFAULT_MEMORY, Missing, SliceSampler
from napari_ouroboros.operations.slice_grid import choose_interpolation

if TYPE_CHECKING:
    import dask.array

    from napari_ouroboros.volumes import Volume

# Decoded chunks kept for a lazy array while somebody looks at it.
_LAZY_MEMORY = 256 * 1024 * 1024


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
    interpolation : {"nearest", "linear", "cubic"}, optional
        Default nearest for segmentations and 64-bit integers, else linear. Cubic is Catmull-Rom:
        sharper, and beside a step it overshoots by some percent of it.
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
        A mip that is not there; linear or cubic interpolation of labels; a trace outside the
        volume.
    SourceError
        On computing: the source does not deliver, or a chunk cannot be decoded.
    """
    import dask.array as da
    from dask.base import tokenize

    method = choose_interpolation(volume, interpolation)
    level = volume.mip(mip)
    map_ = straightening.resolved(level.resolution)
    check_slice(map_, volume, DEFAULT_MEMORY)
    check_reach(volume, map_, mip)
    # Whoever makes a lazy array will look at it.
    start_compiling(method, volume.dtype)
    sampler = SliceSampler(volume, map_, mip, method, fill, missing, _LAZY_MEMORY)
    boxes = slabs(map_.shape, volume.channels)
    name = "straighten-" + tokenize(
        volume,
        mip,
        map_.recipe_hash,
        map_.planes,
        map_.shape,
        method,
        str(fill),
        missing,
    )
    block = _Block(sampler)
    squeeze = volume.channels == 1
    tail = () if squeeze else (0,)
    graph = {(name, i, 0, 0, *tail): (block, box) for i, box in enumerate(boxes)}
    chunks: tuple[tuple[int, ...], ...] = (
        tuple(box.shape[0] for box in boxes), (map_.height,), (map_.width,),
    )  # fmt: skip
    if not squeeze:
        chunks = (*chunks, (volume.channels,))
    return da.Array(graph, name, chunks, dtype=volume.dtype)


class _Block:
    """Samples boxes, also in another process; threads that fetch end with the last array's use."""

    def __init__(self, sampler: SliceSampler) -> None:
        self._sampler = sampler
        weakref.finalize(self, sampler.close)

    def __call__(self, box: Box) -> NDArray[Any]:
        out = self._sampler.read(box)
        return out[..., 0] if self._sampler.volume.channels == 1 else out

    def __reduce__(self) -> tuple[type[_Block], tuple[SliceSampler]]:
        return _Block, (self._sampler,)
