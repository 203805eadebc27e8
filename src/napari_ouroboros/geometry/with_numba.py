"""How kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

Kernel = Callable[..., Any]


def njit(*, cache: bool, **options: Any) -> Callable[[Kernel], Kernel]:
    """`numba.njit`, without the cache where there is no place for it.

    numba raises if neither the package's folder nor the user's can be written to, as in a
    container that runs for any user: then kernels are compiled by every process.
    """

    def compiled(function: Kernel) -> Kernel:
        try:
            return numba.njit(cache=cache, **options)(function)
        except RuntimeError:
            return numba.njit(**options)(function)

    return compiled
