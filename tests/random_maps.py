"""Maps of any shape for hypothesis, and grids of voxels around them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from napari_ouroboros.geometry import Grid, Straightening, Trace


@st.composite
def maps(draw: st.DrawFn) -> Straightening:
    """Traces from straight to folded in every slice, open and closed."""
    n = draw(st.integers(3, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    wild = draw(st.sampled_from([0.1, 0.4, 1.0]))
    direction = [1.0, 0.7, -0.4] + wild * rng.normal(size=(n, 3))
    if closed := draw(st.booleans()):
        angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
        way = np.stack([np.cos(angle), np.sin(angle), 0.3 * np.cos(2 * angle)], 1)
        points = 300 * (way + 0.2 * wild * rng.normal(size=(n, 3)))
    else:
        points = np.cumsum(direction * rng.uniform(60, 300, (n, 1)), axis=0)
    return Straightening(
        Trace(points + rng.uniform(-1e5, 1e5, 3), closed=closed),
        draw(st.integers(1, 40)),
        draw(st.integers(1, 40)),
        draw(st.sampled_from([4.0, 8.0, 13.0])),
        draw(st.sampled_from([4.0, 10.0, 37.0])),
        adaptive_radius_nm=None if closed else draw(st.sampled_from([None, 100.0])),
        up=draw(st.sampled_from([None, (1.0, 0.0, 0.0)])),
        twist=None if closed else draw(st.sampled_from([None, [(0.0, 0.0), (300.0, 90.0)]])),
    )


def around(map_: Straightening, resolution: tuple[float, float, float]) -> Grid:
    """All of the tube, on voxels that lie anyhow to it."""
    low = np.floor((map_.frames.c.min(0) - map_.reach_nm) / resolution) - 1
    high = np.ceil((map_.frames.c.max(0) + map_.reach_nm) / resolution) + 1
    return Grid(tuple((high - low).astype(int)), resolution, tuple(low))
