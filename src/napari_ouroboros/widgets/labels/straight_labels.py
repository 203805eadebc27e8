"""Labels of the straightened space: their array, their recipe, their layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_ouroboros.widgets.scene.live import slices_key

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.trace.state import TraceState

#: What is kept in a layer's metadata.
OURS = "napari-ouroboros"
_AXES = ("slice", "row", "column")


@dataclass(eq=False)
class StraightLabels:
    """Labels and the recipe that they were made in.

    Attributes
    ----------
    array : LabelArray
    map : Straightening
        With every length settled and its frames made.
    name : str
    layer : Labels or None
        In ``scene.straight``, or waiting beside it for what stands in for it; None: parked, since
        the slices shown are those of another map.
    stand_in : Labels or None
        The coarse layer that is in its place in 3D, of large labels.
    trace : TraceState or None
        The trace that they were painted along, where that is known.
    """

    array: LabelArray
    map: Straightening
    name: str
    layer: Labels | None = field(default=None)
    stand_in: Labels | None = field(default=None)
    trace: TraceState | None = field(default=None)

    @property
    def is_shown(self) -> bool:
        """Whether they are in the straightened view; else they belong to an earlier trace."""
        return self.layer is not None

    @property
    def in_view(self) -> Labels | None:
        """The layer in ``scene.straight`` that shows them."""
        return self.layer if self.stand_in is None else self.stand_in

    @property
    def key(self) -> str:
        """What their slices are: compare with `LiveState.key`."""
        return slices_key(self.map)


def make_layer(entry: StraightLabels) -> Labels:
    """Make the layer of labels; where the straightened images of the same map lie."""
    from napari.layers import Labels

    map_ = entry.map
    given: dict[str, Any] = {
        "name": entry.name,
        "scale": (map_.mean_spacing_nm, map_.pitch_nm, map_.pitch_nm),
        "units": ("nm",) * 3,
        "axis_labels": _AXES,
        "metadata": {OURS: {"recipe": map_.recipe_hash}},
        "projection_mode": "none",
        "multiscale": False,
    }
    return Labels(entry.array, **given)
