"""Tests that open windows. They need a display, and say so instead of crashing in Qt."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tools.display import display as virtual_display

# A display has one mouse and one keyboard: each process of ``-n`` has one of its own.
if "PYTEST_XDIST_WORKER" in os.environ and sys.platform == "linux":
    _own_display = ExitStack()
    os.environ.update(_own_display.enter_context(virtual_display()))
    atexit.register(_own_display.close)
    # napari writes its icons there; two that do so at once read half of them.
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="napari-cache-")

# The settings of whoever runs the tests are neither read nor written.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="napari-settings-")) / "napari.yaml")


@pytest.fixture(scope="session", autouse=True)
def display() -> None:
    """Fail before Qt aborts the process."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        pytest.exit("tests/gui need a display; run: python tools/display.py -- pytest tests/gui", 1)


@pytest.fixture(scope="session", autouse=True)
def enough_of_none() -> None:
    """Keep Python 3.11 alive: PySide6 gives back more references to None than it takes.

    A few thousand in a run; at the end of Python that was "deallocating None" and an abort.
    Python counts them no more since 3.12.
    """
    if os.environ.get("QT_API") == "pyside6" and sys.version_info < (3, 12):
        for _ in range(1_000_000):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let garbage be looked for among what a test makes, not in the libraries as well.

    napari collects it whenever a layer goes, and so do tests that look for what is left: a third
    of the time of all these tests.
    """
    from qtpy.QtWidgets import QApplication

    gc.collect()
    if not QApplication.allWidgets():  # those of the last test may be garbage a little later
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep a picture of the display as it was when a test failed."""
    report = yield
    if report.failed and call.when == "call" and sys.platform == "linux":
        from PIL import ImageGrab

        folder = item.config.cache.mkdir("failed")  # type: ignore[union-attr]
        file = folder / f"{item.name.replace('/', '_')}.png"
        ImageGrab.grab(xdisplay=os.environ["DISPLAY"]).save(file)
        report.sections.append(("display", f"as it was then: {file}"))
    return report


@pytest.fixture(scope="session")
def demo_nerve(request: pytest.FixtureRequest) -> Path:
    """Folder of the demo nerve, made once and kept with the working copy."""
    from scene_server import demo_folder

    folder = request.config.cache.mkdir("demo")  # type: ignore[union-attr]
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return demo_folder(folder)
    import fcntl

    with open(folder / "lock", "w") as lock:  # one process makes it, the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        return demo_folder(folder)


@pytest.fixture
def served(demo_nerve: Path) -> Iterator[Any]:
    """The demo nerve behind a web server that takes 100 ms for each answer."""
    import scene_server

    with scene_server.served(demo_nerve) as found:
        yield found


@pytest.fixture
def window(
    make_napari_viewer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Callable[..., Any]:
    """``window()`` -> a shown `napari.Viewer` as users have it, with our plugin, 1366 x 768."""
    from napari._qt.threads import status_checker
    from npe2 import PluginManager, PluginManifest
    from qtpy.QtCore import QThread

    import napari_ouroboros

    # The thread that fills the status bar is part of the window that users have.
    monkeypatch.setattr(status_checker.StatusChecker, "start", lambda thread: QThread.start(thread))
    monkeypatch.setenv("NAPARI_OUROBOROS_CACHE", str(tmp_path / "cache"))
    manager = PluginManager.instance()
    if "napari-ouroboros" not in manager:
        manifest = Path(napari_ouroboros.__file__).with_name("napari.yaml")
        manager.register(PluginManifest.from_file(manifest))

    def make(width: int = 1366, height: int = 768, show: bool = True) -> Any:
        viewer = make_napari_viewer(show=show)
        viewer.window._qt_window.setGeometry(0, 0, width, height)
        return viewer

    return make


@pytest.fixture
def person() -> Iterator[Any]:
    """The one who moves the mouse and types."""
    from real_events import Person

    person = Person()
    yield person
    person.close()
