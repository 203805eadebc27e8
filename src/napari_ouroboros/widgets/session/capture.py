"""A scene at one moment, taken in the GUI thread; the document of it is made in another. No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.session import (
    KeyframeEntry,
    LabelsEntry,
    MarkEntry,
    PlaceEntry,
    PointsEntry,
    SessionDocument,
    SliceEntry,
    SourceEntry,
    SpaceEntry,
    TraceEntry,
    WindowEntry,
)
from napari_ouroboros.widgets.session.layer_order import (
    indices,
    shown_in_volume,
    shown_straightened,
)
from napari_ouroboros.widgets.session.looks import LabelsLook, source_look
from napari_ouroboros.widgets.session.points import TakenPoints, take_points
from napari_ouroboros.widgets.session.views import take_space

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.marks import Mark
    from napari_ouroboros.operations.qa import Rules
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.labels.book import StraightLabels
    from napari_ouroboros.widgets.scene.scene import Scene
    from napari_ouroboros.widgets.trace.state import TraceState

#: From where a label array lies to its name in the session; None: it is not kept.
StoreOf = Callable[[Path], str | None]


class Recipes:
    """The recipes of maps, each worked out once; in any thread but the GUI's."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Straightening, dict[str, Any]] = (
            weakref.WeakKeyDictionary()
        )

    def of(self, map_: Straightening) -> dict[str, Any]:
        """Return the recipe of a map as a dict."""
        from napari_ouroboros.geometry import recipe

        if map_ not in self._known:
            self._known[map_] = recipe.to_dict(map_, None)
        return self._known[map_]


@dataclass(frozen=True)
class Waiting:
    """What a session holds that is not in the window: it could not be had, and is not lost."""

    sources: tuple[SourceEntry, ...] = ()
    traces: tuple[TraceEntry, ...] = ()
    labels: tuple[LabelsEntry, ...] = ()
    points: tuple[PointsEntry, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sources or self.traces or self.labels or self.points)

    def __add__(self, other: Waiting) -> Waiting:
        return Waiting(
            self.sources + other.sources,
            self.traces + other.traces,
            self.labels + other.labels,
            self.points + other.points,
        )


@dataclass(frozen=True, eq=False)
class TakenTrace:
    """A trace; its keyframes may have to be worked out yet."""

    name: str
    state: TraceState
    active: bool
    visible: bool
    index: int | None = None

    def entry(self) -> TraceEntry:
        """Make its part of a document."""
        state = self.state
        return TraceEntry(
            self.name,
            tuple(tuple(point) for point in state.points_nm.tolist()),
            state.closed,
            state.tolerance_nm,
            None if state.up is None else tuple(state.up.tolist()),
            tuple(KeyframeEntry(k.s_nm, k.degrees, k.by_user) for k in state.keyframes),
            self.active,
            self.visible,
            self.index,
        )


@dataclass(frozen=True, eq=False)
class TakenLabels:
    """Labels; their voxels stay where they are."""

    name: str
    map: Straightening
    array: LabelArray
    look: LabelsLook
    trace: TraceState | None
    index: int | None
    index_straightened: int | None

    def entry(self, recipes: Recipes, store: str) -> LabelsEntry:
        """Make its part of a document."""
        look = self.look
        return LabelsEntry(
            self.name,
            recipes.of(self.map),
            store,
            self.array.dtype.name,  # type: ignore[arg-type]  # label arrays have no others
            self.array.shape,
            look.visible,
            look.opacity,
            look.seed,
            look.chosen_colours(),
            look.selected,
            None,
            None if self.trace is None else TakenTrace("", self.trace, False, True).entry(),
            self.index,
            self.index_straightened,
        )


@dataclass(frozen=True, eq=False)
class Captured:
    """A scene at one moment: values, and objects that do not change."""

    sources: tuple[SourceEntry, ...]
    traces: tuple[TakenTrace, ...]
    slices: SliceEntry
    labels: tuple[TakenLabels, ...]
    points: tuple[TakenPoints, ...]
    marks: tuple[Mark, ...]
    place: PlaceEntry
    volume: SpaceEntry
    straightened: SpaceEntry
    window: WindowEntry
    rules: Rules
    waiting: Waiting = field(default=Waiting())

    def flush(self) -> None:
        """Wait until the disk has all that is painted; DestinationError where it cannot."""
        for taken in self.labels:
            taken.array.flush()

    def document(self, recipes: Recipes, store_of: StoreOf) -> SessionDocument:
        """Make the document; not in the GUI thread: recipes and keyframes take their time."""
        labels = []
        for taken in self.labels:
            store = store_of(taken.array.path)
            if store is not None:
                labels.append(taken.entry(recipes, store))
        traces = [taken.entry() for taken in self.traces]
        active = any(trace.active for trace in traces)
        late = [_passive(t) if active else t for t in self.waiting.traces]
        return SessionDocument(
            (*self.sources, *self.waiting.sources),
            (*traces, *late),
            self.slices,
            (*labels, *self.waiting.labels),
            (*(taken.entry(recipes) for taken in self.points), *self.waiting.points),
            tuple(
                MarkEntry(mark.slice, mark.centre_nm, mark.verdict, mark.comment)
                for mark in self.marks
            ),
            self.place,
            self.volume,
            self.straightened,
            self.window,
            {} if self.rules == type(self.rules)() else asdict(self.rules),
        )


def capture(
    scene: Scene,
    looks: Mapping[StraightLabels, LabelsLook],
    in_front: str = "volume",
    waiting: Waiting | None = None,
) -> Captured:
    """Take what a session keeps of a scene. In the GUI thread; some milliseconds.

    Parameters
    ----------
    scene : Scene
    looks : mapping
        How labels looked when they were seen last, for those that are not shown.
    in_front : {"volume", "straightened"}
    waiting : Waiting, optional
        What is kept though it is not in the window.
    """
    from napari_ouroboros.widgets.straighten import is_straightened
    from napari_ouroboros.widgets.streaming import volume_of

    viewer, book = scene.viewer, scene.traces
    at = indices(viewer, shown_in_volume(scene))
    at_straightened = indices(scene.straight, shown_straightened(scene))
    sources = []
    for layer in scene.volume_layers:
        volume = volume_of(layer)
        assert volume is not None
        source = _source(layer, volume, is_straightened(scene, layer))
        above = at_straightened.get(layer)
        sources.append(replace(source, index=at[layer], index_straightened=above))
    traces = []
    for model in book.traces:
        layer = book.layer_of(model)
        shown = layer is None or bool(layer.visible)
        active = model is book.active
        traces.append(TakenTrace(model.name, model.state, active, shown, at.get(model)))
    labels = []
    for entry in scene.labels.entries:
        look = looks.get(entry) if entry.layer is None else LabelsLook.of(entry.layer)
        labels.append(
            TakenLabels(
                entry.name,
                entry.map,
                entry.array,
                look or LabelsLook(),
                entry.trace,
                at.get(entry),
                at_straightened.get(entry),
            )
        )
    front = "straightened" if in_front == "straightened" else "volume"
    return Captured(
        tuple(sources),
        tuple(traces),
        SliceEntry(**asdict(scene.settings)),
        tuple(labels),
        take_points(scene, at_straightened),
        scene.qa.saved_marks(),
        PlaceEntry(scene.place.slice_index, scene.place.follow),
        take_space(viewer),
        scene.work.straightened_look.wanted or take_space(scene.straight),
        WindowEntry(front),  # type: ignore[arg-type]
        scene.qa.rules,
        waiting or Waiting(),
    )


def store_in(folder: Path, store: Path) -> str | None:
    """Return the name of a store in a folder; None: it lies elsewhere."""
    try:
        return store.relative_to(folder).as_posix()
    except ValueError:
        return None


def _source(layer: Layer, volume: Volume, straightened: bool) -> SourceEntry:
    from napari.layers import Labels

    finest = layer.data[0]
    given = volume.source_info().get("given_resolution")
    return SourceEntry(
        volume.url,
        "labels" if isinstance(layer, Labels) else "image",
        layer.name,
        finest.channel,
        None if given is None else (given[0], given[1], given[2]),
        tuple(finest.pyramid.mips),
        straightened=straightened,
        **source_look(layer),
    )


def _passive(trace: TraceEntry) -> TraceEntry:
    return replace(trace, active=False)
