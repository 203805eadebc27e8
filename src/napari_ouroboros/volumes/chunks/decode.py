"""Encoded bytes of one precomputed chunk -> array. The codecs are cloud-volume's.

What is added: a chunk that is cut off or of another size is an error. Some codecs return an
array of something for half a chunk (see `whole.py`), and fpzip dies (`fpzip_apart.py`).
"""

from __future__ import annotations

import importlib
import threading
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError, one_line
from napari_ouroboros.volumes.chunks.foreign_calls import foreign_call
from napari_ouroboros.volumes.chunks.fpzip_apart import decode_fpzip
from napari_ouroboros.volumes.chunks.whole import (
    CorruptChunk,
    check_compressed_segmentation,
    check_compresso,
    check_crackle,
)
from napari_ouroboros.volumes.level import VolumeInfo

Array = NDArray[Any]
ENCODINGS = (
    "raw", "jpeg", "png", "jxl", "compressed_segmentation", "compresso", "crackle",
    "fpzip", "kempressed", "zfpc",
)  # fmt: skip


class LevelDecoder:
    """Decodes chunks of the levels of a volume; see `decode_chunk`."""

    def __init__(self, info: VolumeInfo) -> None:
        self._info = info

    def __call__(self, data: bytes, mip: int, shape: tuple[int, int, int, int]) -> Array:
        """Return the chunk of level `mip`, which must be of `shape` (channels, z, y, x)."""
        level = self._info.levels[mip]
        with foreign_call():
            return decode_chunk(data, level.encoding, shape, self._info.dtype, level.block)


def decode_chunk(
    data: bytes,
    encoding: str,
    shape: tuple[int, int, int, int],
    dtype: np.dtype[Any],
    block: tuple[int, int, int] | None = None,
) -> Array:
    """Decode one chunk.

    Parameters
    ----------
    data : bytes
        As stored, without gzip.
    encoding : str
        One of `ENCODINGS`.
    shape : (channels, z, y, x)
        What the chunk must be.
    dtype : dtype
        The volume's.
    block : (z, y, x), optional
        Block size of ``compressed_segmentation``.

    Returns
    -------
    array (channels, z, y, x)
        C-contiguous, native byte order; may be read-only (raw is a view of `data`).

    Raises
    ------
    CorruptChunk
        `data` is not such a chunk.
    UserError
        The codec is not installed, or not known.
    """
    if not data:
        raise CorruptChunk("it is empty")
    if encoding not in ENCODINGS:
        raise UserError(f"the encoding {encoding!r} is not known; known: {', '.join(ENCODINGS)}")
    if encoding == "raw":
        return _decode_raw(data, shape, dtype)
    try:
        if encoding in ("png", "jpeg", "jxl"):
            array = _decode_image(data, encoding, shape)
        elif encoding == "compressed_segmentation":
            array = _decode_segmentation(data, shape, dtype, block)
        elif encoding in ("fpzip", "kempressed"):
            array = _decode_fpzip(data, encoding, shape, dtype)
        else:
            library = import_cloudvolume()
            if encoding in ("compresso", "crackle"):
                library.check_installed(encoding)
                (check_compresso if encoding == "compresso" else check_crackle)(data)
            array = library.decode(data, encoding, shape=shape[::-1], dtype=dtype).T
    except (CorruptChunk, UserError):
        raise
    except ImportError as error:
        raise UserError(
            f"chunks encoded as {encoding} need more packages: "
            "pip install 'napari-ouroboros[all-codecs]'"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # every codec has its own exceptions
        raise CorruptChunk(f"{encoding} says {one_line(error, 120)}") from error
    if array.shape != shape:
        raise CorruptChunk(f"it is {array.shape} (channel, z, y, x) instead of {shape}")
    if array.dtype != dtype:
        if not np.can_cast(array.dtype, dtype, "safe"):
            raise CorruptChunk(f"it holds {array.dtype} instead of {dtype}")
        array = array.astype(dtype)
    return np.ascontiguousarray(array)


_import_lock = threading.Lock()
_chunks: Any = None


def import_cloudvolume() -> Any:
    """Return ``cloudvolume.chunks``; the first time this takes seconds, in one thread only."""
    global _chunks
    if _chunks is None:
        with _import_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its dependencies; nothing the user could mend
            _chunks = importlib.import_module("cloudvolume.chunks")
    return _chunks


def _decode_raw(data: bytes, shape: tuple[int, int, int, int], dtype: np.dtype[Any]) -> Array:
    """Look at voxels as they are stored: x fastest, then y, z and channel; little endian."""
    wanted = int(np.prod(shape)) * dtype.itemsize
    if len(data) != wanted:
        raise CorruptChunk(f"it has {len(data)} bytes instead of {wanted}")
    stored = np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)
    return np.asarray(stored, dtype)


def _decode_segmentation(
    data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], block: tuple[int, int, int] | None
) -> Array:
    """Call cloud-volume's codec, without cloud-volume, whose import takes ten times as long."""
    if block is None:
        raise ValueError("compressed_segmentation needs a block size")
    check_compressed_segmentation(data, shape, dtype, block)
    codec = importlib.import_module("compressed_segmentation")
    labels: Array = codec.decompress(
        bytes(data), shape[::-1], dtype, block_size=block[::-1], order="F"
    )
    return labels.T


def _decode_image(data: bytes, encoding: str, shape: tuple[int, ...]) -> Array:
    """Decode an image of all voxels in a row, channels interleaved.

    cloud-volume's own decoders (12.15) take the channels apart in the wrong order.
    """
    channels, z, y, x = shape
    if encoding == "jpeg":
        import simplejpeg  # type: ignore[import-untyped]

        if channels not in (1, 3):
            raise CorruptChunk(f"jpeg holds 1 or 3 channels, not {channels}")
        image = simplejpeg.decode_jpeg(data, colorspace="GRAY" if channels == 1 else "RGB")
    else:
        import imagecodecs

        if encoding == "png" and b"IEND\xaeB`\x82" not in data[-64:]:
            raise CorruptChunk("it ends early")
        decode = imagecodecs.png_decode if encoding == "png" else imagecodecs.jpegxl_decode
        image = decode(data)
        if image.ndim == 3 and image.shape[-1] != channels and image.shape[0] == channels:
            image = np.moveaxis(image, 0, -1)
    if image.size != channels * x * y * z:
        raise CorruptChunk(f"its image has {image.size} values instead of {channels} x {z * y * x}")
    voxels = np.asarray(image).reshape(z, y, x, channels)
    return np.moveaxis(voxels, -1, 0)


def _decode_fpzip(
    data: bytes, encoding: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    """Decode fpzip, and its variant with channels before z and 2 added (see cloud-volume)."""
    import_cloudvolume().check_installed("fpzip")
    array = decode_fpzip(data, 2 * int(np.prod(shape)) * dtype.itemsize + 1024)
    if encoding == "kempressed":
        array = np.swapaxes(array, 2, 3) - array.dtype.type(2)
    return array.T
