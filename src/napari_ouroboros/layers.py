"""Volumes as napari layers: levels whose corners coincide, nm, contrast. No napari is needed.

napari takes the factor between two levels from their shapes alone and lets their corners
coincide. Levels whose size is no multiple (101, 51, 26 gives 1.98 and 3.88), or whose first
voxels start at different places, would drift apart; so every level is padded or cropped, lazily.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.volumes.streaming.pyramid import StreamedPyramid

if TYPE_CHECKING:
    import dask.array as da

    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.level import Level
    from napari_ouroboros.volumes.stores.inflight import CancelSignal
    from napari_ouroboros.volumes.streaming.level import StreamedLevel
    from napari_ouroboros.volumes.streaming.source import ChunkSource

LayerData = tuple[Any, dict[str, Any], str]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

#: A level of at most this many voxels on each axis ends the pyramid: it is read at once.
_COARSE_ENOUGH = 128
#: Bytes that are read for the contrast, unless a single chunk has more.
_MOST_MEASURED = 64 * 2**20
#: How far a level may lie from its true place, in its own voxels.
_TOLERANCE = 0.25
#: Beyond this many voxels of padding a level is left out instead.
_MOST_PADDING = 1 << 16
#: Colormaps of channels that are added up, as napari itself chooses them.
_COLOURS = {1: ("gray",), 2: ("magenta", "green")}
_MANY_COLOURS = ("cyan", "yellow", "magenta", "red", "green", "blue")


@dataclass(frozen=True)
class AlignedLevels:
    """Levels as napari wants them.

    Attributes
    ----------
    mips : tuple of int
        Which levels are used, the finest first.
    boxes : tuple of Box
        For each its part in array indices, zyx; what lies beyond the array is padding.
    """

    mips: tuple[int, ...]
    boxes: tuple[Box, ...]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of each level; exact multiples of the last one's."""
        return [tuple(stop - start for start, stop in box) for box in self.boxes]


def align(levels: Sequence[Grid]) -> AlignedLevels:
    """Find boxes of the levels that have common corners and sizes that are exact multiples.

    Parameters
    ----------
    levels : sequence of Grid
        The finest first.

    Returns
    -------
    AlignedLevels
        The whole finest level is inside. A level is left out where no box is within a quarter
        of its voxels, and so are those below one of at most 128 voxels along every axis.
    """
    mips = [0]
    boxes = _boxes(levels, mips)
    assert boxes is not None
    for mip in range(1, len(levels)):
        if max(levels[mips[-1]].shape) <= _COARSE_ENOUGH:
            break
        found = _boxes(levels, [*mips, mip])
        if found is not None:
            mips, boxes = [*mips, mip], found
    return AlignedLevels(tuple(mips), boxes)


def _boxes(levels: Sequence[Grid], mips: Sequence[int]) -> tuple[Box, ...] | None:
    per_axis = [_along_axis([levels[mip] for mip in mips], axis) for axis in range(3)]
    if any(boxes is None for boxes in per_axis):
        return None
    return tuple(zip(*per_axis, strict=True))


def _along_axis(levels: Sequence[Grid], axis: int) -> list[tuple[int, int]] | None:
    """Return (start, stop) of each level along one axis; None if nothing fits well enough."""
    sizes = [level.resolution[axis] for level in levels]
    factors = [max(1, round(size / sizes[0])) for size in sizes]
    for size, factor, level in zip(sizes, factors, levels, strict=True):
        if abs(size / sizes[0] / factor - 1) * level.shape[axis] > _TOLERANCE:
            return None
    unit = math.lcm(*factors)
    if unit > _MOST_PADDING:
        return None
    # Corners of the levels, in voxels of the finest one from its own corner.
    corners = [level.bounds_nm[0][axis] / sizes[0] for level in levels]
    corners = [corner - corners[0] for corner in corners]
    # The common corner lies `padding` voxels before that of the finest level.
    padding = np.arange(unit)
    wrong = np.zeros(unit)
    for corner, factor in zip(corners, factors, strict=True):
        start = (-padding - corner) / factor
        np.maximum(wrong, np.abs(start - np.round(start)), out=wrong)
    # Rounded: strided levels lie exactly a quarter off, and a last bit must not leave one out.
    wrong = np.round(wrong, 6)
    best = int(np.argmin(wrong))
    if wrong[best] > _TOLERANCE:
        return None
    length = math.ceil((levels[0].shape[axis] + best) / unit) * unit
    starts = [round((-best - c) / factor) for c, factor in zip(corners, factors, strict=True)]
    return [
        (start, start + length // factor) for start, factor in zip(starts, factors, strict=True)
    ]


def cut(array: da.Array, box: Box, fill: int = 0) -> da.Array:
    """Return the part of a lazy array (z, y, x[, c]) that a box asks for, padded with `fill`."""
    import dask.array as da

    inside: list[slice] = []
    pads: list[tuple[int, int]] = []
    for (start, stop), size in zip(box, array.shape, strict=False):
        low, high = min(max(start, 0), size), min(max(stop, 0), size)
        inside.append(slice(low, high))
        pads.append((low - start, stop - max(high, low)) if high > low else (stop - start, 0))
    pads += [(0, 0)] * (array.ndim - 3)
    part = array[tuple(inside)]
    if 0 in part.shape:  # the box lies beside the array; dask cannot pad what is empty
        shape = tuple(n + sum(pad) for n, pad in zip(part.shape, pads, strict=True))
        return da.full(shape, fill, dtype=array.dtype)
    if not any(map(any, pads)):
        return part
    return da.pad(part, pads, mode="constant", constant_values=fill)


def contrast_limits(volume: Volume, cancel: CancelSignal | None = None) -> tuple[float, float]:
    """Contrast for a volume: 0-255 for uint8, else 0.1-99.9 % of what is there.

    It is measured in the middle of the coarsest level, without the fill value 0 and, for
    floats, without NaN and infinity.

    Raises
    ------
    SourceError
        What is to be measured cannot be read.
    Cancelled
        `cancel` was set; requests that are under way are given up.
    """
    if volume.dtype == np.uint8:
        return 0.0, 255.0
    mip = len(volume.levels) - 1
    level = volume.levels[mip]
    box = _middle(level, volume.channels * volume.dtype.itemsize)
    own = copy.copy(
        volume
    )  # with requests of its own: they can be given up without those of others
    try:
        values = own.read(mip, box, cancel=cancel)
    finally:
        own.abort()
    return _percentiles(values[np.isfinite(values) & (values != 0)])


def _middle(level: Level, voxel_bytes: int) -> Box:
    """Return the middle of a level: at most 128 voxels along each axis, and not too many bytes.

    What counts are whole chunks, and one chunk may be a plane of gigabytes.
    """
    most = [min(size, _COARSE_ENOUGH) for size in level.shape]
    while True:
        box = [
            ((size - n) // 2, (size - n) // 2 + n)
            for size, n in zip(level.shape, most, strict=True)
        ]
        chunks = [-(-b // c) - a // c for (a, b), c in zip(box, level.chunk, strict=True)]
        n_bytes = math.prod(chunks) * math.prod(level.chunk) * voxel_bytes
        if n_bytes <= _MOST_MEASURED or max(chunks) == 1:
            return box[0], box[1], box[2]
        longest = chunks.index(max(chunks))
        most[longest] = max(1, most[longest] // 2)


def _percentiles(values: NDArray[Any]) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (0.1, 99.9))
    return (float(low), float(high)) if low < high else (float(low), float(low) + 1.0)


def space(grid: Grid) -> dict[str, Any]:
    """Return the arguments of a layer whose data is in voxels of `grid` and whose world is nm."""
    return {
        "scale": tuple(grid.resolution),
        "translate": tuple(grid.to_nm((0, 0, 0)).tolist()),
        "units": ("nm",) * 3,
        "axis_labels": ("z", "y", "x"),
    }


def streamed_levels(volume: ChunkSource, name: str) -> tuple[StreamedPyramid, dict[str, Any]]:
    """Return the levels of a volume, aligned for napari, and the arguments of their layer."""
    aligned = align(volume.levels)
    pyramid = StreamedPyramid(volume, aligned.mips, aligned.boxes)
    finest = volume.levels[0]
    first, box = pyramid.lattices[0], pyramid.boxes[0]
    grid = Grid(
        first.shape,
        finest.resolution,
        (
            finest.voxel_offset[0] + box[0][0],
            finest.voxel_offset[1] + box[1][0],
            finest.voxel_offset[2] + box[2][0],
        ),
    )
    return pyramid, {
        "name": name,
        **space(grid),
        "multiscale": True,
        "metadata": {"napari-ouroboros": {"url": volume.url, "mips": aligned.mips}},
    }


def volume_layers(
    volume: Volume,
    name: str,
    labels: bool | None = None,
    measure: bool = True,
    cancel: CancelSignal | None = None,
) -> list[LayerData]:
    """Return the layer of a volume; several channels that are no colours make one layer each.

    The data streams (see `napari_ouroboros.volumes.streaming.StreamedLevel`), always as levels,
    be it only one: so napari asks for no more than the visible rectangle.

    Parameters
    ----------
    volume : Volume
    name : str
    labels : bool, optional
        Whether its voxels are labels. None: what the volume itself says.
    measure : bool
        Read a part of the coarsest level for the contrast where that is needed. False, for the
        thread of a window: it is left open, and ``metadata["napari-ouroboros"]`` says so.
    cancel : object with is_set(), optional
        Stops the reading.
    """
    pyramid, meta = streamed_levels(volume, name)
    about: dict[str, Any] = meta["metadata"]["napari-ouroboros"]
    if labels is None:
        labels = volume.holds_labels
    if labels and volume.dtype.kind in "ui":
        return array_layers(pyramid.levels, meta, "labels")
    if measure or volume.dtype == np.uint8:
        meta["contrast_limits"] = contrast_limits(volume, cancel)
    else:
        about["contrast"] = "open"
        whole = volume.dtype.kind in "ui"
        limits = np.iinfo(volume.dtype) if whole else None
        meta["contrast_limits"] = (
            (0.0, 1.0) if limits is None else (float(limits.min), float(limits.max))
        )
    return array_layers(pyramid.levels, meta, "image")


class _OneLevel(Sequence[Any]):
    """A single level of labels: napari takes a list of one for the array alone, plane by plane."""

    def __init__(self, levels: Sequence[Any]) -> None:
        self._levels = tuple(levels)
        self.dtype = levels[0].dtype

    def __getitem__(self, key: Any) -> Any:
        return self._levels[key]

    def __len__(self) -> int:
        return len(self._levels)


def array_layers(
    levels: Sequence[da.Array | StreamedLevel],
    meta: dict[str, Any],
    kind: Literal["image", "labels"],
) -> list[LayerData]:
    """Return the layers of one array; several channels that are no colours make one each.

    Parameters
    ----------
    levels : sequence of arrays (z, y, x) or (z, y, x, channel), lazy ones
        Finest first; `meta` says whether there are several.
    meta : dict
        Of the layer.
    kind : {"image", "labels"}
    """

    def layer(channel: Any, more: dict[str, Any]) -> LayerData:
        data = [level[channel] for level in levels]
        shown: Any = data if meta.get("multiscale") else data[0]
        if kind == "labels" and len(data) == 1 and meta.get("multiscale"):
            shown = _OneLevel(data)
        return shown, {**meta, **more}, kind

    shape = levels[0].shape
    if len(shape) == 3:
        return [layer(..., {})]
    channels = shape[3]
    if channels in (3, 4) and levels[0].dtype == np.uint8 and kind == "image":
        return [layer(..., {"rgb": True})]
    colours = _COLOURS.get(channels, _MANY_COLOURS)
    found = []
    for channel in range(channels):
        more: dict[str, Any] = {"name": f"{meta['name']} [{channel}]"}
        if kind == "image":
            more |= {"blending": "additive", "colormap": colours[channel % len(colours)]}
        found.append(layer((..., channel), more))
    return found
