"""Half a chunk is an error whatever the encoding, and so is a codec that is not installed."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.precomputed import blobs

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.chunks.decode import ENCODINGS, decode_chunk
from napari_ouroboros.volumes.chunks.whole import CorruptChunk

SHAPE = (1, 16, 12, 20)
BLOCK = (8, 8, 8)
DTYPES = {
    "jpeg": "uint8", "png": "uint8", "jxl": "uint8", "raw": "int16", "fpzip": "float32",
    "kempressed": "float32", "zfpc": "float32",
}  # fmt: skip


def encoded(encoding: str, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, bytes]:
    from cloudvolume import chunks

    array = blobs(shape, DTYPES.get(encoding, "uint64"), seed=3)
    data = chunks.encode(np.asfortranarray(array.T), encoding, block_size=BLOCK)
    return array, bytes(data)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_whole_chunk(encoding: str) -> None:
    array, data = encoded(encoding)
    got = decode_chunk(data, encoding, SHAPE, array.dtype, BLOCK)
    assert got.shape == SHAPE
    assert got.dtype == array.dtype
    assert got.flags.c_contiguous
    if encoding not in ("jpeg", "jxl", "zfpc", "kempressed"):
        np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("keep", [0.0, 0.05, 0.5, 0.9, 0.99])
def test_a_chunk_that_is_cut_off_is_an_error(encoding: str, keep: float) -> None:
    array, data = encoded(encoding)
    with pytest.raises(CorruptChunk):
        decode_chunk(data[: int(len(data) * keep)], encoding, SHAPE, array.dtype, BLOCK)


@pytest.mark.parametrize("encoding", [e for e in ENCODINGS if e != "compressed_segmentation"])
def test_a_chunk_of_another_size_is_an_error(encoding: str) -> None:
    # compressed_segmentation does not know its size.
    array, data = encoded(encoding)
    with pytest.raises(CorruptChunk):
        decode_chunk(data, encoding, (1, 16, 12, 12), array.dtype, BLOCK)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["compresso", "crackle"]), st.integers(0, 99), st.booleans(),
    st.sampled_from(["uint8", "uint32", "uint64"]), st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_label_codecs_cut_anywhere(
    encoding: str, seed: int, flat: bool, dtype: str, keep: float
) -> None:
    from cloudvolume import chunks

    size = tuple(np.random.default_rng(seed).integers(1, 40, 3).tolist())
    array = np.full((1, *size), 7, dtype) if flat else blobs((1, *size), dtype, seed)
    data = bytes(chunks.encode(np.asfortranarray(array.T), encoding))
    got = decode_chunk(data, encoding, array.shape, array.dtype)
    np.testing.assert_array_equal(got, array)
    for cut in {int(len(data) * keep), len(data) - 1, len(data) - 4}:
        with pytest.raises(CorruptChunk):
            decode_chunk(data[:cut], encoding, array.shape, array.dtype)


@pytest.mark.parametrize("encoding", ["fpzip", "kempressed"])
def test_fpzip_cut_anywhere_does_not_kill_this_process(encoding: str) -> None:
    array, data = encoded(encoding, (2, 9, 11, 13))
    whole = decode_chunk(data, encoding, array.shape, array.dtype)
    unnoticed = 0
    for cut in (4, 30, len(data) // 2, *(len(data) - n for n in (40, 6, 3, 2, 1))):
        try:
            got = decode_chunk(data[:cut], encoding, array.shape, array.dtype)
        except CorruptChunk:
            continue
        # The last bytes of the arithmetic code may be without meaning, and so not be missed.
        np.testing.assert_array_equal(got, whole)
        unnoticed += len(data) - cut
    assert unnoticed <= 3  # that is, no more than the last two
    with ThreadPoolExecutor(6) as many:
        results = list(
            many.map(lambda _: decode_chunk(data, encoding, array.shape, array.dtype), "x" * 20)
        )
    assert all(np.allclose(array, one, rtol=1e-6, atol=1e-3) for one in results)


def test_fpzip_of_64_bits_is_not_float32() -> None:
    import fpzip

    array = np.random.default_rng(0).random((4, 5, 6, 1))
    data = fpzip.compress(np.asfortranarray(array), order="F")
    with pytest.raises(CorruptChunk, match="float64 instead of float32"):
        decode_chunk(data, "fpzip", (1, 6, 5, 4), np.dtype("float32"))


def test_the_size_of_a_raw_chunk_is_in_the_message() -> None:
    with pytest.raises(CorruptChunk, match=r"^it has 100 bytes instead of 15360$"):
        decode_chunk(bytes(100), "raw", (1, 16, 12, 20), np.dtype("uint32"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_compressed_segmentation_cut_anywhere(data: st.DataObject) -> None:
    """Every cut that loses a word that the format needs is noticed."""
    dtype = data.draw(st.sampled_from(["uint32", "uint64"]))
    channels = data.draw(st.integers(1, 2))
    array = np.random.default_rng(data.draw(st.integers(0, 99))).integers(
        0, data.draw(st.integers(1, 300)), (channels, 9, 8, 17)
    )
    array = array.astype(dtype)
    whole = by_the_format(array, (8, 8, 8))
    got = decode_chunk(whole, "compressed_segmentation", array.shape, array.dtype, (8, 8, 8))
    np.testing.assert_array_equal(got, array)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CorruptChunk):
        decode_chunk(whole[:cut], "compressed_segmentation", array.shape, array.dtype, (8, 8, 8))


def by_the_format(array: np.ndarray, block: tuple[int, int, int]) -> bytes:
    """Encode (channel, z, y, x) as the README of compressed_segmentation says, tables last."""
    words_of = {4: "<I", 8: "<Q"}[array.dtype.itemsize]
    channels: list[list[int]] = []
    for volume in array:
        corners = [range(0, n, b) for n, b in zip(volume.shape, block, strict=True)]
        places = [(z, y, x) for z in corners[0] for y in corners[1] for x in corners[2]]
        headers: list[list[int]] = []
        body: list[int] = []
        tables: list[list[int]] = []
        for z, y, x in places:
            part = np.zeros(block, array.dtype)
            inside = volume[z : z + block[0], y : y + block[1], x : x + block[2]]
            part[:] = inside[0, 0, 0]
            part[tuple(slice(n) for n in inside.shape)] = inside
            table, indices = np.unique(part, return_inverse=True)
            need = max(len(table) - 1, 0).bit_length()
            bits = next(b for b in (0, 1, 2, 4, 8, 16, 32) if b >= need)
            headers.append([bits, len(body)])
            if bits:
                per_word = 32 // bits
                flat = indices.ravel().tolist()
                for i in range(0, len(flat), per_word):
                    row = flat[i : i + per_word]
                    body.append(sum(v << (bits * j) for j, v in enumerate(row)))
            packed = b"".join(struct.pack(words_of, int(v)) for v in table)
            tables.append(list(np.frombuffer(packed, "<u4").tolist()))
        words: list[int] = []
        at = 2 * len(places) + len(body)
        for (bits, values), table_words in zip(headers, tables, strict=True):
            words += [at | bits << 24, 2 * len(places) + values]
            at += len(table_words)
        channels.append(words + body + [w for t in tables for w in t])
    starts, at = [], len(channels)
    for words in channels:
        starts.append(at)
        at += len(words)
    flat_words = starts + [w for words in channels for w in words]
    return struct.pack(f"<{len(flat_words)}I", *flat_words)


def test_jxl_of_three_channels() -> None:
    import imagecodecs

    z, y, x = np.mgrid[:4, :8, :8]
    array = np.stack([20 * z + x, 200 - 9 * x, 5 * y + 40]).astype("uint8")
    image = np.moveaxis(array, 0, -1).reshape(32, 8, 3)
    data = imagecodecs.jpegxl_encode(np.ascontiguousarray(image), lossless=True)
    got = decode_chunk(data, "jxl", (3, 4, 8, 8), np.dtype("uint8"))
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("encoding", ["compresso", "crackle", "fpzip", "zfpc"])
def test_a_missing_codec_is_one_line_that_names_the_extra(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cloudvolume import chunks

    array, data = encoded(encoding)
    monkeypatch.setitem(chunks.NEEDS_INSTALL, encoding, f"{encoding}-codec")
    with pytest.raises(UserError, match=r"napari-ouroboros\[all-codecs\]") as caught:
        decode_chunk(data, encoding, SHAPE, array.dtype)
    assert "\n" not in str(caught.value)
    assert encoding in str(caught.value)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(UserError, match="'h265' is not known; known: raw, jpeg"):
        decode_chunk(b"x", "h265", SHAPE, np.dtype("uint8"))
