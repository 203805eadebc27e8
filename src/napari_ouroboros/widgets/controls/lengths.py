"""Lengths as people write them: "1.2 um", "800 nm", "100 px". No Qt here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from napari_ouroboros.errors import UserError

#: nm per unit, for every way in which people write it.
_NM = {
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e6),
    **dict.fromkeys(("cm",), 1e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
    **dict.fromkeys(("a", "å", "Å".lower(), "angstrom"), 0.1),
}
_PIXELS = {"px", "pixel", "pixels", "vx", "voxel", "voxels"}
_AUTOMATIC = {"", "auto", "automatic", "-"}
#: Units that lengths are shown in, with the smallest length that they are used for.
_SHOWN = (("mm", 1e6), ("µm", 1e3), ("nm", 0.0))
_TEXT = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*([^\W\d]*)\.?", re.IGNORECASE)
HOW = 'write it as "800 nm", "1.2 um" or "100 px"'


@dataclass(frozen=True)
class Length:
    """A length and the unit that its user thinks in.

    Attributes
    ----------
    nm : float or None
        None: chosen automatically.
    unit : str
        "nm", "µm", "mm" or "px"; "" where it is chosen automatically.
    """

    nm: float | None
    unit: str = ""


AUTOMATIC = Length(None)


def parse_length(
    text: str, pixel_nm: float | None = None, *, automatic: bool = True, zero: bool = False
) -> Length:
    """Read a length.

    Parameters
    ----------
    text : str
        A number and a unit; a bare number is in nm.
    pixel_nm : float, optional
        Size of a pixel, for lengths in pixels.
    automatic : bool
        Whether it may be left open (nothing, "automatic").
    zero : bool
        Whether it may be 0.

    Raises
    ------
    UserError
        One line that says what is wrong and how to write it.
    """
    given = text.strip()
    if given.lower() in _AUTOMATIC:
        if automatic:
            return AUTOMATIC
        raise UserError(f"a length is needed here; {HOW}")
    shown = given if len(given) <= 40 else given[:40] + "..."
    if re.fullmatch(r"[-+]?\d+,\d+\s*[^\W\d]*", given):
        raise UserError(f'"{shown}": write decimals with a point, and thousands without a mark')
    found = _TEXT.fullmatch(given)
    if found is None:
        raise UserError(f'"{shown}" is no length; {HOW}')
    number, unit = float(found[1]), found[2].lower()
    if unit in _PIXELS:
        if pixel_nm is None:
            raise UserError(f'"{shown}": the size of a pixel is not known yet; give it in nm or um')
        length = Length(number * pixel_nm, "px")
    elif unit == "":
        length = Length(number, "nm")
    elif unit in _NM:
        nm = number * _NM[unit]
        length = Length(nm, {1.0: "nm", 1e3: "µm", 1e6: "mm"}.get(_NM[unit]) or best_unit(nm))
    else:
        raise UserError(f'"{shown}": no unit is called "{found[2]}"; {HOW}')
    assert length.nm is not None
    if not math.isfinite(length.nm) or length.nm < 0 or (length.nm == 0 and not zero):
        more = "0 or more" if zero else "more than 0"
        raise UserError(f'"{shown}" cannot be; it must be {more}')
    return length


def best_unit(nm: float) -> str:
    """The unit in which a length is easily read: "nm", "µm" or "mm"."""
    return next(unit for unit, least in _SHOWN if abs(nm) >= least)


def length_text(
    nm: float, unit: str = "", pixel_nm: float | None = None, *, digits: int = 10
) -> str:
    """Write a length.

    Parameters
    ----------
    nm : float
    unit : str
        "nm", "µm", "mm" or "px"; "" and pixels of no known size: what is easily read.
    pixel_nm : float, optional
        Size of a pixel.
    digits : int
        Significant digits, at most.
    """
    if unit == "px" and pixel_nm:
        return f"{_plain(nm / pixel_nm, digits)} px"
    if unit not in _NM:
        unit = best_unit(nm)
    return f"{_plain(nm / _NM[unit], digits)} {unit}"


def _plain(number: float, digits: int) -> str:
    text = f"{number:.{digits}g}"
    if "e" not in text:
        return text
    size = math.floor(math.log10(abs(number)))
    # Long numbers of nm are still numbers of nm; only what nobody would write stays as it is.
    return f"{number:.0f}" if 0 < size < 15 else text


def other_text(length: Length, pixel_nm: float | None) -> str:
    """Say the same length in the other unit: pixels for nm, and nm for pixels; "" if unknown."""
    if length.nm is None:
        return "" if pixel_nm is None else length_text(pixel_nm, digits=5)
    if length.unit == "px":
        return length_text(length.nm, digits=5)
    return "" if pixel_nm is None else length_text(length.nm, "px", pixel_nm, digits=4)


def stepped(length: Length, steps: int, pixel_nm: float | None = None) -> Length:
    """Return the length some steps on: whole pixels, else a tenth of its power of ten.

    A length left open starts from one pixel; nothing goes down to 0.
    """
    if length.nm is None:
        length = Length(pixel_nm or 1.0, "nm")
    assert length.nm is not None
    unit = length.unit or "nm"
    one = pixel_nm if unit == "px" and pixel_nm else _NM.get(unit, 1.0)
    value = length.nm / one
    if unit == "px" and pixel_nm:
        return Length(max(1.0, round(value + steps)) * one, unit)
    for _ in range(abs(steps)):
        up = steps > 0
        size = math.floor(math.log10(value) + 1e-9)
        step = 10.0 ** (size - 1)
        if not up and value - step < 10.0**size - step / 2:
            step /= 10  # going down past 100 the steps are those of 99
        value = round(value / step + (1 if up else -1)) * step
        value = float(f"{value:.10g}")
    return Length(value * one, unit)
