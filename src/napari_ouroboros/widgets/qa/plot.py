"""One quantity along the path, with flags and the line of the shown slice; a click goes there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QLineF, QPointF, QRect, QSize, Qt, QTimer, Signal
from qtpy.QtGui import (
    QColor,
    QFontMetrics,
    QHelpEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_ouroboros.widgets.controls import named
from napari_ouroboros.widgets.controls.along_slices import AlongSlices
from napari_ouroboros.widgets.qa.colours import BAD, GOOD, SHOWN, SUSPICIOUS
from napari_ouroboros.widgets.qa.plot_shape import envelope, extent, flag_columns
from napari_ouroboros.widgets.qa.quantities import Curve, value_text
from napari_ouroboros.widgets.straighten.ruler import ticks

Int = NDArray[np.int64]

_RULER, _FLAGS, _TICK = 16, 12, 90
#: Height of the curve's own area in pixels.
_CURVE = 76
_STALE_MS = 300
_COLOURS = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
_NONE = np.zeros(0, np.int64)


class PathPlot(AlongSlices):
    """The plot. It knows nothing of a scene: it is told what to draw, and tells what is clicked."""

    #: A slice was chosen, by mouse or key.
    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(
            self,
            "plot along the path",
            "One value per slice, along the path. Click or drag: go to a slice. Left, right: one "
            "slice; page up, page down: ten; home, end: the first, the last.\n"
            "Below: suspicious slices in orange, and below them good ones green, bad ones red.",
        )
        self._usual_tip = self.toolTip()
        self._curve: Curve | None = None
        self._s_nm = np.zeros(0)
        self._length_nm = 0.0
        self._suspicious, self._good, self._bad = _NONE, _NONE, _NONE
        self._shown = 0
        self._pixmap: QPixmap | None = None
        self._stale = False
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_STALE_MS)
        self._patience.timeout.connect(self.update)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(_RULER + _FLAGS + 40)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    # -- what is drawn --------------------------------------------------------------------

    @property
    def n_slices(self) -> int:
        """How many slices there are; 0: nothing is drawn."""
        return len(self._s_nm)

    def set_path(self, s_nm: NDArray[np.float64], length_nm: float) -> None:
        """Where the slices lie along the path (n,), and how long it is."""
        self._s_nm, self._length_nm = s_nm, length_nm
        self._redraw()

    def set_curve(self, curve: Curve | None) -> None:
        """Draw this."""
        self._curve = curve
        self._redraw()

    def set_flags(self, suspicious: Int, good: Int, bad: Int) -> None:
        """Flag these slices."""
        self._suspicious, self._good, self._bad = suspicious, good, bad
        self._redraw()

    def set_slice(self, k: int) -> None:
        """Slice `k` is shown."""
        if k != self._shown:
            self._shown = k
            self.update()

    def set_stale(self, stale: bool) -> None:
        """What is drawn is of other slices than those that are shown: dim it, in a moment."""
        if stale != self._stale:
            self._stale = stale
            if stale:
                self._patience.start()
            else:
                self._patience.stop()
                self.update()

    @property
    def is_dimmed(self) -> bool:
        """Whether it is drawn faintly."""
        return self._stale and not self._patience.isActive()

    def _redraw(self) -> None:
        self._pixmap = None
        self.update()

    # -- going to a slice -----------------------------------------------------------------

    @property
    def shown_slice(self) -> int:
        """The slice that is shown."""
        return self._shown

    def choose(self, k: int) -> None:
        """Tell that a slice was chosen."""
        if k != self._shown:
            self.chosen.emit(k)

    # -- painting -------------------------------------------------------------------------

    @property
    def area(self) -> QRect:
        """Where the curve is drawn."""
        return self.rect().adjusted(0, 0, 0, -_RULER - _FLAGS)

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(300, _RULER + _FLAGS + _CURVE)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Draw it in this size."""
        super().resizeEvent(event)
        self._pixmap = None

    def changeEvent(self, event: QEvent | None) -> None:
        """Draw it in the colours of another theme."""
        super().changeEvent(event)
        if event is not None and event.type() in _COLOURS:
            self._redraw()

    def event(self, event: QEvent | None) -> bool:
        """Say the value under the mouse."""
        if isinstance(event, QHelpEvent) and self._curve is not None and self.n_slices:
            k = self.slice_at(event.pos().x())
            text = f"Slice {k}: {self._value_text(k)}"
            QToolTip.showText(event.globalPos(), f"{text}\n{self._usual_tip}", self)
            return True
        return bool(super().event(event))

    def _value_text(self, k: int) -> str:
        assert self._curve is not None
        if k >= len(self._curve.values):
            return "no value"
        return value_text(self._curve.values[k], self._curve.quantity.unit) or "no value"

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint what was drawn, and the line of the shown slice over it."""
        if self._pixmap is None:
            self._pixmap = self._draw()
        painter = QPainter(self)
        painter.setOpacity(0.4 if self.is_dimmed else 1.0)
        painter.drawPixmap(0, 0, self._pixmap)
        if self.n_slices:
            painter.setPen(QPen(QColor(*SHOWN), 1.5))
            x = self.x_of(self._shown)
            painter.drawLine(QPointF(x, 0), QPointF(x, self.height() - _RULER + 4))
        painter.end()

    def _draw(self) -> QPixmap:
        pixmap = QPixmap(self.size() * self.devicePixelRatioF())
        pixmap.setDevicePixelRatio(self.devicePixelRatioF())
        pixmap.fill(QColor(0, 0, 0, 0))
        if not self.n_slices or self.area.width() < 2:
            return pixmap
        painter = QPainter(pixmap)
        text = self.palette().windowText().color()
        faint = QColor(text)
        faint.setAlpha(40)
        area = self.area
        painter.fillRect(area, QColor(faint.red(), faint.green(), faint.blue(), 18))
        painter.fillRect(
            QRect(area.left(), area.bottom() + 1, area.width(), _FLAGS),
            QColor(faint.red(), faint.green(), faint.blue(), 34),
        )
        self._draw_curve(painter, text)
        self._draw_flags(painter)
        painter.setPen(text)
        for nm, label in ticks(self._length_nm, max(2, area.width() // _TICK)):
            # Slices of a bent trace may lie closer together where it bends.
            k = float(np.interp(nm, self._s_nm, np.arange(self.n_slices)))
            x = round(self.x_of(k))
            painter.drawLine(x, self.height() - _RULER, x, self.height() - _RULER + 4)
            painter.drawText(x + 3, self.height() - 4, label)
        painter.end()
        return pixmap

    def _draw_curve(self, painter: QPainter, text: QColor) -> None:
        curve, area = self._curve, self.area
        if curve is None or len(curve.values) != self.n_slices:
            return
        low, high = extent(curve.values, curve.quantity.from_zero)
        top, bottom = area.top() + 4.0, area.bottom() - 3.0

        def y_of(values: NDArray[np.float64] | float) -> NDArray[np.float64]:
            return np.asarray(bottom - (np.asarray(values) - low) / (high - low) * (bottom - top))

        painter.setPen(QPen(QColor(*SUSPICIOUS), 1, Qt.PenStyle.DashLine))
        for limit in curve.limits:
            if low <= limit <= high:
                y = float(y_of(limit))
                painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(text, 1.2))
        width = area.width()
        if self.n_slices > width:
            lows, highs = (y_of(v) for v in envelope(curve.values, width))
            x = area.left() + np.arange(width) + 0.5
            painter.drawLines(_steps(x, lows, highs))
        else:
            x = area.left() + (np.arange(self.n_slices) + 0.5) / self.n_slices * width
            points = y_of(curve.values)
            painter.drawLines(_steps(x, points, points))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        known = np.isfinite(curve.values).any()
        metrics = QFontMetrics(painter.font())
        upper = value_text(high, curve.quantity.unit) if known else "nothing yet"
        painter.drawText(area.left() + 3, area.top() + metrics.ascent() + 1, upper)
        if known:
            lower = value_text(low, curve.quantity.unit)
            painter.drawText(area.left() + 3, area.bottom() - metrics.descent(), lower)
        if curve.limits and known:
            # Said, too: where all values are far below it, its line lies beyond the plot.
            unit = curve.quantity.unit
            limit_text = "limit " + " – ".join(value_text(limit, unit) for limit in curve.limits)
            painter.setPen(QColor(*SUSPICIOUS))
            x = area.right() - metrics.horizontalAdvance(limit_text) - 4
            painter.drawText(x, area.top() + metrics.ascent() + 1, limit_text)

    def _draw_flags(self, painter: QPainter) -> None:
        area, half = self.area, _FLAGS // 2
        top = area.bottom() + 1
        wide = max(2, round(area.width() / max(1, self.n_slices)))
        for slices, colour, y in (
            (self._suspicious, SUSPICIOUS, top),
            (self._good, GOOD, top + half),
            (self._bad, BAD, top + half),
        ):
            for x in flag_columns(slices, self.n_slices, area.width()):
                painter.fillRect(
                    QRect(area.left() + int(x) - wide // 2, y, wide, half - 1), QColor(*colour)
                )


def _steps(
    x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> list[QLineF]:
    """Lines up and down in each column, and on to the next; none where there is no value."""
    lines = []
    last: tuple[float, float] | None = None
    for a, b, c in zip(x.tolist(), low.tolist(), high.tolist(), strict=True):
        if b != b:
            last = None
            continue
        if last is not None:
            lines.append(QLineF(last[0], last[1], a, c))
        # A value between two without any is a dot, at least.
        lines.append(QLineF(a, b, a, c) if b != c else QLineF(a - 0.5, b, a + 0.5, b))
        last = (a, b)
    return lines
