"""Whether encoded chunks are whole, for the codecs that do not notice themselves.

compressed_segmentation, compresso and crackle decode what was cut off to wrong labels.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np


class CorruptChunk(Exception):
    """The bytes are not the chunk they should be; the text says why."""


def check_compressed_segmentation(
    data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], block: tuple[int, int, int]
) -> None:
    """Raise `CorruptChunk` unless all that the headers point at lies inside `data`.

    Format: neuroglancer's compressed_segmentation README. Per channel a header of two uint32 per
    block: the table's offset (24 bits) with the bits per voxel (8 bits), and the values' offset,
    in words from the start of the channel.
    """
    channels, *size = shape
    if len(data) % 4 or len(data) < 4 * channels:
        raise CorruptChunk(f"{len(data)} bytes are no compressed_segmentation")
    words = np.frombuffer(data, "<u4")
    starts = [int(w) for w in words[:channels]]
    blocks = int(np.prod([-(-n // b) for n, b in zip(size, block, strict=True)]))
    per_block = int(np.prod(block))
    entry = dtype.itemsize // 4
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        channel = words[start : max(start, end)]
        if start < channels or len(channel) < 2 * blocks:
            raise CorruptChunk("it ends inside its headers")
        header = channel[: 2 * blocks].reshape(blocks, 2).astype(np.int64)
        table, bits, values = header[:, 0] & 0xFFFFFF, header[:, 0] >> 24, header[:, 1]
        if not np.isin(bits, (0, 1, 2, 4, 8, 16, 32)).all():
            raise CorruptChunk("its headers make no sense")
        if (values + -(-bits * per_block // 32) > len(channel)).any():
            raise CorruptChunk("it ends early")
        # A table may be shorter than its bits allow, so near the end the values decide.
        longest = table + entry * (np.int64(1) << np.minimum(bits, 31))
        for i in np.flatnonzero(longest > len(channel)):
            n = int(bits[i])
            top = 0
            if n:
                packed = channel[values[i] : values[i] + -(-per_block * n // 32)]
                shifts = np.arange(0, 32, n, dtype=np.uint32)
                top = int(((packed[:, None] >> shifts) & np.uint32(2**n - 1)).max())
            if table[i] + entry * (top + 1) > len(channel):
                raise CorruptChunk("it ends early")


def check_compresso(data: bytes) -> None:
    """Raise `CorruptChunk` unless the windows of `data` are all there.

    Format: https://github.com/seung-lab/compresso ; the windows come last but for the z index,
    as values or, with the lowest bit set, as runs of zeros.
    """
    compresso: Any = importlib.import_module("compresso")
    header = compresso.header(data)
    item = np.dtype(compresso.window_dtype(header)).itemsize
    start = (
        len(compresso.raw_header(data))
        + header["id_size"] * header["data_width"]
        + header["value_size"] * item
        + header["location_size"] * np.dtype(compresso.label_dtype(header)).itemsize
    )
    end = len(data)
    if header["format_version"] > 0:
        end -= 2 * header["sz"] * compresso.zindex_byte_width(header["sx"], header["sy"])
    if end < start or (end - start) % item:
        raise CorruptChunk("it ends early")
    windows = np.frombuffer(data, f"<u{item}", offset=start, count=(end - start) // item)
    counts = np.where(windows & 1, windows >> 1, 1).astype(np.int64)
    blocks = 1
    for axis in "xyz":
        blocks *= -(-header[f"s{axis}"] // header[f"{axis}step"])
    if counts.sum() < blocks:
        raise CorruptChunk("it ends early")


def check_crackle(data: bytes) -> None:
    """Raise `CorruptChunk` unless `data` has the length and, from version 1, the sums it says.

    Format: https://github.com/seung-lab/crackle
    """
    codec: Any = importlib.import_module("crackle.codec")
    lib: Any = importlib.import_module("crackle.lib")
    header = codec.header(data)
    crack_codes_end = int(codec.grid_index(data)[-1])
    sums = 0 if header.format_version == 0 else 4 * header.sz + 4
    if len(data) < crack_codes_end + sums:
        raise CorruptChunk("it ends early")
    stored = codec.labels_crc(data)
    if stored is not None and stored != lib.crc32c(bytes(codec.raw_labels(data))):
        raise CorruptChunk("its checksum is wrong")
