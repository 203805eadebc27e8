"""What napari's File > Open does with our files: volumes, Neuroglancer states, recipes.

`get_reader` says no within milliseconds to everything else: it looks at names, and at most at
a small ``info`` or JSON file.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ouroboros.errors import Notice, OuroborosError, UserError
from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.layers import LayerData, array_layers, space, volume_layers

if TYPE_CHECKING:
    from napari_ouroboros.neuroglancer import State
    from napari_ouroboros.volumes import Volume

#: Takes a path, and whether to measure contrast (see `napari_ouroboros.layers.volume_layers`).
ReaderFunction = Callable[..., list[LayerData]]

#: States and recipes are far smaller; a bigger JSON is somebody else's.
_LARGEST_JSON = 32 << 20
_STRAIGHTENED = (".ome.tif", ".tif", ".ome.tiff", ".tiff", ".ome.zarr", ".zarr", "")
_SCHEMES = ("precomputed", "zarr", "zarr2", "zarr3", "n5", "graphene", "gs", "s3")
_PIPED = ("neuroglancer-precomputed:", "zarr:", "zarr2:", "zarr3:", "n5:")
#: One of these lies in every folder that is a zarr or N5 volume.
_ARRAY_FILES = ("zarr.json", ".zattrs", ".zarray", "attributes.json")


def get_reader(path: str | list[str]) -> ReaderFunction | None:
    """Return the reader of a path for napari, None where it is not ours.

    Parameters
    ----------
    path : str or list of str
        The folder of a volume (precomputed, zarr, OME-Zarr, N5), its ``info`` file or its URL with
        the format or the bucket in front (``precomputed://...``, ``zarr://...``, ``s3://...``); a
        Neuroglancer state (``.json``); a recipe (``.recipe.json``). A list (files to be
        stacked) is never ours.
    """
    if not isinstance(path, str):
        return None
    if "://" in path:
        ours = path.split("://")[0] in _SCHEMES or path.rstrip("/").split("|")[-1] in _PIPED
        return read_volume_layers if ours else None
    if os.path.basename(path) == "info":
        path = os.path.dirname(path) or os.curdir
    if os.path.isdir(path):
        return read_volume_layers if _is_volume(Path(path)) else None
    if path.lower().endswith(".json"):
        return _json_reader(Path(path))
    return None


def _is_precomputed(folder: Path) -> bool:
    info = _small_json(folder / "info")
    return isinstance(info, dict) and isinstance(info.get("scales"), list)


def _is_volume(folder: Path) -> bool:
    if _is_precomputed(folder):
        return True
    if not any((folder / name).is_file() for name in _ARRAY_FILES):
        return False
    from napari_ouroboros.volumes import open_volume

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)  # said again by who really opens it
            open_volume(folder)
    except OuroborosError:
        return False  # plates, tables, arrays without a voxel size: other readers know them
    return True


def _json_reader(path: Path) -> ReaderFunction | None:
    content = _small_json(path)
    if not isinstance(content, dict):
        return None
    if str(content.get("schema", "")).startswith("napari-ouroboros-recipe/"):
        return read_recipe_layers
    if "layers" in content and ("dimensions" in content or _has_sources(content["layers"])):
        return read_state_layers
    return None


def _has_sources(layers: object) -> bool:
    listed = list(layers.values()) if isinstance(layers, dict) else layers
    return isinstance(listed, list) and any(
        isinstance(layer, str) or (isinstance(layer, dict) and "source" in layer)
        for layer in listed
    )


def _small_json(path: Path) -> object:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None  # not ours: another reader, or napari itself, has the better message


def _one(path: str | list[str]) -> str:
    return path if isinstance(path, str) else path[0]


def read_volume_layers(path: str | list[str], measure: bool = True) -> list[LayerData]:
    """Return the layer of a volume's folder, its ``info`` file or its URL."""
    from napari_ouroboros.volumes import open_volume

    where = _one(path)
    if "://" not in where and os.path.basename(where) == "info":
        where = os.path.dirname(where) or os.curdir
    return volume_layers(open_volume(where), _name(where), measure=measure)


def _name(url: str) -> str:
    return url.split("|")[0].rstrip("/").rsplit("/", 1)[-1] or url


def read_state_layers(path: str | list[str], measure: bool = True) -> list[LayerData]:
    """Return the volumes of a state in the nm of its first image, and its points on top."""
    from napari_ouroboros.neuroglancer import read_state
    from napari_ouroboros.neuroglancer.between import between
    from napari_ouroboros.volumes import open_volume

    state = read_state(_one(path))
    if not state.image_layers:
        raise UserError(f"{state.origin} has no image or segmentation layer")
    # As the docks choose what everything is placed in: an image rather than labels laid over it.
    images = [layer for layer in state.image_layers if layer.kind == "image"]
    main = (images or state.image_layers)[0].name
    first, reference = state.volume_source(main), open_volume(state.volume_source(main).url)
    found: list[LayerData] = []
    for layer in state.image_layers:
        source = state.volume_source(layer.name)
        volume = reference if layer.name == main else open_volume(source.url)
        affine = between(source, volume, first, reference)
        labels = source.kind == "segmentation"
        for data, meta, kind in volume_layers(volume, layer.name, labels, measure):
            found.append((data, meta if affine is None else {**meta, "affine": affine}, kind))
    for layer in state.annotation_layers:
        found += _points(state, layer.name, main, reference)
    return found


def _points(state: State, name: str, main: str, volume: Volume) -> list[LayerData]:
    finest = volume.levels[0]
    try:
        points = state.points_nm(name, None, main, finest.resolution)
    except UserError as error:
        # The volumes are worth seeing without them; the line says what is not shown and why.
        warnings.warn(str(error), Notice, stacklevel=2)
        return []
    meta = {
        "name": name,
        **space(finest),
        "size": 6,
        "face_color": "yellow",
        "features": {"order": np.arange(len(points))},
        "metadata": {"napari-ouroboros": {"state": state.origin}},
    }
    return [(finest.to_index(points), meta, "points")]


def read_recipe_layers(path: str | list[str], measure: bool = True) -> list[LayerData]:
    """Return the straightened file beside the recipe; without one, the centre line in the volume.

    Never both: they lie in two spaces, and one window shows one.
    """
    from napari_ouroboros.geometry import recipe

    file = Path(_one(path))
    straightening, content = recipe.load(file)
    base = file.name.removesuffix(".json").removesuffix(".recipe")
    about = {"napari-ouroboros": {"recipe": str(file), "hash": straightening.recipe_hash}}
    for suffix in _STRAIGHTENED:
        beside = file.with_name(base + suffix)
        if suffix and beside.is_file():
            s = straightening
            return _tiff_layers(beside, (s.mean_spacing_nm, s.pitch_nm, s.pitch_nm), about)
        if beside.is_dir() and _is_volume(beside):
            return read_volume_layers(str(beside), measure)
    grid = _grid_of(content) or Grid((1, 1, 1), (straightening.pitch_nm,) * 3, (0, 0, 0))
    meta = {
        "name": f"{base} centre line",
        **space(grid),
        "shape_type": "path",
        "edge_color": "yellow",
        "edge_width": 2,
        "metadata": about,
    }
    return [([grid.to_index(straightening.frames.c)], meta, "shapes")]


def _grid_of(content: dict[str, Any]) -> Grid | None:
    """Return the finest level of the recipe's source, if the recipe has one."""
    levels = (content.get("source") or {}).get("levels")
    if not levels:
        return None
    level = levels[0]
    return Grid(tuple(level["shape"]), tuple(level["resolution"]), tuple(level["voxel_offset"]))


def _tiff_layers(
    path: Path, resolution: tuple[float, float, float], about: dict[str, Any]
) -> list[LayerData]:
    """Return a straightened TIFF, page by page as they are looked at."""
    import dask
    import dask.array as da
    import tifffile

    from napari_ouroboros.volumes.writing.tiff import metadata_of, open_tiff

    with open_tiff(path) as tiff:
        pages = len(tiff.pages)
        labels = metadata_of(tiff).get("kind") == "segmentation"
        page = tiff.pages.first
        shape, dtype = page.shape, page.dtype
    if dtype is None:
        raise UserError(f"{path} has pages of no known type; straighten again")
    read = dask.delayed(tifffile.imread, pure=True)
    stack = da.stack([da.from_delayed(read(path, key=n), shape, dtype) for n in range(pages)])
    meta: dict[str, Any] = {
        "name": path.name,
        **space(Grid((pages, shape[0], shape[1]), resolution)),
        "axis_labels": ("slice", "row", "column"),
        "metadata": about,
    }
    if dtype.kind in "ui" and (labels or dtype.itemsize == 8):
        return array_layers([stack], meta, "labels")
    middle = np.asarray(stack[pages // 2])
    limits = (0, 255) if dtype == np.uint8 else (float(middle.min()), float(middle.max() + 1))
    return array_layers([stack], {**meta, "contrast_limits": limits}, "image")
