"""Neuroglancer viewer states: read one, find its volume and its trace."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.geometry.trace import Trace
from napari_ouroboros.neuroglancer import links
from napari_ouroboros.neuroglancer.annotations import choose
from napari_ouroboros.neuroglancer.coordinates import Dimension, Transform, parse_dimensions
from napari_ouroboros.neuroglancer.json_text import parse_json, read_json
from napari_ouroboros.neuroglancer.layers import Kind, Layer, parse_layers, parse_voxel_size, pick
from napari_ouroboros.neuroglancer.placement import Placement
from napari_ouroboros.neuroglancer.source_space import source_space
from napari_ouroboros.neuroglancer.sources import parse_source
from napari_ouroboros.volumes.stores.credentials import redact

#: Voxel size of a volume's finest level, (3,) zyx nm, or what finds it.
ResolutionLike = ArrayLike | Callable[["VolumeSource"], ArrayLike]


@dataclass(frozen=True)
class VolumeSource:
    """The volume behind an image or segmentation layer.

    Attributes
    ----------
    url : str
        Canonical and absolute, fit for `open_volume`. It may hold credentials, so it is not in
        ``repr``; show `shown`.
    kind : {"image", "segmentation"}
        What the layer says.
    transform : Transform or None
        How the state places the volume; None: as it is.
    layer : str
        Name of the layer.
    shown : str
        `url` fit to be shown.
    format : str
        Of the `Source`.
    """

    url: str = field(repr=False)
    kind: Kind
    transform: Transform | None = field(repr=False)
    layer: str
    shown: str
    format: str = "precomputed"


@dataclass(frozen=True, eq=False)
class State:
    """A Neuroglancer viewer state.

    Attributes
    ----------
    raw : dict
        The JSON.
    layers : tuple of Layer
        In their order.
    dimensions : tuple of Dimension or None
        Global dimensions in their order; None where the state leaves them to its first volume.
    origin : str
        Where it came from, fit to be shown.
    """

    raw: dict[str, Any] = field(repr=False)
    layers: tuple[Layer, ...]
    dimensions: tuple[Dimension, ...] | None
    origin: str = "the state"

    @property
    def image_layers(self) -> tuple[Layer, ...]:
        """Layers of images and segmentations."""
        return tuple(layer for layer in self.layers if layer.is_image)

    @property
    def annotation_layers(self) -> tuple[Layer, ...]:
        """Layers of annotations."""
        return tuple(layer for layer in self.layers if layer.is_annotation)

    def layer(self, name: str) -> Layer:
        """Return the layer called `name`; UserError with the names there are."""
        return pick(self.layers, name, "layer")

    def volume_source(self, layer: str | None = None) -> VolumeSource:
        """Return the volume of an image or segmentation layer.

        Parameters
        ----------
        layer : str, optional
            Its name; not needed where there is only one.

        Raises
        ------
        UserError
            No such layer, none at all, or several and none named: the message lists them.
        """
        chosen = pick(self.image_layers, layer, "image layer", "--image-layer")
        index = chosen.volume_index()
        source = chosen.sources[index]
        return VolumeSource(
            source.url,
            chosen.kind,
            chosen.transform(index),
            chosen.name,
            source.shown,
            source.format,
        )

    def trace(
        self,
        layer: str | None = None,
        annotation_id: str | None = None,
        image_layer: str | None = None,
        closed: bool = False,
        tolerance_nm: float = 0.0,
        resolution_nm: ResolutionLike | None = None,
    ) -> Trace:
        """Return the trace that the points or a polyline of an annotation layer make.

        Parameters
        ----------
        layer : str, optional
            Annotation layer; not needed where there is only one.
        annotation_id : str, optional
            Id of the polyline, or ``"points"`` for all single points, where there are several.
        image_layer : str, optional
            The volume whose nm the trace is in; not needed where there is only one.
        closed, tolerance_nm
            Passed to `Trace`.
        resolution_nm : (3,) zyx nm or callable, optional
            Voxel size of the volume's finest level, or what returns it for a `VolumeSource`.
            It is needed only where units are voxels (``""``), where the state has no
            dimensions, or where the image's transform has inputDimensions. If it is not given,
            the volume's own metadata is read then.

        Returns
        -------
        Trace
            Points (n, 3) zyx in nm of the volume, in the order of the file.

        Raises
        ------
        UserError
            Nothing to make a trace of; several candidates (listed); a transform or a unit that
            is not supported (named).
        SourceError
            The volume's metadata was needed and could not be read.
        """
        points = self.points_nm(layer, annotation_id, image_layer, resolution_nm)
        return Trace(points, closed=closed, tolerance_nm=tolerance_nm)

    def points_nm(
        self,
        layer: str | None = None,
        annotation_id: str | None = None,
        image_layer: str | None = None,
        resolution_nm: ResolutionLike | None = None,
    ) -> NDArray[np.float64]:
        """Points (n, 3) zyx, nm of the volume; parameters and errors as for `trace`."""
        chosen = pick(self.annotation_layers, layer, "annotation layer", "--annotation-layer")
        volume = self.volume_source(image_layer)
        placement = Placement(
            volume.transform,
            lambda: _resolution_xyz(volume, resolution_nm),
            f"layer {volume.layer!r}",
            source_space(volume.url, volume.format),
        )
        transform = self._annotation_transform(chosen, placement)
        annotations = chosen.annotations(transform.rank)
        positions = choose(annotations, annotation_id, chosen.where)
        return placement.to_nm(positions, transform, chosen.where)

    def _annotation_transform(self, layer: Layer, placement: Placement) -> Transform:
        """Return the transform of an annotation layer, else the global dimensions."""
        foreign = [source.shown for source in layer.sources if source.format != "local"]
        if foreign:
            raise UserError(
                f"{layer.where}: annotations in {foreign[0]} are not supported yet; "
                "only those in the state itself (local://annotations) are"
            )
        if len(layer.sources) > 1:
            raise UserError(f"{layer.where} has more than one local source; keep one of them")
        if layer.sources:
            own = layer.transform(0)
        else:
            own = layer.legacy_annotation_transform()
        if own is not None:
            return own
        if self.dimensions is not None:
            return Transform(self.dimensions)
        warnings.warn(
            f"the state has no dimensions: the positions of {layer.where} are taken in those of "
            f"{placement.where}",
            Notice,
            stacklevel=4,
        )
        return Transform(placement.output)

    def describe(self) -> dict[str, Any]:
        """Return a JSON-able summary; nothing is opened, nothing unsupported raises."""
        return {
            "origin": self.origin,
            "dimensions": None
            if self.dimensions is None
            else {d.name: [d.scale, d.unit] for d in self.dimensions},
            "layers": [layer.describe() for layer in self.layers],
        }


def read_state(source: str | os.PathLike[str] | dict[str, Any]) -> State:
    """Read a Neuroglancer state.

    Parameters
    ----------
    source : str, path or dict
        A JSON file; a Neuroglancer link (``https://...#!{...}`` in any of its spellings, or the
        URL of a JSON behind ``#!`` or on its own), JSON text, or the JSON as a dict. Relative
        ``file://`` sources are relative to the folder of the file, else to the working
        directory.

    Raises
    ------
    UserError
        No such file; broken JSON, with line and column; not a state.
    SourceError
        A server did not deliver the state.
    """
    if isinstance(source, dict):
        return _state(source, Path.cwd(), "the state")
    text = os.fspath(source)
    if isinstance(source, str):
        if links.is_link(text):
            found = links.read_link(text)
            if isinstance(found, dict):
                return _state(found, Path.cwd(), "the link")
            if not found.startswith("file://"):
                return _state(links.fetch_json(found), Path.cwd(), redact(found))
            text = found
        elif text.lstrip().startswith("{"):
            return _state(parse_json(text, "the text given"), Path.cwd(), "the state")
    if text.startswith("file://"):
        text = parse_source(text).store.removeprefix("file://")
    path = Path(os.path.abspath(os.path.expanduser(text)))
    return _state(read_json(path), path.parent, str(path))


def _state(raw: dict[str, Any], folder: Path, origin: str) -> State:
    return State(raw, parse_layers(raw, folder, origin), _dimensions(raw, origin), origin)


def _dimensions(raw: dict[str, Any], origin: str) -> tuple[Dimension, ...] | None:
    if raw.get("dimensions"):
        return parse_dimensions(raw["dimensions"], f"{origin}: dimensions")
    pose = raw
    for key in ("navigation", "pose", "position"):
        inner = pose.get(key)
        if not isinstance(inner, dict):
            return None
        pose = inner
    return parse_voxel_size(pose.get("voxelSize"), f"{origin}: navigation")


def _resolution_xyz(
    volume: VolumeSource, resolution_nm: ResolutionLike | None
) -> NDArray[np.float64]:
    if resolution_nm is None:
        from napari_ouroboros.volumes import open_volume

        zyx: ArrayLike = open_volume(volume.url).levels[0].resolution
    elif callable(resolution_nm):
        zyx = resolution_nm(volume)
    else:
        zyx = resolution_nm
    try:
        array = np.array(zyx, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (3,) or not (np.isfinite(array) & (array > 0)).all():
        raise UserError(f"resolution_nm must be 3 numbers above 0, zyx; it is {zyx!r}")
    return array[::-1]
