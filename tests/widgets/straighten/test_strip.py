"""The strip along the curve: the samples of the whole, coarse first, in the layer's colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ouroboros import straighten
from napari_ouroboros.widgets.straighten.ruler import ticks
from napari_ouroboros.widgets.straighten.strip_feed import StripFeed
from napari_ouroboros.widgets.straighten.strip_picture import coloured, picture

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")


@pytest.fixture
def feed(bench: Any, folder: Path) -> Any:
    bench.add(folder / "em", "em")
    bench.add(folder / "cells", "cells")
    bench.trace()
    bench.loop.until(lambda: len(bench.preview.shown) == 2)
    feed = StripFeed(bench.preview)
    bench.loop.until(lambda: feed.idle and bench.loop.turn() == 0)
    yield feed
    feed.close()


def test_it_is_the_cut_through_the_whole(bench: Any, feed: StripFeed) -> None:
    map_ = bench.scene.live.state.map
    for axis in ("column", "row"):
        feed.axis = axis
        bench.loop.until(lambda: feed.idle and bench.loop.turn() == 0)
        assert [strip.map for strip in feed.strips] == [map_, map_]
        for strip, volume in zip(feed.strips, bench.volumes, strict=True):
            whole = straighten(volume, map_, strip.mip).compute()
            cut = whole[:, 12, :] if axis == "column" else whole[:, :, 15]
            np.testing.assert_array_equal(strip.data, cut[:: strip.step])


def test_it_follows_the_map_coarse_then_sharp(bench: Any, feed: StripFeed) -> None:
    seen = []
    feed.changed.connect(lambda: seen.append([(s.done, s.layer, s.map) for s in feed.strips]))
    before = bench.scene.live.state.map
    bench.scene.live._trace.move(1, 2.0)
    bench.settle()
    bench.loop.until(lambda: feed.idle and bench.loop.turn() == 0)
    map_ = bench.scene.live.state.map
    assert map_ is not before
    first, last = seen[0][0], seen[-1][0]
    assert not first[0]
    assert last[0]
    assert not feed.is_stale
    assert last[2] is map_


def test_colours_are_those_of_the_layer(bench: Any, feed: StripFeed) -> None:
    em, cells = feed.strips
    em.layer.contrast_limits = (50, 200)
    values = np.array([[0, 50, 125, 200, 255]], np.uint8)
    grey = coloured(values, em.layer)[0, :, 0]
    np.testing.assert_allclose(grey, [0, 0, 0.5, 1, 1], atol=0.005)
    ids = np.array([[0, 7, 2**64 - 1]], np.uint64)
    shown = coloured(ids, cells.layer)
    np.testing.assert_allclose(shown[0, 0], 0)  # the background is transparent
    for i in (1, 2):
        np.testing.assert_allclose(
            shown[0, i], np.ravel(cells.layer.colormap.map(ids[0, i])), atol=1e-6
        )
    cells.layer.visible = False
    rgba = picture(feed.strips, 40, 20)
    assert rgba.shape == (20, 40, 4)
    k = int((3 + 0.5) * em.map.shape[0] / 40) // em.step
    r = int((5 + 0.5) * em.data.shape[1] / 20)
    np.testing.assert_allclose(
        rgba[5, 3, 0] / 255, coloured(em.data[k, r][None, None], em.layer)[0, 0, 0], atol=0.01
    )


def test_ticks_are_round() -> None:
    assert ticks(1000.0, 5) == [
        (0, "0 µm"),
        (200, "0.2"),
        (400, "0.4"),
        (600, "0.6"),
        (800, "0.8"),
        (1000, "1"),
    ]
    assert ticks(990.0, 3)[1] == (500, "500")
    assert ticks(0.0, 3) == []
