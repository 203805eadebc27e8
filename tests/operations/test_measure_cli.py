"""``napari-ouroboros measure`` as its users see it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from shell import Shell, tree

from napari_ouroboros import Straightening, Trace, measure

IDS = [7, 2**64 - 1]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    trace = Trace(np.array([[0.0, 0, 0], [300, 100, 40], [600, 0, 200]]))
    Straightening(trace, 20, 16, 8.0, 10.0).save(tmp_path / "nerve.recipe.json")
    return tmp_path / "nerve.recipe.json"


@pytest.fixture
def labels(recipe: Path, tmp_path: Path) -> Path:
    array = np.zeros(Straightening.load(recipe).shape, np.uint64)
    array[5:15, 4:9, 4:9] = IDS[0]
    array[10:30, 10:14, 3:15] = IDS[1]
    np.save(tmp_path / "labels.npy", array)
    return tmp_path / "labels.npy"


def test_a_table_and_a_summary(shell: Shell, labels: Path, recipe: Path, tmp_path: Path) -> None:
    table = tmp_path / "measured.csv"
    done = shell("measure", labels, "--recipe", recipe, "-o", table).worked()
    report = measure(labels, Straightening.load(recipe))
    assert done.out.startswith(report.text)
    assert str(IDS[1]) in done.out
    assert f"{table}: 30 lines" in done.out
    with open(table, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["label"]) for row in rows] == [IDS[0]] * 10 + [IDS[1]] * 20
    volumes = [float(row["volume_nm3"]) for row in rows]
    np.testing.assert_allclose(volumes, report.slices.volume_nm3, rtol=1e-9)


def test_json(shell: Shell, labels: Path, recipe: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    facts = json.loads(shell("measure", labels, "--recipe", recipe, "--json").worked().out)
    assert facts["table"] is None
    assert [label["label"] for label in facts["labels"]] == IDS
    assert facts["labels"][0]["slices"] == 10
    assert facts["slices_folding"] == 0
    assert tree(tmp_path) == before


def test_only_some_labels(shell: Shell, labels: Path, recipe: Path) -> None:
    words = ("measure", labels, "--recipe", recipe, "--json", "--keep")
    facts = json.loads(shell(*words, IDS[1]).worked().out)
    assert [label["label"] for label in facts["labels"]] == [IDS[1]]
    shell(*words, -3).failed(2)
    done = shell(*words, 9).worked()
    assert done.notes == ["note: there is no label 9 in any slice"]


def test_a_dry_run_measures_nothing(
    shell: Shell, labels: Path, recipe: Path, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    words = ("measure", labels, "--recipe", recipe, "-o", tmp_path / "out.csv", "--dry-run")
    assert "the measurement, not run: 1 units" in shell(*words).worked().out
    numbers = json.loads(shell(*words, "--json").worked().out)
    n, rows, columns = Straightening.load(recipe).shape
    assert numbers["bytes_to_fetch"] == n * rows * columns * 8
    assert tree(tmp_path) == before


def test_an_earlier_table_is_kept_unless_asked(
    shell: Shell, labels: Path, recipe: Path, tmp_path: Path
) -> None:
    table = tmp_path / "out.csv"
    table.write_text("precious")
    words = ("measure", labels, "--recipe", recipe, "-o")
    shell(*words, table).failed(2, "exists", "--overwrite")
    assert table.read_text() == "precious"
    shell(*words, table, "--overwrite").worked()
    assert table.read_text().startswith("label,slice,")
    shell(*words, tmp_path, "--overwrite").failed(2, "is a folder; give the table a name")
    shell(*words, tmp_path / "none" / "out.csv").failed(2, "does not exist; create it first")


def test_what_the_user_can_mend(shell: Shell, labels: Path, recipe: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", np.ones((3, 4, 5), np.uint8))
    shell("measure", tmp_path / "small.npy", "--recipe", recipe).failed(2, "(3, 4, 5)")
    np.save(tmp_path / "floats.npy", np.ones(Straightening.load(recipe).shape))
    shell("measure", tmp_path / "floats.npy", "--recipe", recipe).failed(2, "whole numbers")
    shell("measure", tmp_path / "no.npy", "--recipe", recipe).failed(2, "there is no file")
    shell("measure", labels, "--recipe", tmp_path / "no.json").failed(2, "there is no recipe")
    shell("measure", labels).failed(2, "--recipe")


def test_options_without_effect_are_named(shell: Shell, labels: Path, recipe: Path) -> None:
    done = shell("measure", labels, "--recipe", recipe, "--cache", 5).worked()
    assert done.notes == ["note: --cache has no effect on measure"]
