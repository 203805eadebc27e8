"""How a layer looks, as plain values: taken from a layer, and given to another one. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ouroboros.session import LabelColour, SourceEntry

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

_OURS = "napari-ouroboros"


def source_look(layer: Layer) -> dict[str, Any]:
    """Return the fields of a `SourceEntry` that say how a layer looks."""
    look: dict[str, Any] = {
        "visible": bool(layer.visible),
        "opacity": float(layer.opacity),
        "blending": str(layer.blending),
    }
    if hasattr(layer, "gamma"):
        about = layer.metadata.get(_OURS, {})
        # What was to be measured is measured again, unless the user has chosen by then.
        if about.get("contrast") not in ("open", "asked"):
            low, high = layer.contrast_limits
            look["contrast_limits"] = (float(low), float(high))
        if not getattr(layer, "rgb", False):
            look |= {"gamma": float(layer.gamma), "colormap": str(layer.colormap.name)}
    affine = np.asarray(layer.affine.affine_matrix, float)
    if affine.shape == (4, 4) and not np.array_equal(affine, np.eye(4)):
        look["affine"] = tuple(tuple(row) for row in affine.tolist())
    return look


def look_arguments(entry: SourceEntry, meta: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return a layer's arguments `meta` with the look of a `SourceEntry`."""
    found = {**meta, "visible": entry.visible, "opacity": entry.opacity}
    if entry.name:
        found["name"] = entry.name
    if entry.blending is not None:
        found["blending"] = entry.blending
    if entry.affine is not None:
        found["affine"] = np.array(entry.affine)
    if kind == "image" and not meta.get("rgb"):
        if entry.gamma is not None:
            found["gamma"] = entry.gamma
        if entry.colormap is not None and _is_colormap(entry.colormap):
            found["colormap"] = entry.colormap
        if entry.contrast_limits is not None:
            about = {**found["metadata"][_OURS]}
            about.pop("contrast", None)  # none is left open
            found["metadata"] = {**found["metadata"], _OURS: about}
            found["contrast_limits"] = entry.contrast_limits
    return found


def _is_colormap(name: str) -> bool:
    """Whether napari knows a colormap by this name; one that a user made is not in a session."""
    from napari.utils.colormaps import ensure_colormap

    try:
        ensure_colormap(name)
    except (KeyError, TypeError, ValueError):
        return False
    return True


@dataclass(frozen=True, eq=False)
class LabelsLook:
    """How a Labels layer looks, and the id that is painted.

    Attributes
    ----------
    visible, opacity, selected
    seed : float or None
        Of colours that follow from the id.
    colours : dict or None
        Those that were chosen, by id.
    """

    visible: bool = True
    opacity: float = 0.7
    selected: int = 1
    seed: float | None = None
    colours: Mapping[Any, Any] | None = None

    @classmethod
    def of(cls, layer: Labels) -> LabelsLook:
        """Take it from a layer; at once, however many colours were chosen."""
        from napari.utils.colormaps import DirectLabelColormap

        colormap = layer.colormap
        direct = isinstance(colormap, DirectLabelColormap)
        return cls(
            bool(layer.visible),
            float(layer.opacity),
            int(layer.selected_label),
            None if direct else float(colormap.seed),
            dict(colormap.color_dict) if direct else None,
        )

    def chosen_colours(self) -> tuple[LabelColour, ...]:
        """Return the chosen colours as a document has them."""
        found = []
        for label, rgba in (self.colours or {}).items():
            if label is not None and int(label):
                red, green, blue, opacity = (float(value) for value in rgba)
                found.append(LabelColour(int(label), (red, green, blue, opacity)))
        return tuple(found)

    def apply(self, layer: Labels) -> None:
        """Give it to a layer."""
        from napari.utils.colormaps import DirectLabelColormap, label_colormap

        if self.colours:
            usual = {None: (0.0, 0.0, 0.0, 0.0), 0: (0.0, 0.0, 0.0, 0.0)}
            chosen = {label: np.asarray(rgba) for label, rgba in self.colours.items()}
            layer.colormap = DirectLabelColormap(color_dict={**usual, **chosen})
        elif self.seed is not None and self.seed != getattr(layer.colormap, "seed", None):
            layer.colormap = label_colormap(seed=self.seed)
        layer.selected_label = self.selected
        layer.opacity = self.opacity
        layer.visible = self.visible
