from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.spaces import layer_actions

PLACE = {"scale": (8.0, 2.0, 2.0), "units": ("nm",) * 3, "axis_labels": ("slice", "row", "column")}


def viewer_with_labels() -> tuple[ViewerModel, Labels, Labels]:
    viewer = ViewerModel()
    low, high = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint64)
    low[:, 0], high[:, :, 0] = 5, 2**63 + 9
    below = viewer.add_labels(low, **PLACE)
    above = viewer.add_labels(high, **PLACE)
    return viewer, below, above


def test_merged_labels_keep_all_ids_and_the_upper_ones_count() -> None:
    viewer, below, above = viewer_with_labels()
    # Selected in another order than they lie.
    merged = layer_actions.merge(viewer, [above, below])
    assert merged.data.dtype == np.uint64
    assert (merged.data[:, :, 0] == 2**63 + 9).all()
    assert (merged.data[:, 0, 1:] == 5).all()
    assert not merged.data[:, 1:, 1:].any()
    np.testing.assert_array_equal(merged.scale, PLACE["scale"])
    assert not below.data[:, 1].any()


def test_a_copy_of_labels_is_an_array_of_its_own() -> None:
    viewer, below, _ = viewer_with_labels()
    (copy,) = layer_actions.duplicate(viewer, [below])
    assert viewer.layers.index(copy) == viewer.layers.index(below) + 1
    copy.data[0, 0, 0] = 9
    assert below.data[0, 0, 0] == 5
    np.testing.assert_array_equal(copy.scale, below.scale)


def test_converted_there_and_back_is_the_same_array_in_the_same_place() -> None:
    viewer, below, above = viewer_with_labels()
    (image,) = layer_actions.convert(viewer, [below])
    assert isinstance(image, Image)
    (labels,) = layer_actions.convert(viewer, [image])
    assert isinstance(labels, Labels)
    assert labels.data is below.data
    assert list(viewer.layers) == [labels, above]


def test_what_cannot_be_done_says_why() -> None:
    viewer, below, _ = viewer_with_labels()
    other = viewer.add_labels(np.zeros((2, 3, 5), np.uint8), **PLACE)
    floats = viewer.add_image(np.zeros((2, 3, 4), np.float32), **PLACE)
    with pytest.raises(UserError, match="differ in their size"):
        layer_actions.merge(viewer, [below, other])
    with pytest.raises(UserError, match="two or more labels"):
        layer_actions.merge(viewer, [below, floats])
    with pytest.raises(UserError, match="whole numbers"):
        layer_actions.convert(viewer, [floats])
