"""What the shell says: plans, reports, facts, notes, progress; and what it does not load."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
from shell import Done, Shell, run_process, tree
from small_scene import Scene

from napari_ouroboros import Straightening

SIZE = ("--width", 20, "--height", 18)


@pytest.fixture(scope="module")
def recipe(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a straightened TIFF of layer em."""
    folder = tmp_path_factory.mktemp("recipe")
    words = ("--image-layer", "em", *SIZE, "-o", folder / "nerve.tif")
    run_process("straighten", scene.state, *words).worked()
    return folder / "nerve.recipe.json"


@pytest.fixture
def labels(recipe: Path, tmp_path: Path) -> Path:
    """Labels that fit the recipe."""
    np.save(tmp_path / "labels.npy", np.ones(Straightening.load(recipe).shape, np.uint16))
    return tmp_path / "labels.npy"


def test_a_dry_run_writes_nothing(
    labels: Path, shell: Shell, scene: Scene, recipe: Path, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    cut = ("straighten", scene.state, "--image-layer", "em", *SIZE, "--dry-run", "-o")
    for out in (tmp_path / "out.tif", tmp_path / "out"):
        done = shell(*cut, out).worked()
        assert "not run" in done.out
        numbers = json.loads(shell(*cut, out, "--json").worked().out)
        assert numbers["shape"] == list(Straightening.load(recipe).shape)
        assert numbers["chunks_to_fetch"] == 11
    home = ("backproject", labels, "--recipe", recipe, "--dry-run", "-o")
    assert ": 4 units" in shell(*home, tmp_path / "home").worked().out
    shell(*home, tmp_path / "none" / "home").failed(2, "does not exist; create it first")
    shell(*home, labels).failed(2)
    assert tree(tmp_path) == before


def test_a_dry_run_of_a_check_reads_no_voxel(shell: Shell, recipe: Path) -> None:
    done = shell("check", recipe, "--dry-run").worked()
    assert "the check, not run" in done.out
    assert "unchanged" not in done.out
    numbers = json.loads(shell("check", recipe, "--dry-run", "--json").worked().out)
    assert numbers["chunks_to_fetch"] > 11
    assert numbers["bytes_to_write"] == 0


def test_options_that_do_nothing_are_named(
    labels: Path, shell: Shell, recipe: Path, tmp_path: Path
) -> None:
    words = ("--memory", 1024, "--cache", 5, "--overwrite", "--reader", "cloud-volume")
    done = shell("info", recipe, *words).worked()
    assert "note: --cache has no effect on info" in done.err
    assert "note: --overwrite has no effect on info" in done.err
    assert done.err.count("no effect") == 2
    words = ("--recipe", recipe, "--missing", "fill", "--threads", 1, "--dry-run")
    done = shell("backproject", labels, *words, "-o", tmp_path / "x").worked()
    assert done.err.count("no effect") == done.err.count("--missing has no effect") == 1


def test_json_is_one_object_and_nothing_else(
    labels: Path, scene: Scene, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.tif"
    expected: list[tuple[tuple[object, ...], set[str]]] = [
        (("straighten", scene.state, "--image-layer", "em", *SIZE, "-o", out),
         {"path", "recipe", "shape", "seconds", "chunks_fetched"}),
        (("backproject", labels, "--recipe", recipe, "-o", tmp_path / "home"),
         {"path", "dtype", "voxels_labelled", "voxels_contested", "chunks_written"}),
        (("check", recipe), {"kept_promises", "volume_agreement", "drawn_agreement"}),
        (("info", recipe), {"kind", "slices", "promise"}),
        (("info", scene.state), {"kind", "layers", "dimensions"}),
        (("info", scene.folder / "em"), {"kind", "levels", "dtype", "reader"}),
    ]  # fmt: skip
    for words, keys in expected:
        done = run_process(*words, "--json")
        assert (done.code, done.err) == (0, ""), done
        assert done.out.count("\n") == 1
        assert keys <= set(json.loads(done.out))


def test_info(shell: Shell, scene: Scene, recipe: Path) -> None:
    volume = shell("info", scene.folder / "em").worked().out
    assert "image, uint8, 1 channel\n" in volume
    rows = [line.split() for line in volume.splitlines()[2:-1]]
    assert rows[1][:6] == ["0", "96", "x", "80", "x", "72"]
    assert rows[2][:6] == ["1", "48", "x", "40", "x", "36"]
    assert "8 x 8 x 10" in volume
    assert "-7 x 100 x 30" in volume
    assert "layers" in shell("info", scene.state).worked().out
    assert "slices: 94\n" in shell("info", recipe).worked().out


@pytest.mark.parametrize("what", ["volume", "state", "recipe"])
def test_info_imports_no_voxel_library(what: str, scene: Scene, recipe: Path) -> None:
    sources = {"volume": scene.folder / "em", "state": scene.state, "recipe": recipe}
    code = (
        "import sys; from napari_ouroboros.cli import main; code = main(sys.argv[1:]);"
        "print([n for n in ('cloudvolume', 'cloudfiles', 'tensorstore', 'dask', 'numba',"
        " 'tifffile', 'imagecodecs') if n in sys.modules], code)"
    )
    done = run_process("info", sources[what], start=(sys.executable, "-c", code))
    # The frames of a recipe are computed by a kernel, to be compared with its hash.
    allowed = "['numba'] 0" if what == "recipe" else "[] 0"
    assert done.out.splitlines()[-1] in ("[] 0", allowed), done


def test_a_bar_with_a_rate_and_an_end(scene: Scene, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    done = run_process(
        "straighten", scene.state, "--image-layer", "em", "-o", tmp_path / "out", *SIZE,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.code == 0
    last = shown.rstrip().split("\r")[-1]
    assert re.search(r"straightening: 100%\|.*\| 2/2 \[.*(slab/s|s/slab)\]", last), shown


def test_no_bar_where_nobody_looks(scene: Scene, tmp_path: Path) -> None:
    done: Done = run_process(
        "straighten", scene.state, "--image-layer", "em", *SIZE,
        "-o", tmp_path / "again.tif",
    )  # fmt: skip
    assert done.err == ""


def test_check_takes_a_recipe_at_its_own_mip(shell: Shell, scene: Scene, tmp_path: Path) -> None:
    words = ("straighten", scene.state, "--image-layer", "em", "--width", 10, "--height", 9)
    shell(*words, "--mip", 1, "-o", tmp_path / "coarse").worked()
    recipe = (tmp_path / "coarse.recipe.json").rename(tmp_path / "renamed.json")
    own, finer = (
        json.loads(shell("check", recipe, "--json", *more).worked().out)
        for more in ((), ("--mip", 0))
    )
    assert own["voxels"] * 7 < finer["voxels"] < own["voxels"] * 9
    shell("check", recipe, "--width", 12).failed(2, "--width", "recipe")
    state = shell("check", scene.state, "--image-layer", "em", "--mip", 1, *words[4:], "--json")
    assert json.loads(state.worked().out) == own


def test_a_result_without_a_label_is_noticed(
    labels: Path, shell: Shell, recipe: Path, tmp_path: Path
) -> None:
    words = ("backproject", labels, "--recipe", recipe, "-o")
    done = shell(*words, tmp_path / "home", "--keep", 3, 4, 5, 6, 7, 8).worked()
    assert done.notes == [
        "note: the result is empty: no label among those to keep (3, 4, 5, 6, 7, ...) lies within "
        "the volume"
    ]
    assert ": 0 voxels labelled of " in done.out
    assert not shell(*words, tmp_path / "other", "--keep", 3, 1).worked().notes


def test_memory_that_holds_no_slices_is_noticed(shell: Shell, scene: Scene, tmp_path: Path) -> None:
    """Once, and what it says would help does."""
    words = ("straighten", scene.state, "--image-layer", "cells", "--width", 90, "--height", 90)
    little = shell(*words, "-o", tmp_path / "little.tif", "--memory", 1, "--json").worked()
    (note,) = (note for note in little.notes if "--memory" in note)
    enough = re.fullmatch(r".* --memory 1 holds: .*; --memory (\d+) is faster", note)
    assert enough is not None
    out = tmp_path / "enough.tif"
    more = shell(*words, "-o", out, "--memory", enough[1], "--json").worked()
    assert not any("--memory" in note for note in more.notes)
    assert out.read_bytes()[-1000:] == (tmp_path / "little.tif").read_bytes()[-1000:]
    fetched = [json.loads(done.out)["chunks_fetched"] for done in (little, more)]
    assert fetched[0] > fetched[1]
