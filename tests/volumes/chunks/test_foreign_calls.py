"""The end of Python while threads are in the middle of decoding."""

from __future__ import annotations

import subprocess
import sys
import threading

from napari_ouroboros.volumes.chunks.foreign_calls import ForeignCalls

_ENDS_EARLY = """
import sys, threading
import numpy as np
from napari_ouroboros.volumes.chunks.tensorstore_codecs import array_decoder

shape = (64, 64, 64)
settings = {"zarr_format": 3, "node_type": "array", "data_type": "uint16", "fill_value": 0}
codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
decoder = array_decoder("zarr3", {**settings, "codecs": codecs}, shape)
data = np.ones(shape, "<u2").tobytes()
begun = threading.Semaphore(0)

def work():
    while True:
        decoder.decode(data, [slice(None)] * 3, (0, 1, 2))
        begun.release()

for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
for _ in range(16):
    begun.acquire()
sys.exit(3)
"""


def test_python_ends_with_its_own_exit_code_while_chunks_are_decoded() -> None:
    for _ in range(3):
        ended = subprocess.run(
            [sys.executable, "-c", _ENDS_EARLY], capture_output=True, text=True, timeout=120
        )
        assert (ended.returncode, ended.stderr) == (3, "")


def test_the_end_waits_for_a_call_under_way_and_lets_none_begin() -> None:
    calls = ForeignCalls()
    inside, leave, late = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with calls.one():
            inside.set()
            leave.wait()

    def second() -> None:
        with calls.one():
            late.set()

    threading.Thread(target=first, daemon=True).start()
    assert inside.wait(10)
    ending = threading.Thread(target=calls.end, daemon=True)
    ending.start()
    ending.join(0.2)
    assert ending.is_alive()
    leave.set()
    ending.join(10)
    assert not ending.is_alive()
    threading.Thread(target=second, daemon=True).start()
    assert not late.wait(0.2)
    with calls.one():  # the main thread may still read, as in what it does at its exit
        pass
