"""Labels between painted slices: computed in a worker, written slice by slice in the GUI thread.

They go through the layer, so that napari's own undo takes all of them back at once.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, OuroborosError
from napari_ouroboros.session import half_done

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ouroboros.operations.interpolate_labels import Filled
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.background import Deliver

#: Indices (slices, rows, columns), and values or the one value of all.
Batch = tuple[tuple[NDArray[Any], NDArray[Any], NDArray[Any]], Any]

# About 20 ms in the GUI thread.
_BATCH_VOXELS = 20_000
# Batches that wait for the GUI thread; the worker waits then.
_AHEAD = 2
_POLL = 0.05
_BRUSHES = ("paint", "erase", "fill", "polygon")


class Filling:
    """One interpolation that goes into a layer, which nobody can paint in meanwhile.

    Parameters
    ----------
    layer : Labels

    Attributes
    ----------
    problem : OuroborosError or None
        Why something could not be written; nothing more is.
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = layer
        self._mode = str(layer.mode)
        self._room = threading.Semaphore(_AHEAD)
        self._noted = self._written = False
        self._ended = self._taken_back = False
        self._putting = threading.Lock()
        self.problem: OuroborosError | None = None
        layer.events.paint.connect(self._note)
        # Not by `editable`: napari then forgets what could be undone before.
        layer.events.mode.connect(self._take_no_brush)
        self._take_no_brush()
        self._staged = ExitStack()
        self._staged.enter_context(layer.block_history())

    @contextmanager
    def noted(
        self, folder: Path, array: LabelArray, held: LabelArray, cancel: Cancel
    ) -> Iterator[None]:
        """Write in the block, in the worker; what it raises leaves the array as `held` is.

        Should the program die meanwhile, the working folder knows of it, and it is put back when
        the session is restored. `held` goes in the end.
        """
        try:
            with half_done.noted(folder, array, held):
                try:
                    yield
                    for _ in range(_AHEAD):  # all that is on its way has arrived
                        self._wait(cancel)
                    if self.problem is not None:
                        raise self.problem
                except BaseException:
                    with self._putting:
                        self._ended = True
                    raise
        except BaseException as error:
            self._taken_back = not isinstance(error, half_done.NotTakenBack)
            raise
        shutil.rmtree(held.path, ignore_errors=True)

    def compute(
        self,
        array: LabelArray,
        ids: list[int] | None,
        between: tuple[int, int] | None,
        deliver: Deliver,
        cancel: Cancel,
        progress: Progress,
    ) -> int:
        """Interpolate; in the worker. Return how many voxels were filled."""
        from napari_ouroboros.operations.interpolate_labels import interpolate_labels

        first, stop = between or (0, array.shape[0])
        fills = interpolate_labels(array, ids=ids, between=between, cancel=cancel)
        voxels = 0
        for k, batch in _batches(fills, array.chunks[0]):
            self._wait(cancel)
            if self.problem is not None:
                raise self.problem
            deliver(lambda batch=batch: self._put(batch))  # type: ignore[misc]
            voxels += len(batch[0][0])
            progress(k - first, stop - first)
        return voxels

    def _wait(self, cancel: Cancel) -> None:
        while not self._room.acquire(timeout=_POLL):
            _go_on(cancel)
        _go_on(cancel)

    def end(self, keep: bool) -> None:
        """Note everything as one step of the layer's history, or take it back."""
        self._ended = True
        if self._written and self._taken_back and not keep:
            # The step is dropped, for which there is no other way: a layer that can be edited no
            # more forgets all that could be undone in it.
            self._layer.editable = False
            self._layer.editable = True
        self._staged.close()
        self._layer.events.paint.disconnect(self._note)
        self._layer.events.mode.disconnect(self._take_no_brush)
        try:
            if self._noted and not keep:
                self._layer.undo()
        finally:
            self._layer.mode = self._mode
            self._layer.refresh()

    def _put(self, batch: Batch) -> None:
        indices, values = batch
        with self._putting:
            try:
                if not self._ended and self.problem is None:
                    self._written = True
                    self._layer.data_setitem(indices, values, refresh=False)
            except OuroborosError as error:  # a full disk: told once, when all is taken back
                self.problem = error
            finally:
                self._room.release()

    def _take_no_brush(self, _event: Any = None) -> None:
        if self._layer.mode in _BRUSHES:
            self._layer.mode = "pan_zoom"

    def _note(self, _event: Any = None) -> None:
        self._noted = True


def _batches(fills: Iterable[Filled], thickness: int) -> Iterator[tuple[int, Batch]]:
    """Slices of the same chunks together: a chunk is then written once. With the last slice."""
    waiting: list[Filled] = []
    voxels = 0
    for one in fills:
        k, rows = one[0], one[1]
        full = voxels + len(rows) > _BATCH_VOXELS
        if waiting and (full or k // thickness != waiting[-1][0] // thickness):
            yield waiting[-1][0], _batch(waiting)
            waiting, voxels = [], 0
        waiting.append(one)
        voxels += len(rows)
    if waiting:
        yield waiting[-1][0], _batch(waiting)


def _batch(fills: list[Filled]) -> Batch:
    # Narrow indices: napari keeps them for its undo.
    k = np.concatenate([np.full(len(rows), k, np.int32) for k, rows, _, _ in fills])
    rows = np.concatenate([rows for _, rows, _, _ in fills]).astype(np.int32)
    columns = np.concatenate([columns for _, _, columns, _ in fills]).astype(np.int32)
    values = np.concatenate([values for *_, values in fills])
    only = values[0] if (values == values[0]).all() else values
    return (k, rows, columns), only


def _go_on(cancel: Cancel) -> None:
    if cancel.is_set():
        raise Cancelled("interpolating the labels was cancelled")
