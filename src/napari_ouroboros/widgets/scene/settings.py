"""How slices are cut, as the user chose it: plain values that tell when they change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from psygnal import SignalGroupDescriptor

Mip = int | Literal["auto"]


@dataclass(eq=False)
class SliceSettings:
    """Size and sampling of the slices. ``settings.events.<name>`` tells of each change.

    Attributes
    ----------
    width, height : int
        Pixels.
    pitch_nm, spacing_nm : float or None
        Size of a pixel, distance between slices; None: the finest resolution of the level.
    mip : int or "auto"
        Level that is sampled; "auto": the coarsest that is still as fine as a pixel.
    interpolation : str or None
        None: nearest for labels, else linear.
    adaptive_radius_nm : float or None
        Slices closer in bends; None: evenly spaced.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    width: int = 100
    height: int = 100
    pitch_nm: float | None = None
    spacing_nm: float | None = None
    mip: Mip = 0
    interpolation: str | None = None
    adaptive_radius_nm: float | None = field(default=None)
