"""The `attributes.json` of N5: single datasets, and groups with levels s0, s1, ...

Format: https://github.com/saalfeldlab/n5; levels as n5-viewer, BigDataViewer, COSEM and
Neuroglancer have them. The file's order is xyz; what leaves this module is zyx. Only JSON is read.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from napari_ouroboros.errors import Notice, SourceError, UserError
from napari_ouroboros.volumes.formats.array_axes import (
    ArrayAxes,
    SourceSpace,
    checked_resolution,
    default_names,
    find_axes,
    guessed_factor,
    no_resolution,
    unit_in_nm,
    voxel_dtype,
)
from napari_ouroboros.volumes.formats.json_values import (
    brief,
    entry,
    numbers,
    positive,
    whole,
    zyx,
)
from napari_ouroboros.volumes.level import ArrayLayout, Level, VolumeInfo
from napari_ouroboros.volumes.stores.fetch import Fetcher, fetch_json, fetch_jsons
from napari_ouroboros.volumes.stores.location import Location

_FILE = "attributes.json"
# What tensorstore, which reads the blocks, decodes.
_COMPRESSIONS = ("raw", "gzip", "bzip2", "xz", "blosc", "zstd")
_NEUROGLANCER_NAMES = ("x", "y", "z", "t", "c")
_HALF = Fraction(1, 2)
_MOST_LEVELS = 16


def read_n5(
    fetcher: Fetcher, location: Location, resolution: Sequence[float] | None = None
) -> VolumeInfo:
    """Read the JSON of an N5 dataset, or of a group of levels.

    Parameters
    ----------
    fetcher : Fetcher
        Of `location`.
    location : Location
        A dataset, or a group of datasets s0, s1, ...
    resolution : (3,) zyx nm, optional
        Size of a voxel of the finest level, instead of what the JSON says.

    Returns
    -------
    VolumeInfo
        Levels finest first. The outer corner of voxel 0 of each is the origin, except where
        only COSEM's `multiscales` say where the voxels lie.

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


def n5_space(fetcher: Fetcher, location: Location) -> SourceSpace:
    """Return how Neuroglancer counts the voxels of what `read_n5` reads.

    Raises
    ------
    SourceError
        As `read_n5`; a voxel of unknown size is none.
    """
    return _read(fetcher, location, None, [], voxels_will_do=True)[1]


def _read(
    fetcher: Fetcher,
    location: Location,
    size: Sequence[Fraction] | None,
    notices: list[str],
    voxels_will_do: bool = False,
) -> tuple[VolumeInfo, SourceSpace]:
    shown = location.shown("")
    group = fetch_json(fetcher, location, _FILE)
    if group is not None and "dimensions" in group:
        datasets = [_dataset("", group, shown)]
        factors = [_factors(group, len(datasets[0].shape), shown)]
    else:
        datasets, factors = _levels(fetcher, location, group or {})
        if not datasets:
            what = f"no N5 at {shown}: there is no {_FILE} in it"
            if group is not None:
                what = f"{shown} is an N5 group without levels s0, s1, ...; give a dataset in it"
            raise SourceError(what)
    first = datasets[0]
    for other in datasets[1:]:
        if (other.dtype, len(other.shape)) != (first.dtype, len(first.shape)):
            raise SourceError(
                f"the levels of {shown} differ: {other.shown} holds {other.dtype} with "
                f"{len(other.shape)} axes, not {first.dtype} with {len(first.shape)}"
            )
    attributes = {**first.attributes, **(group or {})}
    names = _axis_names(attributes, len(first.shape), shown)
    axes = find_axes(
        names or default_names(len(first.shape), shown)[::-1],
        (None,) * len(first.shape),
        first.shape,
        shown,
        notices,
    )
    places = _places(attributes, axes, factors, [d.key for d in datasets], shown)
    own = None if places is None else zyx(places[0].size)
    if places is None or size is not None:
        if size is None and voxels_will_do:
            size = checked_resolution((1, 1, 1))
        if size is None:
            raise no_resolution(shown, "gives no voxel size")
        places = _scaled(places, size, factors, axes)
    levels = tuple(
        _level(dataset, axes, place) for dataset, place in zip(datasets, places, strict=True)
    )
    channel = axes.axes[0]
    channels = 1 if channel is None else first.shape[channel]
    neuroglancer = tuple(names or _NEUROGLANCER_NAMES[: len(first.shape)])
    z, y, x = (neuroglancer[axis] for axis in axes.spatial)
    offset = levels[0].voxel_offset
    return (
        VolumeInfo(levels, first.dtype, channels, "image"),
        SourceSpace(neuroglancer, (z, y, x), offset, offset, own),
    )


@dataclass(frozen=True)
class _Dataset:
    """An array: its JSON, checked. In the file's order of axes, xyz."""

    key: str
    shape: tuple[int, ...]
    block: tuple[int, ...]
    dtype: np.dtype[Any]
    encoding: str
    attributes: Mapping[str, Any]
    shown: str


@dataclass(frozen=True)
class _Place:
    """Voxel size and outer corner of voxel 0 of a level, zyx nm."""

    size: tuple[Fraction, ...]
    corner: tuple[Fraction, ...]


def _dataset(key: str, json: Mapping[str, Any], shown: str) -> _Dataset:
    shape = whole(json.get("dimensions"), None, f"{shown}: dimensions")
    block = whole(json.get("blockSize"), len(shape), f"{shown}: blockSize")
    dtype = voxel_dtype(entry(json, "dataType", str, shown).lower(), shown)
    if "compressionType" in json and "compression" not in json:
        raise UserError(
            f"{shown} is an N5 of version 1, which is not supported; copy it with a newer N5"
        )
    compression = entry(json, "compression", dict, shown).get("type")
    if compression not in _COMPRESSIONS:
        raise UserError(
            f"{shown} uses the compression {brief(compression)}, which is not supported; copy it "
            f"into an N5 or zarr with one of {', '.join(_COMPRESSIONS)}"
        )
    return _Dataset(key, shape, block, dtype, compression, json, shown)


def _levels(
    fetcher: Fetcher, location: Location, group: Mapping[str, Any]
) -> tuple[list[_Dataset], list[list[Fraction]]]:
    """Datasets of a group and how many finest voxels one of theirs is long, in xyz."""
    shown = location.shown("")
    listed = group.get("scales")
    factors = group.get("downsamplingFactors") if listed is None else listed
    if not isinstance(factors, list) or not all(isinstance(f, list) for f in factors):
        factors = None
    keys = _multiscale_keys(group)
    datasets: list[_Dataset] = []
    found: list[list[Fraction]] = []
    # Where nothing says how many there are, those that are there; some servers have everything.
    wanted = keys or [f"s{i}" for i in range(len(factors or ()) or _MOST_LEVELS)]
    files = fetch_jsons(fetcher, location, [f"{key}/{_FILE}" for key in wanted])
    for i, key in enumerate(wanted):
        name = location.shown(key)
        json = files[f"{key}/{_FILE}"]
        if isinstance(json, SourceError):
            raise json
        if json is None or "dimensions" not in json:
            if keys is None and not factors:
                break
            if not datasets:
                raise SourceError(f"{shown} lists the level {key}, but there is no dataset {name}")
            break  # Neuroglancer, too, does without levels that are not there
        dataset = _dataset(key, json, name)
        rank = len(dataset.shape)
        if factors is not None and i < len(factors):
            factor = positive(factors[i], rank, f"{shown}: factors of level {i}")
        elif datasets and "downsamplingFactors" not in json:
            sizes = zip(datasets[0].shape, dataset.shape, strict=True)
            factor = [
                Fraction(guessed_factor(a, b)) * f
                for (a, b), f in zip(sizes, found[0], strict=True)
            ]
        else:
            factor = _factors(json, rank, name)
        datasets.append(dataset)
        found.append(factor)
    return datasets, found


def _factors(json: Mapping[str, Any], rank: int, shown: str) -> list[Fraction]:
    listed = json.get("downsamplingFactors")
    if listed is None:
        return [Fraction(1)] * rank
    return positive(listed, rank, f"{shown}: downsamplingFactors")


def _axis_names(attributes: Mapping[str, Any], rank: int, shown: str) -> list[str] | None:
    names = attributes.get("axes")
    if names is None:
        return None
    if (
        not isinstance(names, list)
        or len(names) != rank
        or not all(isinstance(name, str) for name in names)
    ):
        raise SourceError(f"{shown}: axes must be {rank} names; they are {brief(names)}")
    return names


def _places(
    attributes: Mapping[str, Any],
    axes: ArrayAxes,
    factors: Sequence[Sequence[Fraction]],
    keys: Sequence[str],
    shown: str,
) -> list[_Place] | None:
    """Return where the levels lie; None if nothing says it."""
    sizes = _sizes(attributes, axes, shown)
    if sizes is None:
        return _cosem_places(attributes, keys, shown)
    # Neuroglancer has the same corner for all levels, and so have we.
    return [
        _Place(
            tuple(s * factor[axis] for s, axis in zip(sizes, axes.spatial, strict=True)),
            (Fraction(0),) * 3,
        )
        for factor in factors
    ]


def _sizes(
    attributes: Mapping[str, Any], axes: ArrayAxes, shown: str
) -> tuple[Fraction, ...] | None:
    """Voxel size, zyx nm, that `pixelResolution` or `resolution` and `units` say."""
    rank = len(axes.names)
    value: object = attributes.get("resolution")
    unit: object = "nm"
    name = "resolution"
    pixel = attributes.get("pixelResolution")
    if isinstance(pixel, dict) and "dimensions" in pixel:
        value, unit, name = pixel["dimensions"], pixel.get("unit"), "pixelResolution"
    if value is None:
        return None
    # Those of a 4D dataset may be given for space alone.
    count = rank if not isinstance(value, list) or len(value) != 3 else 3
    listed = positive(value, count, f"{shown}: {name}")
    units = attributes.get("units", [unit] * count)
    units = [units] * count if isinstance(units, str) else units
    if not isinstance(units, list) or len(units) < len(listed):
        raise SourceError(f"{shown}: units must be {rank} names; they are {brief(units)}")
    sizes = []
    for axis in axes.spatial:
        if axis >= count:
            raise SourceError(f"{shown}: {name} must be {rank} numbers; it is {brief(value)}")
        nm = unit_in_nm(units[axis])
        if nm is None:
            raise no_resolution(
                shown,
                f"gives the {name} {brief(value)} in {brief(units[axis])}, which is no unit of "
                "length",
            )
        sizes.append(listed[axis] * nm)
    return tuple(sizes)


def _multiscale_datasets(attributes: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """COSEM's list of levels, each with a path and a transform."""
    listed = attributes.get("multiscales")
    first = listed[0] if isinstance(listed, list) and listed else None
    datasets = first.get("datasets") if isinstance(first, dict) else None
    if not isinstance(datasets, list) or not datasets:
        return None
    good = all(isinstance(d, dict) and isinstance(d.get("path"), str) for d in datasets)
    return datasets if good else None


def _multiscale_keys(group: Mapping[str, Any]) -> list[str] | None:
    datasets = _multiscale_datasets(group)
    return None if datasets is None else [d["path"].strip("/") for d in datasets]


def _cosem_places(
    attributes: Mapping[str, Any], keys: Sequence[str], shown: str
) -> list[_Place] | None:
    """Places in COSEM's transforms: axes by name, `translate` is the centre of voxel 0."""
    datasets = _multiscale_datasets(attributes)
    by_key = {d["path"].strip("/"): d.get("transform") for d in datasets or ()}
    places = []
    for key in keys:
        transform = by_key.get(key)
        if not isinstance(transform, dict):
            return None
        name = f"{shown}: transform of {key}"
        names = [str(axis) for axis in entry(transform, "axes", list, name)]
        if set(names) != set("zyx") or len(names) != 3:
            raise SourceError(f"{name}: axes must be z, y and x; they are {names}")
        scale = positive(transform.get("scale"), 3, f"{name}: scale")
        translate = numbers(transform.get("translate", [0, 0, 0]), 3, f"{name}: translate")
        units = transform.get("units", ["nm"] * 3)
        size, corner = [], []
        for axis in "zyx":
            i = names.index(axis)
            nm = unit_in_nm(units[i]) if isinstance(units, list) and len(units) == 3 else None
            if nm is None:
                raise SourceError(
                    f"{name}: units must be 3 units of length; they are {brief(units)}"
                )
            size.append(scale[i] * nm)
            corner.append((translate[i] - scale[i] * _HALF) * nm)
        places.append(_Place(tuple(size), tuple(corner)))
    return places


def _scaled(
    places: Sequence[_Place] | None,
    size: Sequence[Fraction],
    factors: Sequence[Sequence[Fraction]],
    axes: ArrayAxes,
) -> list[_Place]:
    """Places with the voxel size of the finest level that the user gives."""
    if places is not None:
        ratio = [a / b for a, b in zip(size, places[0].size, strict=True)]
        return [
            _Place(
                tuple(s * r for s, r in zip(place.size, ratio, strict=True)),
                tuple(c * r for c, r in zip(place.corner, ratio, strict=True)),
            )
            for place in places
        ]
    finest = factors[0]
    return [
        _Place(
            tuple(
                s * factor[axis] / finest[axis] for s, axis in zip(size, axes.spatial, strict=True)
            ),
            (Fraction(0),) * 3,
        )
        for factor in factors
    ]


def _level(dataset: _Dataset, axes: ArrayAxes, place: _Place) -> Level:
    shape = tuple(dataset.shape[axis] for axis in axes.spatial)
    chunk = tuple(min(dataset.block[axis], dataset.shape[axis]) for axis in axes.spatial)
    offset = [c / s for c, s in zip(place.corner, place.size, strict=True)]
    return Level(
        (shape[0], shape[1], shape[2]),
        zyx(place.size),
        zyx(offset),
        chunk=(chunk[0], chunk[1], chunk[2]),
        key=dataset.key,
        encoding=dataset.encoding,
        array=ArrayLayout("n5", axes.axes, axes.fixed, dataset.block, metadata=dataset.attributes),
    )
