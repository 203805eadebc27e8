"""Chunked volumes: open one, read it chunk by chunk, write results.

Importing this package loads no voxel library; those are imported by the first chunk that is read.
"""

from napari_ouroboros.volumes.level import Level
from napari_ouroboros.volumes.opening import open_volume
from napari_ouroboros.volumes.volume import Volume

__all__ = ["Level", "Volume", "open_volume"]
