"""Kernels made ready in the background, without numba: the rules of waiting."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.geometry import warm


def test_one_after_the_other_each_once() -> None:
    gate = threading.Event()
    made: list[object] = []
    names = [object() for _ in range(3)]

    def make(name: object) -> None:
        assert gate.wait(30)
        made.append(name)

    for _ in range(2):
        for name in names:
            assert not warm.is_ready(name, lambda name=name: make(name))
    assert not warm.is_done(names[0])
    gate.set()
    for name in names:
        warm.wait_until_ready(name, lambda: pytest.fail("made twice"))
        assert warm.is_done(name)
        assert warm.is_ready(name, lambda: pytest.fail("made twice"))
    assert made == names


def test_nothing_is_begun_by_looking() -> None:
    assert not warm.is_done(object())


def test_an_error_is_raised_to_all_who_ask_and_the_next_is_made() -> None:
    def fail() -> None:
        raise RuntimeError("no compiler")

    key, other = object(), object()
    with pytest.raises(RuntimeError, match="no compiler"):
        warm.wait_until_ready(key, fail)
    with pytest.raises(RuntimeError, match="no compiler"):
        warm.is_ready(key, fail)
    assert not warm.is_done(key)
    warm.wait_until_ready(other, lambda: None)


def test_waiting_can_be_cancelled() -> None:
    gate, cancel = threading.Event(), threading.Event()
    key = object()
    threading.Timer(0.1, cancel.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        warm.wait_until_ready(key, lambda: gate.wait(30), cancel)
    assert time.monotonic() - start < 15
    gate.set()
    warm.wait_until_ready(key, lambda: None)


def test_no_collection_meanwhile_and_again_afterwards() -> None:
    seen: list[bool] = []
    assert gc.isenabled()
    warm.wait_until_ready(object(), lambda: seen.append(gc.isenabled()))
    assert seen == [False]
    assert gc.isenabled()


def test_a_window_has_its_turn_often_meanwhile_and_all_is_as_before() -> None:
    before, seen = sys.getswitchinterval(), []

    def fail() -> None:
        seen.append(sys.getswitchinterval())
        raise RuntimeError("no compiler")

    with pytest.raises(RuntimeError, match="no compiler"):
        warm.wait_until_ready(object(), fail)
    assert seen[0] < 0.001 < before
    assert sys.getswitchinterval() == before


LEAVING = """
import time
from napari_ouroboros.geometry import warm

def make(name):
    time.sleep(0.3)
    print(name, flush=True)

for name in "ab":
    warm.is_ready(name, lambda name=name: make(name))
time.sleep(0.1)
"""


def test_the_interpreter_waits_for_the_one_at_work_and_drops_the_rest() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["a"]
    assert done.stderr == ""


FORKING = """
import os, time
from napari_ouroboros.geometry import warm

done = []
def make():
    time.sleep(0.5)
    done.append(True)

assert not warm.is_ready("a", make)
time.sleep(0.1)
child = os.fork()
if child == 0:
    os._exit(0 if done and warm.is_ready("a", make) and not warm.is_ready("b", make) else 1)
assert os.waitpid(child, 0)[1] == 0
warm.wait_until_ready("b", make)
assert len(done) == 2
"""


def test_a_fork_waits_for_the_one_at_work() -> None:
    """Or the child has half an imported module, and a compiler's lock that nobody gives back."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


FIRST_LOOK = """
import sys
import numpy as np
from napari_ouroboros.geometry import Straightening, Trace

points = np.cumsum(np.random.default_rng(0).normal(100, 40, (20, 3)), axis=0)
print(Straightening(Trace(points), 20, 20, 8, 8).recipe_hash, "numba" in sys.modules)
"""


def test_a_map_needs_no_numba_and_is_the_same_without() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_LOOK], capture_output=True, text=True, timeout=60, check=True
    )
    code, loaded = done.stdout.split()
    assert loaded == "False"
    from napari_ouroboros.geometry import Straightening, Trace, frames

    warm.wait_until_ready(frames.TRANSPORT, frames.compile_transport)
    points = np.cumsum(np.random.default_rng(0).normal(100, 40, (20, 3)), axis=0)
    assert Straightening(Trace(points), 20, 20, 8, 8).recipe_hash == code


NO_PLACE = """
import numba.core.caching as caching

def nowhere(self, py_func):
    raise RuntimeError(f"cannot cache function {py_func.__name__!r}: no locator available")

caching.FunctionCache.__init__ = nowhere
from napari_ouroboros.geometry import Straightening, Trace

print(Straightening(Trace([[0.0, 0, 0], [40, 0, 0]]), 3, 3, 8.0, 8.0).to_volume([[2, 1, 1]]))
"""


def test_kernels_work_where_no_cache_can_be_written() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_PLACE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("[[16.  0.  0.]]\n", "")
