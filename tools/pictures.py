"""Make the pictures of the docs again: ``python tools/display.py -- python tools/pictures.py``.

Every picture is a screenshot of the running program, so that none shows what it does not do.
"""

from __future__ import annotations

from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


def sample() -> None:
    """The demo nerve as File > Open Sample shows it."""
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show=False)
    viewer.window._qt_window.resize(1100, 700)
    viewer.window.show()
    viewer.open_sample("napari-ouroboros", "demo_nerve")
    QApplication.processEvents()
    viewer.screenshot(str(IMAGES / "sample.png"), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    sample()
