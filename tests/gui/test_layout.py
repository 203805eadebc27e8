"""Controls can be understood and reached, and all fits a small screen, dark or light."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QScrollArea,
    QTabBar,
    QWidget,
)
from real_events import qt_viewer, settle, wait_until
from scene_server import served

from napari_ouroboros.widgets import streaming
from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.open import OpenDock
from napari_ouroboros.widgets.qa import QaDock
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import StraightDock, arrange, flip
from napari_ouroboros.widgets.spaces.helper_layer import is_helper
from napari_ouroboros.widgets.straighten import StraightenDock
from napari_ouroboros.widgets.trace import TraceDock

CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit)
DOCKS = (OpenDock, TraceDock, StraightenDock, BackprojectDock, QaDock)


def controls(dock: QWidget) -> list[QWidget]:
    """What a user operates; not the parts that Qt makes its own controls of."""
    found = []
    for widget in dock.findChildren(QWidget):
        if not isinstance(widget, CONTROLS) or isinstance(widget.parent(), CONTROLS):
            continue
        if widget.isHidden() and isinstance(widget, QAbstractButton) and not widget.text():
            continue  # the button of an empty state that has none
        # Of napari's canvas with its slider, or within a scroll bar or a tab bar.
        above = widget.parentWidget()
        names = []
        while above is not None and above is not dock:
            names.append(type(above).__name__)
            above = above.parentWidget()
        if not {"QtViewer", "QTabBar", "QListView"} & set(names):
            found.append(widget)
    return found


def describe(widget: Any) -> str:
    text = widget.text() if hasattr(widget, "text") else ""
    return f"{type(widget).__name__} {widget.accessibleName() or text!r}"


def widget_of(kind: type[QWidget]) -> Any:
    (found,) = [each for each in QApplication.allWidgets() if isinstance(each, kind)]
    return found


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_controls_and_sizes(window: Callable[..., Any], demo_nerve: Any, theme: str) -> None:
    viewer = window()
    viewer.theme = theme
    qt_window = viewer.window._qt_window
    arrange(viewer)
    # -- the window keeps its size, the canvases get theirs
    assert (qt_window.width(), qt_window.height()) == (1366, 768)
    scene = scene_of(viewer)
    ours = qt_viewer(scene.straight).canvas.native
    theirs = qt_viewer(viewer).canvas.native

    def fit() -> bool:
        small, large = sorted([ours.width(), theirs.width()])
        return small >= 380 and (large >= 600 or small + large < 980)  # what the left leaves

    for _ in range(2):
        wait_until(fit, "the widths")
        flip(viewer)
    settle(turns=10)
    assert (qt_window.width(), qt_window.height()) == (1366, 768)
    tabs = {bar.tabText(k) for bar in qt_window.findChildren(QTabBar) for k in range(bar.count())}
    assert {"Open a volume", "Trace", "Straighten", "Backproject", "QA", "layer list"} <= tabs
    for kind in DOCKS:
        assert isinstance(widget_of(kind), QScrollArea)
    # -- every control says what it is for, and can be reached by the keyboard
    wrong = []
    for kind in (*DOCKS, StraightDock):
        dock = widget_of(kind)
        for widget in controls(dock):
            where = f"{kind.__name__}: {describe(widget)}"
            if not (widget.toolTip() or widget.statusTip()):
                wrong.append(f"{where} has no tooltip")
            if not widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                wrong.append(f"{where} cannot be reached with Tab")
            if not widget.isEnabled() and len(widget.toolTip()) < 10:
                wrong.append(f"{where} does not say why it is disabled")
    assert not wrong, "\n".join(wrong)
    # -- Tab goes through a dock from top to bottom, nothing left out
    with served(demo_nerve, latency=0.0) as near:
        streaming.add_layers(viewer, streaming.prepare_volume(near.volume, "em"))
        steps = viewer.dims.nsteps
        scene.traces.new(near.points_nm)
        wait_until(lambda: scene.live.idle and scene.live.state.map is not None, "a map")
        wait_until(lambda: sum(map(is_helper, viewer.layers)) >= 2, "frame and curve")
        assert viewer.dims.nsteps == steps
        helpers = [layer for layer in viewer.layers if layer not in scene.volume_layers]
        assert len(helpers) >= 3  # trace, curve, frame
        for layer in helpers:
            layer.visible = False
        wait_until(lambda: streaming.watch(viewer).settled, "the volume")
        assert viewer.dims.nsteps == steps
    for kind in DOCKS:
        dock = widget_of(kind)
        holder = dock
        while not isinstance(holder, QDockWidget):
            holder = holder.parentWidget()
        holder.raise_()
        wait_until(lambda: not dock.visibleRegion().isEmpty(), "the dock in front")  # noqa: B023
        pages = getattr(dock, "pages", None)
        for at in range(1 if pages is None else pages.bar.count()):
            if pages is not None:
                pages.bar.setCurrentIndex(at)
            check_tab(dock)


def check_tab(dock: QWidget) -> None:
    """Tab goes through what is seen of a dock, nothing left out, and as it is read."""
    name = type(dock).__name__
    usable = [w for w in controls(dock) if w.isVisible() and w.isEnabled()]
    if not usable:
        return  # as points of the straightened view, where there are none
    reached, widget = [], usable[0]
    for _ in range(2000):
        reached.append(widget)
        widget = widget.nextInFocusChain()
        if widget is usable[0]:
            break
    left_out = [describe(w) for w in usable if w not in reached]
    assert not left_out, f"{name}: Tab never comes to {left_out}"
    # A dock's controls follow each other: the chain does not leave and come back.
    stops = [w for w in reached if isinstance(w, CONTROLS) and w.isVisible() and w.isEnabled()]
    inside = [dock.isAncestorOf(w) for w in stops]
    entries = sum(
        now and not before for before, now in zip([inside[-1], *inside[:-1]], inside, strict=True)
    )
    assert entries <= 1, f"{name}: Tab leaves it and comes back {entries - 1} times"
    # From top to bottom, and in a line from left to right, as it is read.
    ours = [w for w in stops if dock.isAncestorOf(w)]
    first = min(range(len(ours)), key=lambda i: place_of(ours[i], dock))
    order = [place_of(w, dock) for w in (*ours[first:], *ours[:first])]
    jumps = [
        f"{describe(w)} comes after what is below it"
        for w, before, now in zip(
            (*ours[first:], *ours[:first])[1:], order, order[1:], strict=False
        )
        if now[0] < before[0] - 12
    ]
    assert not jumps, f"{name}: {jumps}"


def place_of(widget: QWidget, dock: QWidget) -> tuple[int, int]:
    at = widget.mapTo(dock, QPoint(0, widget.height() // 2))
    return at.y(), at.x()
