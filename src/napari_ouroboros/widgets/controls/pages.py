"""Parts of a dock behind tabs: what does not fit below each other is one click away."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTabBar, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls.manners import named, show_soon


class Pages(QWidget):
    """Tabs, and below them the page of the one that is chosen. As high as that page.

    Parameters
    ----------
    name : str
        Read aloud: of what these are parts.
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = named(QTabBar(), name, "Left, right: another part.")
        self.bar.setDrawBase(False)
        self.bar.setExpanding(False)
        self.bar.setUsesScrollButtons(True)
        self.bar.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._pages: list[QWidget] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addWidget(self.bar)
        self.bar.currentChanged.connect(self._turned)

    def add(self, title: str, tooltip: str, *widgets: QWidget) -> QWidget:
        """Add a page with these widgets below each other; return it."""
        page = QWidget()
        page.setObjectName(title)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in widgets:
            column.addWidget(widget)
        self._pages.append(page)
        self._column.addWidget(page)
        # Before the first tab is there: it becomes the one that is shown.
        page.setVisible(len(self._pages) == 1)
        at = self.bar.addTab(title)
        self.bar.setTabToolTip(at, tooltip)
        return page

    @property
    def page(self) -> QWidget | None:
        """What is shown."""
        at = self.bar.currentIndex()
        return self._pages[at] if 0 <= at < len(self._pages) else None

    def page_of(self, widget: QWidget) -> int:
        """Return the number of the page that holds a widget; -1: none does."""
        return next(
            (
                i
                for i, page in enumerate(self._pages)
                if page is widget or page.isAncestorOf(widget)
            ),
            -1,
        )

    def turn_to(self, widget: QWidget) -> None:
        """Show the page that holds a widget."""
        at = self.page_of(widget)
        if at >= 0:
            self.bar.setCurrentIndex(at)
            show_soon(self.bar)

    def _turned(self, at: int) -> None:
        for i, page in enumerate(self._pages):
            page.setVisible(i == at)
