"""Compressed objects: whatever is wrong with them is said, and nothing comes out of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes.stores.fetch import decompress, make_fetcher
from napari_ouroboros.volumes.stores.location import parse_location

NOISE = np.random.default_rng(0).integers(0, 60, 100_000, dtype=np.uint8).tobytes()
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "br": imagecodecs.brotli_encode,
    "zstd": imagecodecs.zstd_encode,
    "": bytes,
    "identity": bytes,
}


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("data", [NOISE, b"x", bytes(1 << 20)], ids=["noise", "byte", "zeros"])
def test_what_comes_out_is_what_went_in(encoding: str, data: bytes) -> None:
    assert decompress(PACK[encoding](data), encoding, "it") == data
    assert decompress(bytearray(PACK[encoding](data)), encoding, "it") == data


@pytest.mark.parametrize("n", [10, 100_000])
@pytest.mark.parametrize("encoding", [name for name in PACK if name not in ("", "identity")])
def test_what_is_cut_off_is_an_error(encoding: str, n: int) -> None:
    packed = PACK[encoding](NOISE[:n])
    for end in (0, 1, len(packed) // 2, len(packed) - 1):
        with pytest.raises(SourceError, match=f"^it is corrupt: {encoding} says"):
            decompress(packed[:end], encoding, "it")


@given(st.integers(0, 10**9), st.integers(1, 255))
def test_a_changed_byte_in_a_gzip_is_an_error_or_nothing(place: int, change: int) -> None:
    """There are bytes in the head that mean nothing: the time, the system it was made on."""
    packed = bytearray(gzip.compress(NOISE))
    packed[place % len(packed)] ^= change
    try:
        found = decompress(packed, "gzip", "it")
    except SourceError as error:
        found, message = NOISE, str(error)
    else:
        message = "it is corrupt: gzip says"
    assert found == NOISE
    assert message.startswith("it is corrupt: gzip says")


@pytest.mark.parametrize(
    "sizes", [(50_000, 50_001), (100, 100_000), (100_000, 0), (60_000, 100), (30_000,) * 3]
)
def test_several_members(sizes: tuple[int, ...]) -> None:
    parts = [NOISE[:n] for n in sizes]
    packed = b"".join(gzip.compress(part) for part in parts)
    found = decompress(packed, "gzip", "it")
    # Of members of one size the first comes out; whoever knows the size of the chunk says so.
    assert found == (parts[0] if len(set(sizes)) == 1 else b"".join(parts))


def test_zeros_after_the_end_are_padding() -> None:
    assert decompress(gzip.compress(NOISE) + bytes(100), "gzip", "it") == NOISE


def test_an_unknown_compression() -> None:
    with pytest.raises(SourceError, match="it is compressed with lepton, which is not known here"):
        decompress(NOISE, "lepton", "it")


def test_ranges_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(NOISE)
    fetcher = make_fetcher(parse_location(tmp_path), 5)
    for span in ((0, 10), (5, 5), (10**6, 10**6 + 1), (2**63, 2**64), (0, 2**62), (3, 2**70)):
        assert fetcher.get("it", span) == NOISE[slice(*span)]
    for n in (1, len(NOISE), 2**63):
        assert fetcher.get("it", (-n, 0)) == NOISE[-n:]


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    for place in (tmp_path, "http://127.0.0.1:9"):
        with pytest.raises(SourceError, match=r"cannot be the name|no request can hold|refused"):
            make_fetcher(parse_location(place), 5).get(name)
