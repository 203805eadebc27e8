"""Segmentations under edit: the segments of one moment, as cloud-volume's own client reads them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphene_server import GrapheneServer
from oracles.precomputed import write_by_hand

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.chunks.chunk_cache import ChunkCache
from napari_ouroboros.volumes.formats.graphene import GrapheneReader, at_one_moment, read_graphene
from napari_ouroboros.volumes.level import VolumeInfo
from napari_ouroboros.volumes.stores.fetch import make_fetcher
from napari_ouroboros.volumes.stores.location import Location, parse_location

LAYER_1 = 1 << 56  # an id begins with its layer
FIRST, SECOND = 1_600_000_000, 1_700_000_000
TOKEN = "ab12"


def supervoxels() -> np.ndarray[Any, Any]:
    """(1, z, y, x) blocks of 4 voxels; 0 where there is no supervoxel, and one finished root."""
    small = np.arange(6 * 4 * 4, dtype=np.uint64).reshape(6, 4, 4) + np.uint64(LAYER_1)
    small[::3, 0] = 0
    small[5, 3, 3] = (6 << 56) + 77
    return np.kron(small, np.ones((4, 4, 4), np.uint64))[None]


def merges() -> list[tuple[int, dict[int, int]]]:
    """First all pairs of supervoxels are joined, later all fours; ids as large as they come."""
    root = (6 << 56) + (1 << 55)
    first = {LAYER_1 + i: root + i // 2 for i in range(96)}
    second = {LAYER_1 + i: root + 1000 + i // 4 for i in range(96)}
    return [(FIRST, first), (SECOND, second)]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GrapheneServer]:
    secrets = tmp_path / "cloudvolume" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "cave-secret.json").write_text(json.dumps({"token": TOKEN}))
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(secrets.parent))
    folder = write_by_hand(tmp_path / "supervoxels", [supervoxels()])
    info = json.loads((folder / "info").read_text())
    info |= {
        "type": "segmentation",
        "data_dir": f"file://{folder}",
        "app": {"supported_api_versions": [0, 1]},
        "graph": {
            "chunk_size": [8, 8, 8],
            "cv_mip": 0,
            "n_layers": 6,
            "n_bits_for_layer_id": 8,
            "spatial_bit_masks": {str(layer): 8 for layer in range(1, 7)},
        },
    }
    with GrapheneServer(info, merges(), TOKEN) as running:
        yield running


def opened(url: str) -> tuple[Location, VolumeInfo, GrapheneReader]:
    location = at_one_moment(parse_location(url))
    fetcher = make_fetcher(location, 10)
    info = read_graphene(fetcher, location)
    fetcher.close()
    return location, info, GrapheneReader(location, info, 10)


def everything(info: VolumeInfo, reader: GrapheneReader) -> np.ndarray[Any, Any]:
    level = info.levels[0]
    whole = np.zeros(level.shape, np.uint64)
    for index in np.ndindex(level.chunk_grid):
        chunk = reader.read_chunk(0, index)
        assert chunk is not None
        assert chunk.dtype == np.uint64
        whole[tuple(slice(a, b) for a, b in level.chunk_box(index))] = chunk[0]
    return whole


@pytest.mark.parametrize("timestamp", [FIRST - 1, FIRST, SECOND - 1, SECOND])
def test_segments_at_a_moment(server: GrapheneServer, timestamp: int) -> None:
    _, info, reader = opened(f"graphene://{server.url}?timestamp={timestamp}")
    got = everything(info, reader)
    reader.close()
    there = np.vectorize(lambda s: server.segment(s, timestamp), otypes=[np.uint64])(supervoxels())
    np.testing.assert_array_equal(got, there[0])
    assert {moment for moment, _ in server.asked} == {timestamp}
    once = [s for _, asked in server.asked for s in asked]
    assert len(once) == len(set(once))  # and only supervoxels: not 0, not what is a root already
    assert all(s >> 56 == 1 for s in once)


@pytest.mark.parametrize("timestamp", [FIRST, SECOND])
def test_cloud_volume_reads_the_same(server: GrapheneServer, timestamp: int) -> None:
    from cloudvolume import CloudVolume

    theirs = CloudVolume(
        f"graphene://{server.url}", agglomerate=True, timestamp=timestamp, secrets=TOKEN,
        progress=False,
    )  # fmt: skip
    _, info, reader = opened(f"graphene://{server.url}?timestamp={timestamp}")
    ours = everything(info, reader)
    reader.close()
    assert info.kind == "segmentation"
    np.testing.assert_array_equal(ours, np.asarray(theirs[:])[..., 0].T)
    assert tuple(theirs.resolution)[::-1] == info.levels[0].resolution


def test_without_a_timestamp_it_is_now_and_stays_so(server: GrapheneServer) -> None:
    location, info, reader = opened(f"graphene://{server.url}")
    assert location.timestamp is not None
    assert time.time() - 30 < location.timestamp < time.time()
    assert f"timestamp={location.timestamp}" in location.url
    whole = everything(info, reader)
    reader.close()
    assert {moment for moment, _ in server.asked} == {location.timestamp}
    # What is recorded opens the same segments whatever people do in the meantime.
    server.merges.append((location.timestamp + 5, dict.fromkeys(merges()[0][1], 5 << 40)))
    _, info, reader = opened(location.url)
    np.testing.assert_array_equal(everything(info, reader), whole)
    reader.close()


def test_the_future_is_refused(server: GrapheneServer) -> None:
    with pytest.raises(UserError, match="lies in the future"):
        at_one_moment(parse_location(f"graphene://{server.url}?timestamp=2e9"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("short", r"roots_binary answered 32 bytes to 8 supervoxels"),
        (400, r"roots_binary: the server answered 400"),
        (503, r"roots_binary: the server answered 503 .* \(4 attempts\)"),
        (404, "there is no such table"),
    ],
)
def test_a_server_that_does_not_know(server: GrapheneServer, fault: int | str, words: str) -> None:
    _, _, reader = opened(f"graphene://{server.url}?timestamp={FIRST}")
    server.fault = fault
    with pytest.raises(SourceError, match=words) as caught:
        reader.read_chunk(0, (1, 1, 0))
    assert "\n" not in str(caught.value)
    server.fault = ""
    assert reader.read_chunk(0, (1, 1, 0)) is not None
    reader.close()


def test_without_a_token(
    server: GrapheneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path / "nothing"))
    with pytest.raises(SourceError, match=r"401 .* it wants the token of a CAVE login"):
        opened(f"graphene://{server.url}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"graph": None}, "no graph or no data_dir"),
        ({"data_dir": None}, "no graph or no data_dir"),
        ({"data_type": "uint32"}, "ids of segments are uint64"),
        ({"graph": {}}, "layers of its graph"),
        ({"data_dir": "boss://x/y/z"}, "BOSS is not supported yet"),
        ({"scales": []}, "has no scales"),
    ],
)
def test_what_is_no_segmentation(
    server: GrapheneServer, change: dict[str, Any], words: str
) -> None:
    server.info |= change
    with pytest.raises((SourceError, UserError), match=words):
        opened(f"graphene://{server.url}")


def test_no_table(server: GrapheneServer) -> None:
    with pytest.raises(SourceError, match=r"there is no .*/table/other/info"):
        opened(f"graphene://{server.url.replace('cells', 'other')}")


def test_a_volume(server: GrapheneServer, tmp_path: Path) -> None:
    volume = open_volume(
        f"graphene://{server.url}?timestamp={SECOND}", cache=ChunkCache(tmp_path, 1e7)
    )
    assert volume.url == f"graphene://{server.url}?timestamp={SECOND}"
    assert volume.kind == "segmentation"
    whole = volume.read(0)
    there = np.vectorize(lambda s: server.segment(s, SECOND), otypes=[np.uint64])(supervoxels())
    np.testing.assert_array_equal(whole, there[0])
    n = len(server.asked)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(0), whole)
    assert len(server.asked) == n  # from the cache
    volume.close()
    # Another moment is another volume.
    early = open_volume(
        f"graphene://{server.url}?timestamp={FIRST}", cache=ChunkCache(tmp_path, 1e7)
    )
    assert not np.array_equal(early.read(0), whole)
    early.close()


def test_info_imports_no_voxel_library(server: GrapheneServer) -> None:
    code = (
        "import sys\n"
        "from napari_ouroboros.operations.info import describe\n"
        f"print(describe('graphene://{server.url}?timestamp={FIRST}')['type'])\n"
        "print(sorted({'cloudvolume', 'cloudfiles', 'tensorstore', 'dask'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split("\n")[:2] == ["segmentation", "[]"], done.stderr
