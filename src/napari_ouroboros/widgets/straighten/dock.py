"""The Straighten dock: how slices are cut, which layers, what to know, and the run to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPushButton, QWidget

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.controls import named, wrapping_label
from napari_ouroboros.widgets.scene_dock import SceneDock
from napari_ouroboros.widgets.straighten.advice import Advice, advice
from napari_ouroboros.widgets.straighten.layer_form import LayerForm
from napari_ouroboros.widgets.straighten.previews import live_preview_of
from napari_ouroboros.widgets.straighten.run_form import RunForm
from napari_ouroboros.widgets.straighten.slice_form import SliceForm

if TYPE_CHECKING:
    from napari.components import ViewerModel


class StraightenDock(SceneDock):
    """The Straighten dock of a viewer.

    Parameters
    ----------
    napari_viewer : ViewerModel

    Attributes
    ----------
    preview : LivePreview
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "Straighten", parent)
        self.preview = live_preview_of(self.scene)
        self._advisor = Worker("ouroboros-advice", self.scene.deliver)
        self.slices = SliceForm(self.scene)
        self.advice = wrapping_label()
        self.take_mip = named(
            QPushButton(), "take the better mip", "Read the level that fits the pixel size."
        )
        self.layers = LayerForm(self.preview)
        self.run = RunForm(self.preview)
        self._better: int | None = None
        self.forms = (self.slices, self.layers, self.run)
        self.pages.add(
            "Slices", "How slices are cut; the preview follows.",
            self.slices, self.advice, self.take_mip,
        )  # fmt: skip
        self.pages.add("Layers", "What is straightened: layers, and ids of them.", self.layers)
        self.pages.add("To a file", "Write the straightened volume.", self.run)
        self.column.addWidget(self.pages)
        self.advice.hide()
        self.take_mip.hide()
        self.take_mip.clicked.connect(self._take_mip)
        self.run.failed.connect(self._run_failed)
        self.run.said.connect(self.say)
        self.at_end(self._advisor.close)
        self.at_end(self.run.runs.close)

    def attach(self) -> None:
        """Listen, and show how things are."""
        super().attach()
        self.preview.problem_changed.connect(self._problem_changed)
        self._problem_changed(self.preview.problem)

    def detach(self) -> None:
        """Stop listening. The preview goes on for the straightened view; runs go on."""
        super().detach()
        self.preview.problem_changed.disconnect(self._problem_changed)
        self._advisor.cancel()

    def show_live(self) -> None:
        """Show how things are with the slices, and what to know of them."""
        super().show_live()
        live = self.scene.live
        state = live.state
        if state.map is None or live.volume is None or state.dragging:
            if state.map is None:
                self._show_advice(Advice(()))
            return
        volume, map_, mip = live.volume, state.map, state.mip

        def look(token: Token) -> Advice:
            return advice(volume, map_, mip)

        self._advisor.submit(look, self._show_advice, self._advice_failed)

    def _show_advice(self, found: Advice) -> None:
        self.advice.setText("\n".join(found.lines))
        self.advice.setVisible(bool(found.lines))
        self._better = found.better_mip
        self.take_mip.setText(f"Take mip {found.better_mip}")
        self.take_mip.setVisible(found.better_mip is not None)

    def _advice_failed(self, error: Exception) -> None:
        if not isinstance(error, OuroborosError):
            raise error  # a mistake of ours: napari shows it
        self._show_advice(Advice((str(error),)))

    def _take_mip(self, *_: Any) -> None:
        if self._better is not None:
            self.scene.settings.mip = self._better

    def _problem_changed(self, problem: str) -> None:
        if problem:
            self.banner.show_error(problem, retry=self.preview.retry)
        else:
            self.banner.clear()

    def _run_failed(self, error: Exception) -> None:
        self.fail(error, self.run.run)
