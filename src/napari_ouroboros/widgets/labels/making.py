"""New labels: asked for at any moment, made for the map of the trace as it is then. No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.held import held

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.labels.book import LabelsBook
    from napari_ouroboros.widgets.trace.state import TraceState


class NewLabels:
    """Makes the stores of new labels in a worker, and adds them to the book. For the GUI thread.

    Parameters
    ----------
    book : LabelsBook
        Held weakly.
    is_here : callable
        Whether an array was made for the session that is in the window by now.
    """

    def __init__(self, book: LabelsBook, is_here: Callable[[LabelArray], bool]) -> None:
        self._book, self._is_here = weakref.ref(book), is_here
        self._worker = Worker("ouroboros-new-labels", book.scene.deliver, keep_all=True)
        # Those that wait for the map of the trace as it is now.
        self._wanted: list[tuple[str | None, np.dtype[Any]]] = []

    @property
    def book(self) -> LabelsBook:
        """The book; RuntimeError once it has gone."""
        return held(self._book, "the book of these labels")

    @property
    def idle(self) -> bool:
        """Whether none are wanted that are not there."""
        return self._worker.idle and not self._wanted

    def ask(self, name: str | None, dtype: DTypeLike) -> None:
        """See `LabelsBook.new`."""
        from napari_ouroboros.volumes.labels.label_chunks import checked_dtype

        kind, live = checked_dtype(dtype), self.book.scene.live
        if live.is_current and live.state.map is None:
            raise UserError(live.state.problem)
        self._wanted.append((name, kind))
        self.make_wanted()

    def make_wanted(self) -> None:
        """Make the labels that were asked for, if the map is that of the trace as it is now."""
        if not self._wanted:
            return
        book = self.book
        live, traces = book.scene.live, book.scene.traces
        if not live.is_current or live.state.dragging:
            return
        wanted, self._wanted = self._wanted, []
        if live.state.map is None:
            book.failed.emit(UserError(live.state.problem))
            return
        trace = None if traces.active is None else traces.active.state
        for name, dtype in wanted:
            self._make(name, dtype, live.state.map, trace)

    def close(self) -> None:
        """Make no more. Harmless when repeated."""
        self._worker.close()

    def _make(
        self,
        name: str | None,
        dtype: np.dtype[Any],
        map_: Straightening,
        trace: TraceState | None,
    ) -> None:
        book, new_store = self.book, self.book.scene.work.new_store

        def make(_token: Token) -> LabelArray:
            from napari_ouroboros.volumes.labels.label_array import LabelArray

            return LabelArray.create(new_store(), map_.shape, dtype)

        def done(array: LabelArray) -> None:
            if self._is_here(array):
                book.add(array, map_, name or book.free_name(), trace=trace, select=True)

        self._worker.submit(make, done, book.failed.emit)
