"""A run of eight times as many slices takes no more memory: results and sources are streamed.

Each run has a process of its own; the high-water mark of its memory is taken after a first, short
run (imports, compiled kernels, pools at their full size) and after a long one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EDGE = 64
CHUNKS = 100  # of 64^3 along the trace
SHORT, LONG = 700, 5600
MOST = 64 * 2**20

PREPARE = """
import resource, sys, warnings
from pathlib import Path
import numpy as np
from napari_ouroboros import Straightening, Trace, backproject, open_volume, straighten_to
from napari_ouroboros.volumes.labels.label_stack import open_labels

folder, short, long = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
volume = open_volume(folder / "source")

def peak():
    status = Path("/proc/self/status")
    if status.exists():
        # Of this program alone: ru_maxrss starts with that of the process that started it.
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

def map_of(slices, size):
    ends = [[40.0, 512.0, 512.0], [40.0 + 8 * (slices - 1) + 1, 512.0, 512.0]]
    return Straightening(Trace(ends), size, size, 8.0, 8.0)
"""

STRAIGHTEN = (
    PREPARE
    + """
def run(slices, name):
    straighten_to(
        folder / name, volume, map_of(slices, 120), interpolation="nearest", threads=2,
        memory=8 * 2**20,
    )
"""
)

BACKPROJECT = (
    PREPARE
    + """
class Made:
    # Labels as a lazy array makes them: never in memory as a whole.
    dtype = np.dtype(np.uint64)
    chunks = (16, 64, 64)
    def __init__(self, shape):
        self.shape = shape
    def __getitem__(self, part):
        part = part[0] if isinstance(part, tuple) else part
        n = len(range(*part.indices(self.shape[0])))
        return np.full((n, *self.shape[1:]), 2**40, np.uint64)

def run(slices, name):
    map_ = map_of(slices, 64)
    # A small cache, so that the short run fills it as well.
    labels = open_labels(Made(map_.shape), cache_bytes=8 * 2**20)
    backproject(labels, map_, folder / name, like=volume, threads=2)
"""
)

MEASURE = """
run(short, sys.argv[4].replace("NAME", "warm"))
before = peak()
run(long, sys.argv[4].replace("NAME", "long"))
print(peak() - before)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume of 6400 x 128 x 128 voxels whose chunks are one file under many names."""
    folder = tmp_path_factory.mktemp("memory")
    scale = folder / "source" / "8"
    scale.mkdir(parents=True)
    one = folder / "chunk"
    one.write_bytes(np.random.default_rng(0).integers(0, 255, EDGE**3, np.uint8).tobytes())
    for z in range(CHUNKS):
        for y in range(2):
            for x in range(2):
                ends = [f"{i * EDGE}-{(i + 1) * EDGE}" for i in (x, y, z)]
                os.link(one, scale / "_".join(ends))
    info = {
        "@type": "neuroglancer_multiscale_volume", "type": "image", "data_type": "uint8",
        "num_channels": 1,
        "scales": [
            {
                "key": "8", "size": [2 * EDGE, 2 * EDGE, CHUNKS * EDGE],
                "resolution": [8, 8, 8], "voxel_offset": [0, 0, 0],
                "chunk_sizes": [[EDGE] * 3], "encoding": "raw",
            }
        ],
    }  # fmt: skip
    (folder / "source" / "info").write_text(json.dumps(info))
    return folder


def grown(script: str, folder: Path, name: str) -> int:
    """Bytes by which the long run's peak is over the short one's."""
    arguments = [str(folder), str(SHORT), str(LONG), name]
    done = subprocess.run(
        [sys.executable, "-c", script + MEASURE, *arguments],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("name", ["NAME.tif", "folder-NAME"])
def test_straightening_takes_no_more_memory_for_more_slices(name: str, folder: Path) -> None:
    # What the long run adds: 80 MB of samples, 100 MB of chunks.
    assert (LONG - SHORT) * 120 * 120 > 1.05 * MOST
    assert grown(STRAIGHTEN, folder, name) < MOST // 2


def test_backprojection_takes_no_more_memory_for_more_slices(folder: Path) -> None:
    # 180 MB of labels pass through it in the long run.
    assert (LONG - SHORT) * 64 * 64 * 8 > 2 * MOST
    assert grown(BACKPROJECT, folder, "home-NAME") < MOST


def test_the_measurement_sees_what_is_kept(folder: Path) -> None:
    """A run that kept its labels would fail the tests above."""
    keeping = BACKPROJECT + "\nkept = []\n" + """
def run(slices, name):
    kept.append(np.ones((slices, 64, 64), np.uint64))
"""  # fmt: skip
    assert grown(keeping, folder, "none-NAME") > 2 * MOST
