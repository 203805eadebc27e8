"""Order, features and positions of a layer through any sequence of edits, napari's own included.

Against a list of points with their names, which knows nothing of layers, rows or ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from napari.components import ViewerModel
from napari.layers import Points
from napari.layers.base import ActionType

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.layers import space
from napari_ouroboros.widgets.trace.layer_binding import LayerBinding
from napari_ouroboros.widgets.trace.model import TraceModel

GRID = Grid((500, 500, 500), (40.0, 8.0, 8.0), (3, -20, 100))
Row = tuple[Any, tuple[float, float, float]]

#: On a coarse lattice, so that points often lie on each other.
places = st.tuples(*[st.integers(0, 6).map(lambda i: 20.5 * i)] * 3)


class LayerMachine(RuleBasedStateMachine):
    """The list `rows` is what should be; the layer and the model are what is."""

    @initialize(points=st.lists(places, max_size=5))
    def begin(self, points: list[tuple[float, float, float]]) -> None:
        self.viewer = ViewerModel()
        self.rows: list[Row] = [(f"first {i}", p) for i, p in enumerate(points)]
        self.undone: list[list[Row]] = []
        self.done: list[list[Row]] = []
        self.count = 0
        self.model = TraceModel("t", GRID.to_nm(np.reshape(points, (-1, 3))))
        self.layer = Points(
            np.reshape(points, (-1, 3)),
            ndim=3,
            **space(GRID),
            features={"name": np.array([n for n, _ in self.rows], dtype=object)},
        )
        self.viewer.layers.append(self.layer)
        self.binding = LayerBinding(self.layer, self.model)
        self.heard: list[int] = []
        self.model.changed.connect(lambda: self.heard.append(len(self.model.state)))

    def teardown(self) -> None:
        if hasattr(self, "binding"):
            self.binding.close()

    # -- the list -------------------------------------------------------------------------

    def edit(self, rows: list[Row]) -> None:
        """One step that can be undone."""
        self.done.append(self.rows)
        self.undone.clear()
        self.rows = rows

    def some(self, data: Any, most: int = 3) -> list[int]:
        indices = st.integers(0, len(self.rows) - 1)
        return sorted(data.draw(st.sets(indices, min_size=1, max_size=most)))

    def new_row(self, index: int) -> Any:
        """What napari gives a row that it adds: the features that are the current ones."""
        return self.layer.features["name"].iloc[index]

    # -- edits of the model ---------------------------------------------------------------

    @rule(at=places, start=st.booleans())
    def append(self, at: tuple[float, float, float], start: bool) -> None:
        self.model.append(GRID.to_nm(at), at_start=start)
        index = 0 if start else len(self.rows)
        self.put(index, at)

    def put(self, index: int, at: tuple[float, float, float]) -> None:
        row = (self.new_row(index), at)
        self.edit([*self.rows[:index], row, *self.rows[index:]])

    @precondition(lambda self: self.rows)
    @rule(at=places, data=st.data())
    def insert(self, at: tuple[float, float, float], data: Any) -> None:
        after = data.draw(st.integers(0, len(self.rows) - 1))
        self.model.insert(GRID.to_nm(at), after)
        self.put(after + 1, at)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def delete(self, data: Any) -> None:
        gone = self.some(data)
        self.model.delete(gone)
        self.edit([row for i, row in enumerate(self.rows) if i not in gone])

    @rule()
    def reverse(self) -> None:
        self.model.reverse()
        self.edit(self.rows[::-1])

    @rule()
    def undo(self) -> None:
        assert self.model.can_undo == bool(self.done)
        self.model.undo()
        if self.done:
            self.undone.append(self.rows)
            self.rows = self.done.pop()

    @rule()
    def redo(self) -> None:
        assert self.model.can_redo == bool(self.undone)
        self.model.redo()
        if self.undone:
            self.done.append(self.rows)
            self.rows = self.undone.pop()

    # -- napari's own ---------------------------------------------------------------------

    @rule(at=st.lists(places, min_size=1, max_size=3))
    def napari_adds(self, at: list[tuple[float, float, float]]) -> None:
        self.layer.add(np.array(at))
        n = len(self.rows)
        new = [(self.new_row(n + i), p) for i, p in enumerate(at)]
        self.edit([*self.rows, *new])

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def napari_removes_selected(self, data: Any) -> None:
        gone = self.some(data, most=len(self.rows))
        self.layer.selected_data = set(gone)
        self.layer.remove_selected()
        self.edit([row for i, row in enumerate(self.rows) if i not in gone])

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), hidden=st.booleans())
    def napari_pastes(self, data: Any, hidden: bool) -> None:
        chosen = self.some(data)
        # napari 0.9.2 cannot paste into a layer of three dimensions while two are shown.
        self.viewer.dims.ndisplay = 3
        self.layer.selected_data = set(chosen)
        self.layer._copy_data()
        self.layer.visible = not hidden
        self.layer._paste_data()
        self.layer.visible = True
        self.viewer.dims.ndisplay = 2
        # In the order in which napari's set of the selected has them.
        copied = [tuple(p) for p in self.layer.data[len(self.rows) :]]
        assert sorted(copied) == sorted(self.rows[i][1] for i in chosen)
        names = {p: n for i in chosen for n, p in [self.rows[i]]}
        new = [(self.new_row(len(self.rows) + i), p) for i, p in enumerate(copied)]
        assert all(name in {self.rows[i][0] for i in chosen} for name, _ in new), names
        self.edit([*self.rows, *new])

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), steps=st.lists(places, min_size=1, max_size=3))
    def napari_drags(self, data: Any, steps: list[tuple[float, float, float]]) -> None:
        """As napari's mouse does it: in place and drawn at each step, told once at the end."""
        chosen = self.some(data)
        layer, before = self.layer, self.layer.data.copy()
        layer.selected_data = set(chosen)
        layer.events.data(
            value=layer.data,
            action=ActionType.CHANGING,
            data_indices=tuple(chosen),
            vertex_indices=((),),
        )
        heard = len(self.heard)
        for step in steps:
            with layer.events.data.blocker():
                layer.data[chosen] = before[chosen] + np.array(step)
                layer.refresh()
            moved = any(step)
            assert self.model.dragging or not moved
            np.testing.assert_allclose(
                self.model.state.points_nm, GRID.to_nm(layer.data), atol=1e-6
            )
        layer.events.data(
            value=layer.data,
            action=ActionType.CHANGED,
            data_indices=tuple(chosen),
            vertex_indices=((),),
        )
        assert not self.model.dragging
        if len(self.heard) > heard:  # it has moved, if only there and back
            end = np.array(steps[-1])
            rows = list(self.rows)
            for i in chosen:
                z, y, x = np.array(self.rows[i][1]) + end
                rows[i] = (rows[i][0], (float(z), float(y), float(x)))
            self.edit(rows)

    # -- other plugins --------------------------------------------------------------------

    @precondition(lambda self: self.rows)
    @rule(at=places, data=st.data(), drawn=st.booleans())
    def plugin_writes_in_place(
        self, at: tuple[float, float, float], data: Any, drawn: bool
    ) -> None:
        (i,) = self.some(data, most=1)
        if self.rows[i][1] == at:
            return
        self.layer.data[i] = at
        if drawn:
            self.layer.refresh()
        else:
            # Nothing tells of it until anything happens to the layer.
            self.layer.selected_data = {i}
            self.layer.selected_data = set()
        rows = list(self.rows)
        rows[i] = (rows[i][0], at)
        self.edit(rows)

    @rule(data=st.data())
    def plugin_sets_data(self, data: Any) -> None:
        """`layer.data = ...` with a point more in the middle, or one less: no word on which."""
        points = [p for _, p in self.rows]
        if points and data.draw(st.booleans()):
            i = data.draw(st.integers(0, len(points) - 1))
            new = points[:i] + points[i + 1 :]
        else:
            i = data.draw(st.integers(0, len(points)))
            new = points[:i] + [(999.0, 1.0, float(self.count))] + points[i:]
            self.count += 1
        self.layer.data = np.reshape(new, (-1, 3))
        # napari itself keeps the first rows of features; names follow the rows from here on.
        self.edit([(self.new_row(k), p) for k, p in enumerate(new)])

    @rule(at=places)
    def somebody_selects(self, at: tuple[float, float, float]) -> None:
        self.layer.selected_data = set(range(len(self.rows))) if at[0] else set()

    @rule(axis=st.integers(0, 2))
    def planes_change(self, axis: int) -> None:
        self.viewer.dims.order = tuple(np.roll(range(3), axis))

    # -- what is always so ----------------------------------------------------------------

    @invariant()
    def layer_and_model_are_the_list(self) -> None:
        if not hasattr(self, "layer"):
            return
        points = np.reshape([p for _, p in self.rows], (-1, 3))
        assert len(self.layer.data) == len(self.rows)
        np.testing.assert_allclose(self.layer.data, points, atol=1e-6)
        np.testing.assert_allclose(self.model.state.points_nm, GRID.to_nm(points), atol=1e-5)
        features = self.layer.features
        assert features["order"].tolist() == list(range(len(self.rows)))
        assert features["name"].tolist() == [name for name, _ in self.rows]
        assert len(set(self.model.state.ids.tolist())) == len(self.rows)
        assert all(0 <= i < len(self.rows) for i in self.layer.selected_data)
        for column in (self.layer.size, self.layer.symbol, self.layer.shown, self.layer.face_color):
            assert len(column) == len(self.rows)
        symbols = [str(s.value) for s in self.layer.symbol]
        if symbols:
            assert symbols[0] == "square"
            assert symbols[1:] == (["disc"] * (len(symbols) - 2) + ["diamond"])[: len(symbols) - 1]
        assert not self.model.dragging


def test_any_sequence_of_edits() -> None:
    run: Callable[..., None] = run_state_machine_as_test
    # Without hypothesis' explanations, which take minutes here and add nothing to the steps.
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    run(LayerMachine, settings=settings(max_examples=60, stateful_step_count=25, phases=phases))
