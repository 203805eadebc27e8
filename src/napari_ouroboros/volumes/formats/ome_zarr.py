"""OME-Zarr: images of several levels in a zarr group, and where their voxels lie.

Format: https://ngff.openmicroscopy.org, 0.4 (zarr 2) and 0.5 (zarr 3); 0.1 to 0.3 have no voxel
sizes. A translation is where the CENTRE of voxel 0 lies, as Neuroglancer reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes.formats.array_axes import (
    ArrayAxes,
    SourceSpace,
    default_names,
    find_axes,
    guessed_factor,
    no_resolution,
    unit_in_nm,
)
from napari_ouroboros.volumes.formats.json_values import brief, entry, numbers, positive, zyx
from napari_ouroboros.volumes.formats.zarr_arrays import (
    ZarrArray,
    channels_of,
    make_level,
    read_array,
    volume_kind,
)
from napari_ouroboros.volumes.formats.zarr_store import ZarrNode, ZarrStore
from napari_ouroboros.volumes.level import VolumeInfo

_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class _Place:
    """Scale and translation of a level, in the file's units, one number per axis.

    `translated`: whether the level's own steps have a translation.
    """

    scale: tuple[Fraction, ...]
    translation: tuple[Fraction, ...]
    translated: bool


def read_group(
    store: ZarrStore,
    group: ZarrNode,
    resolution: Sequence[Fraction] | None,
    voxels_will_do: bool = False,
) -> tuple[VolumeInfo, SourceSpace]:
    """Read the image in a zarr group; see `read_zarr`. `voxels_will_do`: 1 nm where not known."""
    attributes = _ome(group)
    path = [] if not group.key else group.key.split("/")
    multiscales = attributes.get("multiscales")
    if not multiscales:
        child = _series(store, group, attributes)
        return read_group(store, child, resolution, voxels_will_do)
    if not isinstance(multiscales, list) or not isinstance(multiscales[0], dict):
        raise SourceError(f"{group.shown}: multiscales must be a list of objects")
    if len(multiscales) > 1:
        store.notices.append(
            f"{group.shown} describes {len(multiscales)} images; the first one is read"
        )
    image = multiscales[0]
    arrays = _arrays(store, group, image)
    axes, units = _axes(image, arrays, group.shown, store.notices)
    places = _places(image, arrays, group.shown)
    order = sorted(range(len(arrays)), key=lambda i: _size(places[i], axes))
    arrays, places = [arrays[i] for i in order], [places[i] for i in order]
    factor = _nm(places[0], axes, units, resolution, group.shown, voxels_will_do)
    corners = _corners(places, axes)
    levels = []
    for array, place, corner in zip(arrays, places, corners, strict=True):
        scale = [place.scale[axis] for axis in axes.spatial]
        size = [s * f for s, f in zip(scale, factor, strict=True)]
        offset = [c / s for c, s in zip(corner, scale, strict=True)]
        levels.append(make_level(array, axes, zyx(size), zyx(offset)))
    kind = volume_kind(arrays[0].dtype, attributes, store.location, path)
    info = VolumeInfo(tuple(levels), arrays[0].dtype, channels_of(arrays[0], axes), kind)
    return info, _space(image, axes, places[0], corners[0], units)


def _ome(group: ZarrNode) -> Mapping[str, Any]:
    """What OME-Zarr wrote: under ``ome`` since 0.5."""
    inner = group.attributes.get("ome")
    return inner if isinstance(inner, dict) else group.attributes


def _series(store: ZarrStore, group: ZarrNode, attributes: Mapping[str, Any]) -> ZarrNode:
    """Return the first image of a collection that bioformats2raw wrote."""
    if "plate" in attributes or "well" in attributes:
        raise SourceError(
            f"{group.shown} is a {'plate' if 'plate' in attributes else 'well'} of many images; "
            "give the address of one of them"
        )
    labels = attributes.get("labels")
    if isinstance(labels, list) and labels:
        listed = ", ".join(str(name) for name in labels)
        raise SourceError(f"{group.shown} holds several label images ({listed}); give one of them")
    if "bioformats2raw.layout" not in attributes:
        raise SourceError(
            f"{group.shown} is a zarr group without OME-Zarr metadata; give the address of an "
            "array in it"
        )
    child = store.node("0", group.version) if not group.key else None
    if child is None or child.is_array:
        raise SourceError(f"{group.shown} is a collection of images, but has no image '0'")
    others = store.node("1", group.version)
    if others is not None:
        store.notices.append(
            f"{group.shown} holds several images; the first one, {child.shown}, is read"
        )
    return child


def _arrays(store: ZarrStore, group: ZarrNode, image: Mapping[str, Any]) -> list[ZarrArray]:
    datasets = entry(image, "datasets", list, f"{group.shown}: multiscales")
    if not datasets:
        raise SourceError(f"{group.shown}: its multiscales list no datasets")
    keys = []
    for i, dataset in enumerate(datasets):
        shown = f"{group.shown}: dataset {i}"
        if not isinstance(dataset, dict):
            raise SourceError(f"{shown} is no JSON object")
        path = entry(dataset, "path", str, shown).strip("/").removeprefix("./")
        keys.append("/".join(part for part in (group.key, path) if part and part != "."))
    arrays = []
    for i, node in enumerate(store.nodes(keys, group.version)):
        if node is None or not node.is_array:
            raise SourceError(
                f"{group.shown}: dataset {i} is missing: there is no zarr array "
                f"{store.shown(keys[i])}"
            )
        arrays.append(read_array(node))
    first = arrays[0]
    for array in arrays[1:]:
        for name in ("dtype", "rank"):
            mine, others = (len(a.shape) if name == "rank" else a.dtype for a in (array, first))
            if mine != others:
                raise SourceError(
                    f"the levels of {group.shown} differ: the {name} of {array.node.shown} is "
                    f"{mine}, not {others}"
                )
    return arrays


def _axes(
    image: Mapping[str, Any], arrays: Sequence[ZarrArray], shown: str, notices: list[str]
) -> tuple[ArrayAxes, list[object]]:
    """Return the axes and their units as written; names alone are 0.3, nothing is older."""
    shape = arrays[0].shape
    listed = image.get("axes")
    if listed is None:
        names = default_names(len(shape), shown)
        listed = list(names)
    if not isinstance(listed, list) or len(listed) != len(shape):
        raise SourceError(
            f"{shown}: its axes must be {len(shape)} entries, one for each of the array"
        )
    listed = [{"name": axis} if isinstance(axis, str) else axis for axis in listed]
    for axis in listed:
        if not isinstance(axis, dict) or not isinstance(axis.get("name"), str):
            raise SourceError(f"{shown}: an axis must have a name; this one is {brief(axis)}")
    axes = find_axes(
        [axis["name"] for axis in listed],
        [axis.get("type") for axis in listed],
        shape,
        shown,
        notices,
    )
    channel = axes.axes[0]
    for array in arrays[1:]:
        if channel is not None and array.shape[channel] != shape[channel]:
            raise SourceError(
                f"the levels of {shown} differ: {array.node.shown} has {array.shape[channel]} "
                f"channels, not {shape[channel]}"
            )
    return axes, [axis.get("unit") for axis in listed]


def _places(image: Mapping[str, Any], arrays: Sequence[ZarrArray], shown: str) -> list[_Place]:
    """Return where the voxels of each level lie: its own steps first, then the image's."""
    shape = arrays[0].shape
    rank = len(shape)
    common = _place(image.get("coordinateTransformations"), rank, shown)
    places = []
    for dataset, array in zip(image["datasets"], arrays, strict=True):
        own = _place(dataset.get("coordinateTransformations"), rank, array.node.shown)
        if "coordinateTransformations" not in (dataset.keys() | image.keys()):  # before 0.4
            factors = zip(shape, array.shape, strict=True)
            scale = tuple(Fraction(guessed_factor(fine, coarse)) for fine, coarse in factors)
            own = _Place(scale, own.translation, False)
        places.append(
            _Place(
                tuple(a * b for a, b in zip(own.scale, common.scale, strict=True)),
                tuple(
                    t * s + c
                    for t, s, c in zip(
                        own.translation, common.scale, common.translation, strict=True
                    )
                ),
                own.translated,
            )
        )
    return places


def _place(listed: object, rank: int, shown: str) -> _Place:
    """Scale and translation that a list of transformations makes, one applied after the other."""
    scale, translation = [Fraction(1)] * rank, [Fraction(0)] * rank
    translated = False
    if listed is None:
        listed = []
    if not isinstance(listed, list):
        raise SourceError(f"{shown}: coordinateTransformations must be a list")
    for step in listed:
        type_ = step.get("type") if isinstance(step, dict) else None
        if type_ == "scale":
            factors = positive(step.get("scale"), rank, f"{shown}: scale")
            scale = [s * f for s, f in zip(scale, factors, strict=True)]
            translation = [t * f for t, f in zip(translation, factors, strict=True)]
        elif type_ == "translation":
            shift = numbers(step.get("translation"), rank, f"{shown}: translation")
            translation = [t + s for t, s in zip(translation, shift, strict=True)]
            translated = True
        elif type_ != "identity":
            raise SourceError(
                f"{shown}: a coordinate transformation of type {brief(type_)} is not supported "
                "yet; scale and translation are"
            )
    return _Place(tuple(scale), tuple(translation), translated)


def _size(place: _Place, axes: ArrayAxes) -> Fraction:
    z, y, x = (place.scale[axis] for axis in axes.spatial)
    return z * y * x


def _corners(places: Sequence[_Place], axes: ArrayAxes) -> list[tuple[Fraction, ...]]:
    """Outer corner of voxel 0 of each level, zyx, in the file's units.

    Levels without translations of their own share it: it is the origin, or the finest level's
    where there is one translation for all of them.
    """

    def corner(place: _Place) -> tuple[Fraction, ...]:
        return tuple(place.translation[axis] - place.scale[axis] * _HALF for axis in axes.spatial)

    if any(place.translated for place in places):
        return [corner(place) for place in places]
    if any(places[0].translation):
        return [corner(places[0])] * len(places)
    return [(Fraction(0),) * 3] * len(places)


def _nm(
    finest: _Place,
    axes: ArrayAxes,
    units: Sequence[object],
    resolution: Sequence[Fraction] | None,
    shown: str,
    voxels_will_do: bool,
) -> list[Fraction]:
    """What the file's numbers are in nm, zyx."""
    scale = [finest.scale[axis] for axis in axes.spatial]
    if resolution is not None:
        return [r / s for r, s in zip(resolution, scale, strict=True)]
    factors = [unit_in_nm(units[axis]) for axis in axes.spatial]
    known = [factor for factor in factors if factor is not None]
    if len(known) == 3:
        return known
    if voxels_will_do:
        return [1 / s for s in scale]
    named = [
        (axes.names[axis], units[axis])
        for axis, factor in zip(axes.spatial, factors, strict=True)
        if factor is None
    ]
    for name, unit in named:
        if unit not in (None, ""):
            raise no_resolution(
                shown, f"gives axis {brief(name)} in {brief(unit)}, which is no length"
            )
    if scale == [1, 1, 1]:
        raise no_resolution(shown, "gives no voxel size")
    names = ", ".join(name for name, _ in named)
    raise no_resolution(
        shown, f"gives voxel sizes without a unit (axes {names})", None if any(known) else scale
    )


def _space(
    image: Mapping[str, Any],
    axes: ArrayAxes,
    finest: _Place,
    corner: Sequence[Fraction],
    units: Sequence[object],
) -> SourceSpace:
    """Return how Neuroglancer counts voxels: 0 is the centre of voxel 0, then its translation."""
    names = tuple(
        f"{name}'" if isinstance(axis, dict) and axis.get("type") == "channel" else name
        for name, axis in zip(axes.names, image.get("axes") or axes.names, strict=True)
    )
    z, y, x = (names[axis] for axis in axes.spatial)
    scale = [finest.scale[axis] for axis in axes.spatial]
    shift = [c / s + _HALF for c, s in zip(corner, scale, strict=True)]
    default = [
        d - finest.translation[axis] / s
        for d, axis, s in zip(shift, axes.spatial, scale, strict=True)
    ]
    factors = [unit_in_nm(units[axis]) for axis in axes.spatial]
    known = [factor for factor in factors if factor is not None]
    nm = [f * s for f, s in zip(known, scale, strict=False)] if len(known) == 3 else None
    return SourceSpace(
        names,
        (z, y, x),
        zyx(shift),
        zyx(default),
        None if nm is None else zyx(nm),
        zyx(scale) if nm is None else (1, 1, 1),
    )
