"""Runs to a file: cost, progress, end, failure and cancel; the result in the preview's place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ouroboros import open_volume, straighten
from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.widgets.straighten.result import ResultContent
from napari_ouroboros.widgets.straighten.run import Request, StraightenRuns

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")


@pytest.fixture
def runs(bench: Any) -> Any:
    runs = StraightenRuns(bench.loop.deliver)
    runs.events = []
    for name in ("cost_changed", "warned", "finished", "failed"):
        getattr(runs, name).connect(lambda x, name=name: runs.events.append((name, x)))
    runs.progressed.connect(lambda done, total: runs.events.append(("progressed", (done, total))))
    yield runs
    runs.close()


def ready(bench: Any, folder: Path, name: str = "em") -> tuple[Any, Any]:
    layer = bench.add(folder / name, name)
    bench.trace()
    bench.loop.until(lambda: bench.preview.straightened(layer) is not None)
    bench.settle()
    return layer, bench.preview.feed_of(layer)


def wait(bench: Any, runs: StraightenRuns) -> None:
    bench.loop.until(lambda: not runs.running)


@pytest.mark.parametrize("suffix", [".tif", ".zarr", ""])
def test_a_run_takes_the_place_of_its_preview(
    suffix: str, bench: Any, runs: Any, folder: Path, tmp_path: Path
) -> None:
    layer, source = ready(bench, folder)
    request = Request(tmp_path / f"out{suffix}", source, source.live)
    runs.estimate(request)
    bench.loop.until(lambda: runs.cost is not None)
    whole = straighten(bench.volumes[0], source.live.map).compute()
    assert (runs.cost.slices, runs.cost.bytes_to_write) == (len(whole), whole.nbytes)
    assert runs.cost.text().endswith("to write")  # nothing of a time that nobody knows
    runs.start(request)
    wait(bench, runs)
    kinds = [kind for kind, _ in runs.events]
    assert "progressed" in kinds
    assert kinds[-1] == "finished"
    assert runs.bytes_per_second > 0
    result = ResultContent(runs.events[-1][1])
    assert bench.preview.show_result(source, result, request.content)
    bench.settle()
    straightened = bench.preview.straightened(layer)
    assert source.shows_result
    assert straightened.metadata["napari-ouroboros"]["state"] == "result"
    k = 11
    bench.scene.straight.dims.set_current_step(0, k)
    bench.settle()
    np.testing.assert_array_equal(np.asarray(straightened._data_view), whole[k])
    np.testing.assert_array_equal(np.asarray(straightened.data[3:5]), whole[3:5])
    # The trace changes: the preview is back, and the result is known as one of before.
    bench.scene.live._trace.move(1, 20.0)
    bench.settle()
    assert not source.shows_result
    assert source.result is result
    assert source.live is not source.result_of
    assert straightened.metadata["napari-ouroboros"]["state"] == "preview"


def test_only_the_picked_ids_are_written(
    bench: Any, runs: Any, folder: Path, tmp_path: Path
) -> None:
    _, source = ready(bench, folder, "cells")
    source.picks.set([7, 2**64 - 1])
    bench.settle()
    runs.start(Request(tmp_path / "out", source, source.live))
    wait(bench, runs)
    whole = straighten(bench.volumes[0], source.live.map).compute()
    kept = np.where(np.isin(whole, np.array([7, 2**64 - 1], np.uint64)), whole, 0)
    assert kept.any()
    written = open_volume(tmp_path / "out")
    np.testing.assert_array_equal(written.read(0), kept)
    assert written.kind == "segmentation"


def test_what_is_there_is_not_overwritten(
    bench: Any, runs: Any, folder: Path, tmp_path: Path
) -> None:
    _, source = ready(bench, folder)
    (tmp_path / "out.tif").write_text("mine")
    runs.start(Request(tmp_path / "out.tif", source, source.live))
    wait(bench, runs)
    assert isinstance(runs.events[-1][1], UserError)
    assert (tmp_path / "out.tif").read_text() == "mine"


def test_cancel_leaves_nothing(
    bench: Any, runs: Any, folder: Path, tmp_path: Path, http_server: Any
) -> None:
    server = http_server(folder / "em", latency=0.3)
    layer = bench.add(f"precomputed://{server.url}", "far")
    bench.trace()
    bench.loop.until(lambda: bench.preview.straightened(layer) is not None)
    source = bench.preview.feed_of(layer)
    (tmp_path / "to").mkdir()
    runs.start(Request(tmp_path / "to" / "out.zarr", source, source.live))
    bench.loop.until(lambda: server.n_requests > 3)
    runs.cancel()
    wait(bench, runs)
    assert isinstance(runs.events[-1][1], Cancelled)
    assert list((tmp_path / "to").iterdir()) == []
