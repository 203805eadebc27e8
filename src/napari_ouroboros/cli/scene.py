"""From the options to a volume, a map and a level."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.cli.parser import make_parser
from napari_ouroboros.errors import UserError, one_line

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes import Volume

#: Seconds for opening a source, however long `--timeout` is.
OPEN_TIMEOUT = 20.0

_SETTLED_BY_A_RECIPE = {
    *("image_layer", "annotation_layer", "annotation_id", "width", "height", "pitch", "spacing"),
    *("closed", "tolerance", "adaptive", "up", "twist", "resolution"),
}


def from_state(options: argparse.Namespace) -> tuple[Volume, Straightening, int, str]:
    """Volume, map and mip of a Neuroglancer state and the options."""
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.neuroglancer import read_state
    from napari_ouroboros.operations.outside_volume import best_mip
    from napari_ouroboros.volumes import open_volume

    state = read_state(options.source)
    source = state.volume_source(options.image_layer)
    volume = open_volume(source.url, resolution=options.resolution, **opening(options))
    trace = state.trace(
        options.annotation_layer,
        options.annotation_id,
        options.image_layer,
        closed=options.closed,
        tolerance_nm=options.tolerance,
        resolution_nm=volume.levels[0].resolution,
    )
    map_ = Straightening(
        trace,
        options.width,
        options.height,
        options.pitch,
        options.spacing,
        options.adaptive,
        options.up,
        None if options.twist is None else _read_twist(options.twist),
    )
    if options.mip == "auto":
        mip = 0 if options.pitch is None else best_mip(volume, options.pitch)
    else:
        mip = options.mip or 0
    volume.mip(mip)
    return volume, map_, mip, source.kind


def from_recipe(options: argparse.Namespace) -> tuple[Volume, Straightening, int]:
    """Volume, map and mip of a recipe."""
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.outputs import open_source

    without = make_parser().parse_args(["check", options.source])
    for name, value in vars(without).items():
        if name in _SETTLED_BY_A_RECIPE and getattr(options, name) != value:
            raise UserError(
                f"--{name.replace('_', '-')} has no effect on a recipe, which settles it; leave it "
                "out, or check the state"
            )
    map_ = Straightening.load(options.source)
    volume = open_source(map_.source, Path(options.source), **opening(options))
    mip = (map_.source or {}).get("mip", 0) if options.mip in (None, "auto") else options.mip
    return volume, map_, int(mip)


def opening(options: argparse.Namespace) -> dict[str, Any]:
    """Options of `open_volume`."""
    cache = None if options.cache is None else options.cache * 1e6
    return {**limits(options), "reader": options.reader, "cache": cache}


def limits(options: argparse.Namespace) -> dict[str, float]:
    """Time limits of `open_volume`: who asks for a short one means opening, too."""
    return {"timeout": options.timeout, "open_timeout": min(options.timeout, OPEN_TIMEOUT)}


def _read_twist(path: str) -> list[tuple[float, float]]:
    """Keyframes of a text file: one `s_nm, degrees` per line, or JSON pairs."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"there is no twist file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read the twist file {path}: {one_line(reason)}") from error
    try:
        if text.lstrip().startswith("["):
            keys = [(float(s), float(angle)) for s, angle in json.loads(text)]
        else:
            rows = [line.split("#")[0].replace(",", " ").split() for line in text.splitlines()]
            keys = [(float(s), float(angle)) for s, angle in filter(None, rows)]
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} must have lines of two numbers, s in nm and degrees: {one_line(error)}"
        ) from error
    if not keys:
        raise UserError(f"{path} has no lines of two numbers, s in nm and degrees")
    return keys
