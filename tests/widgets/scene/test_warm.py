from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from gui_loop import GuiLoop

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.widgets.scene import warm


def fresh(program: str) -> str:
    """What a program prints in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    ).stdout.strip()


def test_waits_are_over_when_all_is_there_and_stop_when_told() -> None:
    warm.wait_until_warm()
    assert "pandas" in sys.modules
    loop = GuiLoop()
    done: list[int] = []
    warm.when_warm(loop.deliver, lambda: done.append(1))
    assert not done  # never at once
    loop.turn()
    assert done == [1]


def test_a_wait_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "_begun", True)
    monkeypatch.setattr(warm, "_done", threading.Event())
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        warm.wait_until_warm(stop)


def test_calls_wait_for_it() -> None:
    assert (
        fresh("""
import threading
from napari_ouroboros.widgets.scene import warm
go, called = threading.Event(), threading.Event()
warm._warm = go.wait
warm.when_warm(lambda call: call(), called.set)
before = called.wait(0.2)
go.set()
print(before, called.wait(20))
""")
        == "False True"
    )


def test_units_are_never_half_read() -> None:
    """While the background reads them, another thread finds every unit."""
    assert (
        fresh("""
import pint, threading
from napari_ouroboros.widgets.scene.warm import _read_units
thread = threading.Thread(target=_read_units)
thread.start()
while thread.is_alive():
    assert pint.Unit("nm").dimensionality == {"[length]": 1}
thread.join()
one = pint.Unit("nm")
assert round((pint.get_application_registry().um * 1).to(one).magnitude) == 1000
print("well")
""")
        == "well"
    )


def test_a_registry_that_somebody_chose_stays() -> None:
    assert (
        fresh("""
import pint
from napari_ouroboros.widgets.scene.warm import _read_units
theirs = pint.UnitRegistry()
pint.set_application_registry(theirs)
_read_units()
print(pint.get_application_registry().get() is theirs)
""")
        == "True"
    )


def test_all_units_are_read() -> None:
    assert (
        fresh("""
import pint
from napari_ouroboros.widgets.scene.warm import _read_units
_read_units()
print(type(pint.get_application_registry().get()) is pint.UnitRegistry)
""")
        == "True"
    )
