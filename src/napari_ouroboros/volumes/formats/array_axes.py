"""What zarr and N5 arrays have in common: which axis is z, y or x, units, dtypes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from napari_ouroboros.errors import ResolutionNeeded, SourceError, UserError
from napari_ouroboros.volumes.formats.json_values import Triple, brief, exact

#: Voxels that a volume can hold. bool is read as uint8.
DTYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64",
)  # fmt: skip

_PREFIXES = {
    "": 0, "yotta": 24, "zetta": 21, "exa": 18, "peta": 15, "tera": 12, "giga": 9, "mega": 6,
    "kilo": 3, "hecto": 2, "deca": 1, "deci": -1, "centi": -2, "milli": -3, "micro": -6,
    "nano": -9, "pico": -12, "femto": -15, "atto": -18, "zepto": -21, "yocto": -24,
}  # fmt: skip
_SHORT = {"km": 3, "m": 0, "cm": -2, "mm": -3, "um": -6, "µm": -6, "μm": -6, "nm": -9, "pm": -12}
_NM: dict[str, Fraction] = {
    # Both spellings of metre; 0.5 says the long names, other programs write the short ones too.
    **{f"{p}met{e}": Fraction(10) ** (k + 9) for p, k in _PREFIXES.items() for e in ("er", "re")},
    **{name: Fraction(10) ** (k + 9) for name, k in _SHORT.items()},
    **dict.fromkeys(("angstrom", "ångström", "å", "Å", "\u212b"), Fraction(1, 10)),
    **dict.fromkeys(("micron", "microns"), Fraction(1000)),
    "inch": Fraction(25_400_000),
    "foot": Fraction(304_800_000),
    "yard": Fraction(914_400_000),
}


@dataclass(frozen=True)
class SourceSpace:
    """How Neuroglancer counts the voxels of a source; what turns that into nm of the volume.

    Attributes
    ----------
    names : tuple of str
        Neuroglancer's names of the source's dimensions, in their order there.
    spatial : (str, str, str)
        Which of them are z, y and x.
    shift : (float, float, float)
        What to add to a position in the source (voxels, zyx) to get one counted from the origin
        of the volume's nm.
    default_shift : (float, float, float)
        The same for positions that the source's own, default transform has been applied to.
    voxel_nm : (float, float, float) or None
        What a voxel measures by the source's own word, zyx. None: it does not say, or it is what
        the volume says.
    voxel : (float, float, float)
        What a voxel measures, zyx, where the source has numbers without a unit.
    """

    names: tuple[str, ...] = ("x", "y", "z")
    spatial: tuple[str, str, str] = ("z", "y", "x")
    shift: Triple = (0.0, 0.0, 0.0)
    default_shift: Triple = (0.0, 0.0, 0.0)
    voxel_nm: Triple | None = None
    voxel: Triple = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ArrayAxes:
    """Where channel, z, y and x are among the axes of an array, and which index of the others.

    Attributes
    ----------
    names : tuple of str
        All axes, in the array's order.
    axes : (int or None, int, int, int)
        As in `ArrayLayout`.
    fixed : tuple of (axis, index)
        As in `ArrayLayout`.
    """

    names: tuple[str, ...]
    axes: tuple[int | None, int, int, int]
    fixed: tuple[tuple[int, int], ...]

    @property
    def spatial(self) -> tuple[int, int, int]:
        """Z, y and x among the axes."""
        return self.axes[1:]


def find_axes(
    names: Sequence[str],
    types: Sequence[str | None],
    shape: Sequence[int],
    shown: str,
    notices: list[str],
) -> ArrayAxes:
    """Find the axes of an array.

    Parameters
    ----------
    names : sequence of str
        One per axis of the array.
    types : sequence of str or None
        ``space``, ``channel``, ``time``, or None, in which case the name decides.
    shape : sequence of int
        Of the finest array.
    shown : str
        Begins the messages.
    notices : list of str
        Gets what the user should know.

    Returns
    -------
    ArrayAxes
        Of time the first point is taken.

    Raises
    ------
    SourceError
        There are no three axes in space, or others longer than 1 that are no channels or time.
    """
    kinds = [_kind(name, type_) for name, type_ in zip(names, types, strict=True)]
    space = [axis for axis, kind in enumerate(kinds) if kind == "space"]
    listed = ", ".join(names)
    if len(space) != 3:
        what = "a 2D image" if len(space) == 2 else f"{len(space)} axes in space"
        raise SourceError(
            f"{shown} holds {what} (axes {listed}); only volumes with z, y and x can be opened"
        )
    by_name = {names[axis].lower(): axis for axis in space}
    if set(by_name) == set("zyx"):
        space = [by_name[name] for name in "zyx"]
    channels = [axis for axis, kind in enumerate(kinds) if kind == "channel"]
    if len(channels) > 1:
        raise SourceError(f"{shown} has {len(channels)} channel axes ({listed}), not one")
    fixed = []
    for axis, kind in enumerate(kinds):
        if kind in ("space", "channel"):
            continue
        if shape[axis] != 1 and kind != "time":
            raise SourceError(
                f"{shown}: axis {brief(names[axis])} of length {shape[axis]} is neither z, y, x, a "
                "channel nor time"
            )
        if shape[axis] != 1:
            notices.append(f"{shown} has {shape[axis]} time points; the first one is read")
        fixed.append((axis, 0))
    channel = channels[0] if channels else None
    return ArrayAxes(tuple(names), (channel, space[0], space[1], space[2]), tuple(fixed))


def default_names(rank: int, shown: str) -> tuple[str, ...]:
    """Names of the axes of an array that has none: zyx, czyx or tczyx."""
    if not 3 <= rank <= 5:
        raise SourceError(
            f"{shown} is an array with {rank} axes; only volumes with z, y and x can be opened"
        )
    return tuple("tczyx"[5 - rank :])


def _kind(name: str, type_: str | None) -> str:
    if type_ in ("space", "channel", "time"):
        return type_
    lower = name.lower()
    if lower in ("z", "y", "x"):
        return "space"
    if lower in ("c", "channel", "channels"):
        return "channel"
    return "time" if lower in ("t", "time") else "other"


def unit_in_nm(unit: object) -> Fraction | None:
    """Return the nm in one of `unit` (``nanometer``, ``um``, ...); None if it is no length."""
    if not isinstance(unit, str):
        return None
    text = unit.strip()
    return _NM.get(text) or _NM.get(text.lower()) or _NM.get(text.lower().removesuffix("s"))


def parse_quantity(text: object) -> tuple[Fraction, str] | None:
    """Split ``"4 nm"``, as in the attribute `dimension_units`, into number and unit."""
    if not isinstance(text, str) or len(text) > 80:
        return None
    match = re.fullmatch(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?)?\s*(.*?)\s*", text)
    assert match is not None  # the last group takes anything
    return Fraction(match[1] or 1), match[2]


def no_resolution(
    shown: str, why: str, guess: Sequence[Fraction] | None = None
) -> ResolutionNeeded:
    """Return the error for a volume whose voxels have no known size."""
    example = "Z,Y,X" if guess is None else ",".join(f"{float(g):g}" for g in guess)
    hint = "" if guess is None else " if those numbers are nm"
    return ResolutionNeeded(
        f"{shown} {why}; give the size of a voxel in nm with --resolution {example}{hint}"
    )


def checked_resolution(resolution: Sequence[float] | None) -> tuple[Fraction, ...] | None:
    """Return the voxel size given by the user, zyx nm; UserError unless 3 numbers above 0."""
    if resolution is None:
        return None
    try:
        sizes = [float(r) for r in resolution]
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) != 3 or not all(math.isfinite(r) and r > 0 for r in sizes):
        raise UserError(f"a resolution is three numbers above 0, zyx nm; this is {resolution!r}")
    return tuple(exact(r) for r in sizes)


def voxel_dtype(name: str, shown: str) -> np.dtype[Any]:
    """Return the dtype called `name`; SourceError for what a volume cannot hold."""
    if name in ("bool", "bool_"):
        return np.dtype(np.uint8)
    if name not in DTYPES:
        raise SourceError(
            f"{shown}: voxels of type {brief(name)} are not supported; {', '.join(DTYPES)} are"
        )
    return np.dtype(name)


def guessed_factor(fine: int, coarse: int) -> int:
    """How many voxels of a level of size `fine` make one of the level of size `coarse`.

    For formats that do not say. Sizes are halved rounding up or down, so that the nearest
    power of two is right for all but levels of a few voxels.
    """
    return 2 ** max(0, round(math.log2(fine / coarse)))
