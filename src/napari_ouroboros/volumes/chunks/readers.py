"""Which reader opens a volume, and why: decided here and nowhere else.

All requests are our own, so that a silence has its limit and an error a name, whatever decodes
what comes (see `tensorstore_codecs.py` for why tensorstore's are not used).
"""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.level import Index, VolumeInfo
from napari_ouroboros.volumes.stores.fetch import Fetcher
from napari_ouroboros.volumes.stores.location import Location

READERS = ("cloud-volume", "tensorstore")


class Reader(Protocol):
    """Reads chunks of one volume; safe to share between threads, and imports its library late."""

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """Return chunk `index` (zyx) of level `mip` as (channels, z, y, x), or ``None``.

        Raises
        ------
        SourceError
            Names the chunk.
        """

    def close(self) -> None:
        """Drop open connections."""


def choose_reader(
    location: Location, info: VolumeInfo, wanted: str | None = None
) -> tuple[str, str]:
    """Return the name of the reader for this volume, and the reason in a few words.

    Raises
    ------
    UserError
        The reader `wanted` cannot read this volume.
    """
    from napari_ouroboros.volumes.chunks.tensorstore_codecs import DTYPES, ENCODINGS

    if wanted is not None and wanted not in READERS:
        raise UserError(f"there is no reader {wanted!r}; there are {' and '.join(READERS)}")
    encodings = sorted({level.encoding for level in info.levels})
    shown = location.shown("")
    if info.levels[0].array is not None:
        if wanted == "cloud-volume":
            raise UserError(f"cloud-volume does not read zarr or N5, as {shown} is")
        return "tensorstore", f"it decodes zarr and N5, here {', '.join(encodings)}"
    others = [encoding for encoding in encodings if encoding not in ENCODINGS]
    if info.dtype.name not in DTYPES:
        others.append(info.dtype.name)
    if wanted == "tensorstore" and others:
        raise UserError(f"tensorstore cannot decode {', '.join(others)}, which {shown} holds")
    if wanted is not None:
        return wanted, "as asked"
    if others:
        return "cloud-volume", f"tensorstore cannot decode {', '.join(others)}"
    if encodings == ["raw"]:
        return "cloud-volume", "raw chunks need no decoding, which tensorstore would not leave out"
    return "cloud-volume", f"{', '.join(encodings)}: its codecs take less CPU time than tensorstore"


def make_reader(name: str, location: Location, info: VolumeInfo, fetcher: Fetcher) -> Reader:
    """Return the reader that `choose_reader` named."""
    if info.levels[0].array is not None:
        from napari_ouroboros.volumes.chunks.array_reader import ArrayReader

        return ArrayReader(location, info, fetcher)
    from napari_ouroboros.volumes.chunks.precomputed_reader import Decoder, PrecomputedReader

    decode: Decoder
    if name == "tensorstore":
        from napari_ouroboros.volumes.chunks.tensorstore_codecs import PrecomputedDecoder

        decode = PrecomputedDecoder(info)
    else:
        from napari_ouroboros.volumes.chunks.decode import LevelDecoder

        decode = LevelDecoder(info)
    return PrecomputedReader(location, info, fetcher, decode)
