"""Whether a TIFF is all there: its list of pages, and what each page needs to be found.

tifffile stops at the first page that lies beyond the end of the file and reads a stack short,
with a line in a log; a stack of labels that lost its last slices must not pass for a whole one.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from napari_ouroboros.errors import SourceError

# Description, offsets and byte counts of strips and tiles: they may lie anywhere in the file.
_NEEDED_TAGS = frozenset({270, 273, 279, 324, 325})
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def check_pages(path: str | Path) -> None:
    """Walk through the pages' headers of a TIFF or BigTIFF.

    The pixels are not looked at: whether a slice is all there is found out when it is read.

    Raises
    ------
    SourceError
        A header lies, in part at least, beyond the end of the file.
    """
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        try:
            n_pages = _walk(stream, size)
        except struct.error:
            n_pages = 0
        if n_pages == 0:
            raise SourceError(f"{path} is broken or truncated: it ends in the headers of its pages")


def _walk(stream: BinaryIO, size: int) -> int:
    """Count the pages; 0 if one of them, or what comes before the first, is not whole."""

    def read(offset: int, form: str) -> tuple[int, ...]:
        stream.seek(offset)
        return struct.unpack(form, stream.read(struct.calcsize(form)))

    stream.seek(0)
    order = "<" if stream.read(2) == b"II" else ">"
    big = read(2, f"{order}H") == (43,)
    count_form, tag_form, offset_form = (
        (f"{order}Q", f"{order}HHQQ", f"{order}Q")
        if big
        else (f"{order}H", f"{order}HHII", f"{order}I")
    )
    count_bytes, tag_bytes, offset_bytes = map(struct.calcsize, (count_form, tag_form, offset_form))
    (page,) = read(8 if big else 4, offset_form)
    seen = set()
    while page != 0:
        if page in seen:  # the list bites its own tail
            return 0
        seen.add(page)
        (n_tags,) = read(page, count_form)
        tags_end = page + count_bytes + n_tags * tag_bytes
        if tags_end + offset_bytes > size:
            return 0
        tags = stream.read(n_tags * tag_bytes)
        for tag, kind, count, place in struct.iter_unpack(tag_form, tags):
            n_bytes = _TYPE_BYTES.get(kind, 1) * count
            if tag in _NEEDED_TAGS and n_bytes > offset_bytes and place + n_bytes > size:
                return 0
        (page,) = read(tags_end, offset_form)
    return len(seen)
