"""What loaders are at, for whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.volumes.streaming.loader import ChunkLoader


@dataclass(frozen=True)
class Status:
    """What a loader is at.

    Attributes
    ----------
    loading : int
        Chunks wanted and neither there nor failed.
    failed : int
        Chunks wanted that could not be had.
    problem : str
        Why the last one failed, one line.
    left_out : int
        Chunks looked at beyond what there is memory for: they are not fetched.
    """

    loading: int = 0
    failed: int = 0
    problem: str = ""
    left_out: int = 0


def statuses(loaders: Sequence[ChunkLoader]) -> Status:
    """What several loaders are at, together."""
    each = [loader.status for loader in loaders]
    return Status(
        sum(one.loading for one in each),
        sum(one.failed for one in each),
        next((one.problem for one in each if one.problem), ""),
        sum(one.left_out for one in each),
    )
