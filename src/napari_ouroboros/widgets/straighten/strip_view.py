"""The longitudinal strip as a widget: along the curve from left to right, and a click goes there.

Painted from one QImage: a third canvas would cost far more than it shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRect, QSize, Qt, QTimer
from qtpy.QtGui import (
    QColor,
    QHideEvent,
    QImage,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QShowEvent,
)
from qtpy.QtWidgets import QComboBox, QSizePolicy, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls import named
from napari_ouroboros.widgets.controls.along_slices import AlongSlices
from napari_ouroboros.widgets.qa.colours import BAD, SUSPICIOUS
from napari_ouroboros.widgets.qa.plot_shape import flag_columns
from napari_ouroboros.widgets.straighten.previews import live_preview_of
from napari_ouroboros.widgets.straighten.ruler import ticks
from napari_ouroboros.widgets.straighten.strip_feed import StripFeed
from napari_ouroboros.widgets.straighten.strip_picture import picture

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene import Scene

_RULER = 16
#: Height of a flag, over the ruler's ticks.
_FLAG = 4
_STALE_MS = 300
_LINE = QColor(255, 210, 60)
_APPEARANCE = ("contrast_limits", "colormap", "gamma", "opacity", "visible")


class StripView(QWidget):
    """The strip, and the choice of what runs across it, which stands beside the strip's title.

    Parameters
    ----------
    scene : Scene

    Attributes
    ----------
    canvas : StripCanvas
    axis : QComboBox
        For whoever lays out the title.
    """

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.canvas = StripCanvas(scene)
        self.axis = named(
            QComboBox(),
            "what runs across the strip",
            "The strip cuts the straightened volume along the curve, through its middle: "
            "across it run the columns of the middle row, or the rows of the middle column.",
        )
        self.axis.addItem("columns across", "column")
        self.axis.addItem("rows across", "row")
        self.axis.currentIndexChanged.connect(self._axis_chosen)
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 0, 2, 0)
        column.addWidget(self.canvas, 1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def feed(self) -> StripFeed | None:
        """What computes the strip, while it is shown."""
        return self.canvas.feed

    def close_links(self) -> None:
        """Stop listening and computing. Harmless when repeated."""
        self.canvas.detach()

    def _axis_chosen(self) -> None:
        self.canvas.set_axis(self.axis.currentData())


class StripCanvas(AlongSlices):
    """The picture with ruler and the line of the shown slice. It listens only while shown."""

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(
            self,
            "strip along the curve",
            "The straightened volume cut along the curve. Click or drag: go to a slice. "
            "Left, right: one slice; page up, page down: ten; home, end: the first, the last.\n"
            "Flags below it: suspicious slices in orange, bad ones in red.",
        )
        self._scene = scene
        self.feed: StripFeed | None = None
        self._axis = "column"
        self._image: QImage | None = None
        self._bytes: Any = None
        self._layers: list[Any] = []
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_STALE_MS)
        self._patience.timeout.connect(self.update)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(_RULER + 30)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    # -- listening ------------------------------------------------------------------------

    def attach(self) -> None:
        """Begin to compute and to listen."""
        if self.feed is not None:
            return
        self.feed = StripFeed(live_preview_of(self._scene))
        self.feed.axis = self._axis  # type: ignore[assignment]
        self.feed.changed.connect(self._strips_changed)
        self._scene.place.slice_changed.connect(self._slice_changed)
        self._scene.live.changed.connect(self._live_changed)
        self._scene.qa.changed.connect(self._flags_changed)
        self._scene.qa.marks_changed.connect(self._flags_changed)
        self._tell_size()

    def detach(self) -> None:
        """Stop both. Harmless when repeated."""
        if self.feed is None:
            return
        self._watch([])
        self._scene.place.slice_changed.disconnect(self._slice_changed)
        self._scene.live.changed.disconnect(self._live_changed)
        self._scene.qa.changed.disconnect(self._flags_changed)
        self._scene.qa.marks_changed.disconnect(self._flags_changed)
        self.feed.changed.disconnect(self._strips_changed)
        self.feed.close()
        self.feed = None
        self._image = None

    def set_axis(self, axis: Any) -> None:
        """Choose what runs across: "column" or "row"."""
        self._axis = axis
        if self.feed is not None:
            self.feed.axis = axis

    def showEvent(self, event: QShowEvent | None) -> None:
        """Begin to listen."""
        super().showEvent(event)
        self.attach()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Stop listening."""
        self.detach()
        super().hideEvent(event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for as many pixels as there are now."""
        super().resizeEvent(event)
        self._image = None
        self._tell_size()

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(400, 120)

    @staticmethod
    def height_with(picture: int) -> int:
        """Return how high the widget is with a picture of so many pixels."""
        return picture + _RULER

    def _tell_size(self) -> None:
        if self.feed is not None:
            self.feed.set_size(self.area.width(), self.area.height())

    def _strips_changed(self) -> None:
        assert self.feed is not None
        self._watch([strip.layer for strip in self.feed.strips])
        self._appearance_changed()

    def _watch(self, layers: list[Any]) -> None:
        """Listen to the contrast and the colours of these layers, and of no others."""
        for layer, listens in [(x, False) for x in self._layers] + [(x, True) for x in layers]:
            for name in _APPEARANCE:
                emitter = getattr(layer.events, name, None)
                if emitter is not None:
                    change = emitter.connect if listens else emitter.disconnect
                    change(self._appearance_changed)
        self._layers = layers

    def _appearance_changed(self, _event: Any = None) -> None:
        self._image = None
        self.update()

    def _slice_changed(self, _k: int, _by: str) -> None:
        self.update()

    def _flags_changed(self) -> None:
        self.update()

    def _live_changed(self, *_: Any) -> None:
        self._patience.start()
        self.update()

    # -- going to a slice -----------------------------------------------------------------

    @property
    def n_slices(self) -> int:
        """Slices of the map of this moment; 0 without one."""
        map_ = self._scene.live.state.map
        return 0 if map_ is None else len(map_.frames)

    @property
    def shown_slice(self) -> int:
        """The slice that is shown."""
        return self._scene.place.slice_index

    def choose(self, k: int) -> None:
        """Go to a slice, in both spaces."""
        self._scene.place.go_to_slice(k, "strip")

    # -- painting -------------------------------------------------------------------------

    @property
    def area(self) -> QRect:
        """Where the strip is drawn."""
        return self.rect().adjusted(0, 0, 0, -_RULER)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the picture, the ruler below it and the line of the shown slice."""
        painter = QPainter(self)
        area = self.area
        state = self._scene.live.state
        text = self.palette().windowText().color()
        if state.map is None:
            painter.setPen(text)
            painter.drawText(
                self.rect(), int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap),
                state.problem,
            )  # fmt: skip
            painter.end()
            return
        if self.feed is not None and self.feed.strips:
            if self._image is None:
                self._draw(area)
            stale = self.feed.is_stale and not self._patience.isActive()
            painter.setOpacity(0.4 if stale else 1.0)
            if self._image is not None:
                painter.drawImage(area, self._image)
            painter.setOpacity(1.0)
        painter.setPen(text)
        map_ = state.map
        length = float(map_.frames.s[-1]) + map_.mean_spacing_nm
        for nm, label in ticks(length, max(2, area.width() // 90)):
            x = round(area.left() + nm / length * area.width())
            painter.drawLine(x, area.bottom() + 1, x, area.bottom() + 5)
            painter.drawText(x + 3, self.height() - 4, label)
        self._draw_flags(painter, area)
        painter.setPen(QPen(_LINE, 1.5))
        x_line = self.x_of(self._scene.place.slice_index)
        painter.drawLine(QPointF(x_line, area.top()), QPointF(x_line, area.bottom() + 6))
        painter.end()

    def _draw_flags(self, painter: QPainter, area: QRect) -> None:
        """Suspicious slices below the picture, and in the same places the bad ones over them."""
        qa = self._scene.qa
        if not qa.is_current:
            return
        n = self.n_slices
        wide = max(2, round(area.width() / n))
        bad = np.array([m.slice for m in qa.marks or () if m.verdict == "bad"], np.int64)
        for slices, colour in ((qa.suspicious, SUSPICIOUS), (bad, BAD)):
            for x in flag_columns(slices, n, area.width()).tolist():
                left = area.left() + x - wide // 2
                painter.fillRect(QRect(left, area.bottom() + 1, wide, _FLAG), QColor(*colour))

    def _draw(self, area: QRect) -> None:
        assert self.feed is not None
        if area.width() < 1 or area.height() < 1:
            return
        self._bytes = picture(self.feed.strips, area.width(), area.height())
        self._image = QImage(
            self._bytes.data, area.width(), area.height(), 4 * area.width(),
            QImage.Format.Format_RGBA8888,
        )  # fmt: skip
