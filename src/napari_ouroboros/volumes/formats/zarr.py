"""Volumes in zarr: single arrays here, OME-Zarr images in `ome_zarr.py`. Only JSON is read."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction

from napari_ouroboros.errors import Notice
from napari_ouroboros.volumes.formats import ome_zarr
from napari_ouroboros.volumes.formats.array_axes import (
    ArrayAxes,
    SourceSpace,
    checked_resolution,
    find_axes,
    no_resolution,
    parse_quantity,
    unit_in_nm,
)
from napari_ouroboros.volumes.formats.json_values import zyx
from napari_ouroboros.volumes.formats.zarr_arrays import (
    ZarrArray,
    channels_of,
    make_level,
    read_array,
    volume_kind,
)
from napari_ouroboros.volumes.formats.zarr_store import ZarrStore
from napari_ouroboros.volumes.level import ArrayLayout, Index, Level, VolumeInfo
from napari_ouroboros.volumes.stores.fetch import Fetcher
from napari_ouroboros.volumes.stores.location import Location


def read_zarr(
    fetcher: Fetcher, location: Location, resolution: Sequence[float] | None = None
) -> VolumeInfo:
    """Read the JSON of a zarr array, an OME-Zarr image or a bioformats2raw collection.

    Parameters
    ----------
    fetcher : Fetcher
        Of `location`.
    location : Location
        Its `format` ``zarr2`` or ``zarr3`` asks for that version; otherwise version 3 wins.
    resolution : (3,) zyx nm, optional
        Size of a voxel of the finest level, instead of what the JSON says.

    Returns
    -------
    VolumeInfo
        Levels finest first. bool is uint8; of several time points the first is taken.

    Raises
    ------
    UserError
        The size of a voxel is not known: the message asks for ``--resolution``.
    SourceError
        Nothing there, no volume, or JSON that breaks the format.
    """
    size = checked_resolution(resolution)
    notices: list[str] = []
    info = _read(fetcher, location, size, notices)[0]
    for notice in notices:
        warnings.warn(notice, Notice, stacklevel=2)
    return info


def zarr_space(fetcher: Fetcher, location: Location) -> SourceSpace:
    """Return how Neuroglancer counts the voxels of what `read_zarr` reads.

    Raises
    ------
    SourceError
        As `read_zarr`; a voxel of unknown size is none.
    """
    return _read(fetcher, location, None, [], voxels_will_do=True)[1]


def _read(
    fetcher: Fetcher,
    location: Location,
    size: Sequence[Fraction] | None,
    notices: list[str],
    voxels_will_do: bool = False,
) -> tuple[VolumeInfo, SourceSpace]:
    store = ZarrStore(fetcher, location, notices)
    node = store.open()
    if not node.is_array:
        return ome_zarr.read_group(store, node, size, voxels_will_do)
    array = read_array(node)
    axes = find_axes(array.names, (None,) * len(array.shape), array.shape, node.shown, notices)
    own = _own_resolution(array, axes)
    if size is None:
        size = own
    if size is None and voxels_will_do:
        size = checked_resolution((1, 1, 1))
    if size is None:
        raise no_resolution(node.shown, "is a plain zarr array, which has no voxel size")
    level = make_level(array, axes, zyx(size), (0, 0, 0))
    kind = volume_kind(array.dtype, node.attributes, location, [])
    info = VolumeInfo((level,), array.dtype, channels_of(array, axes), kind)
    z, y, x = (array.neuroglancer_names[axis] for axis in axes.spatial)
    space = SourceSpace(
        array.neuroglancer_names, (z, y, x), voxel_nm=None if own is None else zyx(own)
    )
    return info, space


def array_chunk_name(level: Level, index: Index) -> str:
    """Name of the file that holds chunk `index` (zyx) of a zarr or N5 level: ``0/c/3/0/12``.

    With shards, that of the shard. Of several channels and times the first.
    """
    layout = level.array
    if layout is None:
        raise ValueError("the level is no array of zarr or N5")
    numbers = [0] * len(layout.chunk)
    for axis, i in layout.fixed:
        numbers[axis] = i // layout.chunk[axis]
    for axis, i in zip(layout.axes[1:], index, strict=True):
        numbers[axis] = i
    if level.sharding is not None:
        shard = level.sharding["shard_shape"]
        numbers = [i * c // s for i, c, s in zip(numbers, layout.chunk, shard, strict=True)]
    return array_file_name(level.key, layout, numbers)


def array_file_name(key: str, layout: ArrayLayout, numbers: Sequence[int]) -> str:
    """Name of the file of array `key` with these numbers, in the order of the array's axes."""
    name = layout.prefix + layout.separator.join(map(str, numbers))
    return f"{key}/{name}" if key else name


def _own_resolution(array: ZarrArray, axes: ArrayAxes) -> tuple[Fraction, ...] | None:
    """Voxel size in the attribute `dimension_units`, which tensorstore and Neuroglancer know."""
    units = array.node.attributes.get("dimension_units")
    if not isinstance(units, list) or len(units) != len(array.shape):
        return None
    sizes = []
    for axis in axes.spatial:
        quantity = parse_quantity(units[axis])
        nm = None if quantity is None else unit_in_nm(quantity[1])
        if quantity is None or nm is None or quantity[0] <= 0:
            return None
        sizes.append(quantity[0] * nm)
    return tuple(sizes)
