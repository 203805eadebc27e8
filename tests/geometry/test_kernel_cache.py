"""Compiled kernels on disk, read and written by several processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

KERNEL = """
    from napari_ouroboros.geometry.with_numba import njit

    @njit(cache=True)
    def half(x):
        return x / 2
"""
# Stops where numba has looked which numbers are taken and has noted none yet: until the other
# process is done, or for as long as that one may well take to come to the same place.
SLOW = """
    import sys, time
    from pathlib import Path
    from numba.core.caching import IndexDataCacheFile
    import kernel

    save = IndexDataCacheFile._save_index

    def slow(self, overloads):
        Path("looked").touch()
        give_up = time.monotonic() + 3
        while not Path("other").exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        save(self, overloads)

    IndexDataCacheFile._save_index = slow
    kernel.half(3)
"""
OTHER = """
    from pathlib import Path
    import kernel

    kernel.half(3.0)
    Path("other").touch()
"""
BOTH = """
    import kernel
    print(kernel.half(3), kernel.half(3.0), sum(kernel.half.stats.cache_hits.values()))
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    paths = [str(folder), *(os.path.abspath(path) for path in sys.path if path)]
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(folder / "kernels"),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return out.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kernel.py").write_text(textwrap.dedent(KERNEL))
    return tmp_path


def test_two_processes_that_compile_at_once(folder: Path) -> None:
    first = start(SLOW, folder)
    while not (folder / "looked").exists():
        assert first.poll() is None
        threading.Event().wait(0.01)
    other = start(OTHER, folder)
    end(first)
    end(other)
    # Each code has a number of its own, and is found: nothing is compiled again.
    assert len(list((folder / "kernels").rglob("*.nbc"))) == 2
    assert end(start(BOTH, folder)) == "1.5 1.5 2"


NO_LOCKS = """
    import errno, fcntl

    def flock(*_):
        raise OSError(errno.ENOLCK, "no locks on this disk")

    fcntl.flock = flock
"""


def test_a_disk_without_locks(folder: Path) -> None:
    for hits in (0, 2):
        code = textwrap.dedent(NO_LOCKS) + textwrap.dedent(BOTH)
        assert end(start(code, folder)) == f"1.5 1.5 {hits}"
