"""The pictures: sizes, colours, and scale bars that are as long as they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ouroboros.operations.demo import pictures
from napari_ouroboros.operations.demo.pictures import MARGIN, PALETTE


def read(path: Path) -> NDArray[np.uint8]:
    from matplotlib.image import imread

    return np.rint(imread(path)[..., :3] * 255).astype(np.uint8)


@given(st.floats(0.5, 1e9))
def test_bars_have_round_lengths(most: float) -> None:
    length = pictures.round_length(most)
    assert length <= most * (1 + 1e-9)
    assert most < length * 2.5 * (1 + 1e-9)
    mantissa = length / 10 ** np.floor(np.log10(length) + 1e-9)
    assert round(mantissa, 9) in (1, 2, 5)


@pytest.mark.parametrize(
    ("nm", "text"), [(500, "500 nm"), (1000, "1 µm"), (20_000, "20 µm"), (2e6, "2 mm")]
)
def test_lengths_have_the_unit_that_reads_best(nm: float, text: str) -> None:
    assert pictures.length_text(nm) == text


def test_enlarging_keeps_edges_and_labels() -> None:
    ramp = np.arange(0, 200, 10, dtype=np.uint8)[None].repeat(4, axis=0)
    large = pictures.enlarge(ramp, (2, 5))
    assert large.shape == (8, 100)
    # Linear between the centres, which lie at 2 + 5 i.
    assert (large[:, 2::5] == ramp[0]).all()
    assert (np.diff(large[0].astype(int)) >= 0).all()
    labels = np.array([[1, 2**40], [0, 7]], np.uint64)
    assert np.array_equal(
        pictures.enlarge(labels, (3, 2), nearest=True), labels.repeat(3, 0).repeat(2, 1)
    )


def test_labels_tint_and_their_edge_is_drawn() -> None:
    grey = np.full((9, 9), 100, np.uint8)
    labels = np.zeros((9, 9), np.uint32)
    labels[2:7, 2:7] = 2
    rgb = pictures.colour(grey, labels, alpha=0.5)
    assert (rgb[0] == 100).all()
    assert np.abs(rgb[4, 4] - (100 + PALETTE[1].astype(int)) / 2).max() <= 0.5
    assert np.abs(rgb[2, 4].astype(int) - PALETTE[1]).max() < 8
    assert (pictures.colour_of([1, 8, 15]) == PALETTE[0]).all()


def bar_of(image: NDArray[np.uint8]) -> int:
    """Length of the longest run of the bar's ink in a row."""
    ink = (image == 0xE8).all(axis=-1)
    longest = 0
    for row in ink:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
        longest = max(longest, *(edges[1::2] - edges[::2]), 0) if len(edges) else longest
    return longest


def test_montage(tmp_path: Path) -> None:
    slices = np.full((5, 100, 120), 90, np.uint8)
    slices[3] = 30
    labels = np.zeros(slices.shape, np.uint32)
    labels[4, 20:80, 20:80] = 1
    path = tmp_path / "montage.png"
    pictures.montage(
        path, slices, 80, labels=labels, captions=list("abcde"), title="t", columns=3, zoom=2
    )
    image = read(path)
    top = MARGIN + pictures.LINE + pictures.GAP
    height = 200 + pictures.LINE + pictures.GAP
    assert image.shape == (
        top + 2 * height - pictures.GAP + MARGIN,
        2 * MARGIN + 3 * 240 + 2 * pictures.GAP,
        3,
    )
    assert (image[top + height + 100, MARGIN + 120] == 30).all()  # the 4th is first of row 2
    second = MARGIN + 240 + pictures.GAP
    assert np.ptp(image[top + height + 100, second + 120].astype(int)) > 20  # its label is a colour
    assert (image[2, 2] == pictures.PAPER).all()
    # A quarter of 240 pixels of 40 nm is 2400 nm, so the bar is 2 um: 50 pixels.
    assert bar_of(image) == pytest.approx(50, abs=2)


def test_longitudinal_has_square_pixels(tmp_path: Path) -> None:
    section = np.full((150, 40), 90, np.uint8)
    path = tmp_path / "along.png"
    pictures.longitudinal(path, [("a", section, None)], 50, 100, zoom=2)
    image = read(path)
    # 150 slices of 100 nm are 300 pixels of 50 nm across.
    assert image.shape == (2 * MARGIN + pictures.LINE + 80, 2 * MARGIN + 600, 3)
    # A quarter of half the width, 75 pixels of 25 nm, is 1875 nm: a bar of 1 um, 40 pixels.
    assert bar_of(image) == pytest.approx(40, abs=2)


def test_overlay_stretches_voxels_that_are_no_squares(tmp_path: Path) -> None:
    plane = np.full((40, 300), 90, np.uint8)
    labels = np.zeros((40, 300), np.uint64)
    labels[10:30, 100:200] = 3
    path = tmp_path / "over.png"
    pictures.overlay(path, plane, labels, (200, 80), names=[(3, "three")], title="t")
    image = read(path)
    top = MARGIN + pictures.LINE + pictures.GAP
    assert image.shape[0] == top + 100 + MARGIN + pictures.LINE
    assert image.shape[1] == 2 * MARGIN + 2 * 300 + pictures.GAP
    plain, drawn = (image[top + 50, MARGIN + i * (300 + pictures.GAP) + 150] for i in (0, 1))
    assert (plain == 90).all()
    assert np.abs(drawn.astype(float) - (0.68 * 90 + 0.32 * PALETTE[2])).max() <= 1
    # A quarter of 300 pixels of 80 nm is 6 um: a bar of 5 um, 62.5 pixels.
    assert bar_of(image) == pytest.approx(62.5, abs=2)
    legend = image[top + 100 : top + 100 + 2 * pictures.LINE, MARGIN + 2 : MARGIN + 10]
    assert (legend == PALETTE[2]).all(axis=-1).any()


def test_nothing_global_is_touched(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy; from napari_ouroboros.operations.demo.pictures import montage; "
        f"montage({str(tmp_path / 'm.png')!r}, numpy.zeros((1, 50, 50), 'u1'), 10); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
