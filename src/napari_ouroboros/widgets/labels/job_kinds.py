"""The long pieces of work on labels: loading, carrying over, interpolating, taking in."""

from __future__ import annotations

import re
import shutil
import weakref
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.widgets.held import held
from napari_ouroboros.widgets.labels.straight_labels import StraightLabels

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.carry_labels import CarryReport
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.labels.book import LabelsBook
    from napari_ouroboros.widgets.labels.filling import Filling

_CARRIED = re.compile(r" carried over(?: \d+)?$")


class LabelWork:
    """What a book does at length, one thing at a time. For the GUI thread.

    Parameters
    ----------
    book : LabelsBook
        Held weakly.
    """

    def __init__(self, book: LabelsBook) -> None:
        self._book = weakref.ref(book)
        self._filling: tuple[StraightLabels, Filling] | None = None
        # What plugins gave while something else was being done.
        self._waiting: list[Callable[[], None]] = []
        book.jobs.changed.connect(self._go_on)

    @property
    def book(self) -> LabelsBook:
        """The book; RuntimeError once it has gone."""
        return held(self._book, "the book of these labels")

    @property
    def filling(self) -> StraightLabels | None:
        """The labels that are being filled in between their painted slices."""
        return None if self._filling is None else self._filling[0]

    def load(self, path: str, recipe: str | None) -> None:
        """See `LabelsBook.load`."""
        book, new_store = self.book, self.book.scene.work.new_store

        def work(progress: Progress, cancel: Cancel) -> tuple[LabelArray, Straightening]:
            from napari_ouroboros.widgets.labels.copying import load_labels

            array, map_ = load_labels(path, recipe, new_store, cancel, progress)
            _ = map_.recipe_hash  # here, not in the GUI thread
            return array, map_

        def done(found: tuple[LabelArray, Straightening]) -> None:
            if not self.is_here(found[0]):
                return
            entry = book.add(*found, _name_of(path))
            where = (
                "" if entry.is_shown else " They were painted along an earlier trace, or another."
            )
            book.said.emit(f"Loaded {entry.name}.{where}")

        book.jobs.start("Loading labels", work, done, self._failed)

    def carry_over(self, entry: StraightLabels) -> None:
        """See `LabelsBook.carry_over`."""
        book, state = self.book, self.book.scene.live.state
        if state.map is None or not state.key:
            raise UserError(state.problem or "wait until the trace has come to rest")
        if entry.key == state.key:
            raise UserError(f"{entry.name} are the labels of the present trace")
        new, new_store = state.map, book.scene.work.new_store
        traces = book.scene.traces
        trace = None if traces.active is None else traces.active.state

        def work(progress: Progress, cancel: Cancel) -> tuple[LabelArray, CarryReport]:
            from napari_ouroboros.operations.carry_labels import carry_labels
            from napari_ouroboros.volumes.labels.label_array import LabelArray
            from napari_ouroboros.widgets.labels.copying import new_array

            # A copy that nobody paints in meanwhile; next to no time and room.
            held = entry.array.snapshot_to(new_store())
            dtype = held.dtype
            try:
                with new_array(new_store, LabelArray.create, new.shape, dtype) as array:
                    return array, carry_labels(held, entry.map, new, array, progress, cancel)
            finally:
                shutil.rmtree(held.path, ignore_errors=True)

        def done(found: tuple[LabelArray, CarryReport]) -> None:
            array, report = found
            if not self.is_here(array):
                return
            kept = trace if book.scene.live.state.map is new else None
            made = book.add(
                array,
                new,
                carried_name(entry.name, [other.name for other in book.entries]),
                trace=kept,
                select=True,
            )
            book.said.emit(f"{made.name}: {carry_text(report)}")

        book.jobs.start("Carrying labels over", work, done, self._failed)

    def interpolate(
        self, entry: StraightLabels, ids: list[int] | None, between: tuple[int, int] | None
    ) -> None:
        """See `LabelsBook.interpolate`."""
        from napari_ouroboros.widgets.labels.filling import Filling

        book, session = self.book, self.book.scene.work
        deliver = self.book.scene.deliver
        if entry.layer is None:
            raise UserError(f"{entry.name} belong to an earlier trace; go back to that trace first")
        if book.running:
            raise UserError(f"{book.running} is still going on; wait for it or cancel it first")
        filling = Filling(entry.layer)
        self._filling = entry, filling

        def work(progress: Progress, cancel: Cancel) -> int:
            before = entry.array.snapshot_to(session.new_store())
            with filling.noted(session.folder().path, entry.array, before, cancel):
                return filling.compute(entry.array, ids, between, deliver, cancel, progress)

        def done(voxels: int) -> None:
            if book.jobs.was_cancelled:
                failed(Cancelled("interpolating the labels was cancelled"))
                return
            if filling.problem is not None:
                failed(filling.problem)
                return
            self._filling = None
            filling.end(keep=True)
            book.said.emit(
                f"Filled {voxels:,} samples between painted slices; one undo takes all of them "
                "back."
                if voxels
                else "Nothing to fill: paint a label in two slices with unpainted ones between."
            )

        def failed(error: Exception) -> None:
            self._filling = None
            try:
                filling.end(keep=False)
            finally:
                self._failed(error)

        book.jobs.start("Interpolating labels", work, done, failed)

    def take_in(self, data: Any, name: str, done: Callable[[StraightLabels], object]) -> None:
        """See `LabelsBook.take_in`."""
        book, state = self.book, self.book.scene.live.state
        map_, new_store = state.map, book.scene.work.new_store
        if map_ is None:
            raise UserError(state.problem)

        def work(progress: Progress, cancel: Cancel) -> LabelArray:
            from napari_ouroboros.widgets.labels.copying import copy_labels

            return copy_labels(data, map_, name, new_store, cancel, progress)

        def made(array: LabelArray) -> None:
            if self.is_here(array):
                done(book.add(array, map_, name))

        self._soon(lambda: book.jobs.start(f"Taking over {name}", work, made, self._failed))

    def replace(
        self, entry: StraightLabels, data: Any, done: Callable[[LabelArray], object]
    ) -> None:
        """See `LabelsBook.replace`; `done` gets what they were before."""
        self._write(f"Taking over {entry.name}", entry, data, done)

    def put_back(
        self, entry: StraightLabels, held: LabelArray, done: Callable[[LabelArray], object]
    ) -> None:
        """Write what labels were before; `done` gets what they were until now."""
        self._write(f"Undoing in {entry.name}", entry, held, done)

    def _write(
        self, title: str, entry: StraightLabels, data: Any, done: Callable[[LabelArray], object]
    ) -> None:
        book, session = self.book, self.book.scene.work

        def work(progress: Progress, cancel: Cancel) -> LabelArray:
            from napari_ouroboros.widgets.labels.copying import write_over

            folder = session.folder().path
            return write_over(data, entry.array, folder, session.new_store, cancel, progress)

        def ended(held: LabelArray) -> None:
            if self.is_here(held):
                done(held)

        self._soon(lambda: book.jobs.start(title, work, ended, self._failed))

    def duplicate(self, entry: StraightLabels) -> None:
        """See `LabelsBook.duplicate`."""
        book, new_store = self.book, self.book.scene.work.new_store

        def work(progress: Progress, cancel: Cancel) -> LabelArray:
            return entry.array.snapshot_to(new_store())

        def done(array: LabelArray) -> None:
            if self.is_here(array):
                book.add(array, entry.map, f"{entry.name} copy", trace=entry.trace)

        self._soon(lambda: book.jobs.start("Copying labels", work, done, self._failed))

    def merge(self, arrays: list[Any]) -> None:
        """See `LabelsBook.merge`."""
        book, state = self.book, self.book.scene.live.state
        map_, new_store = state.map, book.scene.work.new_store
        if map_ is None:
            raise UserError(state.problem)

        def work(progress: Progress, cancel: Cancel) -> LabelArray:
            from napari_ouroboros.widgets.labels.copying import merge_labels

            return merge_labels(arrays, new_store, cancel, progress)

        def done(array: LabelArray) -> None:
            if self.is_here(array):
                book.add(array, map_, "merged labels", select=True)

        self._soon(lambda: book.jobs.start("Merging labels", work, done, self._failed))

    def forget(self, entry: StraightLabels) -> None:
        """The labels leave the view: what is being filled in ends and is taken back."""
        if self.filling is entry:
            self.book.jobs.cancel()

    def close(self) -> None:
        """Do no more; what is half filled in is taken back."""
        self._waiting.clear()
        if self._filling is not None:
            filling, self._filling = self._filling[1], None
            filling.end(keep=False)
        book = self._book()
        if book is not None:
            book.jobs.changed.disconnect(self._go_on, missing_ok=True)

    def is_here(self, array: LabelArray) -> bool:
        """Whether labels were made for the session that is in the window by now."""
        folder = self.book.scene.work.working_folder
        return folder is not None and array.path.is_relative_to(folder.path)

    def _soon(self, start: Callable[[], None]) -> None:
        self._waiting.append(start)
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self.book.running:
            self._waiting.pop(0)()

    def _failed(self, error: Exception) -> None:
        book = self.book
        if isinstance(error, Cancelled):
            book.said.emit("Cancelled; the labels are as they were.")
        else:
            book.failed.emit(error)


def carried_name(name: str, there: Iterable[str]) -> str:
    """Return a free name: "labels carried over"; of that, "labels carried over 2", and so on."""
    base = f"{_CARRIED.sub('', name)} carried over"
    taken = set(there)
    return next(new for n in count(1) if (new := f"{base} {n}" if n > 1 else base) not in taken)


def carry_text(report: CarryReport) -> str:
    """What was carried over and what was not, in plain words."""
    total = report.carried + report.lost
    if not total:
        return "nothing was painted, so there was nothing to carry over."
    if not report.lost:
        return f"all {total:,} labelled samples were carried over."
    text = (
        f"{report.carried:,} of {total:,} labelled samples were carried over, {report.lost:,} lost"
    )
    if report.contested:
        text += f" ({report.contested:,} of them where another label came to lie)"
    if report.ids_lost:
        some = ", ".join(map(str, report.ids_lost[:5]))
        text += f"; nothing is left of label {some}{', …' * (len(report.ids_lost) > 5)}"
    return f"{text}."


def _name_of(path: str) -> str:
    from napari_ouroboros.operations.outputs import stem

    return stem(Path(path.rstrip("/"))) or path
