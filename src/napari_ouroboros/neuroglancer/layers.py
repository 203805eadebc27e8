"""Layers of a Neuroglancer state: their sources, transforms and annotations."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer.annotations import (
    Annotation,
    parse_annotations,
    parse_legacy_points,
)
from napari_ouroboros.neuroglancer.coordinates import (
    Dimension,
    Transform,
    parse_dimensions,
    parse_legacy_transform,
    parse_transform,
)
from napari_ouroboros.neuroglancer.sources import Source, parse_source

Kind = Literal["image", "segmentation"]

_ANNOTATION_TYPES = ("annotation", "pointAnnotation")
_NO_IMAGE_TYPES = (*_ANNOTATION_TYPES, "mesh", "single_mesh", "skeleton")
_NO_VOLUME_NAME = re.compile(r"mesh|skeleton|segment_?propert|annotation", re.I)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a state.

    Attributes
    ----------
    name, type : str
        As in the state; `type` is ``auto`` where the state has none.
    sources : tuple of Source
        As written there, made absolute.
    raw : dict
        The layer's JSON.
    """

    name: str
    type: str
    sources: tuple[Source, ...]
    raw: dict[str, Any] = field(repr=False)
    _specs: tuple[dict[str, Any], ...] = field(repr=False, default=())

    @property
    def is_annotation(self) -> bool:
        """Whether it holds annotations."""
        return self.type in _ANNOTATION_TYPES

    @property
    def is_image(self) -> bool:
        """Whether it can hold a volume: images, segmentations, and what may become one."""
        if self.type in ("image", "segmentation"):
            return True
        return self.type not in _NO_IMAGE_TYPES and any(s.may_hold_volume for s in self.sources)

    @property
    def kind(self) -> Kind:
        """What its voxels are."""
        return "segmentation" if self.type == "segmentation" else "image"

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"layer {self.name!r}"

    def transform(self, index: int) -> Transform | None:
        """Transform of the source `index`: its own, else the layer's old one in nm."""
        own = parse_transform(self._specs[index].get("transform"), self.where)
        return own or parse_legacy_transform(self.raw.get("transform"), self.where)

    def volume_index(self) -> int:
        """Index of the source that is the volume; meshes, skeletons and the like are skipped."""
        found = [
            i
            for i, source in enumerate(self.sources)
            if source.may_hold_volume and _default_is_on(self._specs[i])
        ]
        if len(found) > 1:  # only then go by names: a volume may be called anything
            found = [i for i in found if not _NO_VOLUME_NAME.search(self.sources[i].name)] or found
        if not found:
            raise UserError(f"{self.where} has no source that is a volume")
        if len(found) > 1:
            listed = ", ".join(self.sources[i].shown for i in found)
            raise UserError(
                f"{self.where} has several volumes: {listed}; keep one of them in the layer"
            )
        return found[0]

    def legacy_annotation_transform(self) -> Transform | None:
        """Transform of an annotation layer without a source, as old states have it."""
        sizes = parse_voxel_size(self.raw.get("voxelSize"), self.where)
        legacy = parse_legacy_transform(self.raw.get("transform"), self.where)
        if legacy is None:
            return None if sizes is None else Transform(sizes)
        return Transform(legacy.output, sizes, legacy.matrix)

    def annotations(self, rank: int) -> tuple[Annotation, ...]:
        """Annotations, whose positions have `rank` numbers."""
        found = parse_annotations(self.raw.get("annotations"), rank, self.where)
        old = parse_legacy_points(self.raw.get("points"), self.where)
        if old and rank != 3:
            raise UserError(f"{self.where}: its points have 3 numbers; it has {rank} dimensions")
        return found + old

    def describe(self) -> dict[str, Any]:
        """Return a JSON-able summary; nothing unsupported raises."""
        summary: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "sources": [source.shown for source in self.sources],
        }
        if self.is_annotation:
            counts: dict[str, int] = {}
            listed = self.raw.get("annotations")
            for item in listed if isinstance(listed, list) else []:
                kind = str(item.get("type", "point")) if isinstance(item, dict) else "unreadable"
                counts[kind] = counts.get(kind, 0) + 1
            old = self.raw.get("points")
            if isinstance(old, list) and old:
                counts["point"] = counts.get("point", 0) + len(old)
            summary["annotations"] = counts
        return summary


def parse_layers(
    raw: dict[str, Any], folder: str | os.PathLike[str], origin: str
) -> tuple[Layer, ...]:
    """Read the layers of a state; relative paths in them are relative to `folder`."""
    listed = raw.get("layers", [])
    if isinstance(listed, dict):  # old states: name -> layer
        listed = [
            {"name": name, **({"source": entry} if isinstance(entry, str) else entry)}
            if isinstance(entry, str | dict)
            else entry
            for name, entry in listed.items()
        ]
    if not isinstance(listed, list) or ("layers" not in raw and "dimensions" not in raw):
        raise UserError(f"{origin} is not a Neuroglancer state: it has no list of layers")
    return tuple(_layer(entry, i, folder, origin) for i, entry in enumerate(listed))


def pick(layers: Sequence[Layer], name: str | None, what: str, option: str = "") -> Layer:
    """Return the layer of that name, or the only one; UserError with the names there are."""
    names = ", ".join(repr(layer.name) for layer in layers)
    if not layers:
        raise UserError(f"the state has no {what}")
    if name is None:
        if len(layers) > 1:
            raise UserError(f"the state has several {what}s; choose one with {option}: {names}")
        return layers[0]
    found = [layer for layer in layers if layer.name == name]
    if not found:
        raise UserError(f"no {what} {name!r}; the {what}s are: {names}")
    if len(found) > 1:
        raise UserError(f"{len(found)} {what}s are called {name!r}; rename one of them")
    return found[0]


def parse_voxel_size(obj: object, where: str) -> tuple[Dimension, ...] | None:
    """Dimensions x, y, z of an old state's ``voxelSize``, in nm."""
    if obj is None:
        return None
    if not isinstance(obj, list) or len(obj) != 3:
        raise UserError(f"{where}: voxelSize must be 3 numbers, in nm")
    return parse_dimensions(
        {name: [size, "nm"] for name, size in zip("xyz", obj, strict=True)}, f"{where}: voxelSize"
    )


def _layer(entry: object, index: int, folder: str | os.PathLike[str], origin: str) -> Layer:
    if not isinstance(entry, dict):
        raise UserError(f"{origin}: layer {index} is not an object")
    name = entry.get("name", f"layer{index}")
    if not isinstance(name, str):
        raise UserError(f"{origin}: the name of layer {index} is not text")
    specs = entry.get("source", [])
    specs = specs if isinstance(specs, list) else [specs]
    specs = [{"url": spec} if isinstance(spec, str) else spec for spec in specs]
    for spec in specs:
        if not isinstance(spec, dict) or not isinstance(spec.get("url"), str):
            raise UserError(f"layer {name!r}: a source must be a URL, or an object with a url")
    specs = [spec for spec in specs if spec["url"].strip()]
    type_ = entry.get("type")
    if not isinstance(type_, str):
        holds_annotations = "annotations" in entry or "points" in entry
        type_ = "annotation" if holds_annotations else "auto"
        type_ = "segmentation" if "segments" in entry else type_
    sources = []
    for spec in specs:
        try:
            sources.append(parse_source(spec["url"], folder))
        except UserError as error:
            raise UserError(f"layer {name!r}: {error}") from None
    return Layer(name, type_, tuple(sources), entry, tuple(specs))


def _default_is_on(spec: dict[str, Any]) -> bool:
    """Whether a source shows its voxels: its subsource ``default`` is not switched off."""
    subsources = spec.get("subsources")
    entry = subsources.get("default") if isinstance(subsources, dict) else None
    entry = entry.get("enabled") if isinstance(entry, dict) else entry
    if isinstance(entry, bool):
        return entry
    return spec.get("enableDefaultSubsources", True) is not False
