"""What zarr-python and tensorstore write is what `Volume.read` gives, whatever the layout."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.formats.zarr import array_chunk_name

DTYPES = (
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float32", "float64", "bool"),
)
COMPRESSORS_2: dict[str, Any] = {
    "raw": None,
    "blosc": numcodecs.Blosc("lz4", shuffle=numcodecs.Blosc.SHUFFLE),
    "blosc/zstd": numcodecs.Blosc("zstd", shuffle=numcodecs.Blosc.BITSHUFFLE),
    "zlib": numcodecs.Zlib(3),
    "gzip": numcodecs.GZip(3),
    "bz2": numcodecs.BZ2(1),
    "zstd": numcodecs.Zstd(3),
}
COMPRESSORS_3: dict[str, Any] = {
    "raw": None,
    "blosc": zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle"),
    "gzip": zarr.codecs.GzipCodec(level=1),
    "zstd": zarr.codecs.ZstdCodec(level=1, checksum=True),
}
COMPRESSIONS_N5: dict[str, Any] = {
    "raw": {"type": "raw"},
    "gzip": {"type": "gzip"},
    "blosc": {"type": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1},
    "bzip2": {"type": "bzip2"},
    "xz": {"type": "xz"},
    "zstd": {"type": "zstd"},
}


@dataclass
class Layout:
    """An array to be written: its axes in their order, and what is in it."""

    axes: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: str
    seed: int
    keep: float

    def values(self) -> NDArray[Any]:
        """Random values; all of some chunks are 0."""
        rng = np.random.default_rng(self.seed)
        array = rng.integers(0, 256, (*self.shape, 8), dtype=np.uint8)
        if self.dtype == "bool":
            values = array[..., 0] > 127
        elif self.dtype.startswith("float"):
            values = rng.normal(size=self.shape).astype(self.dtype)
        else:
            values = array.view(self.dtype)[..., 0].copy()
        grid = [-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True)]
        there = rng.random(grid) < self.keep
        for axis, (n, c) in enumerate(zip(self.shape, self.chunk, strict=True)):
            there = np.repeat(there, c, axis)[(slice(None),) * axis + (slice(0, n),)]
        return np.where(there, values, values.dtype.type(0))

    def expected(self, array: NDArray[Any]) -> NDArray[Any]:
        """As (z, y, x[, channel]), bool as uint8."""
        wanted = "zyx" + "c" * ("c" in self.axes) + "t" * ("t" in self.axes)
        array = np.transpose(array, [self.axes.index(a) for a in wanted])
        if "t" in self.axes:
            array = array[..., 0]
        if "c" in self.axes and array.shape[-1] == 1:
            array = array[..., 0]
        return array.astype(np.uint8) if array.dtype == bool else array


@st.composite
def layouts(draw: st.DrawFn, dtypes: tuple[str, ...] = DTYPES) -> Layout:
    axes = "".join(draw(st.permutations("zyx" + draw(st.sampled_from(["", "c", "t", "ct"])))))
    limits = {"c": 3, "t": 1}
    shape = tuple(draw(st.integers(1, limits.get(a, 17))) for a in axes)
    chunk = tuple(draw(st.integers(1, 3 if a in "ct" else 9)) for a in axes)
    return Layout(
        axes,
        shape,
        chunk,
        draw(st.sampled_from(dtypes)),
        draw(st.integers(0, 999)),
        draw(st.sampled_from([0.0, 0.5, 1.0])),
    )


@st.composite
def boxes(draw: st.DrawFn) -> tuple[tuple[float, float], ...]:
    """As parts of the size."""
    ends = [sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1)))) for _ in range(3)]
    return tuple((a, b) for a, b in ends)


def check(url: str, layout: Layout, written: NDArray[Any], part: Any, encoding: str) -> None:
    volume = open_volume(url, resolution=(40, 8, 4))
    expected = layout.expected(written)
    expected = expected.astype(expected.dtype.newbyteorder("="))
    (level,) = volume.levels
    assert level.encoding == encoding.partition("/")[0]
    assert level.shape == expected.shape[:3]
    got = volume.read(0)
    assert got.dtype == expected.dtype
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, expected)
    box = tuple(
        (int(a * n), int(np.ceil(b * n))) for (a, b), n in zip(part, level.shape, strict=True)
    )
    inside = tuple(slice(a, b) for a, b in box)
    np.testing.assert_array_equal(volume.read(0, box), expected[inside])  # type: ignore[arg-type]
    lazy = volume.dask(0).compute(scheduler="synchronous")
    np.testing.assert_array_equal(lazy, expected)


several = settings(max_examples=30, deadline=None)


@several
@given(
    layouts(),
    boxes(),
    st.sampled_from(list(COMPRESSORS_2)),
    st.sampled_from("./"),
    st.sampled_from("CF"),
    st.sampled_from("<>"),
)
def test_zarr_2(
    layout: Layout, part: Any, compressor: str, separator: str, order: str, endian: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume"
        dtype = np.dtype(layout.dtype).newbyteorder(endian)  # type: ignore[call-overload]
        array = zarr.create_array(
            path,
            shape=layout.shape,
            chunks=layout.chunk,
            dtype=dtype,
            zarr_format=2,
            compressors=COMPRESSORS_2[compressor],
            order=order,  # type: ignore[arg-type]
            chunk_key_encoding={"name": "v2", "separator": separator},  # type: ignore[arg-type]
            attributes={"_ARRAY_DIMENSIONS": list(layout.axes)},
        )
        array[...] = layout.values()
        check(f"zarr://{path}", layout, np.asarray(array[...]), part, compressor)


@several
@given(
    layouts(),
    boxes(),
    st.sampled_from(list(COMPRESSORS_3)),
    st.sampled_from([("default", "/"), ("default", "."), ("v2", "."), ("v2", "/")]),
    st.booleans(),
    st.one_of(st.none(), st.tuples(*[st.integers(1, 3)] * 5)),
)
def test_zarr_3(
    layout: Layout, part: Any, compressor: str, names: Any, turned: bool, shards: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume"
        rank = len(layout.shape)
        order = zarr.codecs.TransposeCodec(order=tuple(range(rank))[::-1])
        array = zarr.create_array(
            path,
            shape=layout.shape,
            chunks=layout.chunk,
            # as many chunks of a shard along each axis
            shards=None
            if shards is None
            else tuple(n * c for n, c in zip(shards, layout.chunk, strict=False)),
            dtype=layout.dtype,
            filters=[order] if turned else [],  # type: ignore[arg-type]
            compressors=COMPRESSORS_3[compressor],
            chunk_key_encoding={"name": names[0], "separator": names[1]},  # type: ignore[arg-type]
            dimension_names=list(layout.axes),
        )
        array[...] = layout.values()
        check(f"zarr://{path}", layout, np.asarray(array[...]), part, compressor)


@several
@given(layouts(DTYPES[:-1]), boxes(), st.sampled_from(list(COMPRESSIONS_N5)))
def test_n5(layout: Layout, part: Any, compression: str) -> None:
    import tensorstore as ts

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume"
        store = ts.open(
            {
                "driver": "n5",
                "kvstore": {"driver": "file", "path": f"{path}/"},
                "metadata": {
                    "dimensions": layout.shape,
                    "blockSize": layout.chunk,
                    "dataType": layout.dtype,
                    "compression": COMPRESSIONS_N5[compression],
                    "axes": list(layout.axes),
                },
            },
            create=True,
        ).result()
        store.write(layout.values()).result()
        check(f"n5://{path}", layout, store.read().result(), part, compression)


@pytest.mark.parametrize(("version", "sharded"), [(2, False), (3, False), (3, True)])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_chunk_that_is_not_stored_is_the_fill_value(
    version: int, sharded: bool, dtype: str, tmp_path: Path
) -> None:
    """The format's own rule; writers leave such chunks out. No `fill` of ours replaces it."""
    array = zarr.create_array(
        tmp_path / "volume",
        shape=(8, 8, 8),
        chunks=(4, 4, 4),
        shards=(4, 8, 8) if sharded else None,
        dtype=dtype,
        zarr_format=version,  # type: ignore[arg-type]
        fill_value=7,
    )
    array[4:, :4, :4] = 9
    volume = open_volume(tmp_path / "volume", resolution=(1, 1, 1))
    for options in ({}, {"fill": 3}, {"missing": "error"}):
        np.testing.assert_array_equal(volume.read(0, **options), array[...])  # type: ignore[arg-type]


def test_names_of_chunks_are_those_on_disk(tmp_path: Path) -> None:
    for version, separator, shards in ((2, ".", None), (2, "/", None), (3, "/", None), (3, "/", 8)):
        path = tmp_path / f"{version}{ord(separator)}{shards}"
        array = zarr.create_array(
            path,
            shape=(16, 16, 16),
            chunks=(4, 4, 4),
            shards=None if shards is None else (shards,) * 3,
            dtype="uint8",
            zarr_format=version,  # type: ignore[arg-type]
            chunk_key_encoding={
                "name": "v2" if version == 2 else "default",
                "separator": separator,  # type: ignore[typeddict-item]
            },
        )
        array[4:8, 8:12, 12:16] = 1
        (level,) = open_volume(path, resolution=(1, 1, 1)).levels
        assert (path / array_chunk_name(level, (1, 2, 3))).is_file()
    (tmp_path / "n5").mkdir()
    (tmp_path / "n5" / "attributes.json").write_text(
        json.dumps(
            {
                "dimensions": [16, 16, 16],
                "blockSize": [4, 4, 4],
                "dataType": "uint8",
                "compression": {"type": "raw"},
            }
        )
    )
    import tensorstore as ts

    store = ts.open(
        {"driver": "n5", "kvstore": {"driver": "file", "path": f"{tmp_path}/n5/"}}
    ).result()
    store[12:16, 8:12, 4:8].write(1).result()
    (level,) = open_volume(tmp_path / "n5", resolution=(1, 1, 1)).levels
    assert (tmp_path / "n5" / array_chunk_name(level, (1, 2, 3))).is_file()
