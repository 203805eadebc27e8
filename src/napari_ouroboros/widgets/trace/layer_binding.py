"""A Points layer that mirrors a trace, and turns what users do to it into edits of the trace.

The rows of the layer are the points of the trace, in its order. Whatever changes the rows (the
mouse, napari's paste, another plugin) is found by comparing them with what was there before, and
becomes one edit of the model; whatever changes the model is written into the layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.widgets.trace.layer_features import FeaturesById
from napari_ouroboros.widgets.trace.layer_space import LayerSpace
from napari_ouroboros.widgets.trace.row_changes import changed_rows, kept_rows

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_ouroboros.widgets.trace.model import TraceModel

Float = NDArray[np.float64]

#: The ends differ in shape as well as in colour, so that the direction is seen in grey.
INNER, FIRST, LAST = "disc", "square", "diamond"
_BORDERS = {INNER: (0.1, 0.1, 0.1, 1.0), FIRST: (0.1, 0.85, 0.3, 1.0), LAST: (0.95, 0.2, 0.5, 1.0)}
#: Rows nearer than this to where they should be, in voxels, are there.
_SAME = 1e-7


class LayerBinding:
    """Keeps a layer and a model the same until `close`.

    Parameters
    ----------
    layer : Points
        Of three dimensions.
    model : TraceModel
        Its points are written into the layer at once.
    """

    def __init__(self, layer: Points, model: TraceModel) -> None:
        self.layer, self.model = layer, model
        self.space = LayerSpace(layer)
        self._rows: Float = np.empty((0, 3))
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._features = FeaturesById()
        self._writing = self._reading = self._changing = False
        self._gone: tuple[int, ...] | None = None
        if len(layer.data) == len(model.state):
            self._rows, self._ids = np.array(layer.data, np.float64), model.state.ids
        self._write()
        model.changed.connect(self._write)
        for emitter, slot in self._connections():
            emitter.connect(slot)

    def close(self) -> None:
        """Leave the layer to itself."""
        self.model.changed.disconnect(self._write)
        for emitter, slot in self._connections():
            emitter.disconnect(slot)
        self.model.end_drag()

    def _connections(self) -> list[tuple[Any, Any]]:
        events = self.layer.events
        moved = [(e, self._placed) for e in (events.scale, events.translate, events.affine)]
        return [
            (events.data, self._data_event),
            (events.set_data, self._look),
            # All that napari's paste into a hidden layer tells.
            (self.layer.selected_data.events.items_changed, self._look),
            (events.units, self._placed),
            *moved,
        ]

    # -- from the layer -------------------------------------------------------------------

    def _data_event(self, event: Any) -> None:
        if self._writing:
            return
        action = str(getattr(event.action, "value", event.action))
        if action in ("adding", "changing", "removing") and len(self._rows) == len(self.layer.data):
            self._features.keep(self._ids, self.layer.features)
        if action == "changing":
            # What napari's drag and `layer.data = ...` begin with.
            self._changing = True
        elif action == "removing":
            self._gone = tuple(event.data_indices)
        elif action in ("added", "changed", "removed"):
            self._look()
            self._changing, self._gone = False, None
            self.model.end_drag()
            self._dress()

    def _look(self, *_: object) -> None:
        """Make the edit that the layer's rows show, if they are not as they were."""
        if self._writing or self._reading:
            return
        data = np.array(self.layer.data, np.float64)
        if data.shape == self._rows.shape and np.array_equal(data, self._rows):
            return
        if not np.isfinite(data).all():
            self._write()  # no trace can hold them
            return
        before, self._rows = self._rows, data
        self._reading = True
        try:
            if len(data) == len(before):
                self._read_moves(before, data)
            else:
                self._read_rows(before, data)
        finally:
            self._reading = False

    def _read_moves(self, before: Float, data: Float) -> None:
        rows = changed_rows(before, data)
        moves: Mapping[int, Float] = dict(
            zip(rows.tolist(), self.space.to_nm(data[rows]), strict=True)
        )
        if self._changing:
            self.model.drag(moves)
        else:
            self.model.move(moves)

    def _read_rows(self, before: Float, data: Float) -> None:
        kept = kept_rows(before, data, self._gone)
        old = kept >= 0
        points = self.space.to_nm(data)
        # The very numbers: through the layer's voxels and back they differ in the last bits.
        points[old] = self.model.state.points_nm[kept[old]]
        n = len(before)
        if old.all():
            self.model.delete(np.setdiff1d(np.arange(n), kept).tolist())
        elif old[:n].all() and len(data) > n:
            self.model.insert(points[n:], n - 1)
        else:
            ids = np.full(len(data), -1)
            ids[old] = self._ids[kept[old]]
            self.model.set_points(points, ids)

    def _placed(self) -> None:
        """Somebody has moved or scaled the layer: the points stay where they are in the volume."""
        if not self._writing:
            self.space = LayerSpace(self.layer)
            self._write()

    # -- to the layer ---------------------------------------------------------------------

    def _write(self) -> None:
        """Let the layer show the model's state."""
        layer, state = self.layer, self.model.state
        if self._reading:
            # The layer has it already; its rows of features are those of the new points.
            self._ids = state.ids
            self._dress()
            return
        missed = self._missed()
        rows = self.space.to_data(state.points_nm)
        same = np.array_equal(self._ids, state.ids)
        with self._silently():
            self._features.keep(self._ids, layer.features)
            if not same or not np.allclose(layer.data, rows, rtol=0, atol=_SAME):
                selected = self._ids[sorted(i for i in layer.selected_data if i < len(self._ids))]
                if not same:
                    # Indices that are gone would be looked up while the data is replaced.
                    layer.selected_data = set()
                if len(rows) or len(layer.data):
                    layer.data = rows
                if not same and len(selected):
                    layer.selected_data = set(np.flatnonzero(np.isin(state.ids, selected)).tolist())
        self._rows, self._ids = np.array(layer.data, np.float64), state.ids
        self._dress(restore=not same)
        if missed:
            index = {int(id_): i for i, id_ in enumerate(state.ids)}
            self.model.move({index[id_]: p for id_, p in missed.items() if id_ in index})

    def _missed(self) -> dict[int, Float]:
        """Points that were moved in place without a word before the model changed, by id."""
        data = np.asarray(self.layer.data, np.float64)
        if data.shape != self._rows.shape or not np.isfinite(data).all():
            return {}
        rows = changed_rows(self._rows, data)
        ids = self._ids[rows].tolist()
        return dict(zip(ids, self.space.to_nm(data[rows]), strict=True))

    def _dress(self, restore: bool = False) -> None:
        """Write features, and the marks of both ends."""
        layer, n = self.layer, len(self.model.state)
        if len(layer.data) != n:
            return
        with self._silently():
            table = self._features.table(self._ids, layer.features, restore)
            if table is not None:
                layer.features = table
            # `layer.data = ...` leaves rows selected that are gone.
            if any(i >= n for i in layer.selected_data):
                layer.selected_data = {i for i in layer.selected_data if i < n}
            if not n:
                return
            kinds = [INNER] * n
            if not self.model.state.closed:
                kinds[-1] = LAST
            kinds[0] = FIRST
            if [str(getattr(s, "value", s)) for s in layer.symbol] != kinds:
                layer.symbol = kinds
            borders = np.array([_BORDERS[kind] for kind in kinds])
            if not np.allclose(layer.border_color, borders):
                layer.border_color = borders

    @contextmanager
    def _silently(self) -> Iterator[None]:
        """Do not listen to what we write ourselves."""
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before
