"""A scene in which labels are made, and what it said; its loop is turned by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gui_loop import GuiLoop
from napari.components import ViewerModel

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.widgets.labels import LabelsBook, StraightLabels
from napari_ouroboros.widgets.scene import Scene
from napari_ouroboros.widgets.trace.model import TraceModel


@dataclass
class Bench:
    """A scene and what it said."""

    scene: Scene
    loop: GuiLoop
    said: list[str] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)

    @property
    def book(self) -> LabelsBook:
        return self.scene.labels

    @property
    def straight(self) -> ViewerModel:
        return self.scene.straight

    @property
    def trace(self) -> TraceModel:
        trace = self.scene.traces.active
        assert trace is not None
        return trace

    @property
    def map(self) -> Straightening:
        map_ = self.scene.live.state.map
        assert map_ is not None
        return map_

    def settle(self) -> None:
        self.loop.until(
            lambda: self.scene.live.idle and self.book.idle and not self.loop.calls, "the labels"
        )

    def new(self, **options: Any) -> StraightLabels:
        n = len(self.book.entries)
        self.book.new(**options)
        self.settle()
        assert len(self.book.entries) == n + 1
        return self.book.entries[-1]

    def move(self, index: int = 1, by: float = 30.0) -> None:
        """Edit the trace."""
        self.trace.move({index: self.trace.state.points_nm[index] + by})
        self.settle()
