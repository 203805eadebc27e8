"""How kernels are compiled, and kept on disk for the next process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numba
from numba.core.caching import FunctionCache

try:
    import fcntl
except ImportError:  # Windows: numba itself tries again there when two processes meet
    fcntl = None  # type: ignore[assignment]

Kernel = Callable[..., Any]


def njit(*, cache: bool, **options: Any) -> Callable[[Kernel], Kernel]:
    """`numba.njit`, with a cache for several processes, or none where there is no place for it.

    numba raises if neither the package's folder nor the user's can be written to, as in a
    container that runs for any user: then kernels are compiled by every process.
    """

    def compiled(function: Kernel) -> Kernel:
        kernel: Any = numba.njit(**options)(function)
        if cache:
            with contextlib.suppress(RuntimeError):
                # What `enable_caching` does with numba's own; there is no other way to give one.
                kernel._cache = _SharedCache(function)  # type: ignore[no-untyped-call]
        made: Kernel = kernel
        return made

    return compiled


class _SharedCache(FunctionCache):
    """numba's cache of a kernel, read and written by one process at a time.

    numba looks which numbers are taken, notes under which number the code for some types is going
    to lie, and then writes the code. Two processes that do so at one moment, a window and the
    shell, may give one number to two codes, and call the wrong one ever after.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with _alone(str(self.cache_path)):
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:
        with _alone(str(self.cache_path)):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


# One thread of this process at a time; it may come by here again before it is done.
_here = threading.RLock()
_held: list[str] = []


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Let no other process into a folder of kernels; milliseconds, nothing is compiled meanwhile.

    Where a folder cannot be locked, or not be written to, it goes without.
    """
    with _here, contextlib.ExitStack() as stack:
        if fcntl is not None and folder not in _held:
            with contextlib.suppress(OSError):
                os.makedirs(folder, exist_ok=True)
                lock = stack.enter_context(open(os.path.join(folder, "kernels.lock"), "w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Not by closing alone: a process that forks just now has it open, too.
                stack.callback(fcntl.flock, lock, fcntl.LOCK_UN)
        _held.append(folder)
        try:
            yield
        finally:
            _held.pop()
