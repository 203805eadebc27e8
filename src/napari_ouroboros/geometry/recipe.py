"""The recipe: everything needed to make the same map again, as JSON.

Frames are not stored but computed again and compared by a hash, so that a recipe is small and
can be read by a person, and another map never slips in silently.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ouroboros.errors import DestinationError, UserError
from napari_ouroboros.geometry.trace import Trace

if TYPE_CHECKING:
    from napari_ouroboros.geometry.straightening import Straightening

SCHEMA = "napari-ouroboros-recipe/1"


def frames_hash(straightening: Straightening) -> str:
    """The sha256 of what the frames do: centres, and the ends of their axes at the slice's edge.

    Rounded to 1e-3 nm, relative to the first point. The contract's 1e-6 nm would be finer than
    float64 at 1e7 nm (2e-9) times the last-bit differences between two machines' linear
    algebra; 1e-3 nm is still a ten-thousandth of the finest voxel.
    """
    f = straightening.frames
    half_u = 0.5 * straightening.width * straightening.pitch_nm
    half_v = 0.5 * straightening.height * straightening.pitch_nm
    origin = straightening.trace.points_nm[0]
    rows = np.hstack([f.c - origin, f.N * half_u, f.B * half_v])
    # The first point itself, in its own row: the same curve elsewhere is another map.
    rows = np.vstack([np.tile(origin, 3), rows])
    # + 0.0 turns -0.0 into 0.0: equal numbers, equal bytes.
    rounded = np.round(rows * 1e3) + 0.0
    return hashlib.sha256(np.ascontiguousarray(rounded, dtype="<f8").tobytes()).hexdigest()


def to_dict(
    straightening: Straightening, source: dict[str, Any] | None, output: str | None = None
) -> dict[str, Any]:
    """The recipe as a JSON-able dict."""
    from napari_ouroboros import __version__

    s = straightening
    return {
        "schema": SCHEMA,
        "version": __version__,
        "output": output,
        "points": {
            "order": "zyx",
            "unit": "nm",
            "frame": "the source's own coordinates: the centre of voxel i is at "
            "(voxel_offset + i + 0.5) * resolution",
        },
        "points_nm": s.trace.points_nm.tolist(),
        "closed": s.trace.closed,
        "tolerance_nm": s.trace.tolerance_nm,
        "parametrisation": s.trace.parametrisation,
        "width": s.width,
        "height": s.height,
        "pitch_nm": s.pitch_nm,
        "spacing_nm": s._spacing,
        "adaptive": None if s.adaptive_radius_nm is None else {"radius_nm": s.adaptive_radius_nm},
        "up": None if s.up is None else s.up.tolist(),
        "twist": None if s.twist is None else [list(key) for key in s.twist],
        "n_slices": s.shape[0],
        "frames_sha256": s.recipe_hash,
        "source": source,
    }


def from_dict(recipe: dict[str, Any], name: str = "the recipe") -> Straightening:
    """The map of a recipe dict; UserError unless it is the very map it was written for."""
    from napari_ouroboros.geometry.straightening import Straightening

    if not isinstance(recipe, dict) or "schema" not in recipe:
        raise UserError(f"{name} is not a recipe of napari-ouroboros (it has no schema)")
    if recipe["schema"] != SCHEMA:
        raise UserError(
            f"{name} has the schema {recipe['schema']!r}; this version reads {SCHEMA!r}: "
            "update napari-ouroboros"
        )
    try:
        adaptive = recipe["adaptive"]
        straightening = Straightening(
            Trace(
                np.asarray(recipe["points_nm"], float),
                bool(recipe["closed"]),
                recipe["tolerance_nm"],
                recipe["parametrisation"],
            ),
            recipe["width"],
            recipe["height"],
            recipe["pitch_nm"],
            recipe["spacing_nm"],
            None if adaptive is None else adaptive["radius_nm"],
            recipe["up"],
            None if recipe["twist"] is None else [(a, b) for a, b in recipe["twist"]],
        )
        n_slices, digest = recipe["n_slices"], recipe["frames_sha256"]
        _check_source(recipe.get("source"))
    except KeyError as error:
        raise UserError(f"{name} is damaged: it has no {error.args[0]!r}") from error
    except UserError as error:
        raise UserError(f"{name} is damaged: {error}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} is damaged: {error}") from error
    if straightening.shape[0] != n_slices or straightening.recipe_hash != digest:
        raise UserError(
            f"{name} (written by version {recipe.get('version', '?')}) does not give the map it "
            "was written for: it was changed by hand, or this version computes another one; "
            "straighten again"
        )
    return straightening


def _check_source(source: Any) -> None:
    """UserError unless `source` is None, or what `Volume.source_info` and a mip make."""
    if source is None:
        return
    if not isinstance(source, dict) or not isinstance(source.get("url"), str | None):
        raise UserError("its source is not one")
    levels, mip = source.get("levels", []), source.get("mip", 0)
    if not isinstance(levels, list) or not isinstance(mip, int):
        raise UserError("the levels of its source are none")
    if levels and not 0 <= mip < len(levels):
        raise UserError(f"its mip is {mip}, and its source has mips 0 to {len(levels) - 1}")
    for level in levels:
        numbers = np.array([level[name] for name in ("shape", "resolution", "voxel_offset")], float)
        sizes = numbers[:2]
        if numbers.shape != (3, 3) or not np.isfinite(numbers).all() or sizes.min() <= 0:
            raise UserError("a level of its source has no size, resolution or offset")
        if not isinstance(level["key"], str):
            raise UserError("a level of its source has no key")


def save(
    straightening: Straightening,
    path: Path,
    source: dict[str, Any] | None = None,
    output: str | None = None,
) -> None:
    """Write the recipe whole or not at all; `output` names the result that it belongs to."""
    temporary = path.with_name(f".{path.name}.incomplete")
    try:
        text = json.dumps(to_dict(straightening, source, output), indent=1)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DestinationError(f"cannot write {path}: {error.strerror or error}") from error


def read(path: Path) -> dict[str, Any]:
    """The JSON of a recipe file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"there is no recipe {path}") from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot read the recipe {path}: {reason}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a recipe of napari-ouroboros: it is no text") from error
    try:
        recipe = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    if not isinstance(recipe, dict):
        raise UserError(f"{path} is not a recipe of napari-ouroboros")
    return recipe


def load(path: Path) -> tuple[Straightening, dict[str, Any]]:
    """The map of a recipe file, and the JSON it came from."""
    recipe = read(path)
    return from_dict(recipe, str(path)), recipe
