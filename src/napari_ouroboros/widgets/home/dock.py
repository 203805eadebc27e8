"""The Backproject dock: labels and points of the straightened view, and their way home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QWidget

from napari_ouroboros.widgets.controls import named
from napari_ouroboros.widgets.home.points_form import PointsForm
from napari_ouroboros.widgets.home.run_form import HomeForm
from napari_ouroboros.widgets.labels.form import LabelsForm
from napari_ouroboros.widgets.scene_dock import SceneDock

if TYPE_CHECKING:
    from napari.components import ViewerModel


class BackprojectDock(SceneDock):
    """The Backproject dock of a viewer.

    Parameters
    ----------
    napari_viewer : ViewerModel
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "Backproject", parent)
        self.live = named(
            QCheckBox("Show in the original while painting"),
            "show in the original while painting",
            "What is painted in the straightened view is seen in its place in the volume at once.",
        )
        self.labels = LabelsForm(self.scene)
        self.home = HomeForm(self.scene)
        self.points = PointsForm(self.scene)
        self.forms = (self.labels, self.home, self.points)
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
            form.failed.connect(self.fail)
        for form in (self.labels, self.home, self.points):
            form.said.connect(self.say)

    def attach(self) -> None:
        """Listen, and show how things are."""
        super().attach()
        overlays = self.scene.overlays
        overlays.on_changed.connect(self._show_on)
        overlays.failed.connect(self.fail)
        self._show_on(overlays.on)

    def detach(self) -> None:
        """Stop listening. Runs go on, and so do the labels in the volume."""
        super().detach()
        overlays = self.scene.overlays
        overlays.on_changed.disconnect(self._show_on)
        overlays.failed.disconnect(self.fail)

    def _toggle(self, on: bool) -> None:
        self.scene.overlays.on = on

    def _show_on(self, on: bool) -> None:
        self.live.setChecked(on)

    def _run_failed(self, error: Exception) -> None:
        self.fail(error, self.home.run)
