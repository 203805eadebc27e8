"""Viewer states of Neuroglancer: read and written as JSON, without the neuroglancer package."""

from napari_ouroboros.neuroglancer.links import make_link
from napari_ouroboros.neuroglancer.state import State, VolumeSource, read_state
from napari_ouroboros.neuroglancer.writing import (
    AnnotationLayer,
    ImageLayer,
    SegmentationLayer,
    build_state,
    write_state,
)

__all__ = [
    "AnnotationLayer",
    "ImageLayer",
    "SegmentationLayer",
    "State",
    "VolumeSource",
    "build_state",
    "make_link",
    "read_state",
    "write_state",
]
