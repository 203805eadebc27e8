"""Whatever the metadata of a volume say, opening and reading it end well or in one clear line."""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles.arrays import shards
from oracles.json_store import array2, array3, dataset5, ome_group, scale, translation

from napari_ouroboros.errors import Notice, OuroborosError
from napari_ouroboros.neuroglancer.source_space import source_space
from napari_ouroboros.volumes import open_volume

_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
_LEVELS = [((8, 8, 8), [scale(4, 4, 4), translation(2, 2, 2)]), ((4, 4, 4), [scale(8, 8, 8)])]
_SHARDED = {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8, 8, 8]}}}
_INFO: dict[str, Any] = {
    "@type": "neuroglancer_multiscale_volume",
    "type": "image",
    "data_type": "uint32",
    "num_channels": 1,
    "scales": [
        {
            "key": "8_8_8", "size": [8, 8, 8], "voxel_offset": [0, 0, 0], "encoding": "raw",
            "chunk_sizes": [[8, 8, 8]], "resolution": [8, 8, 8],
        },
        {
            "key": "16", "size": [4, 4, 4], "chunk_sizes": [[4, 4, 4]], "resolution": [16, 16, 16],
            "encoding": "compressed_segmentation",
            "compressed_segmentation_block_size": [8, 8, 8],
            "sharding": {
                "@type": "neuroglancer_uint64_sharded_v1", "preshift_bits": 1, "hash": "identity",
                "minishard_bits": 1, "shard_bits": 1, "minishard_index_encoding": "gzip",
                "data_encoding": "raw",
            },
        },
    ],
}  # fmt: skip
_COSEM = {
    "path": "s0",
    "transform": {
        "axes": ["z", "y", "x"], "scale": [4, 4, 4], "translate": [0, 0, 0], "units": ["nm"] * 3
    },
}  # fmt: skip
FILES: dict[str, dict[str, Any]] = {
    "precomputed": {"info": _INFO},
    "zarr2": {
        ".zarray": array2((8, 8, 8), dimension_separator="/"),
        ".zattrs": {"dimension_units": ["4 nm"] * 3, "_ARRAY_DIMENSIONS": ["z", "y", "x"]},
    },
    "zarr3": {
        "zarr.json": array3(
            (8, 8, 8),
            attributes={"dimension_units": ["4 nm"] * 3},
            dimension_names=["z", "y", "x"],
            codecs=shards((4, 4, 4), [_BYTES]),
            **_SHARDED,
        )
    },
    "OME-Zarr 0.4": ome_group(_LEVELS, coordinateTransformations=[scale(1, 1, 1)]),
    "OME-Zarr 0.5": ome_group(_LEVELS, "0.5"),
    "consolidated": {".zmetadata": {"metadata": ome_group(_LEVELS)}},
    "n5": {
        "attributes.json": dataset5(
            (8, 8, 8), resolution=[4, 4, 4], units=["nm"] * 3, axes=["x", "y", "z"]
        )
    },
    "n5 levels": {
        "attributes.json": {
            "downsamplingFactors": [[1, 1, 1], [2, 2, 2]],
            "pixelResolution": {"dimensions": [4, 4, 4], "unit": "nm"},
        },
        "s0/attributes.json": dataset5((8, 8, 8)),
        "s1/attributes.json": dataset5((4, 4, 4)),
    },
    "COSEM": {
        "attributes.json": {"multiscales": [{"datasets": [_COSEM]}]},
        "s0/attributes.json": dataset5((8, 8, 8)),
    },
}

_SCALARS = [
    None, True, 0, 1, -1, 3.5, 1e308, 1e-320, float("nan"), float("inf"), 2**53, 2**63, 10**400,
    "", "x", "a\0b", "\ud800", "../x", "/x", "<i3", "|b7", "<c16", "sharding_indexed",
    "1e400 nm", "9" * 400 + " nm", {}, [], {"a": 1}, [None] * 3, ["x"], [[1, 2, 3]], [{}],
]  # fmt: skip
_NUMBERS = [[n] * 3 for n in (0, -1, 0.5, 2**62, 10**30, 1e300, 1e-300)]


def _places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything inside a JSON value."""
    members: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    deeper = [place for key, inner in members for place in _places(inner, (*way, key))]
    return ([way] if way else []) + deeper


def _spoil(data: st.DataObject, value: Any) -> None:
    """Replace something in a JSON object by something else, or remove it."""
    *way, last = data.draw(st.sampled_from(_places(value)))
    for key in way:
        value = value[key]
    if data.draw(st.integers(0, 4)):
        value[last] = copy.deepcopy(data.draw(st.sampled_from(_SCALARS + _NUMBERS)))
    else:
        del value[last]


@pytest.mark.parametrize("format", FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_metadata_are_a_volume_or_a_clear_error(format: str, data: st.DataObject) -> None:
    files = copy.deepcopy(FILES[format])
    for name in data.draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2)):
        if files[name]:
            _spoil(data, files[name])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        try:
            volume = open_volume(folder)
            for mip in range(len(volume.levels)):
                assert volume.chunk_grid(mip) >= (1, 1, 1)
                volume.fetch_chunk(mip, (0, 0, 0))
            json.dumps(volume.source_info())
            source_space(volume.url, volume.url.partition(":")[0])
        except OuroborosError as error:
            message = str(error)
        else:
            return
    assert "\n" not in message
    assert len(message) < 1000


@pytest.mark.parametrize("format", FILES)
def test_what_is_spoilt_was_a_volume(tmp_path: Path, format: str) -> None:
    for name, content in FILES[format].items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    assert open_volume(tmp_path).fetch_chunk(0, (0, 0, 0)) is None
