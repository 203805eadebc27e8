"""A session brought back into a scene: opened in a worker, shown step by step. No Qt.

What cannot be had is named in one line, and the rest comes; the session keeps it all the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from napari_ouroboros.errors import Cancelled, Notice, OuroborosError, one_line
from napari_ouroboros.session import (
    LabelsEntry,
    PointsEntry,
    SessionDocument,
    SourceEntry,
    TraceEntry,
    WorkingFolder,
)
from napari_ouroboros.session.half_done import take_back
from napari_ouroboros.widgets.session.capture import Waiting
from napari_ouroboros.widgets.session.looks import LabelsLook, look_arguments
from napari_ouroboros.widgets.session.points import prepare_points, show_points
from napari_ouroboros.widgets.session.views import show_space

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.layers import LayerData
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.background import Token
    from napari_ouroboros.widgets.scene.scene import Scene
    from napari_ouroboros.widgets.trace.state import TraceState

_OURS = "napari-ouroboros"

Report = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Ready:
    """A session that is ready to be shown.

    Attributes
    ----------
    document : SessionDocument
    layers : list of (SourceEntry, LayerData)
        Of the sources that could be opened, lowest first.
    labels : list of (LabelsEntry, LabelArray, Straightening)
    points : list of (PointsEntry, list of Straightening)
        With the maps of its recipes.
    missing : Waiting
        Sources, labels and points that could not be had.
    problems : tuple of str
        Why not: one line each.
    taken_back : tuple of str
        Names of labels that were being written to when the program died: they are as they were
        before.
    """

    document: SessionDocument
    layers: list[tuple[SourceEntry, LayerData]]
    labels: list[tuple[LabelsEntry, LabelArray, Straightening]]
    points: list[tuple[PointsEntry, list[Straightening]]]
    missing: Waiting
    problems: tuple[str, ...]
    taken_back: tuple[str, ...] = ()


def prepare(
    document: SessionDocument, folder: WorkingFolder, token: Token, report: Report
) -> Ready:
    """Open what a session holds. In a worker.

    Parameters
    ----------
    document : SessionDocument
        Whose label stores lie in `folder`.
    folder : WorkingFolder
    token, report
        Cancel, and progress in sources and labels.

    Raises
    ------
    Cancelled
        The token was set.
    """
    total = len(document.sources) + len(document.labels)
    report(0, total)
    stores, half_written = take_back(folder.path)
    layers, lost, problems = prepare_sources(
        document.sources, token, lambda done: report(done, total)
    )
    labels, lost_labels = [], []
    for number, entry in enumerate(document.labels):
        _check(token)
        try:
            labels.append((entry, *_open_labels(entry, folder)))
        except OuroborosError as error:
            lost_labels.append(entry)
            problems.append(f"the labels {entry.name!r} cannot be shown: {one_line(error)}")
        report(len(document.sources) + number + 1, total)
    points, lost_points, why = prepare_points(document.points)
    missing = Waiting(tuple(lost), (), tuple(lost_labels), lost_points)
    taken_back = tuple(entry.name for entry in document.labels if entry.store in stores)
    problems = [*half_written, *problems, *why]
    return Ready(document, layers, labels, points, missing, tuple(problems), taken_back)


def prepare_sources(
    sources: Sequence[SourceEntry], token: Token, report: Callable[[int], None]
) -> tuple[list[tuple[SourceEntry, LayerData]], list[SourceEntry], list[str]]:
    """Open sources; return their layers, those that cannot be had, and why. In a worker."""
    from napari_ouroboros.widgets.preferences import apply_memory
    from napari_ouroboros.widgets.streaming import prepare_volume

    apply_memory()
    opened: dict[tuple[object, ...], Volume | OuroborosError] = {}
    made: dict[tuple[object, ...], list[LayerData]] = {}
    layers: list[tuple[SourceEntry, LayerData]] = []
    lost: list[SourceEntry] = []
    problems: list[str] = []
    for number, entry in enumerate(sources):
        _check(token)
        which = (entry.url, entry.resolution)
        if which not in opened:
            opened[which] = _open(entry)
        volume = opened[which]
        as_labels = entry.kind == "labels"
        try:
            if isinstance(volume, OuroborosError):
                raise volume
            if (*which, as_labels) not in made:
                made[*which, as_labels] = prepare_volume(
                    volume, entry.name, as_labels, cancel=token
                )
        except Cancelled:
            raise
        except OuroborosError as error:
            # The others come all the same: only this one is tried again.
            lost.append(entry)
            line = f"{entry.name or entry.url} cannot be opened: {one_line(error)}"
            if line not in problems:
                problems.append(line)
        else:
            found = made[*which, as_labels]
            at = entry.channel if entry.channel is not None and len(found) > 1 else 0
            data, meta, kind = found[min(at, len(found) - 1)]
            layers.append((entry, (data, look_arguments(entry, meta, kind), kind)))
        report(number + 1)
    _check(token)
    return layers, lost, problems


def _open(entry: SourceEntry) -> Volume | OuroborosError:
    from napari_ouroboros.volumes import open_volume
    from napari_ouroboros.widgets.preferences import preferences

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)  # said when it was opened first
            return open_volume(
                entry.url, resolution=entry.resolution, cache=preferences().cache_bytes
            )
    except OuroborosError as error:
        return error


def _open_labels(entry: LabelsEntry, folder: WorkingFolder) -> tuple[LabelArray, Straightening]:
    from napari_ouroboros.geometry import recipe
    from napari_ouroboros.volumes.labels.label_array import LabelArray

    map_ = recipe.from_dict(entry.recipe, f"the recipe of the labels {entry.name!r}")
    _ = map_.recipe_hash  # here, not in the GUI thread
    return LabelArray.open(folder.store(entry.store)), map_


def _check(token: Token) -> None:
    if token.is_set():
        raise Cancelled("cancelled")


# -- in the GUI thread ------------------------------------------------------------------------


def steps(
    scene: Scene, ready: Ready, show_front: Callable[[str], object]
) -> list[Callable[[], object]]:
    """Return what is to be done one after the other in the GUI thread; napari needs 0.2 s for one.

    Whatever of ours is in the window goes first; layers of others stay.
    """
    document = ready.document
    todo: list[Callable[[], object]] = _clearing(scene)
    todo += [scene.work.order.begin, scene.work.straightened_look.begin]
    todo.append(partial(_set_settings, scene, document))
    todo.append(partial(_wait_for, scene, ready.missing))
    for source, layer in ready.layers:
        todo.append(partial(_add_layer, scene, source, layer))
    for trace in document.traces:
        todo.append(partial(_add_trace, scene, trace))
    for entry, array, map_ in ready.labels:
        todo.append(partial(_add_labels, scene, entry, array, map_))
    for layer_of_points, maps in ready.points:
        todo.append(partial(_add_points, scene, layer_of_points, maps))
    # Undoing would bring labels back whose store goes with the folder that was left.
    todo.append(scene.labels.forget_history)
    todo.append(partial(_go_there, scene, document, show_front))
    return todo


def late_steps(
    scene: Scene, layers: Sequence[tuple[SourceEntry, LayerData]], missing: Waiting
) -> list[Callable[[], object]]:
    """Return the steps that bring sources that could be had at last, and what waited for them."""
    return [
        partial(_wait_for, scene, replace(missing, traces=())),
        *(partial(_add_layer, scene, source, layer) for source, layer in layers),
        *(partial(_add_trace, scene, trace) for trace in missing.traces),
    ]


def _clearing(scene: Scene) -> list[Callable[[], object]]:
    """Take away labels, points, traces and volumes, each in its turn."""

    def remove(layer: Layer) -> None:
        for layers in (scene.viewer.layers, scene.straight.layers):
            if layer in layers:
                layers.remove(layer)

    layers = [scene.traces.layer_of(model) for model in scene.traces.traces]
    # Results that are shown from the folder that is left go with it.
    passing = [x for x in scene.viewer.layers if x.metadata.get(_OURS, {}).get("passing")]
    gone = (*scene.overlays.points.layers, *layers, *scene.volume_layers, *passing)
    return [
        scene.labels.cancel,  # nothing is made any more for what goes
        *(partial(scene.labels.remove, entry) for entry in scene.labels.entries),
        *(partial(remove, x) for x in gone if x is not None),
    ]


def _set_settings(scene: Scene, document: SessionDocument) -> None:
    entry, settings = document.slices, scene.settings
    settings.width, settings.height = entry.width, entry.height
    settings.pitch_nm, settings.spacing_nm = entry.pitch_nm, entry.spacing_nm
    settings.mip, settings.interpolation = entry.mip, entry.interpolation
    settings.adaptive_radius_nm = entry.adaptive_radius_nm
    scene.place.follow = document.place.follow


@contextmanager
def _kept(scene: Scene, entry: Waiting) -> Iterator[None]:
    """What fails to be shown waits, and the error goes on."""
    try:
        yield
    except BaseException:
        scene.work.waiting += entry
        raise


def _add_layer(scene: Scene, entry: SourceEntry, layer: LayerData) -> None:
    from napari_ouroboros.widgets.straighten import live_preview_of
    from napari_ouroboros.widgets.streaming import add_layers

    def made(layer: Layer) -> None:
        scene.work.order.want(layer, entry.index, entry.index_straightened)
        if not entry.straightened:
            live_preview_of(scene).choose(layer, False)

    with _kept(scene, Waiting(sources=(entry,))):
        add_layers(scene.viewer, [layer], made)


def _add_trace(scene: Scene, entry: TraceEntry) -> None:
    if scene.reference is None:
        # It has no place in the window without a volume.
        scene.work.waiting += Waiting(traces=(entry,))
        return
    with _kept(scene, Waiting(traces=(entry,))):
        _show_trace(scene, entry)


def _show_trace(scene: Scene, entry: TraceEntry) -> None:
    before = scene.traces.active
    state = _state(entry)
    model = scene.traces.new(state.points_nm, entry.name)
    scene.work.order.want(model, entry.index)
    model.begin_with(state)
    layer = scene.traces.layer_of(model)
    if layer is not None:
        layer.visible = entry.visible
    scene.traces.tool = None
    if before is not None and not entry.active:
        scene.traces.active = before


def _state(entry: TraceEntry) -> TraceState:
    from napari_ouroboros.widgets.trace.state import Keyframe, TraceState

    keyframes = [Keyframe(key.s_nm, key.degrees, key.by_user) for key in entry.keyframes]
    return TraceState(entry.points_nm, entry.closed, entry.tolerance_nm, entry.up, keyframes)


def _add_labels(scene: Scene, entry: LabelsEntry, array: LabelArray, map_: Straightening) -> None:
    with _kept(scene, Waiting(labels=(entry,))):
        trace = None if entry.made_along is None else _state(entry.made_along)
        found = scene.labels.add(array, map_, entry.name, trace=trace)
    colours = {colour.label: colour.rgba for colour in entry.colours} or None
    look = LabelsLook(entry.visible, entry.opacity, entry.selected, entry.seed, colours)
    scene.work.want_look(found, look)
    scene.work.order.want(found, entry.index, entry.index_straightened)


def _add_points(scene: Scene, entry: PointsEntry, maps: list[Straightening]) -> None:
    with _kept(scene, Waiting(points=(entry,))):
        show_points(scene, entry, maps)


def _wait_for(scene: Scene, missing: Waiting) -> None:
    """What could not be had is kept all the same; what cannot be shown comes to it."""
    scene.work.waiting = missing


def _go_there(scene: Scene, document: SessionDocument, show_front: Callable[[str], object]) -> None:
    """Marks, the shown slice, and last the cameras: layers that come move them."""
    from napari_ouroboros.operations.marks import Mark
    from napari_ouroboros.operations.qa import Rules

    scene.qa.rules = Rules.of(document.rules)
    scene.qa.bring_back(
        tuple(
            Mark(mark.slice, mark.nm, mark.verdict, mark.comment)
            for mark in document.marks
            if mark.verdict
        )
    )
    # By the volume: it is not to follow, its camera is that of the session.
    scene.place.go_to_slice(document.place.slice_index, "volume")
    show_space(scene.viewer, document.volume)
    scene.work.straightened_look.show(document.straightened)
    show_front(document.window.front)
