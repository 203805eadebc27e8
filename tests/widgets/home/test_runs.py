"""Backprojections from the window: what a run costs, makes, leaves, and shows."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from painted import gone_home

from napari_ouroboros import open_volume
from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.operations import backproject_job
from napari_ouroboros.widgets.home.runs import HomeRequest
from napari_ouroboros.widgets.straighten import live_preview_of
from napari_ouroboros.widgets.streaming import pyramid_of, volume_of

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")


@pytest.fixture(autouse=True)
def recovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_OUROBOROS_RECOVERY", str(tmp_path / "recovery"))


@pytest.fixture
def runs(bench: Any) -> Any:
    """Those of the scene, with a list of what they told."""
    runs = bench.scene.overlays.runs
    runs.events = []
    for name in ("cost_changed", "warned", "finished", "failed"):
        getattr(runs, name).connect(lambda x, name=name: runs.events.append((name, x)))
    return runs


def painted(bench: Any, name: str = "nerve", dtype: str = "uint64", map_: Any = None) -> Any:
    entry = bench.entry(name, dtype, map_)
    entry.array[10:50, 5:20, 8:25] = 2**63 if dtype == "uint64" else 200
    entry.array[20:30, 8:12, 10:14] = 3
    return entry


def request(bench: Any, *entries: Any, path: Path | None, mip: int = 0, **more: Any) -> Any:
    return HomeRequest.of(
        list(entries), like=bench.volume, mip=mip, path=path, work=bench.scene.work, **more
    )


def run(bench: Any, runs: Any, asked: Any) -> Any:
    runs.start(asked)
    bench.until(lambda: not runs.running)
    bench.until(lambda: bench.scene.overlays.results.idle)
    bench.settle()
    kind, told = runs.events[-1]
    assert kind == "finished", told
    return told


@pytest.mark.parametrize("kind", ["", ".zarr", None])
@pytest.mark.parametrize("mip", [0, 1])
def test_a_result_is_shown_in_place(
    kind: str | None, mip: int, bench: Any, runs: Any, tmp_path: Path
) -> None:
    entry = painted(bench)
    bench.settle()
    path = None if kind is None else tmp_path / f"home{kind}"
    entry.layer.new_colormap(5)
    before = list(bench.viewer.layers)
    active = bench.viewer.layers.selection.active
    result = run(bench, runs, request(bench, entry, path=path, mip=mip))
    truth, report = gone_home(
        np.asarray(entry.array), bench.map, bench.volume, mip, tmp_path / "truth"
    )
    assert truth.any()
    assert result.report.voxels_labelled == report.voxels_labelled
    layer = bench.scene.overlays.results.layer_of(result.report.path)
    np.testing.assert_array_equal(pyramid_of(layer).volume.read(0), truth)
    # What goes with the window is nothing that a session could open again.
    assert (volume_of(layer) is None) == (kind is None)
    assert list(bench.viewer.layers) == [*before, layer]
    assert bench.viewer.layers.selection.active is active
    assert not layer.editable
    for label in (3, 2**63):
        np.testing.assert_array_equal(layer.get_color(label), entry.layer.get_color(label))
    bench.look_at(bench.map.to_volume((25, 11, 14)))
    shown = np.asarray(layer._slice.image.raw)
    z = int(bench.viewer.dims.current_step[0]) // 2**mip
    np.testing.assert_array_equal(shown[: truth.shape[1], : truth.shape[2]], truth[z])
    # Nobody asked to see it straightened.
    assert live_preview_of(bench.scene).straightened(layer) is None
    assert bench.scene.reference is bench.volume
    if path is None:
        assert layer.name == "nerve (backprojected)"
        assert tmp_path / "recovery" in result.report.path.parents
    else:
        assert layer.name == path.name
        assert list(tmp_path.glob("recovery/*/results/*")) == []
    assert list(tmp_path.glob("recovery/*/snapshots/*")) == []


def test_a_re_run_updates_its_layer(bench: Any, runs: Any, tmp_path: Path) -> None:
    entry = painted(bench)
    results = bench.scene.overlays.results
    first = run(bench, runs, request(bench, entry, path=None))
    layer = results.layer_of(first.report.path)
    layer.opacity, layer.name = 0.2, "mine"
    bench.look_at(bench.map.to_volume((25, 11, 14)))
    before = np.asarray(layer._slice.image.raw).copy()
    entry.array[:] = np.where(np.asarray(entry.array) > 0, np.uint64(77), np.uint64(0))
    order = list(bench.viewer.layers)
    second = run(bench, runs, request(bench, entry, path=None))
    assert second.report.path == first.report.path
    assert results.layer_of(first.report.path) is layer
    assert list(bench.viewer.layers) == order
    bench.look_at(bench.map.to_volume((25, 11, 14)))
    after = np.asarray(layer._slice.image.raw)
    np.testing.assert_array_equal(after > 0, before > 0)
    assert set(np.unique(after)) == {0, 77}
    # On another level it is another grid: a new layer that looks the same, in its place.
    third = run(bench, runs, request(bench, entry, path=None, mip=1))
    other = results.layer_of(third.report.path)
    assert other is not layer
    assert [x if x is not layer else other for x in order] == list(bench.viewer.layers)
    assert (other.name, other.opacity) == ("mine", 0.2)
    bench.look_at(bench.map.to_volume((25, 11, 14)))
    assert set(np.unique(np.asarray(other._slice.image.raw))) == {0, 77}
    # One that the user has removed comes back.
    bench.viewer.layers.remove(other)
    run(bench, runs, request(bench, entry, path=None, mip=1))
    assert results.layer_of(third.report.path) in bench.viewer.layers


@pytest.mark.parametrize("dtype", ["uint16", "uint64"])
@pytest.mark.parametrize("mip", [0, 1])
def test_a_tiff_is_shown_in_its_place(
    dtype: str, mip: int, bench: Any, runs: Any, tmp_path: Path
) -> None:
    entry = painted(bench, dtype=dtype)
    path = tmp_path / "home.tif"
    result = run(bench, runs, request(bench, entry, path=path, mip=mip))
    truth, _ = gone_home(np.asarray(entry.array), bench.map, bench.volume, mip, tmp_path / "truth")
    box = tuple(slice(a, b) for a, b in result.report.bounds)
    np.testing.assert_array_equal(tifffile.imread(path), truth[box])
    layer = bench.scene.overlays.results.layer_of(path)
    assert layer.name == "home.tif"
    assert layer.dtype == dtype
    nm = bench.map.to_volume((25, 11, 14))
    bench.look_at(nm)
    shown = np.asarray(layer._slice.image.raw)
    z = int(nm[0] // (8.0 * 2**mip))
    expected = truth[z, box[1], box[2]]
    assert expected.any()
    np.testing.assert_array_equal(shown[: expected.shape[0], : expected.shape[1]], expected)
    # In nm, too: every labelled voxel of the volume.
    some = np.argwhere(truth)[::997]
    for voxel in some:
        world = bench.volume.levels[mip].to_nm(voxel)
        at = tuple(np.round(np.asarray(layer.world_to_data(world))).astype(int))
        assert np.asarray(layer.data[0][at]) == truth[tuple(voxel)]
    assert bench.scene.volume_layers == [bench.em]


def test_labels_are_those_of_the_beginning(
    bench: Any, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Painting goes on while they are on their way."""
    entry = painted(bench)
    start, go = threading.Event(), threading.Event()
    usual = backproject_job.BackprojectJob.run

    def wait(self: Any, *args: Any) -> Any:
        start.set()
        assert go.wait(20)
        return usual(self, *args)

    monkeypatch.setattr(backproject_job.BackprojectJob, "run", wait)
    runs.start(request(bench, entry, path=tmp_path / "home"))
    bench.until(start.is_set)
    labels = np.asarray(entry.array)
    entry.array[:] = 5
    go.set()
    bench.until(lambda: not runs.running)
    monkeypatch.undo()
    monkeypatch.setenv("NAPARI_OUROBOROS_RECOVERY", str(tmp_path / "recovery"))
    truth, _ = gone_home(labels, bench.map, bench.volume, 0, tmp_path / "truth")
    np.testing.assert_array_equal(open_volume(tmp_path / "home").read(0), truth)
    assert not (truth == 5).any()


def test_cost_and_promise_before_the_run(bench: Any, runs: Any, tmp_path: Path) -> None:
    entry = painted(bench)
    runs.estimate(request(bench, entry, path=tmp_path / "home", mip=1))
    bench.until(lambda: runs.cost is not None)
    cost = runs.cost
    job = backproject_job.BackprojectJob(
        np.asarray(entry.array), bench.map, tmp_path / "x", bench.volume, 1
    )
    assert cost.chunks == len(job.blocks) > 0
    assert cost.bytes_to_write == len(job.blocks) * 64**3 * 8
    assert cost.text().endswith("to write")  # nothing of a time that nobody knows
    assert cost.promises == (bench.map.exactness(bench.volume.levels[1].resolution).text,)
    run(bench, runs, request(bench, entry, path=tmp_path / "home"))
    assert "about" in cost.text(runs.bytes_per_second)
    assert list(tmp_path.glob("x*")) == []


def test_several_labels_and_some_ids(bench: Any, runs: Any, tmp_path: Path) -> None:
    from napari_ouroboros import Straightening, Trace, backproject

    other = Straightening(Trace([[100.0, 900, 200], [400, 300, 900]]), 31, 24, 6.0, 7.0)
    entries = [painted(bench, "a"), painted(bench, "b", "uint8", other)]
    result = run(
        bench, runs, request(bench, *entries, path=tmp_path / "home", keep=(3,), pyramid=True)
    )
    arrays, maps = [np.asarray(e.array) for e in entries], [e.map for e in entries]
    backproject(arrays, maps, tmp_path / "truth", bench.volume, 0, keep=[3], pyramid=True)
    home, truth = open_volume(tmp_path / "home"), open_volume(tmp_path / "truth")
    assert len(home.levels) == 2
    assert result.request.name == "labels (backprojected)"
    for mip in (0, 1):
        found = home.read(mip)
        np.testing.assert_array_equal(found, truth.read(mip))
        assert set(np.unique(found)) == {0, 3}


def test_what_is_there_is_left_alone_and_what_is_asked_for_replaced(
    bench: Any, runs: Any, tmp_path: Path
) -> None:
    entry = painted(bench)
    run(bench, runs, request(bench, entry, path=tmp_path / "home"))
    runs.start(request(bench, entry, path=tmp_path / "home"))
    bench.until(lambda: not runs.running)
    assert isinstance(runs.events[-1][1], UserError)
    entry.array[:] = 9
    run(bench, runs, request(bench, entry, path=tmp_path / "home", overwrite=True))
    assert set(np.unique(open_volume(tmp_path / "home").read(0))) == {0, 9}


@pytest.mark.parametrize("kind", ["", ".zarr", ".tif", None])
@pytest.mark.parametrize("how", ["cancel", "close"])
def test_cancelled_or_closed_nothing_is_left(
    kind: str | None, how: str, bench: Any, runs: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    entry = painted(bench)
    begun = threading.Event()
    usual = backproject_job.BackprojectJob._write_unit

    def slowly(self: Any, blocks: Any, cancel: Any) -> None:
        begun.set()
        while not cancel.is_set():
            threading.Event().wait(0.005)
        usual(self, blocks, cancel)

    monkeypatch.setattr(backproject_job.BackprojectJob, "_write_unit", slowly)
    (tmp_path / "to").mkdir()
    path = None if kind is None else tmp_path / "to" / f"home{kind}"
    runs.start(request(bench, entry, path=path))
    bench.until(begun.is_set)
    assert runs.running
    if how == "cancel":
        runs.cancel()
        bench.until(lambda: not runs.running)
        assert isinstance(runs.events[-1][1], Cancelled)
    else:
        assert runs.close(10)
        assert not any(t.name == "ouroboros-backproject" for t in threading.enumerate())
    assert list((tmp_path / "to").iterdir()) == []
    assert list(tmp_path.glob("recovery/*/results/*")) == []
    assert list(tmp_path.glob("recovery/*/snapshots/*")) == []
    assert list(bench.viewer.layers)[:1] == [bench.em]


def test_what_became_of_it_in_a_line(bench: Any, runs: Any, tmp_path: Path) -> None:
    entry = bench.entry("empty")
    run(bench, runs, request(bench, entry, path=tmp_path / "empty"))
    assert runs.outcome == "The result is empty: no label lies within the volume."
    run(bench, runs, request(bench, painted(bench), path=tmp_path / "home", keep=(3, 4)))
    report = runs.events[-1][1].report
    assert f"{report.voxels_labelled:,} voxels labelled, in {report.chunks_written}" in runs.outcome
    assert str(tmp_path / "home") in runs.outcome
    run(bench, runs, request(bench, entry, path=tmp_path / "other", keep=(3, 4)))
    assert "no label among those to keep (3, 4)" in runs.outcome
    runs.start(request(bench, entry, path=tmp_path / "home.tif"))
    bench.until(lambda: not runs.running)
    assert runs.outcome == ""
    assert "the result is empty" in str(runs.events[-1][1])
    assert not (tmp_path / "home.tif").exists()


def test_a_result_that_is_taken_away_is_said(
    bench: Any, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ouroboros import volumes

    told: list[Any] = []
    bench.scene.overlays.results.failed.connect(told.append)

    def gone(path: Any) -> Any:
        raise UserError(f"there is nothing at {path}")

    monkeypatch.setattr(volumes, "open_volume", gone)
    runs.start(request(bench, painted(bench), path=tmp_path / "home"))
    bench.until(lambda: bool(told))
    assert "there is nothing" in str(told[0])
