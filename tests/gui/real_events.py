"""A person at the display: a mouse and a keyboard of X, and eyes that wait for conditions.

Events go through the X server's XTEST extension, so that they take the way of a real device
through Qt, vispy and napari. There is no window manager on a virtual display: whoever opens a
window gives it the focus with `Person.focus`, as a window manager would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from qtpy.QtCore import QEventLoop, QPoint, QRect, Qt, QTimer
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QApplication, QScrollArea, QWidget
from Xlib import XK, X
from Xlib.display import Display
from Xlib.ext import xtest

from napari_ouroboros.widgets.controls import Pages

T = TypeVar("T")

#: Called around every condition that a test looks at in the GUI thread: the watcher leaves it out.
around_checks: list[Callable[[], Any]] = []
#: Called with True before an event loop of `wait_until` runs, with False after it.
around_loops: list[Callable[[bool], Any]] = []


class Waited(AssertionError):
    """A condition that did not come true in time."""


def wait_until(condition: Callable[[], T], what: str, seconds: float = 20.0) -> T:
    """Let the application run until `condition` is true; return what it gave.

    The real event loop runs meanwhile, as it does for a user; it looks every 5 ms.

    Raises
    ------
    Waited
        It names `what` was waited for.
    """
    loop = QEventLoop()
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    give_up = time.monotonic() + seconds
    found: list[T] = []
    wrong: list[BaseException] = []

    def look() -> None:
        for note in around_checks:
            note()
        try:
            value = condition()
            if value:
                found.append(value)
        except BaseException as error:  # noqa: BLE001 - raised again below, outside Qt
            wrong.append(error)
        for note in around_checks:
            note()
        if found or wrong or time.monotonic() > give_up:
            timer.stop()
            loop.quit()

    timer.timeout.connect(look)
    timer.start(5)
    for tell in around_loops:
        tell(True)
    loop.exec()
    for tell in around_loops:
        tell(False)
    timer.timeout.disconnect(look)
    if wrong:
        raise wrong[0]
    if not found:
        raise Waited(f"waited {seconds:g} s in vain: {what}")
    return found[0]


def settle(what: str = "the window to be still", turns: int = 3) -> None:
    """Let the event loop turn so many times, for what is on its way from the X server."""
    left = [turns]

    def turned() -> bool:
        left[0] -= 1
        return left[0] < 0

    wait_until(turned, what)


_MODIFIERS = {"Ctrl": "Control_L", "Control": "Control_L", "Shift": "Shift_L", "Alt": "Alt_L"}
_BUTTONS = {"left": 1, "middle": 2, "right": 3, "up": 4, "down": 5}
#: Names of keys as Qt and napari write them, where X has others.
_KEYS = {
    ".": "period", ",": "comma", "-": "minus", "+": "plus", " ": "space", "/": "slash",
    "Enter": "Return", "Esc": "Escape", "Del": "Delete", "Backspace": "BackSpace",
    ":": "colon", ";": "semicolon", "_": "underscore", "=": "equal", "#": "numbersign",
    "!": "exclam", "%": "percent", "(": "parenleft", ")": "parenright", "~": "asciitilde",
}  # fmt: skip


class Person:
    """Moves the one mouse and types on the one keyboard of an X display."""

    def __init__(self) -> None:
        self._display = Display()
        # Those who click at one place again need not wait so long; a double click takes 10 ms.
        QApplication.setDoubleClickInterval(150)
        self._last_press = (QPoint(-1000, -1000), 0.0)
        assert self._display.has_extension("XTEST")

    def close(self) -> None:
        """Let go of the display, and of every key and button still held."""
        self._display.close()

    # -- mouse ------------------------------------------------------------------------------

    def move(self, to: QPoint) -> None:
        """Move the mouse to a point of the screen, and wait until Qt knows."""
        if QCursor.pos() == to:  # no event for a mouse that stays: come from beside
            xtest.fake_input(self._display, X.MotionNotify, x=to.x() + 3, y=to.y())
            self._display.sync()
            settle("the mouse to be beside")
        xtest.fake_input(self._display, X.MotionNotify, x=to.x(), y=to.y())
        self._display.sync()
        wait_until(lambda: QCursor.pos() == to, "the mouse to be where it was moved to")
        settle("the move to be handled")

    def press(self, button: str = "left") -> None:
        """Press a mouse button where the mouse is."""
        self._fake(X.ButtonPress, _BUTTONS[button])
        self._last_press = (QCursor.pos(), time.monotonic())

    def _not_twice(self) -> None:
        """Wait as long as a press here would make a double click of the last one."""
        place, when = self._last_press
        apart = (QCursor.pos() - place).manhattanLength()
        interval = QApplication.doubleClickInterval() / 1000 + 0.05
        if apart < 20:
            wait_until(lambda: time.monotonic() - when > interval, "no double click")

    def release(self, button: str = "left") -> None:
        """Release it."""
        self._fake(X.ButtonRelease, _BUTTONS[button])

    def click(self, to: QPoint, button: str = "left", hold: str = "", times: int = 1) -> None:
        """Click at a point of the screen; `hold` names modifiers: "Shift", "Ctrl-Shift"."""
        self.move(to)
        with self.holding(hold):
            self._not_twice()
            for _ in range(times):
                self.press(button)
                self.release(button)
        settle("the click to be handled")

    def click_on(self, widget: QWidget, scroll: bool = True) -> None:
        """Click a widget where it has come to rest, with nothing over it.

        What is above it in a dock may grow or shrink by a line just then, and the widget moves:
        a person looks again, and so does this.

        Parameters
        ----------
        widget : QWidget
        scroll : bool
            Scroll it into sight first, if need be.
        """
        if scroll:
            self.turn_to(widget)
        for _ in range(5):
            self.move(wait_until(resting(widget, scroll), f"{widget!r} to be there for a click"))
            if on_top(widget, QCursor.pos()):
                break
        self.click(QCursor.pos())

    def turn_to(self, widget: QWidget) -> None:
        """Click the tabs behind which a control of a dock is, if it is behind others."""
        above = widget.parentWidget()
        while above is not None and not above.isWindow():
            if isinstance(above, Pages) and above.bar.currentIndex() != above.page_of(widget):
                self.turn_to(above)
                self._click_tab(above, above.page_of(widget))
                return
            above = above.parentWidget()

    def _click_tab(self, pages: Pages, at: int) -> None:
        bar = pages.bar
        wait_until(resting(bar), "the tabs to be there for a click")
        self.click_at(lambda: bar.mapToGlobal(bar.tabRect(at).center()))
        wait_until(lambda: bar.currentIndex() == at, "the part of the dock")

    def click_at(
        self, place: Callable[[], QPoint], button: str = "left", hold: str = "", times: int = 1
    ) -> None:
        """Click a place that may still be moving, where it has come to rest.

        Parameters
        ----------
        place : callable
            Says where on the screen it is now.
        button, hold, times
            As for `click`.
        """
        for _ in range(5):
            self.move(wait_until(still(place), "a place to be still for a click"))
            if place() == QCursor.pos():
                break
        self.click(QCursor.pos(), button, hold, times)

    def click_world(self, model: Any, world: ArrayLike, **how: Any) -> None:
        """Click a point of a viewer's world, once neither its canvas nor its camera moves."""
        native = qt_viewer(model).canvas.native

        def place() -> QPoint:
            x, y = canvas_pixel(model, world)
            return native.mapToGlobal(QPoint(round(x), round(y)))

        self.move(wait_until(still(place), f"{world} to be still for a click"))
        self.click_at(lambda: on_screen(model, world), **how)

    def drag(self, path: Sequence[QPoint], button: str = "left", hold: str = "") -> None:
        """Press at the first point, move along the others, release at the last."""
        with self.dragging(path, button, hold):
            pass

    @contextmanager
    def dragging(
        self, path: Sequence[QPoint], button: str = "left", hold: str = ""
    ) -> Iterator[None]:
        """Drag along `path`; within the context the button is still down."""
        self.move(path[0])
        with self.holding(hold):
            self._not_twice()
            self.press(button)
            settle("the press to be handled")
            for point in path[1:]:
                self.move(point)
            try:
                yield
            finally:
                self.release(button)
        settle("the release to be handled")

    def scroll(self, to: QPoint, clicks: int, hold: str = "") -> None:
        """Turn the wheel: up is positive."""
        self.move(to)
        with self.holding(hold):
            for _ in range(abs(clicks)):
                self.press("up" if clicks > 0 else "down")
                self.release("up" if clicks > 0 else "down")
        settle("the wheel to be handled")

    # -- keyboard ---------------------------------------------------------------------------

    def key(self, chord: str, times: int = 1) -> None:
        """Type a chord as napari writes it: ``"G"``, ``"Control-Shift-Z"``, ``"."``, ``"Tab"``."""
        *modifiers, key = chord.split("-") if len(chord) > 1 else [chord]
        code, shifted = self._code(key, letter_is_key=True)
        with self.holding("-".join([*modifiers, *(["Shift"] if shifted else [])])):
            for _ in range(times):
                self._fake(X.KeyPress, code)
                self._fake(X.KeyRelease, code)
        settle(f"the key {chord} to be handled")

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        for letter in text:
            code, shifted = self._code(letter)
            with self.holding("Shift" if shifted else ""):
                self._fake(X.KeyPress, code)
                self._fake(X.KeyRelease, code)
        settle("the text to be typed")

    @contextmanager
    def holding(self, modifiers: str) -> Iterator[None]:
        """Hold modifier keys down: ``"Ctrl-Shift"``; nothing for ``""``."""
        names = [name for name in modifiers.split("-") if name]
        codes = [self._code(_MODIFIERS[name])[0] for name in names]
        for code in codes:
            self._fake(X.KeyPress, code)
        try:
            yield
        finally:
            for code in reversed(codes):
                self._fake(X.KeyRelease, code)

    def focus(self, widget: QWidget) -> None:
        """Give a widget's window the focus of the keyboard, as a window manager does."""
        window = widget.window()
        wait_until(window.isVisible, f"the window of {widget!r} to be shown")
        window.activateWindow()
        self._display.create_resource_object("window", int(window.winId())).set_input_focus(
            X.RevertToParent, X.CurrentTime
        )
        self._display.sync()
        wait_until(
            lambda: QApplication.activeWindow() is window, f"the window of {widget!r} to be active"
        )

    def paste(self, text: str) -> None:
        """Paste a text that was copied elsewhere into what has the focus."""
        QApplication.clipboard().setText(text)
        self.key("Control-V")

    # -- X ----------------------------------------------------------------------------------

    def _fake(self, event: int, detail: int) -> None:
        xtest.fake_input(self._display, event, detail)
        self._display.sync()

    def _code(self, key: str, letter_is_key: bool = False) -> tuple[int, bool]:
        """Key code, and whether it takes shift; the letter of a chord ("G") is a key, not a G."""
        name = _KEYS.get(key, key)
        if letter_is_key and len(name) == 1:
            name = name.lower()
        symbol = XK.string_to_keysym(name)
        assert symbol, f"X knows no key {key!r}"
        codes = list(self._display.keysym_to_keycodes(symbol))
        assert codes, f"this keyboard has no {key!r}"
        code, level = min(codes, key=lambda pair: pair[1])
        return code, level == 1


# -- where things are on the screen -----------------------------------------------------------


def middle(widget: QWidget, at: tuple[float, float] = (0.5, 0.5)) -> QPoint:
    """Point of the screen in the middle of a widget, or at these shares of its size."""
    assert widget.isVisible(), f"{widget!r} is not visible"
    assert widget.devicePixelRatioF() == 1.0
    rect: QRect = widget.rect()
    return widget.mapToGlobal(
        QPoint(int(rect.left() + at[0] * rect.width()), int(rect.top() + at[1] * rect.height()))
    )


def on_top(widget: QWidget, point: QPoint) -> bool:
    """Whether a click at a point of the screen would go to a widget, or to a part of it."""
    hit = QApplication.widgetAt(point)
    return hit is not None and (hit is widget or widget.isAncestorOf(hit))


def resting(widget: QWidget, scroll: bool = True, seconds: float = 0.1) -> Callable[[], Any]:
    """A condition: the middle of `widget`, once it has stood still and free for `seconds`."""
    last: list[Any] = [None, 0.0]

    def look() -> QPoint | None:
        area = widget.parentWidget()
        while scroll and area is not None:
            if isinstance(area, QScrollArea) and area.widget().isAncestorOf(widget):
                area.ensureWidgetVisible(widget)
            area = area.parentWidget()
        point, now = middle(widget), time.monotonic()
        if point != last[0] or not on_top(widget, point):
            last[:] = point, now
        return point if now - last[1] > seconds else None

    return look


def still(place: Callable[[], QPoint], seconds: float = 0.1) -> Callable[[], QPoint | None]:
    """A condition: where a place is, once it has been there for `seconds`."""
    last: list[Any] = [None, 0.0]

    def look() -> QPoint | None:
        point, now = place(), time.monotonic()
        if point != last[0]:
            last[:] = point, now
        return point if now - last[1] > seconds else None

    return look


def qt_viewer(model: Any) -> Any:
    """The `QtViewer` that shows a viewer model."""
    from napari.qt import QtViewer

    model = getattr(model, "__wrapped__", model)
    found = [
        each
        for each in QApplication.allWidgets()
        if isinstance(each, QtViewer) and getattr(each.viewer, "__wrapped__", each.viewer) is model
    ]
    assert len(found) == 1, f"{len(found)} canvases show {model!r}"
    return found[0]


def canvas_pixel(model: Any, world: ArrayLike) -> tuple[float, float]:
    """(x, y) on the canvas of a point of the viewer's world."""
    canvas = qt_viewer(model).canvas
    displayed = list(model.dims.displayed)
    place = np.asarray(world, np.float64)[displayed][::-1]
    transform = canvas.view.transform * canvas.view.scene.transform
    x, y, _, w = transform.map(np.concatenate([place, np.zeros(3 - len(place)), [1.0]]))
    return float(x / w), float(y / w)


def on_screen(model: Any, world: ArrayLike) -> QPoint:
    """Point of the screen where a viewer shows a point of its world; it must be on the canvas."""
    x, y = canvas_pixel(model, world)
    native = qt_viewer(model).canvas.native
    point = QPoint(round(x), round(y))
    assert native.rect().contains(point), f"{world} is off the canvas, at pixel {x:.0f}, {y:.0f}"
    return native.mapToGlobal(point)


def world_at(model: Any, screen: QPoint) -> np.ndarray:
    """Point of the viewer's world (2D) that is shown at a point of the screen."""
    canvas = qt_viewer(model).canvas
    local = canvas.native.mapFromGlobal(screen)
    transform = canvas.view.transform * canvas.view.scene.transform
    place = transform.imap([local.x(), local.y()])[: model.dims.ndisplay]
    world = np.array(model.dims.point, np.float64)
    world[list(model.dims.displayed)] = place[::-1]
    return world


def way(start: QPoint, end: QPoint, steps: int = 6) -> list[QPoint]:
    """Points of the screen from one to the other."""
    x = np.linspace(start.x(), end.x(), steps + 1).round().astype(int)
    y = np.linspace(start.y(), end.y(), steps + 1).round().astype(int)
    return [QPoint(int(a), int(b)) for a, b in zip(x, y, strict=True)]
