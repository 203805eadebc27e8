from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening, Trace
from napari_ouroboros.widgets.spaces import lines

Float = NDArray[np.float64]


def straight_map(**options: object) -> Straightening:
    """Along +z from (0, 50, 50), 11 slices of 5 rows and 9 columns, 2 nm a pixel."""
    trace = Trace([[0.0, 50.0, 50.0], [100.0, 50.0, 50.0]])
    return Straightening(trace, 9, 5, 2.0, 10.0, **options)  # type: ignore[arg-type]


def ends(vectors: Float) -> Float:
    return np.stack([vectors[:, 0], vectors.sum(axis=1)], axis=1)


def test_the_frame_is_the_rectangle_of_the_pixels_edges_with_up_and_forwards() -> None:
    found = ends(lines.frame_vectors(straight_map(), 3))
    # Along +z columns grow along +x and rows along +y: up is -y.
    corners = [[30, 45, 41], [30, 45, 59], [30, 55, 59], [30, 55, 41]]
    np.testing.assert_allclose(found[lines.EDGES, 0], corners, atol=1e-9)
    np.testing.assert_allclose(found[lines.EDGES, 1], np.roll(corners, -1, axis=0), atol=1e-9)
    np.testing.assert_allclose(found[lines.UP][0], [[30, 45, 50], [30, 43.75, 50]], atol=1e-9)
    arrow = found[lines.ARROW]
    np.testing.assert_allclose(arrow[0, 0], [30, 50, 50], atol=1e-9)
    np.testing.assert_allclose(arrow[0, 1, 1:], [50, 50], atol=1e-9)
    assert arrow[0, 1, 0] > 30
    assert (arrow[1:, 1, 0] < arrow[0, 1, 0]).all()


boxes = arrays(np.float64, (20, 3), elements=st.floats(-30, 30, width=16))


@given(boxes, boxes)
def test_clipped_vectors_are_the_samples_of_the_segment_inside_the_box(a: Float, b: Float) -> None:
    low, high = np.array([-10.0, -5.0, 0.0]), np.array([10.0, 8.0, 12.0])
    found = ends(lines.clipped(lines.segments(a, b), low, high))
    assert (found >= low).all()
    assert (found <= high).all()
    t = np.linspace(0, 1, 401)[:, None]
    for start, end, got in zip(a, b, found, strict=True):
        samples = start + t * (end - start)
        inside = samples[((samples >= low) & (samples <= high)).all(axis=1)]
        if len(inside) < 2:
            continue
        step = np.abs(end - start).max() / 400
        np.testing.assert_allclose(got, inside[[0, -1]], atol=1.01 * step + 1e-9)


@given(st.sampled_from([0, 1, 2]), st.floats(-0.99, 0.99), st.floats(0.1, 3.0))
def test_the_cut_lies_in_the_plane_and_on_the_rectangle(axis: int, at: float, angle: float) -> None:
    # A square of half diagonal 1 in a plane through the origin that is oblique to all axes.
    u = np.array([np.cos(angle), np.sin(angle), 0.3])
    u /= np.linalg.norm(u)
    v = np.cross(u, [0.2, -0.5, 0.8])
    v /= np.linalg.norm(v)
    corners = np.array([u, v, -u, -v])
    reach = np.abs(corners[:, axis]).max()
    cut = lines.cut_of_polygon(corners, axis, at * reach)
    assert cut is not None
    np.testing.assert_allclose(cut[:, axis], at * reach, atol=1e-12)
    # |a| + |b| = 1 is the square's outline in its own coordinates.
    np.testing.assert_allclose(np.abs(cut @ u) + np.abs(cut @ v), 1.0, atol=1e-9)
    assert lines.cut_of_polygon(corners, axis, 1.01 * reach) is None


def test_a_rectangle_in_the_plane_is_cut_along_an_edge() -> None:
    corners = np.array([[3.0, 0, 0], [3, 0, 1], [3, 1, 1], [3, 1, 0]])
    cut = lines.cut_of_polygon(corners, 0, 3.0)
    assert cut is not None
    np.testing.assert_allclose(cut[:, 0], 3.0)
    assert np.linalg.norm(cut[1] - cut[0]) == 1.0


def test_the_drawn_curve_keeps_to_the_curve_and_loses_no_fold() -> None:
    t = np.linspace(0, 6 * np.pi, 60)
    points = np.stack([40 * t, 300 * np.sin(t), 300 * np.cos(t)], axis=1)
    map_ = Straightening(Trace(points), 5, 5, 1.0, 0.5)
    folds = np.zeros(len(map_.frames), bool)
    folds[[0, 7001, -1]] = True
    vectors, drawn = lines.curve_vectors(map_, folds)
    assert len(map_.frames) > 10_000
    assert vectors.shape == (lines.MOST_SEGMENTS, 2, 3)
    found = ends(vectors)
    np.testing.assert_allclose(found[0, 0], map_.frames.c[0])
    np.testing.assert_allclose(found[-1, 1], map_.frames.c[-1])
    np.testing.assert_allclose(found[1:, 0], found[:-1, 1])
    # A chord of a circle of radius r over an angle a is r (1 - cos(a/2)) away from it, and the
    # slices that it is compared with are half a nm apart.
    middles = found.mean(axis=1)
    off = np.min(np.linalg.norm(map_.frames.c[None] - middles[:, None], axis=2), axis=1)
    assert off.max() < np.hypot(0.26, 300 * (1 - np.cos(6 * np.pi / lines.MOST_SEGMENTS)))
    assert drawn[0]
    assert 3 <= drawn.sum() <= 4
    at = found[drawn].mean(axis=1)
    assert np.linalg.norm(at - map_.frames.c[7001], axis=1).min() < 50


def test_a_closed_curve_is_drawn_closed() -> None:
    a = np.arange(40) * 2 * np.pi / 40
    points = np.stack([0 * a, 100 * np.sin(a), 100 * np.cos(a)], axis=1)
    map_ = Straightening(Trace(points, closed=True), 5, 5, 1.0, 10.0)
    vectors, _ = lines.curve_vectors(map_, np.zeros(len(map_.frames), bool))
    found = ends(vectors)
    n = len(map_.frames)
    np.testing.assert_allclose(found[n - 1, 1], found[0, 0])
    np.testing.assert_allclose(vectors[n:, 1], 0)
