"""Labels, recipes and chunks that are wrong in ways that are easy to miss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from local_server import LocalServer
from shell import Shell, tree
from small_scene import Scene

from napari_ouroboros import Straightening, UserError, backproject

EM = ("--image-layer", "em", "--width", 20, "--height", 18)


@pytest.fixture(scope="module")
def recipe(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of 94 slices of 18 x 20, with its source."""
    from napari_ouroboros import open_volume, read_state, straighten_to

    out = tmp_path_factory.mktemp("straight") / "nerve.tif"
    trace = read_state(scene.state).trace(image_layer="em")
    straighten_to(out, open_volume(scene.folder / "em"), Straightening(trace, 20, 18))
    return out.with_name("nerve.recipe.json")


@pytest.mark.parametrize("suffix", ["npy", "tif"])
def test_of_several_negative_slices_the_first_is_named(
    shell: Shell, recipe: Path, tmp_path: Path, suffix: str
) -> None:
    labels = np.ones(Straightening.load(recipe).shape, np.int16)
    # The last is in what is read first by another thread; the order must not show.
    labels[40, 3, 3], labels[60], labels[90] = -5, -2, -7
    path = tmp_path / f"labels.{suffix}"
    np.save(path, labels) if suffix == "npy" else tifffile.imwrite(path, labels)
    before = tree(tmp_path)
    done = shell("backproject", path, "--recipe", recipe, "-o", tmp_path / "home")
    done.failed(2, "slice 40", "-5", path.name)
    with pytest.raises(UserError, match="slice 40"):
        backproject(labels, Straightening.load(recipe), tmp_path / "home")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("offset", ["500,0,0", "0,-5,0", "1.5,0,0"])
def test_a_crop_that_reaches_beyond_the_recipe(
    shell: Shell, recipe: Path, tmp_path: Path, offset: str
) -> None:
    np.save(tmp_path / "labels.npy", np.ones((94, 18, 20), np.uint8))
    before = tree(tmp_path)
    words = ("backproject", tmp_path / "labels.npy", "--recipe", recipe, "-o", tmp_path / "home")
    shell(*words, f"--labels-offset={offset}").failed(2, "reach beyond", "(94, 18, 20)", "offset")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda source: 5,
        lambda source: {**source, "levels": 5},
        lambda source: {**source, "levels": [1]},
        lambda source: {**source, "levels": [{}]},
        lambda source: {**source, "levels": [{**source["levels"][0], "shape": [0, 1, 2]}]},
        lambda source: {**source, "mip": 9},
        lambda source: {**source, "mip": "0"},
        lambda source: {**source, "url": 5},
    ],
    ids=["number", "levels", "level", "empty", "shape", "mip", "text", "url"],
)
def test_a_damaged_record_of_the_source(
    shell: Shell, recipe: Path, tmp_path: Path, spoil: Callable[[Any], Any]
) -> None:
    content = json.loads(recipe.read_text())
    content["source"] = spoil(content["source"])
    path = tmp_path / "spoiled.recipe.json"
    path.write_text(json.dumps(content))
    np.save(tmp_path / "labels.npy", np.ones((94, 18, 20), np.uint8))
    words = ("backproject", tmp_path / "labels.npy", "--recipe", path, "-o", tmp_path / "home")
    for command in (words, ("info", path), ("check", path)):
        shell(*command).failed(2, "spoiled.recipe.json is damaged")
    assert not (tmp_path / "home").exists()


def test_a_recipe_without_a_source_labels_nothing(
    shell: Shell, recipe: Path, tmp_path: Path
) -> None:
    Straightening.load(recipe).save(tmp_path / "bare.recipe.json")
    np.save(tmp_path / "labels.npy", np.ones((94, 18, 20), np.uint8))
    bare = ("--recipe", tmp_path / "bare.recipe.json", "-o", tmp_path / "home")
    shell("backproject", tmp_path / "labels.npy", *bare).failed(2, "no source", "straighten")


def test_another_results_recipe_is_kept(
    shell: Shell, scene: Scene, recipe: Path, tmp_path: Path
) -> None:
    """``nerve`` and ``nerve.tif`` would have one recipe; so would a file of somebody else."""
    shutil.copy(recipe, tmp_path / "nerve.recipe.json")
    (tmp_path / "notes.recipe.json").write_text("flour, eggs")
    before = tree(tmp_path)
    words = ("straighten", scene.state, *EM, "-o")
    shell(*words, tmp_path / "nerve").failed(2, "nerve.recipe.json exists", "nerve.tif")
    shell(*words, tmp_path / "notes").failed(2, "notes.recipe.json exists", "--overwrite")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("what", "part"),
    [("silent", "did not answer within 3 s"), ("truncated", "4 attempts"), (403, "403")],
)
def test_a_chunk_that_does_not_arrive_is_named(
    shell: Shell, scene: Scene, http_server: Callable[..., LocalServer], tmp_path: Path, what: Any,
    part: str,
) -> None:  # fmt: skip
    server = http_server(scene.folder)
    url = f"precomputed://{server.url}/em"
    state = scene.changed("spoilt.json", lambda s: s["layers"][0].update(source=url))
    server.fault("em/mip0/25-57_100-132_30-62", what)
    for out in ("nerve.tif", "nerve"):
        # Long enough for all that does answer, on a busy machine too.
        wait = 3 if what == "silent" else 30
        done = shell("straighten", state, *EM, "-o", tmp_path / out, "--timeout", wait)
        done.failed(1, "em/mip0/25-57_100-132_30-62", part)
    assert tree(tmp_path) == {}
