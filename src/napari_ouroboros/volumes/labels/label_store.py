"""Labels as chunks on disk: who writes takes turns and tells of it, what is there can be copied."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.errors import OuroborosError, UserError
from napari_ouroboros.volumes.labels.label_changes import Box, Change, around, union
from napari_ouroboros.volumes.labels.label_chunks import ChunkFiles, Index, read_metadata
from napari_ouroboros.volumes.writing.disk import destination_errors

#: Decoded chunks that are kept: 512 of uint64, a few times what is painted in at a time.
CACHE_BYTES = 128 * 2**20


class LabelStore:
    """What a `LabelArray` is on disk; see there for its attributes."""

    changed = Signal(Change)

    def __init__(
        self, path: Path, shape: Index, chunks: Index, dtype: np.dtype[Any],
        attributes: dict[str, Any], cache_bytes: int,
    ) -> None:  # fmt: skip
        self.path, self.shape, self.chunks, self.dtype = path, shape, chunks, dtype
        self._attributes = attributes
        self._files = ChunkFiles(path, shape, chunks, dtype, cache_bytes)
        self._writing = threading.RLock()

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, cache_bytes: int = CACHE_BYTES) -> Self:
        """Open what `create` made, also after its process was killed while it wrote.

        Raises
        ------
        UserError
            Nothing there, or an array of another program.
        SourceError
            The folder cannot be read.
        """
        folder = Path(path)
        return cls(folder, *read_metadata(folder), cache_bytes)

    def painted_chunks(self) -> list[Box]:
        """Boxes of the chunks that are stored, in order; everywhere else all is 0."""
        return [self._box_of(index) for index in self._files.stored()]

    def flush(self) -> None:
        """Wait until the disk has it all: a write survives the end of the process, not of power.

        Not for the GUI thread. What was flushed before, and not written since, takes no time.

        Raises
        ------
        DestinationError
            The disk is full or broken.
        """
        self._files.sync()

    def snapshot_to(self, path: str | os.PathLike[str], *, share: bool = True) -> Self:
        """Copy the array as it is, whoever paints meanwhile: every chunk is whole.

        Parameters
        ----------
        path : path
            A folder that is not there.
        share : bool
            On the same disk the copy has the same files (hard links), which neither array ever
            changes: it takes next to no time and room. Not for what other programs may write to.

        Raises
        ------
        UserError
            There is something at `path`.
        DestinationError
            It cannot be written; nothing is left at `path`.
        """
        folder = Path(path)
        if folder.exists():
            raise UserError(f"{folder} exists; a copy of labels needs a new folder")
        unfinished = folder.with_name(f".{folder.name}.partial")
        with destination_errors(folder):
            shutil.rmtree(unfinished, ignore_errors=True)
            try:
                unfinished.mkdir(parents=True)
                self._files.copy_to(unfinished, share)
                os.rename(unfinished, folder)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
        return self.open(folder)

    def exchange(self, old: LabelStore | None, new: LabelStore) -> Iterator[tuple[int, int]]:
        """Let voxels that are as in `old` be as in `new`; those painted since stay as they are.

        One layer of chunks at a time, whoever paints meanwhile waits for that long. The same with
        `old` and `new` exchanged takes it back. Chunks that nobody has painted in become the same
        files as those of `new`: that needs no room on the disk.

        Parameters
        ----------
        old : LabelArray or None
            What the array was when the change was thought of; None: whatever it is.
        new : LabelArray
            Both of this array's shape, chunks and dtype.

        Yields
        ------
        (int, int)
            How many of how many layers of chunks are done.

        Raises
        ------
        SourceError, DestinationError
            At the end, for the first chunk that could not be read or written; all others were.
        """
        kinds = {(a.shape, a.chunks, a.dtype) for a in (self, old or self, new)}
        if len(kinds) > 1:
            raise ValueError("only label arrays of one shape, chunk and dtype are exchanged")
        stored = {*(self if old is None else old)._files.stored(), *new._files.stored()}
        layers = [list(found) for _, found in itertools.groupby(sorted(stored), lambda i: i[0])]
        failed: OuroborosError | None = None
        for number, indices in enumerate(layers):
            with self._announced() as parts:
                for index in indices:
                    try:
                        self._exchange_chunk(index, old, new, parts)
                    except OuroborosError as error:
                        failed = failed or error
            yield number + 1, len(layers)
        if failed is not None:
            raise failed

    def _exchange_chunk(
        self, index: Index, old: LabelStore | None, new: LabelStore, parts: list[Box]
    ) -> None:
        if self._files.is_same(index, new._files):
            return
        nothing = np.zeros((), self.dtype)
        now, wanted = self._files.get(index), new._files.get(index)
        before = now if old is None else old._files.get(index)
        now, wanted, before = (nothing if c is None else c for c in (now, wanted, before))
        untouched = now == before
        changes = np.broadcast_to(untouched & (wanted != before), self.chunks)
        if not changes.any():
            return
        if untouched.all():
            self._files.put_same(index, new._files)
        else:
            merged = np.broadcast_to(now, self.chunks).copy()
            merged[changes] = np.broadcast_to(wanted, self.chunks)[changes]
            self._files.put(index, merged)
        corner = [i * n for i, n in zip(index, self.chunks, strict=True)]
        parts.append(around([p + o for p, o in zip(np.nonzero(changes), corner, strict=True)]))

    @contextlib.contextmanager
    def _announced(
        self,
        points: tuple[NDArray[np.int64], ...] | None = None,
        picked: list[NDArray[np.int64]] | None = None,
    ) -> Iterator[list[Box]]:
        """One write: alone while it lasts, announced when it is done, as far as it came."""
        parts: list[Box] = []
        try:
            with self._writing:
                yield parts
        finally:
            if parts:
                indices = None
                if points is not None and picked:
                    chosen = np.unique(np.concatenate(picked))
                    k, r, c = (p[chosen] for p in points)
                    indices = (k, r, c)
                self.changed.emit(Change(union(parts), indices, tuple(parts)))

    def _box_of(self, index: Index) -> Box:
        k, r, c = (
            (i * n, min((i + 1) * n, end))
            for i, n, end in zip(index, self.chunks, self.shape, strict=True)
        )
        return k, r, c
