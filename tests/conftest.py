"""What every test can rely on: real data, a local web server, and no thread left behind."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from local_server import LocalServer

REPOSITORY = Path(__file__).resolve().parents[1]

# The same examples in every run, so that a change is judged by what it changes, and no limit of
# time on a busy machine. HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    # Compiled kernels stay with the working copy, so that a second run does not compile
    # again, and never land in an installed package or a home folder. One folder per state of
    # all kernels: numba looks at the file of a kernel only, and would go on calling the
    # machine code of a function in another file that has changed since.
    spec = importlib.util.find_spec("napari_ouroboros")
    assert spec is not None
    assert spec.origin is not None
    state = hashlib.sha256()
    for file in sorted(Path(spec.origin).parent.rglob("*.py")):
        text = file.read_bytes()
        if b"numba" in text:
            state.update(text)
    folder = config.cache.mkdir("numba") / state.hexdigest()[:16]  # type: ignore[union-attr]
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))
    # A plugin of pytest may have imported numba already, which then does not look there again.
    if numba := sys.modules.get("numba"):
        numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Top folder of the working copy."""
    return REPOSITORY


@pytest.fixture(scope="session")
def em_neurite() -> Path | None:
    """Folder of real EM data with ``neurons/`` and ``trace-24183237.json``, or None.

    ``NAPARI_OUROBOROS_DATA`` names it; otherwise ``../shared/data/em-neurite`` is tried.
    """
    named = os.environ.get("NAPARI_OUROBOROS_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data" / "em-neurite"
    if named and (folder / "em-neurite").is_dir():  # the folder with all the data is meant too
        folder = folder / "em-neurite"
    if (folder / "neurons" / "info").is_file():
        return folder
    if named:
        raise pytest.UsageError(f"NAPARI_OUROBOROS_DATA: {folder} has no neurons/info")
    return None


@pytest.fixture
def http_server() -> Iterator[Callable[..., LocalServer]]:
    """``http_server(folder, latency=0, bucket=False)`` -> a running `LocalServer`."""
    servers: list[LocalServer] = []

    def serve(folder: Path, **options: Any) -> LocalServer:
        servers.append(LocalServer(folder, **options).start())
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


_recovery_folders = itertools.count()


@pytest.fixture(autouse=True)
def own_recovery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give each test a folder for unsaved work; that of whoever runs the tests is not touched."""
    folder = tmp_path_factory.getbasetemp() / f"recovery-{next(_recovery_folders)}"
    before = os.environ.get("NAPARI_OUROBOROS_RECOVERY")
    os.environ["NAPARI_OUROBOROS_RECOVERY"] = str(folder)
    yield folder
    if before is None:
        del os.environ["NAPARI_OUROBOROS_RECOVERY"]
    else:
        os.environ["NAPARI_OUROBOROS_RECOVERY"] = before


def _shared_pools() -> set[threading.Thread]:
    """Return the threads of pools that libraries keep for the life of the process."""
    dask = sys.modules.get("dask.threaded")
    if dask is None or dask.default_pool is None:
        return set()
    return set(dask.default_pool._threads)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread which would keep the interpreter from exiting."""
    before = set(threading.enumerate())
    yield
    give_up = time.monotonic() + 10
    while True:
        left = [
            thread
            for thread in set(threading.enumerate()) - before - _shared_pools()
            if thread.is_alive() and not thread.daemon
        ]
        if not left:
            return
        if time.monotonic() > give_up:
            pytest.fail(f"threads left behind: {sorted(thread.name for thread in left)}")
        time.sleep(0.02)
