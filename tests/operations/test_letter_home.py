"""A letter F painted in the straightened view is an F in the original, looked at along the curve.

The look is built here from the curve's closed form alone: direction of view the tangent, right
and down such that (right, down, forward) is right-handed in xyz, as on any screen. How far the
letter is turned about the view is left open; whether it is mirrored is not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles import Helix
from oracles.precomputed import write_by_hand

from napari_ouroboros import Straightening, Trace, backproject, open_volume
from napari_ouroboros.volumes.labels.label_array import LabelArray

LETTER = np.array(
    [
        [c == "#" for c in row]
        for row in ("#####", "#....", "#....", "####.", "#....", "#....", "#....")
    ]
)
#: Pixels of a square of the letter.
SIZE = 5
PITCH = 10.0
RESOLUTION = (14.0, 10.0, 10.0)
SHAPE = (150, 160, 160)
#: Ids, and the arc length in nm at which each letter stands.
LETTERS = {1: 300.0, 300: 1100.0, 2**63: 1900.0}
THICK = 8


def painted(labels: LabelArray, map_: Straightening) -> dict[int, float]:
    """Paint the letters upright, as they are read in the view; their arc lengths in nm."""
    letter = LETTER.repeat(SIZE, 0).repeat(SIZE, 1)
    rows, columns = np.nonzero(letter)
    rows = rows + (labels.shape[1] - letter.shape[0]) // 2
    columns = columns + (labels.shape[2] - letter.shape[1]) // 2
    at = {}
    for label, s in LETTERS.items():
        first = int(np.argmin(np.abs(map_.frames.s - s)))
        for k in range(first, first + THICK):
            labels[np.full(len(rows), k), rows, columns] = label
        at[label] = float(map_.frames.s[first : first + THICK].mean())
    return at


def share_on(letter: NDArray[np.bool_], right: NDArray, down: NDArray) -> float:
    """Largest share of points (nm, about their mean) that lie on a letter, over all turns."""
    rows, columns = np.nonzero(letter)
    middle = np.array([rows.mean(), columns.mean()])
    best = 0.0
    for angle in np.linspace(0, 2 * np.pi, 720, endpoint=False):
        c, s = np.cos(angle), np.sin(angle)
        column = np.rint((c * right + s * down) / (SIZE * PITCH) + middle[1]).astype(int)
        row = np.rint((c * down - s * right) / (SIZE * PITCH) + middle[0]).astype(int)
        inside = (row >= 0) & (row < letter.shape[0]) & (column >= 0) & (column < letter.shape[1])
        on = letter[np.where(inside, row, 0), np.where(inside, column, 0)] & inside
        best = max(best, float(on.mean()))
    return best


@pytest.mark.parametrize("hand", [1, -1])
def test_an_f_is_an_f(tmp_path: Path, hand: int) -> None:
    helix = Helix(400.0, 400.0, hand)
    t = np.linspace(0, 4.0, 300)
    origin = np.array([250.0, 800.0, 800.0])
    map_ = Straightening(Trace(helix.position(t) + origin), 48, 48, PITCH, PITCH)
    write_by_hand(
        tmp_path / "em", [np.zeros((1, *SHAPE), np.uint8)], chunk=(64, 64, 64),
        offsets=[(0, 0, 0)], resolutions=[RESOLUTION], kind="image",
    )  # fmt: skip
    labels = LabelArray.create(tmp_path / "labels", map_.shape, np.uint64)
    at = painted(labels, map_)
    em = open_volume(tmp_path / "em")
    backproject(labels, map_, tmp_path / "home", like=em)
    voxels = open_volume(tmp_path / "home").read(0)
    assert set(np.unique(voxels)) == {0, *LETTERS}
    for label, s in at.items():
        zyx = (np.argwhere(voxels == label) + 0.5) * RESOLUTION
        area = LETTER.sum() * (SIZE * PITCH) ** 2
        assert len(zyx) * np.prod(RESOLUTION) == pytest.approx(area * THICK * PITCH, rel=0.1)
        forward = helix.frenet(s / helix.speed)[0][::-1]  # xyz
        down = np.linalg.svd(forward[None])[2][1]
        right = np.cross(down, forward)
        xyz = (zyx - zyx.mean(axis=0))[:, ::-1]
        seen = xyz @ right, xyz @ down
        assert share_on(LETTER, *seen) > 0.85
        assert share_on(LETTER[:, ::-1], *seen) < 0.6
