"""The labels of a scene's straightened space: which are shown, which belong to another trace."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike
from psygnal import Signal

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.held import held
from napari_ouroboros.widgets.labels.history import History, Step
from napari_ouroboros.widgets.labels.job_kinds import LabelWork
from napari_ouroboros.widgets.labels.jobs import LabelJobs
from napari_ouroboros.widgets.labels.making import NewLabels
from napari_ouroboros.widgets.labels.showing import Showing
from napari_ouroboros.widgets.labels.straight_labels import StraightLabels, make_layer
from napari_ouroboros.widgets.labels.watching import Bound, Watch

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.volumes.labels.label_changes import Change
    from napari_ouroboros.widgets.scene.live import LiveState
    from napari_ouroboros.widgets.scene.scene import Scene
    from napari_ouroboros.widgets.trace.state import TraceState

__all__ = ["LabelsBook", "StraightLabels"]


class LabelsBook:
    """All labels of a scene's straightened space.

    Parameters
    ----------
    scene : Scene
        Held weakly.

    Attributes
    ----------
    entries : list of StraightLabels
        To be read only.
    jobs : LabelJobs
        Loading, carrying over, interpolating: what runs, how far it is, cancel.
    """

    #: Labels have come, gone, been parked, shown again, or renamed. In the GUI thread.
    changed = Signal()
    #: Labels have been written to: ``(entry, change)``; in the GUI thread.
    painted = Signal(object, object)
    #: Something did not work: the exception.
    failed = Signal(object)
    #: Something has been done: a line for the user.
    said = Signal(str)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self._straight = scene.straight
        self._live = scene.live
        self._deliver = scene.deliver
        self.entries: list[StraightLabels] = []
        self.jobs = LabelJobs(scene.deliver)
        scene.work.jobs.add(self.jobs)
        self._work = LabelWork(self)
        self._bound: dict[StraightLabels, Bound] = {}
        self._new = NewLabels(self, self._work.is_here)
        self._history = History()
        self._showing = Showing(scene.straight, scene.deliver, self.changed.emit, self.failed.emit)
        self._straight.layers.events.removed.connect(self._layer_removed)
        self._straight.layers.selection.events.active.connect(self._selected)
        self._live.changed.connect(self._map_changed)

    # -- what there is ------------------------------------------------------------------------

    @property
    def scene(self) -> Scene:
        """The scene; RuntimeError once it has gone."""
        return held(self._scene, "the scene of these labels")

    @property
    def active(self) -> StraightLabels | None:
        """The labels that are painted, measured and checked.

        Those whose layer is selected; else the uppermost shown; else the last.
        """
        layer = self._straight.layers.selection.active
        found = None if layer is None else self.entry_of(layer)
        if found is not None:
            return found
        found_any = [entry for entry in self.entries if entry.is_shown] or self.entries
        return found_any[-1] if found_any else None

    def entry_of(self, layer: Any) -> StraightLabels | None:
        """The labels that a layer of the straightened space shows, or stands in for."""
        found = (e for e in self.entries if layer is e.layer or layer is e.stand_in)
        return None if layer is None else next(found, None)

    @property
    def running(self) -> str:
        """What is being done at length; "" where nothing is."""
        return self.jobs.title

    @property
    def filling(self) -> StraightLabels | None:
        """The labels that are being filled in, in which nobody may paint; `jobs.changed` tells."""
        return self._work.filling

    @property
    def idle(self) -> bool:
        """Whether nothing is being made, loaded or computed."""
        return self.jobs.idle and self._new.idle and self._showing.idle

    # -- coming and going ---------------------------------------------------------------------

    def new(self, name: str | None = None, dtype: DTypeLike = np.uint64) -> None:
        """Make labels with nothing painted for the slices of this moment, and select them.

        They come when their store has been made; ids are whole numbers of `dtype`.

        Raises
        ------
        UserError
            There are no slices yet; no such dtype.
        """
        self._new.ask(name, dtype)

    def add(
        self,
        array: LabelArray,
        map_: Straightening,
        name: str,
        *,
        trace: TraceState | None = None,
        select: bool = False,
        **look: Any,
    ) -> StraightLabels:
        """Add labels with the map that they were made in; they are shown if it is that of now.

        Parameters
        ----------
        array : LabelArray
            Of the shape of the map.
        map_ : Straightening
            With its frames made, or they are made here.
        name : str
        trace : TraceState, optional
            What the map was made from.
        select : bool
            Let their layer be the selected one.
        look : optional
            Options of the layer: ``opacity``, ``visible``, ``colormap``, ...

        Raises
        ------
        UserError
            Array and map differ in shape.
        """
        if array.shape != map_.shape:
            raise UserError(
                f"labels of the shape {array.shape} do not fit their recipe's {map_.shape}"
            )
        entry = StraightLabels(array, map_, name, trace=trace)
        layer = make_layer(entry)
        for option, value in look.items():
            setattr(layer, option, value)
        self._put(entry, len(self.entries), layer)
        self._remember(Step(entry, came=True, index=len(self.entries) - 1))
        if select and entry.in_view is not None:
            self._straight.layers.selection.active = entry.in_view
        return entry

    def remove(self, entry: StraightLabels) -> None:
        """Remove labels from the window; what was painted stays on the disk, `undo` shows it."""
        if entry in self.entries:
            self._remember(Step(entry, came=False, index=self.entries.index(entry)))
            self._take(entry)

    def rename(self, entry: StraightLabels, name: str) -> None:
        """Give labels another name."""
        bound = self._bound.get(entry)
        if bound is not None and name.strip():
            bound.layer.name = name.strip()

    @property
    def undo_text(self) -> str:
        """What `undo` would do: "Bring back nerve"; "" where there is nothing to undo."""
        return self._history.undo_text

    def undo(self) -> None:
        """Take back the last coming or going of labels; painting is the layers' own history."""
        self._step(self._history.undo, self._history.redo, forwards=False)

    def redo(self) -> None:
        """Do again what was undone last."""
        self._step(self._history.redo, self._history.undo, forwards=True)

    def forget_history(self) -> None:
        """Let nothing be undone any more: what has gone is gone."""
        self._history = History()
        for entry in set(self._bound) - set(self.entries):
            self._bound.pop(entry).close()
        self.changed.emit()

    # -- long work ----------------------------------------------------------------------------

    def load(self, path: str, recipe: str | None = None) -> None:
        """Load labels of a file, folder or URL, by the recipe beside it or another.

        UserError where something else is being done, here as in what follows.
        """
        self._work.load(path, recipe)

    def carry_over(self, entry: StraightLabels) -> None:
        """Carry labels of an earlier trace over to the present one, as new labels.

        UserError where they are those of the present trace, or there is none.
        """
        self._work.carry_over(entry)

    def interpolate(
        self,
        entry: StraightLabels,
        ids: list[int] | None = None,
        between: tuple[int, int] | None = None,
    ) -> None:
        """Fill the slices between those that were painted; napari's undo takes it back at once.

        UserError where they are not shown.
        """
        self._work.interpolate(entry, ids, between)

    def take_in(self, data: Any, name: str, done: Callable[[StraightLabels], object]) -> None:
        """Copy labels that somebody computed on the slices of this moment; then call `done`."""
        self._work.take_in(data, name, done)

    def replace(self, entry: StraightLabels, data: Any) -> None:
        """Write other labels over an entry's: only what differs is written; `undo` undoes it."""
        self._work.replace(entry, data, lambda held: self._remember(Step(entry, held=held)))

    def duplicate(self, entry: StraightLabels) -> None:
        """Add a copy of labels, which takes next to no room until one of the two is painted."""
        self._work.duplicate(entry)

    def merge(self, arrays: list[Any]) -> None:
        """Add labels of the present trace made of several arrays, lowest first: upper ids count."""
        self._work.merge(arrays)

    def cancel(self) -> None:
        """Stop what is being done at length."""
        self.jobs.cancel()

    def close(self) -> None:
        """Stop listening and working. Harmless when repeated."""
        self.jobs.close()
        self._work.close()
        self._new.close()
        self._showing.close()
        self._straight.layers.events.removed.disconnect(self._layer_removed)
        self._straight.layers.selection.events.active.disconnect(self._selected)
        self._live.changed.disconnect(self._map_changed, missing_ok=True)
        for bound in self._bound.values():
            bound.close()
        self._bound.clear()

    # -- how ----------------------------------------------------------------------------------

    def free_name(self) -> str:
        """Return a name that no labels have."""
        names = {entry.name for entry in self.entries}
        number = 1
        while (name := "labels" if number == 1 else f"labels {number}") in names:
            number += 1
        return name

    def _put(self, entry: StraightLabels, index: int, layer: Labels) -> None:
        watch = Watch(
            entry.array, self._deliver, self.scene.work.note_edit, partial(self._told, entry)
        )
        self._bound[entry] = Bound(layer, watch, partial(self._renamed, entry))
        self.entries.insert(index, entry)
        self._show_or_park(entry, self._live.state)
        self.scene.work.note_edit()
        self.changed.emit()

    def _take(self, entry: StraightLabels) -> None:
        self.entries.remove(entry)
        self._work.forget(entry)
        self._bound[entry].watch.close()
        self._park(entry)
        self.scene.work.note_edit()
        self.changed.emit()

    def _remember(self, step: Step) -> None:
        self._history.note(step)
        for entry in set(self._bound) - set(self.entries) - self._history.entries:
            self._bound.pop(entry).close()

    def _step(self, source: list[Step], target: list[Step], forwards: bool) -> None:
        if not source:
            return
        step = source[-1]
        if step.held is not None:
            if self.running:
                raise UserError(f"{self.running} is still going on; wait for it or cancel it")
            ended = partial(self._put_back, source, target, step, len(target), forwards)
            self._work.put_back(step.entry, step.held, ended)
            return
        target.append(source.pop())
        if step.came == forwards:
            bound = self._bound[step.entry]
            bound.close()
            self._put(step.entry, min(step.index, len(self.entries)), bound.layer)
        elif step.entry in self.entries:
            self._take(step.entry)

    def _put_back(
        self,
        source: list[Step],
        target: list[Step],
        step: Step,
        place: int,
        forwards: bool,
        held: LabelArray,
    ) -> None:
        """A step has been taken, as if before all that has happened since it was begun."""
        # What was undone before something new happened cannot be done again.
        kept = forwards or source[-1:] == [step]
        if step in source:
            source.remove(step)
        if kept:
            target.insert(place, Step(step.entry, held=held))
        self.changed.emit()

    def _show_or_park(self, entry: StraightLabels, state: LiveState) -> None:
        """Show labels of the map of now; others leave, hidden ones would still set the sliders."""
        if state.dragging or state.map is None:
            return
        fits = entry.key == state.key
        if fits and entry.layer is None:
            self._showing.show(entry, self._bound[entry].layer)
        elif not fits:
            self._park(entry)

    def _park(self, entry: StraightLabels) -> None:
        if entry.layer is not None:
            self._work.forget(entry)
            self._showing.park(entry)

    def _map_changed(self, state: LiveState, _before: LiveState) -> None:
        before = [entry.layer for entry in self.entries]
        for entry in self.entries:
            self._show_or_park(entry, state)
        if before != [entry.layer for entry in self.entries]:
            self.changed.emit()
        self._new.make_wanted()

    def _layer_removed(self, event: Any) -> None:
        """The user has removed a layer from the list: its labels go."""
        entry = None if self._showing.moving else self.entry_of(event.value)
        if entry is not None:
            self.remove(entry)

    def _selected(self, _event: Any = None) -> None:
        if self.entries and not self._showing.moving:
            self.changed.emit()

    def _renamed(self, entry: StraightLabels, _event: Any = None) -> None:
        entry.name = str(self._bound[entry].layer.name)
        self.changed.emit()

    def _told(self, entry: StraightLabels, change: Change) -> None:
        self._showing.written(entry, change)
        self.painted.emit(entry, change)
