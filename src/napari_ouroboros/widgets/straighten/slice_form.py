"""The part of the dock that says how slices are cut: a form over the scene's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QSpinBox, QWidget

from napari_ouroboros.widgets.controls import LengthField, named, tab_order
from napari_ouroboros.widgets.controls.lengths import length_text
from napari_ouroboros.widgets.straighten.advice import mip_titles

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene import Scene

_INTERPOLATIONS = (
    ("linear (labels: nearest)", None),
    ("nearest", "nearest"),
    ("cubic: sharper", "cubic"),
)
_MOST_PIXELS = 100_000


class SliceForm(QWidget):
    """Width, height, pixel size, distance, mip, interpolation, adaptive spacing.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self._volume: Any = None
        self.width_px = self._pixels("width", "Columns of a slice, in pixels.")
        self.height_px = self._pixels("height", "Rows of a slice, in pixels.")
        self.size_nm = QLabel()
        self.pitch = LengthField("Pixel size", "How large a pixel of a slice is in the tissue.")
        self.spacing = LengthField("Distance between slices", "Along the curve.")
        self.mip = named(
            QComboBox(), "mip", "The level of the volume that is read: coarser ones are faster."
        )
        self.interpolation = named(
            QComboBox(),
            "interpolation",
            "How values between voxels are found. Ids of segmentations are never blended.",
        )
        for title, value in _INTERPOLATIONS:
            self.interpolation.addItem(title, value)
        self.adaptive = named(
            QCheckBox("closer in bends, within"),
            "adaptive distance",
            "Slices lie closer where the curve bends, so that nothing within this radius of the "
            "curve is sampled coarser than the distance between slices.",
        )
        self.radius = LengthField(
            "Adaptive radius", "How far from the curve.", automatic="", zero=True
        )
        for combo in (self.mip, self.interpolation):
            # As narrow as the dock: the longest title would make it scroll sideways.
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setMinimumContentsLength(8)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        # One line for both: a low dock shows the whole form.
        size = _beside(self.width_px, QLabel("×"), self.height_px, self.size_nm)
        form.addRow("Width × height", size)
        form.addRow("Pixel size", self.pitch)
        form.addRow("Distance between slices", self.spacing)
        form.addRow("Mip", self.mip)
        form.addRow("Interpolation", self.interpolation)
        form.addRow(self.adaptive)
        form.addRow(self.radius)
        self.width_px.valueChanged.connect(self._width_entered)
        self.height_px.valueChanged.connect(self._height_entered)
        self.pitch.changed.connect(self._pitch_entered)
        self.spacing.changed.connect(self._spacing_entered)
        self.mip.currentIndexChanged.connect(self._mip_chosen)
        self.interpolation.currentIndexChanged.connect(self._interpolation_chosen)
        self.adaptive.toggled.connect(self._adaptive_toggled)
        self.radius.changed.connect(self._adaptive_toggled)
        tab_order(
            self.width_px, self.height_px, self.pitch.edit, self.spacing.edit, self.mip,
            self.interpolation, self.adaptive, self.radius.edit,
        )  # fmt: skip

    def attach(self) -> None:
        """Listen to the settings, and show them."""
        self._scene.settings.events.connect(self._settings_changed)
        self._scene.live.changed.connect(self._settings_changed)
        self.show_settings()

    def detach(self) -> None:
        """Stop listening."""
        self._scene.settings.events.disconnect(self._settings_changed)
        self._scene.live.changed.disconnect(self._settings_changed)

    def show_settings(self) -> None:
        """Show the settings as they are, without setting anything."""
        settings, live = self._scene.settings, self._scene.live
        controls = (self.width_px, self.height_px, self.mip, self.interpolation, self.adaptive)
        before = [control.blockSignals(True) for control in controls]
        try:
            self.width_px.setValue(settings.width)
            self.height_px.setValue(settings.height)
            if live.volume is not self._volume or not self.mip.count():
                self._volume = live.volume
                self.mip.clear()
                for title, value in mip_titles(live.volume) if live.volume is not None else []:
                    self.mip.addItem(title, value)
            self.mip.setCurrentIndex(self.mip.findData(settings.mip))
            self.interpolation.setCurrentIndex(
                max(0, self.interpolation.findData(settings.interpolation))
            )
            self.adaptive.setChecked(settings.adaptive_radius_nm is not None)
        finally:
            for control, blocked in zip(controls, before, strict=True):
                control.blockSignals(blocked)
        self.radius.setVisible(settings.adaptive_radius_nm is not None)
        pitch = self._pixel_nm()
        for field in (self.pitch, self.spacing, self.radius):
            field.set_pixel_nm(pitch)
        # What is being typed stays when the map of something else comes meanwhile.
        if self.pitch.nm != settings.pitch_nm:
            self.pitch.nm = settings.pitch_nm
        if self.spacing.nm != settings.spacing_nm:
            self.spacing.nm = settings.spacing_nm
        if settings.adaptive_radius_nm not in (None, self.radius.nm):
            self.radius.nm = settings.adaptive_radius_nm
        sides = (settings.width, settings.height)
        self.size_nm.setText(
            "" if pitch is None else "= " + " × ".join(length_text(n * pitch) for n in sides)
        )

    def _pixels(self, name: str, tooltip: str) -> QSpinBox:
        box = named(QSpinBox(), name, tooltip)
        box.setRange(1, _MOST_PIXELS)
        box.setSuffix(" px")
        box.setMinimumWidth(64)
        # Not at each digit: 1, 15 and 150 would be three maps.
        box.setKeyboardTracking(False)
        box.setAlignment(Qt.AlignmentFlag.AlignRight)
        return box

    def _pixel_nm(self) -> float | None:
        map_ = self._scene.live.state.map
        if map_ is not None:
            return map_.pitch_nm
        volume, settings = self._scene.live.volume, self._scene.settings
        if settings.pitch_nm is not None or volume is None:
            return settings.pitch_nm
        mip = settings.mip if isinstance(settings.mip, int) else 0
        # The mip of a volume of before: the line above the form says that there is none.
        return min(volume.mip(mip).resolution) if mip < len(volume.levels) else None

    def _settings_changed(self, *_: Any) -> None:
        self.show_settings()

    def _width_entered(self, value: int) -> None:
        self._scene.settings.width = value

    def _height_entered(self, value: int) -> None:
        self._scene.settings.height = value

    def _pitch_entered(self, nm: object) -> None:
        self._scene.settings.pitch_nm = nm  # type: ignore[assignment]

    def _spacing_entered(self, nm: object) -> None:
        self._scene.settings.spacing_nm = nm  # type: ignore[assignment]

    def _mip_chosen(self) -> None:
        if self.mip.currentIndex() >= 0:
            self._scene.settings.mip = self.mip.currentData()

    def _interpolation_chosen(self) -> None:
        self._scene.settings.interpolation = self.interpolation.currentData()

    def _adaptive_toggled(self, *_: object) -> None:
        settings = self._scene.settings
        if not self.adaptive.isChecked():
            settings.adaptive_radius_nm = None
            return
        radius = self.radius.nm
        if radius is None:
            # Half the diagonal of a slice: nothing that is shown is sampled coarser.
            pitch = self._pixel_nm() or 1.0
            radius = round(0.5 * pitch * (settings.width**2 + settings.height**2) ** 0.5, 1)
        settings.adaptive_radius_nm = radius


def _beside(*widgets: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        layout.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
    return row
