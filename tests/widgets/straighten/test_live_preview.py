"""The straightened layers follow trace and settings, and what they show is the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from reads import sizes_read

from napari_ouroboros import straighten
from napari_ouroboros.widgets.straighten.view import StraightView

Bench = Any
pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")


def shown(bench: Bench, layer: object) -> np.ndarray:
    """What napari has drawn of a layer's plane."""
    return np.asarray(layer._data_view)  # type: ignore[attr-defined]


def test_the_shown_slice_is_that_of_straighten(bench: Bench, folder: Path) -> None:
    em = bench.add(folder / "em", "em")
    bench.trace()
    bench.loop.until(lambda: bench.scene.live.state.map is not None)
    layer = bench.preview.straightened(em)
    bench.settle()
    map_ = bench.scene.live.state.map
    whole = straighten(bench.volumes[0], map_, 0).compute()
    assert layer.data.shape == whole.shape
    for k in (0, 17, len(whole) - 1):
        bench.scene.straight.dims.set_current_step(0, k)
        bench.settle()
        np.testing.assert_array_equal(shown(bench, layer), whole[k])
    assert layer.metadata["napari-ouroboros"]["mip"] == 0
    assert tuple(layer.scale) == (7.0, 6.0, 6.0)
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    assert tuple(layer.axis_labels) == ("slice", "row", "column")


def test_it_follows_trace_and_settings(bench: Bench, folder: Path) -> None:
    em = bench.add(folder / "em", "em")
    trace = bench.trace()
    layer = None
    bench.loop.until(lambda: bench.preview.straightened(em) is not None)
    layer = bench.preview.straightened(em)
    for change in (
        lambda: trace.move(1, 30.0),
        lambda: trace.set_points([*trace.state.points_nm, [450.0, 300, 450]]),
        lambda: setattr(bench.scene.settings, "width", 20),
        lambda: setattr(bench.scene.settings, "pitch_nm", 9.0),
        lambda: setattr(bench.scene.settings, "mip", 1),
        lambda: setattr(bench.scene.settings, "interpolation", "cubic"),
    ):
        change()
        bench.settle()
        state = bench.scene.live.state
        whole = straighten(
            bench.volumes[0], state.map, state.mip, bench.scene.settings.interpolation
        ).compute()
        assert bench.preview.straightened(em) is layer
        assert layer.data.shape == whole.shape
        k = bench.scene.place.slice_index
        np.testing.assert_array_equal(shown(bench, layer), whole[k])
        assert not bench.preview.is_stale


def test_labels_and_channels_through_one_map(bench: Bench, folder: Path) -> None:
    bench.add(folder / "em", "em")
    cells = bench.add(folder / "cells", "cells")
    bench.add(folder / "wide", "wide")
    bench.trace()
    bench.loop.until(lambda: len(bench.preview.shown) == 4)
    bench.settle()
    map_ = bench.scene.live.state.map
    ids = straighten(bench.volumes[1], map_).compute()
    layer = bench.preview.straightened(cells)
    assert isinstance(layer, Labels)
    np.testing.assert_array_equal(np.asarray(layer._slice.image.raw), ids[0])
    wide = straighten(bench.volumes[2], map_).compute()
    for channel in (0, 1):
        of = bench.preview.shown[2 + channel]
        np.testing.assert_array_equal(np.asarray(of.layer._data_view), wide[0, ..., channel])
        np.testing.assert_array_equal(np.asarray(of.layer.data), wide[..., channel])


def test_a_volume_that_comes_in_3d_is_not_read_whole(
    bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = sizes_read(monkeypatch, StraightView)
    bench.add(folder / "em", "em")
    bench.trace()
    bench.loop.until(lambda: len(bench.preview.shown) == 1)
    bench.scene.straight.dims.ndisplay = 3
    cells = bench.add(folder / "cells", "cells")
    bench.loop.until(lambda: len(bench.preview.shown) == 2)
    bench.settle()
    state = bench.scene.live.state
    _, rows, columns = state.map.shape
    assert max(asked, default=0) <= rows * columns
    layer = bench.preview.straightened(cells)
    ids = straighten(bench.volumes[1], state.map).compute()
    steps = layer.metadata["napari-ouroboros"]["steps"]
    np.testing.assert_array_equal(
        layer._slice.image.raw, ids[tuple(slice(None, None, s) for s in steps)]
    )
    bench.scene.straight.dims.ndisplay = 2
    bench.settle()
    assert isinstance(layer.data, StraightView)
    assert tuple(layer.scale) == (7.0, 6.0, 6.0)
    k = bench.scene.place.slice_index
    np.testing.assert_array_equal(layer._slice.image.raw, ids[k])
