"""The controls that all docks share, in the real window."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from napari.utils.progress import progress
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog, QLabel, QProgressBar, QWidget
from real_events import wait_until

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.controls import (
    Banner,
    EmptyState,
    JobRow,
    LengthField,
    ScrollDock,
    set_ready,
)


@pytest.fixture
def shown(qtbot: Any) -> Callable[[QWidget], QWidget]:
    """Shows a widget in a window that has the focus."""

    def show(widget: QWidget) -> QWidget:
        qtbot.addWidget(widget)
        widget.show()
        widget.activateWindow()
        widget.setFocus()
        qtbot.waitExposed(widget)
        return widget

    return show


def typed(field: LengthField, text: str, end: Qt.Key = Qt.Key.Key_Return) -> None:
    field.edit.selectAll()
    QTest.keyClicks(field.edit, text)
    QTest.keyClick(field.edit, end)


def test_what_unfolds_below_the_edge_of_a_low_dock_is_scrolled_to(shown: Any) -> None:
    dock = ScrollDock()
    for _ in range(6):
        dock.column.addWidget(QLabel("above\nit"))
    inside = QLabel("three\nlines\nof text")
    fold = dock.section("Where", inside, open_=False)
    dock.resize(200, 110)
    shown(dock)
    dock.ensureWidgetVisible(fold.button)
    QTest.mouseClick(fold.button, Qt.MouseButton.LeftButton)
    wait_until(
        lambda: inside.visibleRegion().boundingRect().height() == inside.height(), "what is inside"
    )


def test_a_length_is_typed(shown: Any) -> None:
    field = LengthField("Pixel size")
    shown(field)
    got: list[float | None] = []
    field.changed.connect(got.append)
    field.set_pixel_nm(8.0)
    assert field.beside.text() == "= 8 nm"
    typed(field, "1.2 um")
    assert (field.nm, field.edit.text(), field.beside.text()) == (1200.0, "1.2 µm", "= 150 px")
    typed(field, "100 px")
    assert (field.nm, field.edit.text(), field.beside.text()) == (800.0, "100 px", "= 800 nm")
    # Another level, other pixels: the length stays.
    field.set_pixel_nm(16.0)
    assert (field.nm, field.edit.text()) == (800.0, "50 px")
    field.edit.selectAll()
    QTest.keyClick(field.edit, Qt.Key.Key_Delete)
    QTest.keyClick(field.edit, Qt.Key.Key_Return)
    assert field.nm is None
    assert got == [1200.0, 800.0, None]
    field.nm = 5.0
    assert got == [1200.0, 800.0, None]
    assert field.edit.text() == "5 nm"


def test_a_wrong_length_changes_nothing(shown: Any) -> None:
    field = LengthField("Pixel size")
    shown(field)
    field.nm = 800.0
    got: list[float | None] = []
    field.changed.connect(got.append)
    typed(field, "abc")
    assert field.nm == 800.0
    assert got == []
    assert field.problem.isVisible()
    assert field.problem.text().startswith('"abc" is no length')
    assert field.problem.text().endswith("It stays 800 nm.")
    QTest.keyClick(field.edit, Qt.Key.Key_Escape)
    assert field.edit.text() == "800 nm"
    assert not field.problem.isVisible()


def test_a_length_is_stepped(shown: Any) -> None:
    field = LengthField("Pixel size")
    shown(field)
    field.nm = 800.0
    for key, nm in (
        (Qt.Key.Key_Up, 810.0),
        (Qt.Key.Key_PageUp, 910.0),
        (Qt.Key.Key_Down, 900.0),
    ):
        QTest.keyClick(field.edit, key)
        assert field.nm == pytest.approx(nm)


def test_more_digits_than_are_shown_stay(shown: Any) -> None:
    field = LengthField("Distance")
    shown(field)
    field.nm = 1000 / 3
    QTest.keyClick(field.edit, Qt.Key.Key_Return)
    assert field.nm == 1000 / 3


def test_a_banner_says_what_to_do(shown: Any) -> None:
    banner = Banner()
    shown(banner)
    banner.hide()
    assert banner.text == ""
    again: list[int] = []
    try:
        raise UserError("choose another mip")
    except UserError as error:
        banner.show_exception(error, lambda: again.append(1))
    assert banner.text == "choose another mip"
    assert not banner.details.isVisible()
    QTest.mouseClick(banner.details_button, Qt.MouseButton.LeftButton)
    assert banner.details.isVisible()
    assert "UserError" in banner.details.toPlainText()
    QTest.mouseClick(banner.copy_button, Qt.MouseButton.LeftButton)
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text().startswith("choose another mip\n\nTraceback")
    QTest.mouseClick(banner.retry_button, Qt.MouseButton.LeftButton)
    assert again == [1]
    assert not banner.isVisible()
    banner.show_notice("done")
    assert not banner.retry_button.isVisible()
    assert not banner.details_button.isVisible()
    QTest.mouseClick(banner.close_button, Qt.MouseButton.LeftButton)
    assert banner.text == ""


def test_an_empty_state_does_it(shown: Any) -> None:
    pressed: list[int] = []
    state = EmptyState("Open a volume.", "Try the demo", lambda: pressed.append(1))
    shown(state)
    QTest.mouseClick(state.button, Qt.MouseButton.LeftButton)
    assert pressed == [1]


def test_what_is_disabled_says_why(shown: Any) -> None:
    row = JobRow("Straighten", "Write the file.")
    shown(row)
    row.set_ready(False, "Trace something first.")
    assert not row.button.isEnabled()
    assert row.button.toolTip() == "Trace something first.\n\nWrite the file."
    row.set_ready(True)
    assert row.button.isEnabled()
    assert row.button.toolTip() == "Write the file."
    label = QLabel("x")
    set_ready(label, False, "Why.")
    assert label.toolTip() == "Why."


def activity_bars(viewer: Any) -> list[QWidget]:
    window = next(
        w
        for w in QApplication.topLevelWidgets()
        if w.objectName() == "_qt_window" or w.findChildren(QDialog)
    )
    return [
        bar.parentWidget()
        for dialog in window.findChildren(QDialog)
        for bar in dialog.findChildren(QProgressBar)
    ]


def test_a_job_shows_how_far_it_is_here_and_in_the_activity_dock(
    make_napari_viewer_proxy: Callable[..., Any],
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    row = JobRow("Straighten")
    viewer.window.add_dock_widget(row, name="job")
    assert activity_bars(viewer) == []
    runs: list[int] = []
    cancels: list[int] = []
    row.run.connect(lambda: runs.append(1))
    row.cancelled.connect(lambda: cancels.append(1))
    QTest.mouseClick(row.button, Qt.MouseButton.LeftButton)
    assert runs == [1]
    row.start(400, "slices", "Straightening")
    assert not row.button.isEnabled()
    row.advance(100)
    wait_until(lambda: activity_bars(viewer), "a bar in the activity dock")
    (mirrored,) = activity_bars(viewer)
    bar = mirrored.findChild(QProgressBar)
    assert bar is not None
    wait_until(lambda: bar.value() == 25, "a quarter in the activity dock")
    assert row.bar.value() == 250
    wait_until(lambda: "slices/s" in row.status.text(), "a rate")
    assert row.status.text().startswith("Straightening: 100 of 400 slices")
    assert row.status.text().endswith("left")
    # Cancel in the activity dock is Cancel here.
    cancel = next(b for b in mirrored.children() if getattr(b, "text", str)() == "Cancel")
    QTest.mouseClick(cancel, Qt.MouseButton.LeftButton)
    wait_until(lambda: cancels, "Cancel")
    assert not row.cancel_button.isEnabled()
    row.finish("Stopped.")
    assert cancels == [1]
    assert row.status.text() == "Stopped."
    assert row.button.isEnabled()
    wait_until(lambda: not activity_bars(viewer), "no bar in the activity dock")
    row.advance(200)  # a late report changes nothing
    assert row.status.text() == "Stopped."


def test_a_job_whose_dock_is_closed_leaves_no_bar(
    make_napari_viewer_proxy: Callable[..., Any],
) -> None:
    viewer = make_napari_viewer_proxy(show=True)

    def begin() -> Any:
        row = JobRow("Straighten")
        dock = viewer.window.add_dock_widget(row, name="job")
        row.start(None, "", "Again")
        return dock

    dock = begin()
    wait_until(lambda: activity_bars(viewer), "a bar in the activity dock")
    viewer.window.remove_dock_widget(dock)
    del dock

    def gone() -> bool:
        gc.collect()
        return not activity_bars(viewer)

    wait_until(gone, "no bar in the activity dock")


def test_a_job_that_ends_while_its_bar_is_made_leaves_none(
    make_napari_viewer_proxy: Callable[..., Any],
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    row = JobRow("Straighten")
    viewer.window.add_dock_widget(row, name="job")
    seen: list[int] = []

    def end(event: Any) -> None:
        if event.added and row.running:
            seen.append(1)
            row.finish()

    progress._all_instances.events.changed.connect(end)  # napari turns the event loop in there
    try:
        row.start(None, "", "Again")
        wait_until(lambda: seen, "the bar to be made")
        wait_until(lambda: not activity_bars(viewer), "no bar in the activity dock")
        assert not progress._all_instances
    finally:
        progress._all_instances.events.changed.disconnect(end)


class Dock(ScrollDock):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log
        for _ in range(30):
            self.column.addWidget(LengthField("Length"))
        self.section("More", LengthField("Another"), open_=False)
        self.at_end(lambda: log.append("end"))

    def attach(self) -> None:
        self.log.append("attach")

    def detach(self) -> None:
        self.log.append("detach")


def test_a_dock_scrolls_and_listens_while_it_is_shown(
    make_napari_viewer_proxy: Callable[..., Any],
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    log: list[str] = []
    dock = Dock(log)
    gone = weakref.ref(dock)
    height = viewer.window.geometry()[3]
    docked = viewer.window.add_dock_widget(dock, name="ours")
    wait_until(lambda: log == ["attach"], "attach")
    assert viewer.window.geometry()[3] == height  # 30 rows make no window grow
    assert docked.minimumSizeHint().width() < 250
    assert dock.verticalScrollBar().maximum() > 0
    docked.hide()
    docked.show()
    wait_until(lambda: log == ["attach", "detach", "attach"], "listening again")
    viewer.window.remove_dock_widget(docked)
    del dock, docked

    def ended() -> bool:
        gc.collect()
        return gone() is None and log[3:] == ["detach", "end"]

    wait_until(ended, "the end of the dock")
