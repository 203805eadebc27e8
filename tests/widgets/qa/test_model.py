"""What the model knows of the slices while trace and labels change."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
from tests.operations.qa.conftest import SHAPE, SIDE, STEP, tissue
from tests.widgets.qa.conftest import ENDS, Bench

from napari_ouroboros import Cancelled, SourceError
from napari_ouroboros.operations.qa import geometry_checks, image_checks, label_checks
from napari_ouroboros.widgets.qa import live_checks

N = SHAPE[0]


def equal(found: Any, expected: Any) -> None:
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)


def test_without_slices_nothing_is_known(bench: Bench) -> None:
    assert (bench.qa.checks, bench.qa.marks, bench.qa.reasons) == (None, None, [])
    assert not bench.qa.is_current
    assert not bench.qa.check_image()
    assert not bench.qa.check_round_trip()
    assert not bench.qa.toggle_mark("bad")
    assert not bench.qa.go_to_suspicious()
    assert bench.qa.why_not == "Open a volume, or try the demo."


class TestGeometry:
    def test_is_known_with_the_map(self, column: Bench) -> None:
        qa = column.qa
        assert qa.is_current
        assert qa.checks is not None
        equal(qa.checks.geometry, geometry_checks(column.map, column.scene.live.volume))
        assert qa.reasons == [[]] * N
        assert qa.labels_sentence == live_checks.NO_LABELS

    def test_follows_an_edit(self, column: Bench) -> None:
        trace = column.scene.traces.active
        assert trace is not None
        before = column.qa.checks
        trace.append([(N + 4.5) * STEP, 20.5 * STEP, 20.5 * STEP])
        column.settle()
        assert column.qa.checks is not before
        assert list(column.qa.suspicious) == list(range(N, N + 5))
        assert "lie outside the volume" in column.qa.reasons[N][0]
        trace.undo()
        column.settle()
        assert not len(column.qa.suspicious)

    def test_waits_while_a_point_is_dragged(self, column: Bench) -> None:
        trace = column.scene.traces.active
        assert trace is not None
        known = column.qa.checks
        trace.begin_drag()
        trace.drag({1: trace.state.points_nm[1] + [0, 30, 0]})
        column.settle()
        assert column.qa.checks is known
        assert not column.qa.is_current
        trace.end_drag()
        column.settle()
        assert column.qa.is_current
        assert column.qa.checks is not known

    def test_goes_with_the_trace(self, column: Bench) -> None:
        told: list[bool] = []
        column.qa.changed.connect(lambda: told.append(column.qa.checks is None))
        column.viewer.layers.remove(column.viewer.layers[-1])
        column.settle()
        assert told[-1]
        assert column.qa.marks is None


class TestLabels:
    def test_strokes_are_followed(self, column: Bench) -> None:
        entry = column.labels()
        entry.array[20:24, 5:12, 5:12] = 2**63
        column.settle()
        assert column.qa.checks is not None
        assert column.qa.labels_sentence == ""
        equal(column.qa.checks.labels, label_checks(np.asarray(entry.array), column.map))
        entry.array[22, 5:12, 5:12] = 0
        entry.array[30:32, 3:5, 3:5] = 4
        column.settle()
        equal(column.qa.checks.labels, label_checks(np.asarray(entry.array), column.map))
        assert column.qa.reasons[22] == ["has no label, and slices before and behind it have"]

    @pytest.mark.parametrize("slices", [(2, 20, 9), (20, 2, 30)])
    def test_strokes_one_after_the_other_are_all_followed(
        self, column: Bench, slices: tuple[int, int, int]
    ) -> None:
        """Also where the first of them is still being looked at."""
        entry = column.labels()
        entry.array[9:12, 5:9, 5:9] = 1
        column.settle()
        for k in slices:
            entry.array[k, 6:15, 6:15] = 7
            column.loop.turn()
        column.settle()
        equal(column.qa.checks.labels, label_checks(np.asarray(entry.array), column.map))

    def test_labels_off_the_centre_are_told_of_from_half_way_to_the_edge(
        self, column: Bench
    ) -> None:
        entry = column.labels()
        middle = SIDE // 2
        for k, off in ((10, int(0.45 * SIDE / 2)), (20, int(0.6 * SIDE / 2) + 1)):
            entry.array[k, middle + off, middle] = 1
        column.settle()
        found = [k for k, why in enumerate(column.qa.reasons) if "off the centre" in str(why)]
        assert found == [20]

    def test_strokes_of_napari_and_their_undo(self, column: Bench) -> None:
        entry = column.labels()
        layer = entry.layer
        assert layer is not None
        assert column.qa.checks is not None
        layer.brush_size = 5
        layer.paint((22, 10, 10), 7)
        column.settle()
        painted = np.asarray(entry.array)
        assert painted[22].any()
        equal(column.qa.checks.labels, label_checks(painted, column.map))
        layer.undo()
        column.settle()
        assert not column.qa.checks.labels.samples.any()
        layer.redo()
        column.settle()
        equal(column.qa.checks.labels, label_checks(painted, column.map))

    def test_only_the_slices_of_a_stroke_are_read(
        self, column: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entry = column.labels()
        entry.array[20:24, 5:12, 5:12] = 1
        column.settle()
        seen: list[tuple[int, int]] = []
        read = type(entry.array).read

        def noted(array: Any, k0: int, k1: int) -> Any:
            seen.append((k0, k1))
            return read(array, k0, k1)

        monkeypatch.setattr(type(entry.array), "read", noted)
        entry.array[10:12, 5:12, 5:12] = 1
        column.settle()
        assert seen
        assert {k for a, b in seen for k in range(a, b)} == {10, 11}

    def test_of_an_earlier_trace_nothing_is_said(self, column: Bench) -> None:
        entry = column.labels("axon")
        entry.array[20:24, 5:12, 5:12] = 1
        column.settle()
        trace = column.scene.traces.active
        assert trace is not None
        trace.move({1: trace.state.points_nm[1] + [0, 8, 0]})
        column.settle()
        assert column.qa.checks is not None
        assert column.qa.checks.labels is None
        assert column.qa.labels_sentence.startswith(
            "The labels “axon” were painted along an earlier trace"
        )
        trace.undo()
        column.settle()
        equal(column.qa.checks.labels, label_checks(np.asarray(entry.array), column.map))

    def test_a_wider_slice_is_another_one_though_its_frames_are_the_same(
        self, column: Bench
    ) -> None:
        column.labels()
        column.scene.settings.pitch_nm = 2 * STEP
        column.settle()
        assert column.qa.checks is not None
        assert column.qa.checks.labels is None
        assert "earlier trace" in column.qa.labels_sentence

    def test_broken_labels_are_named(self, column: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = column.labels("axon")

        def broken(*_: Any) -> None:
            raise SourceError("the chunk c.2.0.0 of the labels is broken")

        monkeypatch.setattr(type(entry.array), "read", broken)
        entry.array[20:24, 5:12, 5:12] = 1
        column.settle()
        assert column.qa.labels_sentence == (
            "The labels “axon” cannot be checked: the chunk c.2.0.0 of the labels is broken"
        )
        monkeypatch.undo()
        entry.array[20:24, 5:12, 5:12] = 2
        column.settle()
        assert column.qa.checks is not None
        equal(column.qa.checks.labels, label_checks(np.asarray(entry.array), column.map))


class TestOnDemand:
    def test_the_image(self, bench: Bench) -> None:
        voxels = tissue()
        voxels[20] = np.roll(voxels[20], (5, -4), (0, 1))
        bench.open(voxels)
        bench.trace()
        told: list[Any] = []
        bench.qa.image.progressed.connect(lambda *x: told.append(x))
        bench.qa.image.ended.connect(told.append)
        assert bench.qa.check_image()
        assert not bench.qa.check_image()  # one at a time
        bench.settle()
        assert told[-2:] == [(N, N), None]
        assert bench.qa.checks is not None
        equal(bench.qa.checks.image, image_checks(bench.scene.live.volume, bench.map))
        assert list(bench.qa.suspicious) == [20]
        assert bench.qa.go_to_suspicious()
        assert bench.scene.place.slice_index == 20

    def test_partial_results_come_before_the_end(
        self, column: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from napari_ouroboros.operations import boxes
        from napari_ouroboros.operations.qa import image
        from napari_ouroboros.widgets.qa import model

        thin = [boxes.Box((k, k + 8), (0, 21), (0, 21)) for k in range(0, N, 8)]
        monkeypatch.setattr(image, "slabs", lambda *_: thin)
        monkeypatch.setattr(model, "_SHOWN_EVERY", 0.0)
        done: list[int] = []

        def look() -> None:
            checks = column.qa.checks
            if checks is not None and checks.image is not None:
                done.append(int(checks.image.done.sum()))

        column.qa.changed.connect(look)
        column.qa.check_image()
        column.settle()
        assert done == sorted(done)
        assert done[0] < N
        assert done[-1] == N

    def test_cancel_keeps_what_has_come(
        self, column: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from napari_ouroboros.operations import boxes
        from napari_ouroboros.operations.qa import image
        from napari_ouroboros.widgets.qa import model

        thin = [boxes.Box((k, k + 8), (0, 21), (0, 21)) for k in range(0, N, 8)]
        monkeypatch.setattr(image, "slabs", lambda *_: thin)
        monkeypatch.setattr(model, "_SHOWN_EVERY", 0.0)
        ended: list[Any] = []
        column.qa.image.ended.connect(ended.append)
        # In the thread, right after the first slab.
        telling = model.QaModel._telling

        def cancelling(self: Any, slices: Any, take: Any) -> Any:
            told = telling(self, slices, take)

            def then(*given: Any) -> None:
                told(*given)
                self.image.cancel()

            return then

        monkeypatch.setattr(model.QaModel, "_telling", cancelling)
        column.qa.check_image()
        column.settle()
        assert isinstance(ended[0], Cancelled)
        assert column.qa.checks is not None
        assert column.qa.checks.image is not None
        assert int(column.qa.checks.image.done.sum()) == 8

    def test_an_edit_ends_what_is_of_the_earlier_trace(self, column: Bench) -> None:
        ended: list[Any] = []
        column.qa.image.ended.connect(ended.append)
        column.qa.check_image()
        column.scene.traces.active.move({1: ENDS[1] + [0, 8, 0]})  # type: ignore[union-attr]
        column.settle()
        assert len(ended) == 1
        assert column.qa.checks is not None
        assert column.qa.checks.image is None

    def test_the_round_trip(self, column: Bench) -> None:
        assert column.qa.check_round_trip()
        column.settle()
        assert column.qa.checks is not None
        assert column.qa.checks.round_trip is not None
        # Voxel for voxel: every sample is its own voxel.
        np.testing.assert_array_equal(column.qa.checks.round_trip.agreement, 1)
        np.testing.assert_array_equal(column.qa.checks.round_trip.contested, 0)

    def test_the_table(self, column: Bench, tmp_path: Any) -> None:
        column.qa.toggle_mark("bad", 7)
        ended: list[Any] = []
        column.qa.table.ended.connect(ended.append)
        assert column.qa.write_table(tmp_path / "qa.csv")
        column.settle()
        with open(tmp_path / "qa.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert ended == [None]
        assert [row["mark"] for row in rows] == ["bad" if k == 7 else "" for k in range(N)]
        column.qa.write_table(tmp_path / "none" / "qa.csv")
        column.settle()
        assert "cannot write" in str(ended[1])


class TestMeasuring:
    def test_the_active_labels(self, column: Bench, tmp_path: Any) -> None:
        measuring = column.qa.measuring
        assert not measuring.measure()
        entry = column.labels()
        entry.array[10:20, 5:10, 5:10] = 2**64 - 1
        entry.array[30:40, 5:10, 5:10] = 3
        column.settle()
        measuring.measure()
        column.settle()
        assert measuring.report is not None
        assert measuring.is_current
        small, large = measuring.report.labels
        assert (small.label, large.label) == (3, 2**64 - 1)
        assert large.volume_nm3 == pytest.approx(10 * 25 * STEP**3)
        assert large.length_nm == pytest.approx(10 * STEP)
        assert measuring.label == 3
        measuring.label = 2**64 - 1
        profile = measuring.profile()
        assert profile is not None
        assert profile.slices.tolist() == list(range(10, 20))
        # A stroke makes it one of yesterday; the table is measured anew.
        entry.array[20, 5:10, 5:10] = 2**64 - 1
        column.settle()
        assert not measuring.is_current
        measuring.write_csv(tmp_path / "m.csv")
        column.settle()
        assert measuring.is_current
        assert measuring.label == 2**64 - 1
        assert len((tmp_path / "m.csv").read_text().splitlines()) == 1 + 21

    def test_measures_and_tables_are_asked_about(self, column: Bench, tmp_path: Any) -> None:
        """What is written to a file is not to end with the window, or with the session."""
        entry = column.labels()
        entry.array[10:20, 5:10, 5:10] = 1
        column.settle()
        jobs = column.scene.work.jobs
        assert column.qa.measuring.write_csv(tmp_path / "m.csv")
        assert column.qa.write_table(tmp_path / "qa.csv")
        assert sorted(jobs.running) == ["a measurement", "a table of slices"]
        column.settle()
        assert jobs.running == []
        assert (tmp_path / "m.csv").exists()

    def test_other_labels_do_not_make_it_old(self, column: Bench) -> None:
        measuring = column.qa.measuring
        first = column.labels("first")
        first.array[10:20, 5:10, 5:10] = 1
        column.settle()
        measuring.measure()
        column.settle()
        second = column.labels("second")
        second.array[10:20, 5:10, 5:10] = 1
        column.settle()
        assert measuring.active is second
        assert not measuring.is_current
        column.scene.straight.layers.selection.active = first.layer
        assert measuring.is_current

    def test_nothing_painted_is_an_empty_table(self, column: Bench) -> None:
        column.labels()
        column.qa.measuring.measure()
        column.settle()
        report = column.qa.measuring.report
        assert report is not None
        assert report.labels == ()
        assert column.qa.measuring.profile() is None

    def test_of_an_earlier_trace_are_measured_along_that(self, column: Bench) -> None:
        entry = column.labels()
        entry.array[10:20, 5:10, 5:10] = 1
        column.scene.traces.active.move({1: ENDS[1] + [0, 60, 0]})  # type: ignore[union-attr]
        column.settle()
        column.qa.measuring.measure()
        column.settle()
        assert column.qa.measuring.report is not None
        assert column.qa.measuring.report.labels[0].volume_nm3 == pytest.approx(10 * 25 * STEP**3)

    def test_labels_that_go_take_their_measures_along(self, column: Bench) -> None:
        entry = column.labels()
        entry.array[10:20, 5:10, 5:10] = 1
        column.qa.measuring.measure()
        column.settle()
        column.scene.labels.remove(entry)
        assert column.qa.measuring.report is None
        assert column.qa.measuring.profile() is None
