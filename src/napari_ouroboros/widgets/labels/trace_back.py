"""Back to the trace that labels were painted along, as an edit that can be undone. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ouroboros.widgets.trace.state import Keyframe, TraceState

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.widgets.labels.straight_labels import StraightLabels
    from napari_ouroboros.widgets.scene.scene import Scene


def go_back(scene: Scene, entry: StraightLabels) -> None:
    """Let the active trace and the slices be those of the labels' recipe again.

    The trace's own undo takes its edit back. A trace is begun where there is none.

    Raises
    ------
    UserError
        There is no volume for a trace to lie in.
    """
    state = entry.trace if entry.trace is not None else state_of(entry.map)
    model = scene.traces.active
    if model is None:
        model = scene.traces.new(state.points_nm)
        scene.traces.tool = None
    _slices_of(scene, entry.map)
    model.become(state)


def state_of(map_: Straightening) -> TraceState:
    """The trace of a map. Every turn counts as the user's: the map does not tell them apart."""
    trace = map_.trace
    keyframes = [Keyframe(s, degrees, True) for s, degrees in map_.twist or ()]
    return TraceState(trace.points_nm, trace.closed, trace.tolerance_nm, map_.up, keyframes)


def _slices_of(scene: Scene, map_: Straightening) -> None:
    """Lengths that are left open stay open where they come to the same."""
    settings, now = scene.settings, scene.live.state.map
    # As it was given: a closed trace adjusts it.
    spacing = map_.recipe()["spacing_nm"]
    if settings.width != map_.width:
        settings.width = map_.width
    if settings.height != map_.height:
        settings.height = map_.height
    if settings.adaptive_radius_nm != map_.adaptive_radius_nm:
        settings.adaptive_radius_nm = map_.adaptive_radius_nm
    if now is None or now.pitch_nm != map_.pitch_nm:
        settings.pitch_nm = map_.pitch_nm
    if now is None or now.recipe()["spacing_nm"] != spacing:
        settings.spacing_nm = spacing
