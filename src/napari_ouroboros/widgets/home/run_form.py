"""The part of the dock that brings labels home: which, where to, what it costs, what is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.widgets.controls import (
    Destination,
    Fold,
    JobRow,
    named,
    set_ready,
    tab_order,
    wrapping_label,
)
from napari_ouroboros.widgets.home.runs import HomeCost, HomeRequest
from napari_ouroboros.widgets.straighten.advice import mip_titles
from napari_ouroboros.widgets.straighten.id_text import ids_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.widgets.home.runs import HomeResult
    from napari_ouroboros.widgets.labels import StraightLabels
    from napari_ouroboros.widgets.scene import Scene

#: None: in the working folder, only to be looked at.
FORMATS: dict[str, str | None] = {
    "Only a layer": None,
    "Neuroglancer precomputed (folder)": "",
    "OME-Zarr (.zarr)": ".zarr",
    "TIFF (.tif)": ".tif",
}


class HomeForm(QWidget):
    """Everything for one backprojection.

    Parameters
    ----------
    scene : Scene
    """

    #: A run has failed: the exception.
    failed = Signal(object)
    #: Something worth a line: a run ended, was cancelled.
    said = Signal(str)

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene, self._runs = scene, scene.overlays.runs
        self._entries: list[StraightLabels] = []
        self._volume: Volume | None = None
        self._by_user = False  # which labels; else those that are painted
        self.labels = named(
            QComboBox(), "labels to bring home", "Which labels of the straightened view go home."
        )
        self.destination = Destination(self, "Backproject", "labels", FORMATS)
        named(self.destination.format, "bring home as", "What the result is written as.")
        self.mip = named(
            QComboBox(), "mip of the result", "The level of the volume whose voxels are labelled."
        )
        self.keep = named(
            QLineEdit(), "ids to bring home", "Only these ids, such as: 1, 300. Empty: all."
        )
        self.keep.setPlaceholderText("all")
        self.pyramid = named(
            QCheckBox("Coarser levels, too"),
            "coarser levels, too",
            "Write the volume's coarser levels as well; each of their voxels has the label that "
            "most of the fine voxels in it have.",
        )
        self.keep_problem = wrapping_label()
        self.promise = wrapping_label()
        self.job = JobRow(
            "Backproject",
            "Write the labels into the voxels of the volume, each along the trace it was painted "
            "on. The result is shown over the volume.",
            "Backprojecting",
        )
        self.notices = wrapping_label()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Labels", self.labels)
        self.destination.add_to(form, "As", "To")
        more = QFormLayout()
        more.setContentsMargins(0, 0, 0, 0)
        more.addRow("Mip", self.mip)
        more.addRow("Ids", self.keep)
        more.addRow("", self.pyramid)
        inside = QWidget()
        inside.setLayout(more)
        # A low dock: what is seldom changed is folded away, and the button is in sight.
        self.more = Fold("Mip, ids, coarser levels", open_=False)
        self.more.add(inside)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        for each in (
            self.destination.problem, self.keep_problem, self.job, self.more, self.promise,
            self.notices,
        ):  # fmt: skip
            column.addWidget(each)
        for combo in (self.labels, self.destination.format, self.mip):
            combo.setMinimumContentsLength(8)
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.labels.currentIndexChanged.connect(self._labels_chosen)
        self.labels.activated.connect(self._labels_chosen)  # also the ones that are chosen
        self.mip.currentIndexChanged.connect(self.refresh)
        self.keep.editingFinished.connect(self.refresh)
        self.pyramid.toggled.connect(self.refresh)
        self.destination.changed.connect(self.refresh)
        self.job.run.connect(self.run)
        self.job.cancelled.connect(self._runs.cancel)
        tab_order(
            self.labels, self.destination.format, self.destination.path, self.destination.choose,
            self.job.button, self.job.cancel_button, self.more.button, self.mip, self.keep,
            self.pyramid,
        )  # fmt: skip
        self.notices.hide()

    def attach(self) -> None:
        """Listen, and show how things are."""
        scene, runs = self._scene, self._runs
        scene.labels.changed.connect(self.show_labels)
        scene.live.changed.connect(self._live_changed)
        runs.progressed.connect(self.job.advance)
        runs.finished.connect(self._finished)
        runs.failed.connect(self._failed)
        runs.cost_changed.connect(self._show_cost)
        runs.warned.connect(self._warned)
        scene.overlays.results.shown.connect(self._shown)
        scene.overlays.results.failed.connect(self._not_shown)
        # Runs go on, and end, while the dock is hidden.
        if runs.running and not self.job.running:
            self.job.start(None, "chunks", "Backprojecting")
        elif self.job.running and not runs.running:
            self.job.finish(runs.outcome)
        self.show_labels()

    def detach(self) -> None:
        """Stop listening; a run goes on."""
        scene, runs = self._scene, self._runs
        scene.labels.changed.disconnect(self.show_labels)
        scene.live.changed.disconnect(self._live_changed)
        runs.progressed.disconnect(self.job.advance)
        runs.finished.disconnect(self._finished)
        runs.failed.disconnect(self._failed)
        runs.cost_changed.disconnect(self._show_cost)
        runs.warned.disconnect(self._warned)
        scene.overlays.results.shown.disconnect(self._shown)
        scene.overlays.results.failed.disconnect(self._not_shown)

    def show_labels(self) -> None:
        """Offer the labels that there are, and all of them at once where there are several."""
        blocked = self.labels.blockSignals(True)
        before = self.chosen if self._by_user else []
        self._entries = list(self._scene.labels.entries)
        self.labels.clear()
        for entry in self._entries:
            where = "" if entry.layer is not None else " (painted along an earlier trace)"
            self.labels.addItem(f"{entry.name}{where}")
        if len(self._entries) > 1:
            self.labels.addItem(f"all {len(self._entries)} of them")
        if len(before) > 1 and len(self._entries) > 1:
            self.labels.setCurrentIndex(len(self._entries))
        else:
            active = self._scene.labels.active
            wanted = [entry for entry in (*before, active) if entry in self._entries]
            self.labels.setCurrentIndex(self._entries.index(wanted[0]) if wanted else -1)
        self.labels.blockSignals(blocked)
        self.refresh()

    def _labels_chosen(self) -> None:
        self._by_user = True
        self.refresh()

    @property
    def chosen(self) -> list[StraightLabels]:
        """The labels that go home; more than one where all do."""
        i = self.labels.currentIndex()
        if i == len(self._entries) and i > 1:
            return list(self._entries)
        return self._entries[i : i + 1] if i >= 0 else []

    def refresh(self, *_: Any) -> None:
        """Show what is possible, and ask anew what a run would cost."""
        self._show_mips()
        tiff = self.destination.suffix == ".tif"
        set_ready(self.pyramid, not tiff, "A TIFF holds one level.")
        self.destination.show()
        problem, request = self._request()
        self.keep_problem.setText("")
        if request is None and problem and self.keep.text().strip() and self.chosen:
            self.keep_problem.setText(problem)
        self.keep_problem.setVisible(bool(self.keep_problem.text()))
        why = problem or self.destination.not_yet
        self.job.set_ready(not why, why)
        if request is None:
            self.job.set_cost("")
            self.promise.setText("")
            self.notices.hide()
        else:
            self._runs.estimate(request)
        self.promise.setVisible(bool(self.promise.text()))

    def run(self) -> None:
        """Run; asks before anything is replaced."""
        _, request = self._request()
        if request is None or self._runs.running or self.destination.not_yet:
            return
        if request.path is not None and request.path.exists():
            if not self.destination.may_replace(request.path):
                return
            _, request = self._request(overwrite=True)
            assert request is not None
        self.job.start(None, "chunks", "Backprojecting")
        self._runs.start(request)

    def _request(self, overwrite: bool = False) -> tuple[str, HomeRequest | None]:
        """What is asked for, or why that cannot be said yet."""
        volume, entries = self._scene.reference, self.chosen
        if volume is None:
            return "Open a volume first.", None
        if not entries:
            return "Make labels in the straightened view first, or load some.", None
        widest = max((entry.array.dtype for entry in entries), key=lambda dtype: dtype.itemsize)
        try:
            keep = ids_of(self.keep.text(), widest)
        except UserError as error:
            return str(error), None
        suffix = self.destination.suffix
        return "", HomeRequest.of(
            entries,
            like=volume,
            mip=max(self.mip.currentIndex(), 0),
            path=None if suffix is None else self.destination.target,
            work=self._scene.work,
            keep=tuple(keep),
            pyramid=self.pyramid.isChecked() and suffix != ".tif",
            overwrite=overwrite,
        )

    def _show_mips(self) -> None:
        """The levels of the volume; the one that is straightened, unless the user took another."""
        volume = self._scene.reference
        if volume is self._volume:
            return
        self._volume = volume
        blocked = self.mip.blockSignals(True)
        self.mip.clear()
        for title, value in mip_titles(volume) if volume is not None else []:
            if isinstance(value, int):
                self.mip.addItem(title, value)
        self.mip.setCurrentIndex(min(self._scene.live.state.mip, self.mip.count() - 1))
        self.mip.blockSignals(blocked)

    # -- what the run tells ---------------------------------------------------------------

    def _live_changed(self, *_: Any) -> None:
        if self._scene.reference is not self._volume:
            self.refresh()

    def _show_cost(self, cost: HomeCost | None) -> None:
        self.job.set_cost("" if cost is None else cost.text(self._runs.bytes_per_second))
        if cost is not None:
            self.promise.setText("\n".join(cost.promises))
            self.promise.show()

    def _warned(self, text: str) -> None:
        self.notices.setText(text)
        self.notices.setVisible(bool(text))

    def _finished(self, result: HomeResult) -> None:
        self.job.finish(self._runs.outcome)
        self._show_cost(self._runs.cost)

    def _failed(self, error: Exception) -> None:
        self.job.finish(self._runs.outcome)
        if isinstance(error, Cancelled):
            self.said.emit("The backprojection was cancelled; nothing was kept.")
        else:
            self.failed.emit(error)

    def _not_shown(self, error: Exception) -> None:
        self.failed.emit(error)

    def _shown(self, result: HomeResult, layer: Layer) -> None:
        self.said.emit(f"Shown over the volume: {layer.name}")
