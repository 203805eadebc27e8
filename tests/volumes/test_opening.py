"""Which format is at an address, what a user may add to it, and what a recipe keeps of it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer
from oracles.arrays import write_array, write_n5_by_hand, write_zarr2_by_hand
from oracles.json_store import JsonStore, dataset5, ome_group, scale
from oracles.precomputed import blobs, write_by_hand

from napari_ouroboros import Straightening, Trace, straighten
from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.neuroglancer.source_space import source_space
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.chunks.chunk_cache import ChunkCache
from napari_ouroboros.volumes.formats.n5 import read_n5
from napari_ouroboros.volumes.stores.location import parse_location

Serve = Callable[..., LocalServer]


@pytest.fixture
def array() -> np.ndarray[Any, Any]:
    return np.maximum(blobs((1, 9, 10, 11), "uint16")[0], 1)  # so that no chunk is all 0


@pytest.fixture
def folder(tmp_path: Path, array: np.ndarray[Any, Any]) -> Path:
    """One volume in four formats."""
    write_by_hand(tmp_path / "precomputed", [array[None]])
    write_zarr2_by_hand(tmp_path / "zarr2", array, chunk=(4, 4, 4))
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    write_array(tmp_path / "zarr3", "zarr3", array, chunk=(4, 4, 4), metadata={"codecs": codecs})
    write_n5_by_hand(tmp_path / "n5", array.T, chunk=(4, 4, 4))
    return tmp_path


FORMATS = ["precomputed", "zarr2", "zarr3", "n5"]


def given(format: str) -> Any:
    return (4, 4, 4) if format.startswith("zarr") else None


@pytest.mark.parametrize("format", FORMATS)
def test_a_bare_address_is_enough(
    folder: Path, array: np.ndarray[Any, Any], http_server: Serve, format: str
) -> None:
    server = http_server(folder)
    for place in (f"file://{folder}", server.url):
        bare = open_volume(f"{place}/{format}", resolution=given(format))
        assert bare.url == f"{format}://{place}/{format}"
        for url in (bare.url, f"{place}/{format}|{format}:", f"{place}/{format}/"):
            volume = open_volume(url, resolution=given(format))
            assert (volume.url, volume.levels) == (bare.url, bare.levels)
        np.testing.assert_array_equal(bare.read(0), array)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(bare)).read(0), array)
        bare.close()
    assert max(server.requests.values()) <= 8  # nothing is asked for twice by one opening


@pytest.mark.parametrize("format", FORMATS)
def test_few_requests(folder: Path, http_server: Serve, format: str) -> None:
    server = http_server(folder)
    open_volume(f"{format}://{server.url}/{format}", resolution=given(format)).close()
    assert server.n_requests <= (1 if format == "precomputed" else 5)
    server.requests.clear()
    open_volume(f"{server.url}/{format}", resolution=given(format)).close()
    assert max(server.requests.values()) == 1
    if format == "precomputed":
        assert server.n_requests == 1


def test_versions_named_by_a_query_are_different_arrays(folder: Path, http_server: Serve) -> None:
    """Of tasks with one name dask runs one."""
    url = f"precomputed://{http_server(folder).url}/precomputed"
    volumes = [open_volume(f"{url}{query}") for query in ("", "?v=1", "?v=2", "?v=2")]
    map_ = Straightening(Trace([[0, 20, 20], [30, 20, 20]]), 4, 4, 4.0, 4.0)
    for names in (
        [volume.dask(0).name for volume in volumes],
        [straighten(volume, map_).name for volume in volumes],
    ):
        assert len(set(names)) == 3
        assert names[2] == names[3]


@pytest.mark.parametrize("version", ["0.4", "0.5", "n5"])
def test_levels_are_asked_for_side_by_side(
    tmp_path: Path, http_server: Serve, version: str
) -> None:
    """One after the other they would take a second and more over a slow line."""
    if version == "n5":
        files = {f"s{i}/attributes.json": dataset5((64 >> i,) * 3) for i in range(6)}
        files["attributes.json"] = {"resolution": [8, 8, 8]}
    else:
        files = ome_group([((64 >> i,) * 3, [scale(*(8 << i,) * 3)]) for i in range(6)], version)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    server = http_server(tmp_path, latency=0.3)
    format = "n5" if version == "n5" else "zarr"
    assert len(open_volume(f"{format}://{server.url}").levels) == 6
    assert server.most_in_flight >= 5
    assert max(server.requests.values()) == 1


def test_a_server_that_has_every_dataset() -> None:
    """It may be a program that takes any path; the levels do not go on for ever."""
    levels = {f"s{i}/attributes.json": dataset5((8, 8, 8)) for i in range(100)}
    store = JsonStore({"attributes.json": {"resolution": [8, 8, 8]}, **levels})
    assert len(read_n5(store, parse_location("n5://https://h/x")).levels) == 16


def test_a_server_with_a_page_for_everything(
    folder: Path, http_server: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    from local_server import _Handler

    find = _Handler._find
    page = folder / "page.html"
    page.write_text("<!doctype html><html>Sorry</html>")
    monkeypatch.setattr(_Handler, "_find", lambda self, path: (find(self, path)[0] or page, {}))
    server = http_server(folder)
    for format in FORMATS:
        volume = open_volume(f"{server.url}/{format}", resolution=given(format))
        assert volume.url.startswith(f"{format}://")
        source_space(volume.url, format)
    with pytest.raises(SourceError, match=r"gone/info is a web page, not JSON; give the address"):
        open_volume(f"{server.url}/gone")


def test_a_bucket_that_refuses_what_it_has_not(
    folder: Path, array: np.ndarray[Any, Any], http_server: Serve
) -> None:
    server = http_server(folder)
    server.fault("n5/info*", 403)
    server.fault("n5/.z*", 403)
    np.testing.assert_array_equal(open_volume(f"{server.url}/n5").read(0), array)
    server.fault("*", 403)
    with pytest.raises(SourceError, match=r"n5/info: the server answered 403"):
        open_volume(f"{server.url}/n5")


def test_another_format_than_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"zarr3 is no precomputed volume but zarr; write zarr://"):
        open_volume(f"precomputed://{folder}/zarr3")
    with pytest.raises(UserError, match="is no zarr volume but precomputed; write precomputed://"):
        open_volume(f"zarr://{folder}/precomputed", resolution=(1, 1, 1))
    with pytest.raises(UserError, match="is no zarr2 volume but zarr3; write zarr3://"):
        open_volume(f"zarr2://{folder}/zarr3")
    with pytest.raises(UserError, match="is no n5 volume but zarr; write zarr://"):
        open_volume(f"n5://{folder}/zarr2")
    (folder / "empty").mkdir(exist_ok=True)
    with pytest.raises(SourceError, match="no zarr at"):
        open_volume(f"zarr://{folder}/empty")


def test_a_file_is_no_volume(tmp_path: Path) -> None:
    (tmp_path / "brain.zarr.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"brain\.zarr\.zip is a file; a volume is a folder"):
        open_volume(tmp_path / "brain.zarr.zip")


@pytest.mark.parametrize("format", FORMATS)
def test_a_given_resolution(folder: Path, format: str) -> None:
    where = folder / format
    if format == "precomputed":
        assert open_volume(where, resolution=(4, 4, 4)).levels[0].resolution == (4, 4, 4)
        with pytest.raises(UserError, match=r"says that its voxels are 4,4,4 nm .* leave --resolu"):
            open_volume(where, resolution=(8, 4, 4))
        return
    volume = open_volume(where, resolution=(8, 4, 2.5))
    assert volume.levels[0].resolution == (8, 4, 2.5)
    info = json.loads(json.dumps(volume.source_info()))
    assert info["given_resolution"] == [8, 4, 2.5]
    assert info["url"] == f"{format}://file://{where}"
    again = open_volume(info["url"], resolution=info["given_resolution"])
    assert again.source_info() == info
    if format != "n5":
        with pytest.raises(UserError, match=r"give the size of a voxel in nm with --resolution"):
            open_volume(where)


def test_nothing_is_recorded_that_was_not_given(folder: Path) -> None:
    assert "given_resolution" not in open_volume(folder / "n5").source_info()


@pytest.mark.parametrize("format", FORMATS)
def test_a_cache_spares_requests(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, array: np.ndarray[Any, Any],
    http_server: Serve, format: str,
) -> None:  # fmt: skip
    server = http_server(folder)
    cache = ChunkCache(tmp_path_factory.mktemp("cache"), 1e9)
    for _ in range(2):
        server.requests.clear()
        volume = open_volume(f"{server.url}/{format}", resolution=given(format), cache=cache)
        opening = server.n_requests
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(0), array)
    assert server.n_requests == opening


@pytest.mark.parametrize("format", FORMATS)
def test_a_missing_chunk_is_named(folder: Path, format: str) -> None:
    names = {"precomputed": "mip0/0-8_0-8_0-8", "zarr2": "0.0.0", "zarr3": "c/0/0/0", "n5": "0/0/0"}
    (folder / format / names[format]).unlink()
    volume = open_volume(folder / format, resolution=given(format))
    assert volume.fetch_chunk(0, (0, 0, 0)) is None
    with pytest.raises(SourceError, match=f"chunk file://{folder}/{format}/{names[format]} is mis"):
        volume.read(0, missing="error")
