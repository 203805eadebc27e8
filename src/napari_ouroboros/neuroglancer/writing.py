"""Write viewer states that Neuroglancer opens."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer.coordinates import to_metres
from napari_ouroboros.neuroglancer.source_space import ARRAYS, source_space
from napari_ouroboros.neuroglancer.sources import parse_source
from napari_ouroboros.volumes.formats.array_axes import SourceSpace

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ImageLayer:
    """An image to be written into a state.

    Parameters
    ----------
    name : str
        Unique in the state.
    url : str or path
        Any spelling of a source that `parse_source` reads.
    translation_nm : (3,) zyx nm
        Where the volume's own origin is put in the state.
    settings : mapping
        Further entries of Neuroglancer's layer, such as ``{"shader": ...}``.
    """

    name: str
    url: str | os.PathLike[str]
    translation_nm: ArrayLike = (0.0, 0.0, 0.0)
    settings: Mapping[str, Any] = field(default_factory=dict)

    type = "image"


@dataclass(frozen=True, eq=False)
class SegmentationLayer(ImageLayer):
    """A segmentation; `segments` are the ids that are shown at first, none: all."""

    segments: Sequence[int | str] = ()

    type = "segmentation"


@dataclass(frozen=True, eq=False)
class AnnotationLayer:
    """Points and polylines to be written into a state.

    Parameters
    ----------
    name : str
        Unique in the state.
    points_nm : array (n, 3)
        Single points in order, zyx nm.
    polylines_nm : sequence of arrays (n, 3), or mapping of ids to them
        Zyx nm.
    descriptions : sequence of str
        One per point.
    settings : mapping
        Further entries of Neuroglancer's layer.
    """

    name: str
    points_nm: ArrayLike = ()
    polylines_nm: Sequence[ArrayLike] | Mapping[str, ArrayLike] = ()
    descriptions: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    type = "annotation"


def build_state(
    layers: Sequence[ImageLayer | AnnotationLayer],
    *,
    resolution_nm: ArrayLike,
    position_nm: ArrayLike | None = None,
    layout: str = "4panel",
    selected: str | None = None,
    relative_to: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Return a state as JSON-able dict.

    Parameters
    ----------
    layers : sequence of ImageLayer, SegmentationLayer, AnnotationLayer
        From the lowest to the topmost.
    resolution_nm : (3,) zyx nm
        Scale of the state's dimensions: that of the image's finest level, as a rule.
    position_nm : (3,) zyx nm, optional
        Where the view is centred.
    layout : str
        Neuroglancer's name of the layout.
    selected : str, optional
        Layer whose panel is open.
    relative_to : path, optional
        Folder to which ``file://`` sources are written relative, where they lie in it or share
        a drive with it. Absolute if not given.

    Raises
    ------
    UserError
        Names that repeat, arrays of the wrong shape, URLs that are none.
    SourceError
        The metadata of a zarr or N5 cannot be read: they say where Neuroglancer shows it.
    """
    resolution = _triple(resolution_nm, "resolution_nm")
    if (resolution <= 0).any():
        raise UserError(f"resolution_nm must be above 0; it is {resolution.tolist()}")
    names = [layer.name for layer in layers]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise UserError(f"two layers are called {sorted(repeated)[0]!r}")
    if selected is not None and selected not in names:
        raise UserError(f"no layer {selected!r} to select; the layers are {names}")
    dimensions = {
        axis: [to_metres(size), "m"] for axis, size in zip("xyz", resolution[::-1], strict=True)
    }
    state: dict[str, Any] = {"dimensions": dimensions}
    if position_nm is not None:
        state["position"] = _positions(
            _triple(position_nm, "position_nm")[None], resolution, "position_nm"
        )[0]
    state["layers"] = [
        _annotations(layer, resolution, dimensions)
        if isinstance(layer, AnnotationLayer)
        else _volume(layer, resolution, dimensions, relative_to)
        for layer in layers
    ]
    if selected is not None:
        state["selectedLayer"] = {"layer": selected, "visible": True}
    state["layout"] = layout
    return state


def write_state(
    path: str | os.PathLike[str],
    layers: Sequence[ImageLayer | AnnotationLayer],
    *,
    resolution_nm: ArrayLike,
    position_nm: ArrayLike | None = None,
    layout: str = "4panel",
    selected: str | None = None,
    relative: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a state to a JSON file, whole or not at all, and return its path.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.
    relative : bool
        Write ``file://`` sources relative to the file's folder, so that both can move
        together. (`read_state` reads them so; Neuroglancer itself serves no local files.)
    overwrite : bool
        Replace an older file.
    layers, resolution_nm, position_nm, layout, selected
        As for `build_state`.

    Raises
    ------
    UserError
        As `build_state`; the file exists and `overwrite` is not set.
    DestinationError
        No permission, no space.

    Examples
    --------
    >>> write_state(  # doctest: +SKIP
    ...     "state.json",
    ...     [ImageLayer("em", "gs://bucket/em"), AnnotationLayer("trace", trace.points_nm)],
    ...     resolution_nm=(40, 8, 8),
    ... )
    """
    from napari_ouroboros.volumes.writing.staging import StagedFile, destination_errors

    destination = Path(os.path.abspath(os.path.expanduser(path)))
    state = build_state(
        layers,
        resolution_nm=resolution_nm,
        position_nm=position_nm,
        layout=layout,
        selected=selected,
        relative_to=destination.parent if relative else None,
    )
    text = json.dumps(state, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with StagedFile(destination, overwrite=overwrite) as file:
        with destination_errors(destination, len(text)):
            file.path.write_text(text, encoding="utf-8")
        file.commit()
    return destination


def _volume(
    layer: ImageLayer,
    resolution: Array,
    dimensions: dict[str, Any],
    relative_to: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    try:
        source = parse_source(os.fspath(layer.url))
    except UserError as error:
        raise UserError(f"layer {layer.name!r}: {error}") from None
    url = source.url
    if relative_to is not None and source.store.startswith("file://"):
        url = f"{source.format}://{_relative(source.store, Path(relative_to))}"
    translation = _triple(layer.translation_nm, f"translation_nm of layer {layer.name!r}")
    if source.format in ARRAYS:
        space = source_space(source.url, source.format)
        transform = _array_transform(space, translation, resolution, layer.name)
    elif translation.any():
        shift = _positions(translation[None], resolution, "translation_nm")[0]
        rows = np.column_stack([np.eye(3), shift]).tolist()
        transform = {"outputDimensions": dimensions, "matrix": rows}
    else:
        transform = None
    spec: str | dict[str, Any] = url if transform is None else {"url": url, "transform": transform}
    entry: dict[str, Any] = {"type": layer.type, "name": layer.name, "source": spec}
    if isinstance(layer, SegmentationLayer) and len(layer.segments):
        entry["segments"] = [str(segment) for segment in layer.segments]
    return {**entry, **layer.settings}


def _array_transform(
    space: SourceSpace, translation: Array, resolution: Array, name: str
) -> dict[str, Any] | None:
    """Return what puts a zarr or N5 where its nm are in the state; None if it is there already.

    Arrays without units, or with axes of other names, get those of the state; an OME-Zarr without
    a translation goes half a voxel on, since Neuroglancer has the centre of its first voxel at 0.
    """
    sizes = resolution if space.voxel_nm is None else np.array(space.voxel_nm)
    shift = np.array(space.default_shift) * sizes + translation
    if space.voxel_nm is not None and space.spatial == ("z", "y", "x") and not shift.any():
        return None
    if shift.any() and space.shift != space.default_shift:
        raise UserError(
            f"layer {name!r} is an OME-Zarr with a translation, beside which Neuroglancer's "
            "versions read another one differently; leave translation_nm out"
        )
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    matrix = np.eye(len(space.names), len(space.names) + 1)
    for row, own in enumerate(space.names):
        if own not in space.spatial:
            inputs[own] = outputs[own] = [1, ""]
            continue
        axis = space.spatial.index(own)
        inputs[own] = outputs["zyx"[axis]] = [to_metres(sizes[axis]), "m"]
        matrix[row, -1] = shift[axis] / sizes[axis]
    transform = {"outputDimensions": outputs, "inputDimensions": inputs}
    return {**transform, "matrix": matrix.tolist()} if shift.any() else transform


def _relative(store: str, folder: Path) -> str:
    path = store.removeprefix("file://")
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return store
    return f"file://{relative}" if relative.startswith("../") else f"file://./{relative}"


def _annotations(
    layer: AnnotationLayer, resolution: Array, dimensions: dict[str, Any]
) -> dict[str, Any]:
    where = f"points_nm of layer {layer.name!r}"
    points = _positions(layer.points_nm, resolution, where)
    if layer.descriptions and len(layer.descriptions) != len(points):
        raise UserError(
            f"layer {layer.name!r} has {len(points)} points, but {len(layer.descriptions)} "
            "descriptions"
        )
    width = len(str(max(len(points) - 1, 0)))
    annotations: list[dict[str, Any]] = [
        {"type": "point", "id": f"{i:0{width}}", "point": point} for i, point in enumerate(points)
    ]
    for annotation, description in zip(annotations, layer.descriptions, strict=False):
        if description:
            annotation["description"] = description
    lines = layer.polylines_nm
    named = (
        dict(lines)
        if isinstance(lines, Mapping)
        else {f"polyline{i}": line for i, line in enumerate(lines)}
    )
    for id_, line in named.items():
        rows = _positions(line, resolution, f"polyline {id_!r} of layer {layer.name!r}")
        annotations.append({"type": "polyline", "id": str(id_), "points": rows})
    # Dimensions of their own: the points stay where they are when somebody changes the state's.
    source = {"url": "local://annotations", "transform": {"outputDimensions": dimensions}}
    return {
        "type": layer.type,
        "name": layer.name,
        "source": source,
        "tab": "annotations",
        "annotations": annotations,
        **layer.settings,
    }


def _positions(points_nm: ArrayLike, resolution: Array, where: str) -> list[list[float]]:
    """Zyx nm (n, 3) -> lists of xyz in voxels, whole numbers being corners."""
    points = np.array(points_nm, dtype=np.float64)
    points = points.reshape(-1, 3) if points.size == 0 else points
    if points.ndim != 2 or points.shape[1] != 3:
        raise UserError(f"{where} must have shape (n, 3), zyx nm; it has {points.shape}")
    if not np.isfinite(points).all():
        raise UserError(f"{where} holds a value that is not finite")
    positions: list[list[float]] = (points / resolution)[:, ::-1].tolist()
    return positions


def _triple(values: ArrayLike, what: str) -> Array:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise UserError(f"{what} must be 3 numbers, zyx nm; it is {values!r}")
    return array
