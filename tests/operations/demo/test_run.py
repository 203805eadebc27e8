"""The demo from end to end on a small phantom, and what it does when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import tifffile

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.neuroglancer import read_state
from napari_ouroboros.operations.demo import run as demo
from napari_ouroboros.operations.demo import segment as demo_segment
from napari_ouroboros.operations.demo.phantom import Phantom, make_phantom
from napari_ouroboros.operations.demo.report import DemoFailed, DemoReport
from napari_ouroboros.operations.demo.run import main, run_demo
from napari_ouroboros.volumes import open_volume


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom((90, 200, 180), (30.0, 20.0, 20.0), (7, 301, 1000), radius_nm=760.0)


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(
    phantom: Phantom, said: list[str], tmp_path_factory: pytest.TempPathFactory
) -> DemoReport:
    steps: list[tuple[int, int]] = []
    made = run_demo(
        tmp_path_factory.mktemp("demo") / "here",
        headless=True,
        progress=lambda done, total: steps.append((done, total)),
        phantom=phantom,
        tell=said.append,
    )
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1][0] == steps[-1][1]
    return made


def test_every_fascicle_comes_home(report: DemoReport, phantom: Phantom) -> None:
    assert [row.truth_id for row in report.rows] == phantom.ids.tolist()
    assert all(row.dice >= 0.95 for row in report.rows)
    assert len({row.label for row in report.rows}) == len(report.rows)
    assert report.problems == []


def test_dice_is_that_of_the_written_volumes(report: DemoReport, phantom: Phantom) -> None:
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{report.backprojected}/"},
    }
    store = ts.open(spec, open=True).result()[..., 0]
    assert tuple(store.domain.origin[::-1]) == phantom.voxel_offset
    found = store.read().result().transpose(2, 1, 0)
    map_ = Straightening.load(report.recipe)
    where = np.argwhere((phantom.fascicles != 0) | (found != 0))
    inside = ~np.isnan(map_.to_straightened(phantom.grid.to_nm(where))[:, 0])
    true = phantom.truth[tuple(where[inside].T)]
    label = found[tuple(where[inside].T)]
    assert np.count_nonzero(label) == np.count_nonzero(found)
    for row in report.rows:
        a, b = true == np.uint64(row.truth_id), label == row.label
        dice = 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
        assert row.dice == pytest.approx(dice, rel=1e-12)


def test_the_promised_round_trip_is_found(report: DemoReport) -> None:
    assert report.exact.promised.volume_exact
    assert report.exact.voxels > 100_000
    assert report.exact.voxels_changed == 0
    assert report.as_used.kept_promises


def test_what_is_in_the_folder(report: DemoReport) -> None:
    image, labels = tifffile.imread(report.straightened), tifffile.imread(report.labels)
    assert image.shape == labels.shape == report.slices == Straightening.load(report.recipe).shape
    assert image.dtype == np.uint8
    assert set(np.unique(labels)) == {0, *(row.label for row in report.rows)}
    for picture in report.pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
    names = {path.name for path in report.pictures}
    assert names == {"slices.png", "slices_labels.png", "along.png", "home_z.png", "home_y.png"}
    assert report.tables[0].read_text().count("\n") == 1 + len(report.rows)
    assert report.tables[1].read_text() in report.text


def test_the_result_can_be_opened(report: DemoReport, phantom: Phantom) -> None:
    state = read_state(report.result)
    assert [layer.name for layer in state.layers] == ["em", "truth", "labels", "trace"]
    for name, kind in (("em", "image"), ("truth", "segmentation"), ("labels", "segmentation")):
        volume = open_volume(state.volume_source(name).url)
        assert volume.kind == kind
        assert volume.levels[0].shape == phantom.image.shape
    points = state.points_nm(image_layer="em", resolution_nm=phantom.resolution)
    np.testing.assert_allclose(points, phantom.points_nm)
    assert str(report.folder.parent) not in report.result.read_text()


def test_what_is_said(report: DemoReport, said: list[str]) -> None:
    assert said == [report.text, "ran headless, as asked"]
    for row in report.rows:
        assert f"{row.dice:.4f}" in report.text
    assert "came back unchanged" in report.text
    assert max(map(len, report.text.splitlines())) < 400


def test_commands_to_try_next_are_those_of_the_shell(
    report: DemoReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shlex

    from napari_ouroboros.cli import main as shell

    monkeypatch.chdir(tmp_path)
    lines = report.text.split("Try next:")[1].splitlines()
    commands = [shlex.split(line) for line in lines if "napari-ouroboros" in line]
    assert [command[1] for command in commands] == ["info", "straighten", "backproject"]
    for command in commands:
        assert shell(command[1:]) == 0
    assert np.array_equal(tifffile.imread("mine.tif"), tifffile.imread(report.straightened))


def test_an_earlier_demo_is_kept_and_nothing_is_begun(
    report: DemoReport, phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(demo, "write_phantom", never)
    with pytest.raises(UserError, match="exists"):
        run_demo(report.folder, headless=True, phantom=phantom)


def test_a_poor_segmentation_fails_the_demo(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = demo_segment.segment_fascicles

    def poor(*arguments: Any) -> Any:
        labels = good(*arguments)
        labels[: len(labels) // 6][labels[: len(labels) // 6] == 2] = 0
        return labels

    monkeypatch.setattr(demo_segment, "segment_fascicles", poor)
    said: list[str] = []
    with pytest.raises(
        DemoFailed, match=r"fascicle 300 .* Dice of 0\.[89]\d+, below 0.95"
    ) as found:
        run_demo(tmp_path / "demo", headless=True, phantom=phantom, tell=said.append)
    assert found.value.exit_code == 1
    assert "\n" not in str(found.value)
    assert len(said) == 1  # the table is shown all the same
    assert (tmp_path / "demo" / "pictures" / "home_z.png").exists()


def test_cancel(phantom: Phantom, tmp_path: Path) -> None:
    cancel = threading.Event()

    def progress(done: int, total: int) -> None:
        if done > 0.45 * total:
            cancel.set()

    with pytest.raises(Cancelled):
        run_demo(tmp_path / "demo", True, progress, cancel, phantom=phantom)
    assert not (tmp_path / "demo" / "labels_home").exists()
    assert not list((tmp_path / "demo").glob(".*"))


def test_a_window_needs_a_display_and_napari(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert demo.why_no_window() == "no display"
    monkeypatch.setenv("DISPLAY", ":7")
    assert demo.why_no_window() is None
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert "napari-ouroboros[napari]" in str(demo.why_no_window())


def test_the_window_gets_the_files(report: DemoReport, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    code = 0

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(demo.subprocess, "run", run)
    demo.open_windows(report)
    assert commands[0][1:3] == ["-m", "napari_ouroboros.widgets.demo_windows"]
    assert all(Path(name).is_file() for name in commands[0][3:])
    code = 139
    with pytest.raises(DemoFailed, match="139"):
        demo.open_windows(report)


def test_for_the_shell(
    report: DemoReport,
    phantom: Phantom,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(tmp_path / "not made", dry_run=True)
    assert "not run" in capsys.readouterr().out
    main(tmp_path / "not made", dry_run=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["megabytes"] > 100
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setattr(demo, "_run", lambda *_: report)
    main(tmp_path, headless=True)
    assert capsys.readouterr().out == report.text + "\nran headless, as asked\n"
    monkeypatch.setattr(demo, "why_no_window", lambda: "no display")
    main(tmp_path)
    assert capsys.readouterr().out == report.text + "\nno display: ran headless\n"
    main(tmp_path, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in facts["fascicles"]] == phantom.ids.tolist()
    assert [trip["voxels_changed"] for trip in facts["round_trips"]][1] == 0
    assert (Path(facts["folder"]) / facts["pictures"][0]).is_file()
