"""Names and files beside a result: what kind of output a name asks for, and its recipe."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import recipe as recipes
from napari_ouroboros.volumes.stores.location import parse_location

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.writing.precomputed_writer import PrecomputedWriter
    from napari_ouroboros.volumes.writing.zarr_writer import ZarrWriter

#: Chunks of what we write as precomputed or OME-Zarr, zyx.
CHUNK = (64, 64, 64)

_DOUBLE = (".ome.tif", ".ome.tiff", ".ome.zarr")
_TIFF = (".tif", ".tiff")
_ZARR = (".zarr",)

Output = Literal["tiff", "zarr", "precomputed"]


def local_path(path: str | os.PathLike[str]) -> Path:
    """The folder or file of a destination, without ``precomputed://``, ``zarr://``, ``file://``."""
    text = os.fspath(path)
    text = text.removesuffix("|neuroglancer-precomputed:").removeprefix("precomputed://")
    text = text.removeprefix("zarr://")
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    elif "://" in text:
        raise UserError(
            f"results can be written to local files and folders so far, not to {text.split('://')[0]}://"
        )
    if not text.strip("/."):
        raise UserError(f"{os.fspath(path)!r} is no name for a result")
    return Path(os.path.normpath(text)).absolute()


def output_kind(path: str | os.PathLike[str]) -> Output:
    """What the name asks for: ``.tif``/``.tiff``, ``.zarr`` or a folder; UserError for others."""
    text = os.fspath(path)
    if text.startswith("precomputed://") or text.endswith("|neuroglancer-precomputed:"):
        return "precomputed"
    suffix = Path(text.rstrip("/")).suffix.lower()
    if suffix in _TIFF:
        return "tiff"
    if suffix in _ZARR:
        return "zarr"
    if text.startswith("zarr://"):
        raise UserError(f"the name of an OME-Zarr volume ends in .zarr; {text} does not")
    if not suffix or _is_number(suffix[1:]):
        return "precomputed"
    raise UserError(
        f"cannot write {suffix!r} files; use .tif for a TIFF, .zarr for OME-Zarr, or a name "
        "without a suffix for a precomputed folder"
    )


def is_replaceable(path: Path, output: Output) -> bool:
    """Whether a folder is a finished result of this kind, written by this program."""
    from napari_ouroboros.volumes.writing.precomputed_writer import is_our_precomputed
    from napari_ouroboros.volumes.writing.zarr_writer import is_our_zarr

    return (is_our_zarr if output == "zarr" else is_our_precomputed)(path)


def volume_writer(output: Output) -> type[PrecomputedWriter] | type[ZarrWriter]:
    """The writer of chunked volumes of this kind."""
    from napari_ouroboros.volumes.writing.precomputed_writer import PrecomputedWriter
    from napari_ouroboros.volumes.writing.zarr_writer import ZarrWriter

    return ZarrWriter if output == "zarr" else PrecomputedWriter


def _is_number(text: str) -> bool:
    """A folder called ``nerve.2`` has no suffix."""
    return text.isdigit()


def stem(path: Path) -> str:
    """The name without its suffix; ``.ome.tif`` and ``.ome.zarr`` count as one."""
    name = path.name
    for suffix in _DOUBLE:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name if _is_number(path.suffix[1:]) else name[: len(name) - len(path.suffix)]


def recipe_path(path: Path) -> Path:
    """Where the recipe of a result lies."""
    return path.with_name(stem(path) + ".recipe.json")


def check_free(path: Path, overwrite: bool) -> None:
    """UserError when a result has no folder to be in, or exists; also where nothing is written.

    `volumes.writing.staging` looks again, and more closely, when it is about to write.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist; create it first")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; choose another name or pass --overwrite")


def check_recipe_free(path: Path, overwrite: bool) -> None:
    """UserError when another result's recipe has the name that this one's would get."""
    recipe = recipe_path(path)
    if overwrite or not recipe.exists():
        return
    try:
        output = recipes.read(recipe).get("output")
    except UserError:
        output = None
    if output != path.name:
        whose = f"belongs to {output}" if output else "is not a recipe of this result"
        raise UserError(f"{recipe} exists and {whose}; choose another name or pass --overwrite")


def is_recipe(source: str) -> bool:
    """Whether this names a recipe, and not a state: by its name, or by its schema."""
    if source.endswith(".recipe.json"):
        return True
    path = Path(source)
    return source.endswith(".json") and path.is_file() and "schema" in recipes.read(path)


def source_record(volume: Volume, mip: int, path: Path) -> dict[str, Any]:
    """What a recipe notes of its source: enough to lay labels on it without reading it again."""
    record: dict[str, Any] = dict(volume.source_info())
    record["mip"] = mip
    record["url_relative"] = _relative(record["url"], path.parent)
    return record


def _relative(url: str, folder: Path) -> str | None:
    """The way from `folder` to a local volume; None for others."""
    place = parse_location(url)
    return Path(os.path.relpath(place.base, folder)).as_posix() if place.local else None


def open_source(
    source: dict[str, Any] | None,
    recipe: Path,
    timeout: float = 60.0,
    open_timeout: float = 20.0,
    reader: str | None = None,
    cache: float | None = None,
) -> Volume:
    """Open the volume that a recipe was made from: where it was, or where it is beside the recipe.

    Raises
    ------
    UserError, SourceError
        The recipe records none, or it is in neither place.
    """
    from napari_ouroboros.volumes import open_volume

    url = (source or {}).get("url")
    if not url:
        raise UserError(f"{recipe} records no source volume")
    relative = (source or {}).get("url_relative")
    place = parse_location(url)
    if relative is not None and place.local and not Path(place.base).is_dir():
        moved = Path(os.path.normpath(recipe.absolute().parent / relative))
        if moved.is_dir():
            url = replace(place, base=str(moved)).url
    given = (source or {}).get("given_resolution")
    return open_volume(
        url,
        timeout=timeout,
        open_timeout=open_timeout,
        reader=reader,
        resolution=given,
        cache=cache,
    )
