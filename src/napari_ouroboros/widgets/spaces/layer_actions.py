"""What can be done with layers of the straightened space: napari's own menus act elsewhere. No Qt.

napari's menus and their commands only know the current viewer's layers. Labels of the scene's
book are its to copy and to merge: off the GUI thread, into a store of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.labels.stand_in import is_stand_in

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.widgets.labels import LabelsBook, StraightLabels

_COARSE = "These labels are shown coarse in 3D; go back to 2D first."
#: What stays the same in a layer of another kind.
_PLACE = ("scale", "translate", "rotate", "shear", "units", "axis_labels", "metadata")


def why_not_duplicate(layers: Sequence[Layer]) -> str:
    """Return why layers cannot be duplicated; "" where they can."""
    if not layers:
        return "Select a layer first."
    known = (np.ndarray, LabelArray)
    if any(isinstance(x, Labels) and not isinstance(x.data, known) for x in layers):
        return "These labels are not in memory, and two layers must not paint into one array."
    return ""


def why_not_merge(layers: Sequence[Layer]) -> str:
    """Return why layers cannot be merged; "" where they can."""
    if len(layers) < 2 or not all(isinstance(x, Labels) for x in layers):
        return "Select two or more labels layers."
    if any(map(is_stand_in, layers)):
        return _COARSE
    if len({tuple(x.data.shape) for x in layers}) > 1:
        return "The labels differ in their size."
    if not all(isinstance(x.data, np.ndarray | LabelArray) for x in layers):
        return "Only labels in memory, or of the Backproject dock, can be merged."
    return ""


def why_not_convert(layers: Sequence[Layer]) -> str:
    """Return why layers cannot be converted; "" where they can."""
    if not layers or not all(isinstance(x, Image | Labels) for x in layers):
        return "Select images or labels."
    if any(isinstance(x.data, LabelArray) or is_stand_in(x) for x in layers):
        return "These labels are kept with their trace, which no image is; they stay labels."
    if any(isinstance(x, Image) and (x.rgb or x.data.dtype.kind not in "ui") for x in layers):
        return "Only images of whole numbers can become labels."
    return ""


def why_not_save(layers: Sequence[Layer]) -> str:
    """Return why layers cannot be saved together; "" where they can."""
    if not layers:
        return "Select a layer first."
    if len(layers) > 1 and any(isinstance(x.data, LabelArray) or is_stand_in(x) for x in layers):
        return "Labels are saved one by one, each with its recipe."
    return ""


def duplicate(
    viewer: ViewerModel, layers: Sequence[Layer], book: LabelsBook | None = None
) -> list[Layer]:
    """Add a copy above each layer; images share their array, which nobody edits.

    Labels of the book come when they have been copied; they are not among those returned.
    """
    _refuse(why_not_duplicate(layers))
    made = []
    for layer in layers:
        entry = _entry(book, layer)
        if entry is not None and book is not None:
            book.duplicate(entry)
            continue
        data, meta, kind = layer.as_layer_data_tuple()
        if not isinstance(layer, Image):
            data = np.array(data)
        copy = Layer.create(data, {**meta, "name": f"{layer.name} copy"}, kind)
        viewer.layers.insert(viewer.layers.index(layer) + 1, copy)
        made.append(copy)
    return made


def merge(
    viewer: ViewerModel, layers: Sequence[Layer], book: LabelsBook | None = None
) -> Layer | None:
    """Add one labels layer of several: where they overlap the upper one's ids count.

    With labels of the book among them the result is the book's, too; it comes when it has been
    written, and None is returned.
    """
    _refuse(why_not_merge(layers))
    ordered = sorted(layers, key=viewer.layers.index)
    wide = ordered[0].data.dtype
    for layer in ordered[1:]:
        wide = np.promote_types(wide, layer.data.dtype)
    if wide.kind not in "ui":  # int64 with uint64: no integer holds both
        raise UserError("the labels' ids fit no common type; convert one of the layers first")
    if book is not None and any(_entry(book, layer) is not None for layer in ordered):
        book.merge([layer.data for layer in ordered])
        return None
    merged = np.array(ordered[0].data)
    for layer in ordered[1:]:
        merged = np.where(layer.data != 0, layer.data, merged).astype(wide, copy=False)
    return viewer.add_layer(Labels(merged, name="merged labels", **_place(ordered[0])))


def convert(viewer: ViewerModel, layers: Sequence[Layer]) -> list[Layer]:
    """Put labels in the place of images, and images in the place of labels; the data stays."""
    _refuse(why_not_convert(layers))
    made: list[Layer] = []
    for layer in list(layers):
        data = layer.data
        options = {"name": layer.name, "visible": layer.visible, **_place(layer)}
        if isinstance(layer, Labels):
            high = 255.0 if data.dtype == np.uint8 else float(max(1, np.iinfo(np.uint16).max))
            other: Layer = Image(data, contrast_limits=(0.0, high), **options)
        else:
            other = Labels(data, **options)
        at = viewer.layers.index(layer)
        viewer.layers.remove(layer)
        viewer.layers.insert(at, other)
        made.append(other)
    return made


def _entry(book: LabelsBook | None, layer: Layer) -> StraightLabels | None:
    return None if book is None else book.entry_of(layer)


def _place(layer: Layer) -> dict[str, object]:
    return {name: getattr(layer, name) for name in _PLACE}


def _refuse(why: str) -> None:
    if why:
        raise UserError(why)
