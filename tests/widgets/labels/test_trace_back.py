"""Back to the trace that labels were painted along."""

from __future__ import annotations

import numpy as np
import pytest
from labels_bench import Bench

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.recipe import from_dict
from napari_ouroboros.widgets.labels.trace_back import go_back


def away(bench: Bench) -> None:
    """Another trace, and other slices."""
    bench.move()
    bench.trace.append(bench.trace.state.points_nm[-1] + [0.0, 40.0, 20.0])
    bench.trace.set_up([1.0, 0.0, 0.0])
    settings = bench.scene.settings
    settings.width, settings.height, settings.pitch_nm = 20, 18, 9.0
    settings.spacing_nm, settings.adaptive_radius_nm = 5.0, 30.0
    bench.settle()


@pytest.mark.parametrize("kept", ["by the window", "by the recipe alone"])
def test_the_labels_are_shown_again(kept: str, bench: Bench) -> None:
    bench.trace.turn(60.0, 25.0)
    bench.move(2, 12.0)
    entry = bench.new()
    layer = entry.layer
    assert layer is not None
    layer.data_setitem((np.array([3]), np.array([4]), np.array([5])), 2**63)
    away(bench)
    assert not entry.is_shown
    if kept == "by the recipe alone":
        entry.trace, entry.map = None, from_dict(entry.map.recipe())
    other = bench.trace.state
    go_back(bench.scene, entry)
    bench.settle()
    assert entry.layer is layer
    assert bench.scene.live.state.key == entry.key
    assert entry.array[3, 4, 5] == 2**63
    bench.trace.undo()
    assert bench.trace.state is other
    bench.settle()
    assert not entry.is_shown


def test_lengths_that_are_open_stay_open(bench: Bench) -> None:
    bench.scene.settings.pitch_nm = bench.scene.settings.spacing_nm = None
    bench.settle()
    entry = bench.new()
    bench.move()
    go_back(bench.scene, entry)
    bench.settle()
    assert entry.is_shown
    assert bench.scene.settings.pitch_nm is bench.scene.settings.spacing_nm is None


def test_a_closed_trace(bench: Bench) -> None:
    bench.trace.set_closed()
    bench.settle()
    entry = bench.new()
    assert entry.map.spacing_nm != 7.0
    bench.trace.set_closed(False)
    bench.scene.settings.spacing_nm = 9.0
    bench.settle()
    go_back(bench.scene, entry)
    bench.settle()
    assert entry.is_shown
    assert bench.scene.settings.spacing_nm == 7.0


def test_without_any_trace_one_is_begun(bench: Bench) -> None:
    entry = bench.new()
    bench.scene.traces.remove(bench.trace)
    bench.settle()
    away_map: Straightening | None = bench.scene.live.state.map
    assert away_map is None
    go_back(bench.scene, entry)
    bench.settle()
    assert entry.is_shown
    assert len(bench.scene.traces.traces) == 1
