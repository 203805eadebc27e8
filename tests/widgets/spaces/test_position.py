from __future__ import annotations

import numpy as np
import pytest

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.widgets.spaces.position import read_position, voxel_text

GRID = Grid((100, 200, 300), (40.0, 8.0, 4.0), (10, 20, 30))


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        # x, y, z of a voxel: its centre.
        ("35, 25, 15", (15.5 * 40, 25.5 * 8, 35.5 * 4)),
        ("35 25 15", (15.5 * 40, 25.5 * 8, 35.5 * 4)),
        ("[35, 25, 15]", (15.5 * 40, 25.5 * 8, 35.5 * 4)),
        # Neuroglancer's own fractions count from the corner.
        ("35.5, 25.25, 15.5", (15.5 * 40, 25.25 * 8, 35.5 * 4)),
        # z, y, x of lengths.
        ("600, 204, 142 nm", (600, 204, 142)),
        ("0.6 um, 0.204 um, 0.142 um", (600, 204, 142)),
        ("0.6 0.204 1e-1 µm", (600, 204, 100)),
    ],
)
def test_what_a_text_means(text: str, nm: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(read_position(text, GRID), nm, rtol=1e-12)


@pytest.mark.parametrize("text", ["", "1, 2", "1, 2, 3, 4", "a, b, c", "1, 2, inf", "1, 2, nan nm"])
def test_what_is_no_position_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match="is no position; write it as") as caught:
        read_position(text, GRID)
    assert "\n" not in str(caught.value)


def test_a_copied_position_comes_back_as_the_same_voxel() -> None:
    rng = np.random.default_rng(1)
    for index in rng.integers(0, GRID.shape, (50, 3)):
        nm = GRID.to_nm(index)
        np.testing.assert_allclose(read_position(voxel_text(nm, GRID), GRID), nm)


def test_neuroglancer_counts_from_the_corner_of_the_space() -> None:
    assert voxel_text(GRID.to_nm((0, 0, 0)), GRID) == "30, 20, 10"
