"""What `info` says of volumes in every format, and that it is quick about it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracles.arrays import shards, write_array, write_n5_by_hand
from oracles.precomputed import blobs, write_by_hand, write_tensorstore

from napari_ouroboros.errors import UserError
from napari_ouroboros.operations.info import as_text, describe

SHARDS = {
    "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 1, "hash": "identity",
    "minishard_index_encoding": "gzip", "data_encoding": "gzip",
}  # fmt: skip
ARRAY = blobs((1, 9, 10, 11), "uint32")


def test_precomputed(tmp_path: Path) -> None:
    write_by_hand(
        tmp_path, [ARRAY, ARRAY[:, ::2, ::2, ::2]], offsets=[(1, 2, 3), (0, 1, 1)],
        resolutions=[(40, 8, 4), (80, 16, 8)],
    )  # fmt: skip
    assert as_text(describe(str(tmp_path))).splitlines() == [
        f"precomputed://file://{tmp_path}",
        "precomputed image, uint32, 1 channel",
        "mip  size x, y, z           voxel x, y, z nm      offset x, y, z        chunk x, y, z   "
        "encoding",
        "0    11 x 10 x 9            4 x 8 x 40            3 x 2 x 1             8 x 8 x 8       "
        "raw",
        "1    6 x 5 x 5              8 x 16 x 80           1 x 1 x 0             8 x 8 x 8       "
        "raw",
        "read with cloud-volume: raw chunks need no decoding, which tensorstore would not leave "
        "out",
    ]


def test_shards(tmp_path: Path) -> None:
    write_tensorstore(tmp_path, ARRAY, "compressed_segmentation", sharding=SHARDS)
    facts = describe(str(tmp_path))
    assert facts["levels"][0]["sharded"]
    assert "compressed_segmentation, sharded\nread with cloud-volume: " in as_text(facts)
    assert describe(str(tmp_path), reader="tensorstore")["reader_reason"] == "as asked"


def test_n5(tmp_path: Path) -> None:
    write_n5_by_hand(tmp_path, ARRAY[0].T, chunk=(4, 4, 4))
    facts = describe(str(tmp_path))
    assert (facts["format"], facts["url"]) == ("N5", f"n5://file://{tmp_path}")
    assert "N5 image, uint32, 1 channel\n" in as_text(facts)
    assert as_text(facts).endswith("read with tensorstore: it decodes zarr and N5, here raw")


def test_zarr_whose_voxels_have_no_size(tmp_path: Path) -> None:
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    codecs = shards((4, 4, 4), [little, {"name": "zstd"}])
    write_array(tmp_path, "zarr3", ARRAY[0], chunk=(8, 8, 8), metadata={"codecs": codecs})
    with pytest.raises(UserError, match="with --resolution Z,Y,X"):
        describe(str(tmp_path))
    text = as_text(describe(str(tmp_path), resolution=(40, 8, 4)))
    assert "zarr 3 image, uint32, 1 channel\n" in text
    assert "0    11 x 10 x 9            4 x 8 x 40            0 x 0 x 0             4 x 4" in text
    assert "zstd, sharded\nthe size of a voxel is the one that was given" in text


@pytest.mark.parametrize("format", ["precomputed", "n5", "zarr"])
def test_no_voxel_library_is_imported(tmp_path: Path, format: str) -> None:
    if format == "precomputed":
        write_by_hand(tmp_path, [ARRAY])
    elif format == "n5":
        write_n5_by_hand(tmp_path, ARRAY[0].T, chunk=(4, 4, 4))
    else:
        write_array(tmp_path, "zarr", np.ones((4, 4, 4)), chunk=(4, 4, 4), metadata={})
        (tmp_path / ".zattrs").write_text(json.dumps({"dimension_units": ["8 nm"] * 3}))
    code = f"""
import sys
from napari_ouroboros.operations.info import as_text, describe
print(as_text(describe({str(tmp_path)!r})))
heavy = {{
    "cloudvolume", "cloudfiles", "tensorstore", "dask", "numba", "scipy", "imagecodecs", "tifffile"
}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
