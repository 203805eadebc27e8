"""Volumes that stream: levels that never keep a window waiting. No Qt and no napari here."""

from napari_ouroboros.volumes.streaming.decoded import DecodedChunks, shared_chunks
from napari_ouroboros.volumes.streaming.level import StreamedLevel
from napari_ouroboros.volumes.streaming.loader import ChunkLoader
from napari_ouroboros.volumes.streaming.pyramid import (
    MOST_VOXELS_IN_3D,
    StreamedPyramid,
    loader_of,
)
from napari_ouroboros.volumes.streaming.source import ChunkSource, ComputedSource
from napari_ouroboros.volumes.streaming.status import Status, statuses

__all__ = [
    "MOST_VOXELS_IN_3D",
    "ChunkLoader",
    "ChunkSource",
    "ComputedSource",
    "DecodedChunks",
    "Status",
    "StreamedLevel",
    "StreamedPyramid",
    "loader_of",
    "shared_chunks",
    "statuses",
]
