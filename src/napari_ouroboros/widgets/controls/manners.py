"""What every control of ours has: a name, a tooltip, its place in the tab order, a reason."""

from __future__ import annotations

from functools import partial
from typing import TypeVar
from weakref import ref

from qtpy.QtCore import QSize, QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QScrollArea, QSizePolicy, QWidget

W = TypeVar("W", bound=QWidget)
_TOOLTIP = "ouroborosTooltip"

#: Laid over the theme's own background, so that they are right in light and dark.
BAD = "background: rgba(230, 70, 50, 60); border-left: 3px solid rgb(230, 70, 50);"
GOOD = "background: rgba(90, 150, 230, 50); border-left: 3px solid rgb(90, 150, 230);"


def named(widget: W, name: str, tooltip: str) -> W:
    """Give a control its name (read aloud by screen readers) and its tooltip; return it."""
    widget.setAccessibleName(name)
    widget.setAccessibleDescription(tooltip)
    widget.setToolTip(tooltip)
    widget.setProperty(_TOOLTIP, tooltip)
    return widget


def set_ready(widget: QWidget, ready: bool, why: str = "") -> None:
    """Enable a control, or disable it and say why in its tooltip."""
    usual = widget.property(_TOOLTIP)
    if usual is None:
        usual = widget.toolTip()
        widget.setProperty(_TOOLTIP, usual)
    widget.setEnabled(ready)
    widget.setToolTip(usual if ready or not why else f"{why}\n\n{usual}" if usual else why)


def tab_order(*widgets: QWidget) -> None:
    """Let Tab go from each to the next."""
    for first, second in zip(widgets, widgets[1:], strict=False):
        QWidget.setTabOrder(first, second)


def show_soon(*widgets: QWidget) -> None:
    """Scroll to controls as soon as Qt has laid out what is new; the first one matters most."""
    for widget in reversed(widgets):
        area = widget.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None:
            QTimer.singleShot(0, partial(_show, ref(area), ref(widget)))


def _show(area: ref[QScrollArea], widget: ref[QWidget]) -> None:
    shown, in_it = area(), widget()
    if shown is None or in_it is None:
        return
    try:
        shown.ensureWidgetVisible(in_it, 0, 4)
    except RuntimeError:  # Qt has deleted the dock meanwhile
        return


class _WrappingLabel(QLabel):
    """As high as its text needs at its width. Qt's own asks for room at its narrowest."""

    def setText(self, text: str | None) -> None:
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(40, self.fontMetrics().height())

    def sizeHint(self) -> QSize:
        return QSize(120, self.minimumHeight())

    def hasHeightForWidth(self) -> bool:
        return False

    def _fit(self) -> None:
        height = max(0, self.heightForWidth(max(self.width(), 40)))
        if height != self.minimumHeight():
            self.setMinimumHeight(height)
            self.updateGeometry()


def wrapping_label(text: str = "") -> QLabel:
    """A line of text that wraps instead of widening its dock."""
    label = _WrappingLabel(text)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return label
