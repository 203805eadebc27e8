"""The `info` file: what it says, and one clear line for each that is none."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_server import LocalServer

from napari_ouroboros.errors import OuroborosError, SourceError, UserError
from napari_ouroboros.volumes import Level, open_volume
from napari_ouroboros.volumes.formats.precomputed import DTYPES, chunk_name, parse_info

INFO: dict[str, Any] = {
    "@type": "neuroglancer_multiscale_volume",
    "type": "segmentation",
    "data_type": "uint64",
    "num_channels": 2,
    "mesh": "mesh",
    "scales": [
        {
            "key": "8_8_33",
            "size": [1000, 900, 70],
            "resolution": [8, 8.0, 33.5],
            "voxel_offset": [-3, 20, 5],
            "chunk_sizes": [[64, 32, 16], [512, 512, 1]],
            "encoding": "compressed_segmentation",
            "compressed_segmentation_block_size": [8, 4, 2],
        },
        {
            "key": "16_16_33",
            "size": [500, 450, 70],
            "resolution": [16, 16, 33.5],
            "chunk_sizes": [[64, 64, 64]],
            "encoding": "RAW",
            "sharding": {"@type": "neuroglancer_uint64_sharded_v1"},
        },
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return `INFO` with the member at `path` (dots, numbers for lists) replaced."""
    info = copy.deepcopy(INFO)
    at: Any = info
    *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    for step in way:
        at = at[step]
    at[last] = value
    return info


def test_everything_is_zyx() -> None:
    info = parse_info(INFO, "here")
    first, second = info.levels
    assert info.dtype == np.uint64
    assert (info.channels, info.kind) == (2, "segmentation")
    assert first.shape == (70, 900, 1000)
    assert first.resolution == (33.5, 8, 8)
    assert all(isinstance(r, int) for r in first.resolution[1:])
    assert first.voxel_offset == (5, 20, -3)
    assert first.chunk == (16, 32, 64)
    assert first.block == (2, 4, 8)
    assert (first.key, first.encoding, first.sharded) == (
        "8_8_33", "compressed_segmentation", False,
    )  # fmt: skip
    assert second.voxel_offset == (0, 0, 0)
    assert (second.encoding, second.sharded) == ("raw", True)
    low, high = first.bounds_nm
    np.testing.assert_allclose(low, [5 * 33.5, 160, -24])
    np.testing.assert_allclose(high, [75 * 33.5, 920 * 8, 997 * 8])


def test_chunk_names_count_from_the_offset_and_are_clipped() -> None:
    level = parse_info(INFO, "here").levels[0]
    assert level.chunk_grid == (5, 29, 16)
    assert chunk_name(level, (0, 0, 0)) == "8_8_33/-3-61_20-52_5-21"
    assert chunk_name(level, (4, 28, 15)) == "8_8_33/957-997_916-920_69-75"
    with pytest.raises(IndexError, match=r"\(5, 0, 0\) is outside the grid \(5, 29, 16\)"):
        level.chunk_box((5, 0, 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_types_of_voxels(dtype: str) -> None:
    assert parse_info(changed("data_type", dtype.upper()), "here").dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("@type", "neuroglancer_multilod_draco", "describes meshes, not a volume"),
        ("@type", "neuroglancer_legacy_mesh", "describes meshes, not a volume"),
        ("@type", "neuroglancer_skeletons", "describes skeletons, not a volume"),
        ("@type", "neuroglancer_annotations_v1", "describes annotations, not a volume"),
        ("@type", "neuroglancer_segment_properties", "segment properties, not a volume"),
        ("scales", [], "describes no volume"),
        ("scales", None, "describes no volume"),
        ("scales", ["x"], "scale 0 is no JSON object"),
        ("data_type", "float64", "data_type 'float64' is none of uint8,"),
        ("data_type", None, "data_type"),
        ("num_channels", 0, "num_channels must be whole numbers of 1 or more"),
        ("num_channels", "3", "num_channels must be numbers"),
        ("scales.0.size", [1, 2], "size must be 3 numbers"),
        ("scales.0.size", [1, 0, 2], "size must be whole numbers of 1 or more"),
        ("scales.0.size", [1, 1.5, 2], "size must be whole numbers"),
        ("scales.0.size", [1, 1e400, 2], "size must be 3 numbers"),
        ("scales.0.size", [1, 10**400, 2], "size must be 3 numbers"),
        ("scales.0.size", [1, 2**60, 2], "size is beyond any volume"),
        ("scales.0.resolution", [1, 1, 10**400], "resolution must be 3 numbers"),
        ("scales.0.resolution", [1, 1, 1e-300], "resolution must be above 0"),
        ("scales.1.chunk_sizes", [], "scale 1: chunk_sizes must be 3 numbers"),
        ("scales.0.resolution", [1, 1, 0], "resolution must be above 0"),
        ("scales.0.resolution", None, "resolution must be 3 numbers"),
        ("scales.0.voxel_offset", [0, "0", 0], "voxel_offset must be 3 numbers"),
        ("scales.0.encoding", None, "encoding"),
        ("scales.0.key", "", "has no key"),
        ("scales.1.sharding", "yes", "sharding is no JSON object"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        parse_info(changed(path, value), "http://here/info")
    assert str(caught.value).startswith("http://here/info")
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    st.sampled_from(
        ["@type", "type", "data_type", "num_channels", "scales", "scales.0"]
        + [f"scales.0.{key}" for key in INFO["scales"][0]]
        + ["scales.1.sharding"]
    ),
    json_values,
)
def test_any_json_is_a_volume_or_a_clear_error(path: str, value: Any) -> None:
    try:
        info = parse_info(changed(path, value), "here")
    except OuroborosError as error:
        message = str(error)
    else:
        assert all(isinstance(level, Level) for level in info.levels)
        return
    assert "\n" not in message


def test_nothing_there(tmp_path: Path, http_server: Callable[..., LocalServer]) -> None:
    with pytest.raises(UserError, match=f"there is no folder {tmp_path}/x"):
        open_volume(tmp_path / "x")
    with pytest.raises(SourceError, match=f"no volume here: there is no file://{tmp_path}/info"):
        open_volume(tmp_path)
    url = http_server(tmp_path).url
    with pytest.raises(SourceError, match=f"no volume here: there is no {url}/v/info"):
        open_volume(f"{url}/v")


@pytest.mark.parametrize(
    ("name", "words"),
    [("zarr.json", "zarr"), (".zarray", "zarr"), ("attributes.json", "n5")],
)
def test_another_format_is_named(
    tmp_path: Path, http_server: Callable[..., LocalServer], name: str, words: str
) -> None:
    (tmp_path / name).write_text("{}")
    for url in (f"file://{tmp_path}", http_server(tmp_path).url):
        with pytest.raises(UserError, match=f"is no precomputed volume but {words}; write"):
            open_volume(f"precomputed://{url}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" <!doctype html><html></html>", "is a web page, not JSON"),
        ('{"type": "image", ', "is not valid JSON"),
        ("\udcff", "is not valid JSON"),
        ("[1, 2]", "no JSON object"),
        ("", "is not valid JSON"),
        ("{}", "describes no volume: it has no scales"),
    ],
)
def test_a_file_that_is_no_description(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "info").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SourceError, match=words) as caught:
        open_volume(tmp_path)
    assert f"file://{tmp_path}/info" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_packed_info(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "info.gz").write_bytes(gzip.compress(json.dumps(INFO).encode()))
    assert open_volume(tmp_path).channels == 2


def test_opening_imports_no_voxel_library(tmp_path: Path) -> None:
    (tmp_path / "info").write_text(json.dumps(INFO))
    code = f"""
import sys
from napari_ouroboros.volumes import open_volume
volume = open_volume({str(tmp_path)!r})
volume.source_info(), volume.bounds_nm, volume.chunk_grid(0)
heavy = {{"cloudvolume", "cloudfiles", "tensorstore", "dask", "numba", "scipy", "imagecodecs"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
