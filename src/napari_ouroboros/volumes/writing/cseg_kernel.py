"""Neuroglancer's compressed_segmentation, written: several times the speed of the libraries.

Most blocks of labels hold one id, and that is seen at a glance; the others are few.
Format: https://github.com/google/neuroglancer/tree/master/src/sliceview/compressed_segmentation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.with_numba import njit

_BLOCK = 8
_VOXELS = _BLOCK**3


def encode(labels: NDArray[Any]) -> bytes:
    """Encode a chunk of one channel in blocks of 8^3.

    Parameters
    ----------
    labels : (z, y, x) of uint32 or uint64

    Returns
    -------
    bytes
    """
    words = labels.dtype.itemsize // 4
    blocks = int(np.prod([-(-n // _BLOCK) for n in labels.shape]))
    # The most that could be needed; only what is written takes memory.
    out = np.empty(1 + blocks * (2 + _VOXELS * (words + 1)), np.uint32)
    # The kernel is compiled for one kind of array.
    size = _encode(np.require(labels, requirements=["C", "W"]), words, out)
    return out[:size].astype("<u4", copy=False).tobytes()


@njit(nogil=True, cache=True)
def _encode(labels, words, out):
    """Write into `out`; the number of 32-bit words written."""
    nz, ny, nx = labels.shape
    gz, gy, gx = -(-nz // _BLOCK), -(-ny // _BLOCK), -(-nx // _BLOCK)
    ids = np.empty(_VOXELS, labels.dtype)
    which = np.empty(_VOXELS, np.uint32)
    out[0] = 1  # where the only channel begins; offsets count from there
    end = 2 * gz * gy * gx
    # Where the table of the last block with one id is: most often the next one has the same.
    alone, alone_at = labels[0, 0, 0], -1
    block = 0
    for z0 in range(0, nz, _BLOCK):
        for y0 in range(0, ny, _BLOCK):
            for x0 in range(0, nx, _BLOCK):
                z1, y1, x1 = min(z0 + _BLOCK, nz), min(y0 + _BLOCK, ny), min(x0 + _BLOCK, nx)
                known = _find_ids(labels, z0, z1, y0, y1, x0, x1, ids, which)
                bits = 0
                while 1 << bits < known:
                    bits = 2 * bits if bits else 1
                values = end
                if bits:
                    end = _pack(which, bits, out, end)
                table = end
                if known == 1 and alone_at >= 0 and ids[0] == alone:
                    table = alone_at
                else:
                    for i in range(known):
                        out[1 + end] = np.uint32(ids[i] & np.uint64(0xFFFFFFFF))
                        if words == 2:
                            out[2 + end] = np.uint32(np.uint64(ids[i]) >> np.uint64(32))
                        end += words
                    if known == 1:
                        alone, alone_at = ids[0], table
                out[1 + 2 * block] = np.uint32(table | bits << 24)
                out[2 + 2 * block] = np.uint32(values)
                block += 1
    return 1 + end


@njit(nogil=True, cache=True)
def _find_ids(labels, z0, z1, y0, y1, x0, x1, ids, which):
    """How many ids a block has; `ids`, and which of them every voxel (x fastest) has."""
    first = labels[z0, y0, x0]
    uniform = True
    for z in range(z0, z1):
        for y in range(y0, y1):
            for x in range(x0, x1):
                uniform &= labels[z, y, x] == first
        if not uniform:
            break
    ids[0] = first
    if uniform:
        return 1
    known, last = 1, 0
    which[:] = 0  # also beyond the end of the chunk
    for z in range(z0, z1):
        for y in range(y0, y1):
            at = ((z - z0) * _BLOCK + y - y0) * _BLOCK
            for x in range(x0, x1):
                label = labels[z, y, x]
                if label != ids[last]:
                    last = 0
                    while last < known and ids[last] != label:
                        last += 1
                    if last == known:
                        ids[known] = label
                        known += 1
                which[at + x - x0] = last
    return known


@njit(nogil=True, cache=True)
def _pack(which, bits, out, end):
    """Write numbers of `bits` bits each, the first in the lowest; the new end."""
    per_word = 32 // bits
    for start in range(0, _VOXELS, per_word):
        word = np.uint32(0)
        for i in range(per_word):
            word |= np.uint32(which[start + i] << np.uint32(i * bits))
        out[1 + end] = word
        end += 1
    return end
