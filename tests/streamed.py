"""Volumes for tests of streaming: small pyramids on disk, and one whose chunks come on command."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand

from napari_ouroboros.layers import align
from napari_ouroboros.volumes import Volume
from napari_ouroboros.volumes.level import Index
from napari_ouroboros.volumes.streaming import ChunkLoader, DecodedChunks, StreamedPyramid

Array = NDArray[Any]


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition; fail when it does not come true."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.002)


def in_a_thread(function: Callable[[], Any]) -> Any:
    """Return what `function` returns in another thread."""
    found: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(function())
        except BaseException as error:  # noqa: BLE001  # raised below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if errors:
        raise errors[0]
    return found[0]


def levels_of(
    shape: tuple[int, int, int], n: int, dtype: str = "uint8", channels: int = 1, seed: int = 0
) -> list[Array]:
    """Independent noise for each level (channel, z, y, x): no level passes for another."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(n):
        size = tuple(-(-s // 2**k) for s in shape)
        found.append(rng.integers(1, 251, (channels, *size)).astype(dtype))
    return found


def write(folder: Path, levels: list[Array], chunk: int | tuple[int, int, int] = 8) -> Path:
    """Write levels that halve on all axes."""
    size = (chunk,) * 3 if isinstance(chunk, int) else chunk
    return write_by_hand(folder, levels, chunk=size)


def pyramid_of(
    volume: Volume, mips: int | None = None, kept: DecodedChunks | None = None
) -> StreamedPyramid:
    """Its levels, all of them, however small: aligned as a layer would have them."""
    aligned = align(volume.levels)
    loader = ChunkLoader(volume, kept=kept or DecodedChunks())
    if mips is None:
        return StreamedPyramid(volume, aligned.mips, aligned.boxes, loader)
    boxes = []
    finest = volume.levels[0].shape
    unit = 2 ** (mips - 1)
    whole = [-(-n // unit) * unit for n in finest]
    for k in range(mips):
        z, y, x = ((0, n // 2**k) for n in whole)
        boxes.append((z, y, x))
    return StreamedPyramid(volume, range(mips), boxes, loader)


def padded(array: Array, shape: tuple[int, ...]) -> Array:
    """(z, y, x[, channel]) with zeros up to `shape`."""
    pads = [(0, n - size) for n, size in zip(shape, array.shape, strict=True)]
    return np.pad(array, pads)


class Gated:
    """A volume of one level of chunks of 4^3, fetched only when the test lets them through."""

    def __init__(self, shape: tuple[int, int, int] = (40, 40, 40)) -> None:
        from napari_ouroboros.volumes.level import Level

        self.levels = (Level(shape, (1.0, 1.0, 1.0), chunk=(4, 4, 4)),)
        self.dtype = np.dtype(np.uint8)
        self.channels = 1
        self.url = "gated"
        self.asked: list[Index] = []
        self.closed = 0
        self.problems: dict[Index, Exception] = {}
        self.absent: set[Index] = set()
        self._gate = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __copy__(self) -> Gated:
        return self

    def mip(self, mip: int) -> Any:
        return self.levels[mip]

    def fetch_chunk(self, mip: int, index: Index) -> Array | None:
        with self._lock:
            self.asked.append(index)
        assert self._gate.acquire(timeout=20)
        if index in self.problems:
            raise self.problems[index]
        return None if index in self.absent else np.full((1, 4, 4, 4), sum(index) + 1, np.uint8)

    def let(self, n: int = 1) -> None:
        """Let so many chunks through."""
        self._gate.release(n)

    def close(self) -> None:
        self.closed += 1

    def abort(self) -> None:
        self.closed += 1
