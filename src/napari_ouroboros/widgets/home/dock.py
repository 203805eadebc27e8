"""The Backproject dock: labels and points of the straightened view, and their way home."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox, QWidget

from napari_ouroboros.widgets.controls import (
    Banner,
    EmptyState,
    Pages,
    ScrollDock,
    named,
    show_soon,
)
from napari_ouroboros.widgets.home.points_form import PointsForm
from napari_ouroboros.widgets.home.run_form import HomeForm
from napari_ouroboros.widgets.labels.form import LabelsForm
from napari_ouroboros.widgets.scene import scene_of

if TYPE_CHECKING:
    from napari.components import ViewerModel


class BackprojectDock(ScrollDock):
    """The Backproject dock of a viewer.

    Parameters
    ----------
    napari_viewer : ViewerModel

    Attributes
    ----------
    scene : Scene
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.ends_with(napari_viewer)
        self.scene = scene_of(napari_viewer)
        self.banner = Banner()
        self.state = EmptyState("")
        self.live = named(
            QCheckBox("Show in the original while painting"),
            "show in the original while painting",
            "What is painted in the straightened view is seen in its place in the volume at once.",
        )
        self.labels = LabelsForm(self.scene)
        self.home = HomeForm(self.scene)
        self.points = PointsForm(self.scene)
        self.column.addWidget(self.banner)
        self.column.addWidget(self.state)
        self.pages = Pages("parts of Backproject")
        self.pages.add(
            "Labels", "Make or load labels, and fill the slices between painted ones.", self.labels
        )
        self.pages.add("Bring home", "Write labels into voxels of the original volume.", self.home)
        self.pages.add(
            "Points", "Points of the straightened view, at their places in the volume.", self.points
        )
        self.labels.add_option(self.live)
        self.column.addWidget(self.pages)
        self.live.toggled.connect(self._toggle)
        self.home.failed.connect(self._run_failed)
        for form in (self.labels, self.points):
            form.failed.connect(self._failed)
        for form in (self.labels, self.home, self.points):
            form.said.connect(self._said)

    def attach(self) -> None:
        """Listen, and show how things are."""
        self.labels.attach()
        self.home.attach()
        self.points.attach()
        overlays = self.scene.overlays
        overlays.on_changed.connect(self._show_on)
        overlays.failed.connect(self._failed)
        self.scene.live.changed.connect(self._live_changed)
        self._show_on(overlays.on)
        self._live_changed()

    def detach(self) -> None:
        """Stop listening. Runs go on, and so do the labels in the volume."""
        self.labels.detach()
        self.home.detach()
        self.points.detach()
        overlays = self.scene.overlays
        overlays.on_changed.disconnect(self._show_on)
        overlays.failed.disconnect(self._failed)
        self.scene.live.changed.disconnect(self._live_changed)

    def _live_changed(self, *_: Any) -> None:
        state = self.scene.live.state
        self.state.set_text(state.problem)
        self.state.setVisible(state.map is None and bool(state.problem))

    def _toggle(self, on: bool) -> None:
        self.scene.overlays.on = on

    def _show_on(self, on: bool) -> None:
        self.live.setChecked(on)

    def _failed(self, error: Exception) -> None:
        self.banner.show_exception(error)
        show_soon(self.banner)

    def _said(self, text: str) -> None:
        self.banner.show_notice(text)
        show_soon(self.banner)

    def _run_failed(self, error: Exception) -> None:
        self.banner.show_exception(error, retry=self.home.run)
        show_soon(self.banner)
