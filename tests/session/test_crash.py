"""Killed while it paints and writes: what was painted is there, and at most ten seconds of the rest
are lost. Run with the times of a window, ten times as fast."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from napari_ouroboros.session import abandoned, adopt
from napari_ouroboros.volumes.labels.label_array import LabelArray

DELAY, LATEST = 0.5, 1.0

PAINTS = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from napari_ouroboros.session import LabelsEntry, SessionDocument, MarkEntry, WorkingFolder
    from napari_ouroboros.volumes.labels.label_array import LabelArray

    folder = WorkingFolder.create(Path(sys.argv[1]))
    store = folder.new_store()
    array = LabelArray.create(folder.store(store), (4000, 64, 64), np.uint64)
    entry = LabelsEntry("axon", {"schema": 1}, store, "uint64", array.shape)
    edits = 0

    def take():
        marks = tuple(MarkEntry(k, (0.0, 0.0, 0.0), "bad", str(k)) for k in range(edits))
        return SessionDocument(labels=(entry,), marks=marks)

    autosave = folder.autosave(take, float(sys.argv[2]), float(sys.argv[3]))
    for k in range(4000):
        array[k, 10:30, 10:30] = 2**63 + k
        edits = k + 1
        folder.changed()
        autosave.changed()
        print(edits, time.time(), flush=True)
        time.sleep(0.01)
"""


@pytest.mark.parametrize("seconds", [1.3, 2.0, 2.7])
def test_killed_while_painting(tmp_path: Path, seconds: float) -> None:
    root = tmp_path / "recovery"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PAINTS), str(root), str(DELAY), str(LATEST)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    begin = time.time()
    while time.time() < begin + seconds:
        lines.append(process.stdout.readline())
    killed = time.time()
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait(30)
    process.stdout.close()
    edits = [(int(n), float(at)) for n, at in (line.split() for line in lines if "\n" in line)]

    (one,) = abandoned(root)
    folder = adopt(one)
    document = folder.read()
    # Of what was painted, nothing is lost, but for the stroke that it was killed in.
    array = LabelArray.open(folder.store(document.labels[0].store))
    painted = edits[-1][0]
    expected = np.arange(painted, dtype=np.uint64) + np.uint64(2**63)
    np.testing.assert_array_equal(array[:painted, 10, 10], expected)
    np.testing.assert_array_equal(array[:painted, 29, 29], expected)
    assert not array[painted + 1 :].any()
    # Of the rest, what is younger than the latest moment of a write.
    due = sum(at <= killed - LATEST for _, at in edits)
    assert due > 10
    assert due <= len(document.marks) <= painted + 1
    assert [mark.comment for mark in document.marks] == [str(k) for k in range(len(document.marks))]
    # The next window goes on with it.
    array[painted - 1, 0, 0] = 7
    folder.changed()
    folder.discard()
    assert list(root.iterdir()) == []
