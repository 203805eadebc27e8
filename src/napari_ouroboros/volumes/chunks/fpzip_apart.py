"""fpzip in a process of its own, because half a chunk can kill the process that decodes it.

The format holds no length and no checksum, and the library follows what it reads beyond the end
into memory that is not its own. A chunk that kills the helper process is a corrupt chunk.
"""

from __future__ import annotations

import atexit
import os
import struct
import subprocess
import sys
import threading
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes.chunks.whole import CorruptChunk

# In and out: the length, then the bytes. The chunk is decoded twice, with the least and with the
# greatest of what can follow it, as much as it can want: an arithmetic code is monotonic, so if
# both give the same, then nothing that was cut off could have given anything else.
_HELPER = r"""
import struct, sys
import numpy as np
import fpzip

def answer(head, body):
    out.write(head + struct.pack("<Q", len(body)))
    out.write(body)
    out.flush()

take, out = sys.stdin.buffer, sys.stdout.buffer
while head := take.read(16):
    size, room = struct.unpack("<QQ", head)
    data = take.read(size)
    try:
        first = fpzip.decompress(data + bytes(room), order="F")
        second = fpzip.decompress(data + b"\xff" * room, order="F")
    except Exception as error:
        answer(b"E", str(error).encode())
        continue
    if first.tobytes() != second.tobytes():
        answer(b"E", b"it ends early")
        continue
    shape = first.shape + (1,) * (4 - first.ndim)
    body = struct.pack("<4Q", *shape) + struct.pack("<Q", first.itemsize) + first.tobytes("F")
    answer(b"A", body)
"""


def decode_fpzip(data: bytes, room: int) -> NDArray[Any]:
    """Return the array (x, y, z, channel), Fortran order, that `data` encodes.

    Parameters
    ----------
    data : bytes
        One fpzip stream.
    room : int
        No fewer bytes than a whole chunk could have.

    Raises
    ------
    CorruptChunk
        It is cut off, or no fpzip.
    """
    with _at_once:
        with _lock:
            helper = _idle.pop() if _idle else None
        helper = helper or _Helper()
        status, body = helper.ask(data, room)
        if status is None:
            raise CorruptChunk("fpzip breaks down on it")
        with _lock:
            _idle.append(helper)
    if status != b"A":
        raise CorruptChunk(f"fpzip says {body.decode(errors='replace')}")
    *shape, item = struct.unpack_from("<5Q", body)
    return np.frombuffer(body, f"<f{item}", offset=40).reshape(shape, order="F")


class _Helper:
    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _HELPER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise SourceError(f"no process can be started to decode fpzip: {error}") from error

    def ask(self, data: bytes, room: int) -> tuple[bytes | None, bytes]:
        """Return (status, answer); the status is ``None`` if the process has died of it."""
        take: IO[bytes] = self._process.stdin  # type: ignore[assignment]
        give: IO[bytes] = self._process.stdout  # type: ignore[assignment]
        try:
            take.write(struct.pack("<QQ", len(data), room))
            take.write(data)
            take.flush()
            head = give.read(9)
            if len(head) == 9:
                size = struct.unpack("<Q", head[1:])[0]
                body = give.read(size)
                if len(body) == size:
                    return head[:1], body
        except OSError:
            pass  # a broken pipe: it has died, as below
        self.close()
        return None, b""

    def close(self) -> None:
        """End the process; closing its input is enough while it is idle."""
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()  # type: ignore[union-attr]
            except OSError:
                continue  # what was still to be written has nobody to read it
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_lock = threading.Lock()
_at_once = threading.BoundedSemaphore(os.cpu_count() or 1)
_idle: list[_Helper] = []


@atexit.register
def close_helpers() -> None:
    """End all helper processes; later calls start new ones."""
    with _lock:
        helpers = list(_idle)
        _idle.clear()
    for helper in helpers:
        helper.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)
