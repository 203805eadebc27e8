"""What is held weakly by whoever cannot do without it. No Qt."""

from __future__ import annotations

from typing import TypeVar
from weakref import ref

T = TypeVar("T")


def held(reference: ref[T], what: str) -> T:
    """Return what a reference holds; RuntimeError once that has gone, "the scene of ..."."""
    found = reference()
    if found is None:
        raise RuntimeError(f"{what} has been closed")
    return found
