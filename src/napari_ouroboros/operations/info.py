"""Info: what a volume, a state or a recipe is, from its JSON alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import UserError

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume


_FORMATS = {"zarr2": "zarr 2", "zarr3": "zarr 3", "n5": "N5"}


def describe(
    source: str,
    timeout: float = 60.0,
    open_timeout: float = 20.0,
    reader: str | None = None,
    resolution: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Return a JSON-able description; no library that reads voxels is imported.

    Parameters
    ----------
    source : str
        A volume's URL or folder, a Neuroglancer state (file or link), or a recipe.
    timeout, open_timeout, reader, resolution
        For a volume, as for `open_volume`.

    Raises
    ------
    UserError, SourceError
        It is none of these, or cannot be read.
    """
    path = Path(source)
    if source.endswith(".json") and "://" not in source and path.is_file():
        from napari_ouroboros.geometry import recipe as recipes

        content = recipes.read(path)
        if "schema" in content:
            return _recipe(content, source)
        if "layers" not in content and "scales" in content:
            raise UserError(f"{source} is the info of a volume; give the folder that it is in")
        return _state(source)
    if "#!" in source or source.endswith(".json"):
        return _state(source)
    from napari_ouroboros.volumes import open_volume

    return _volume(
        open_volume(
            source,
            timeout=timeout,
            open_timeout=open_timeout,
            reader=reader,
            resolution=resolution,
        )
    )


def _recipe(content: dict[str, Any], source: str) -> dict[str, Any]:
    from napari_ouroboros.geometry import recipe as recipes

    map_ = recipes.from_dict(content, source)
    report = map_.fold_report()
    known = content.get("source") or {}
    facts: dict[str, Any] = {
        "kind": "recipe",
        "slices": map_.shape[0],
        "height": map_.height,
        "width": map_.width,
        "pitch_nm": map_.pitch_nm,
        "spacing_nm": map_.spacing_nm,
        "length_nm": map_.curve.length,
        "points": len(map_.trace),
        "closed": map_.trace.closed,
        "output": content.get("output"),
        "source": known.get("url"),
        "mip": known.get("mip"),
        "folding": report.text,
        "frames_sha256": map_.recipe_hash,
    }
    levels = known.get("levels")
    if levels:
        facts["promise"] = map_.exactness(levels[known.get("mip", 0)]["resolution"]).text
    return facts


def _state(source: str) -> dict[str, Any]:
    from napari_ouroboros.neuroglancer import read_state

    return {"kind": "state", **read_state(source).describe()}


def _volume(volume: Volume) -> dict[str, Any]:
    facts = volume.source_info()
    for level, known in zip(facts["levels"], volume.levels, strict=True):
        level["sharded"] = known.sharded
    array = volume.levels[0].array
    form = facts["url"].partition("://")[0] if array is None else _FORMATS[array.driver]
    return {
        **facts,
        # After what the volume says of itself, whose kind is image or segmentation.
        "kind": "volume",
        "type": volume.kind,
        "format": form,
        "reader": volume.reader,
        "reader_reason": volume.reader_reason,
    }


def as_text(facts: dict[str, Any]) -> str:
    """Return a description for people."""
    if facts["kind"] == "volume":
        return _volume_text(facts)
    return "\n".join(_lines(facts, 0))


def _volume_text(facts: dict[str, Any]) -> str:
    channels = facts["channels"]
    lines = [
        facts["url"],
        f"{facts['format']} {facts['type']}, {facts['dtype']}, {channels} "
        f"channel{'s' * (channels != 1)}",
        "mip  size x, y, z           voxel x, y, z nm      offset x, y, z        "
        "chunk x, y, z   encoding",
    ]
    for mip, level in enumerate(facts["levels"]):
        cells = [
            " x ".join(f"{n:g}" for n in reversed(level[name]))
            for name in ("shape", "resolution", "voxel_offset", "chunk")
        ]
        lines.append(
            f"{mip:<4} {cells[0]:<22} {cells[1]:<21} {cells[2]:<21} {cells[3]:<15} "
            f"{level['encoding']}{', sharded' * level['sharded']}"
        )
    if "given_resolution" in facts:
        lines.append("the size of a voxel is the one that was given")
    lines.append(f"read with {facts['reader']}: {facts['reader_reason']}")
    return "\n".join(lines)


def _lines(value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    for key, item in value.items():
        name = str(key).replace("_nm", " (nm)").replace("_", " ")
        if isinstance(item, dict):
            lines += [f"{pad}{name}:", *_lines(item, depth + 1)]
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            for entry in item:
                first, *rest = _lines(entry, depth + 2)
                lines += [f"{pad}{name}:" if entry is item[0] else ""] * (entry is item[0])
                lines += [f"{pad}  - {first.strip()}", *rest]
        elif item is not None:
            lines.append(f"{pad}{name}: {item}")
    return lines
