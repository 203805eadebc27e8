"""The plain segmentation on a nerve of discs, drawn here."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.operations.demo.segment import segment_fascicles

SHAPE = (40, 121, 131)
DISCS = ((-20.0, -14.0, 18.0), (22.0, 3.0, 14.0), (-12.0, 28.0, 11.0))  # row, column, radius


def nerve(
    drift: float = 6.0, noise: float = 9.0, shake: float = 0.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image and truth: a bright disc in a dark sheath, in it dark-rimmed discs.

    All drift by `drift` pixels from end to end, and the inner ones jump to and fro by `shake`.
    """
    k, row, column = np.indices(SHAPE, dtype=float)
    row, column = row - SHAPE[1] / 2 - drift * (k / SHAPE[0] - 0.5), column - SHAPE[2] / 2
    rho = np.hypot(row, column)
    row += shake * (k % 2 - 0.5)
    grey = np.where(rho < 54, 186.0, 140.0)
    grey[(rho > 49) & (rho < 54)] = 60
    truth = np.zeros(SHAPE, np.uint8)
    for number, (y, x, radius) in enumerate(DISCS, 1):
        distance = np.hypot(row - y, column - x)
        truth[distance < radius] = number
        grey[distance < radius] = 58
        inside = distance < radius - 4
        # Axons: bright, as bright as what lies between the fascicles.
        grey[inside] = np.where((row[inside] % 7 < 3) & (column[inside] % 7 < 3), 190, 140)
    grey += noise * np.random.default_rng(0).standard_normal(SHAPE)
    return np.clip(grey, 0, 255).astype(np.uint8), truth


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_every_fascicle_is_found_largest_first() -> None:
    image, truth = nerve()
    labels = segment_fascicles(image, 80, 80)
    assert labels.dtype == np.uint32
    assert labels.shape == image.shape
    assert labels.max() == len(DISCS)
    for number in range(1, len(DISCS) + 1):
        assert dice(labels == number, truth == number) > 0.97


def test_brightness_and_contrast_do_not_matter() -> None:
    image, truth = nerve(noise=4)
    labels = segment_fascicles((image * 0.4 + 60).astype(np.uint16) * 100, 80, 80)
    for number in range(1, len(DISCS) + 1):
        assert dice(labels == number, truth == number) > 0.97


def test_slices_far_apart_are_blurred_less() -> None:
    image, truth = nerve(noise=3, shake=2.5)

    def worst(spacing_nm: float) -> float:
        labels = segment_fascicles(image, 80, spacing_nm)
        assert labels.max() == len(DISCS)
        return min(dice(labels == n, truth == n) for n in range(1, len(DISCS) + 1))

    assert worst(400) > 0.97
    assert worst(80) < 0.95


def test_what_ends_soon_is_no_fascicle() -> None:
    image, _ = nerve(drift=0)
    image[5:15, 70:80, 35:45] = 50  # a dark lump of 10 slices between the fascicles
    labels = segment_fascicles(image, 80, 80)
    assert labels.max() == len(DISCS)
    assert not labels[:, 68:82, 33:47].any()


def test_no_nerve_is_one_clear_line() -> None:
    _, truth = nerve()
    islands = np.where(truth != 0, 60, 180).astype(np.uint8)
    with pytest.raises(UserError, match="widen the slices"):
        segment_fascicles(islands, 80, 80)
    with pytest.raises(UserError, match="shape"):
        segment_fascicles(islands[0], 80, 80)
