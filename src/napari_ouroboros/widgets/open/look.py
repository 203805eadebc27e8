"""How a state shows its layers: visible or not, contrast, opacity."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

_RANGE = re.compile(
    r"#uicontrol\s+invlerp\s+\w+\s*\([^)]*?range\s*=\s*\[\s*([-+.\deE]+)\s*,\s*([-+.\deE]+)\s*\]"
)


@dataclass(frozen=True)
class Look:
    """What napari takes over from a layer of a state.

    Attributes
    ----------
    visible : bool
    contrast_limits : (float, float) or None
        None: the state leaves them open.
    opacity : float or None
        Of a segmentation.
    """

    visible: bool = True
    contrast_limits: tuple[float, float] | None = None
    opacity: float | None = None


AS_IT_IS = Look()


def look_of(raw: dict[str, Any]) -> Look:
    """Return the look that the JSON of a layer asks for; what cannot be understood is left out."""
    visible = raw.get("visible") is not False and raw.get("archived") is not True
    opacity = raw.get("selectedAlpha")
    return Look(visible, _limits(raw), _part(opacity))


def _part(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    return None


def _limits(raw: dict[str, Any]) -> tuple[float, float] | None:
    controls = raw.get("shaderControls")
    if isinstance(controls, dict):
        for control in controls.values():
            if isinstance(control, dict) and (found := _pair(control.get("range"))):
                return found
    shader = raw.get("shader")
    match = _RANGE.search(shader) if isinstance(shader, str) else None
    if match is None:
        return None
    try:
        return _pair([float(match[1]), float(match[2])])
    except ValueError:
        return None


def _pair(value: object) -> tuple[float, float] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
        return None
    low, high = float(value[0]), float(value[1])
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
