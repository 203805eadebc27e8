"""The recipe: a file from which the same map comes again bit for bit, or an error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import Circle, Helix

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

# unevenly spaced, so that the parametrisation matters; numbers that have no short decimal form
HELIX = Helix(1000, 200).position(np.linspace(0, 3, 40) ** 2) + [40_000, 250_000 + 1 / 7, 1 / 3]
EVERY = {
    "plain": Straightening(Trace(HELIX), 50, 40, 8, 10),
    "closed": Straightening(Trace(Circle(900).points(17), closed=True), 50, 40, 8, 10),
    "tolerance": Straightening(Trace(HELIX, tolerance_nm=40), 50, 40, 8, 10),
    "chord": Straightening(Trace(HELIX, parametrisation="chord"), 50, 40, 8, 10),
    "adaptive": Straightening(Trace(HELIX), 50, 40, 8, 10, adaptive_radius_nm=300),
    "up": Straightening(Trace(HELIX), 50, 40, 8, 10, up=(1, 0.25, 1 / 7)),
    "twist": Straightening(Trace(HELIX), 50, 40, 8, 10, twist=[(0, 10), (3000, 1 / 3)]),
    "two points": Straightening(Trace([[0, 0, 0], [1, 2, 1 / 3]]), 1, 1, 0.1, 0.1),
}


def strings(value: Any) -> list[str]:
    """All keys and texts in a JSON value."""
    if isinstance(value, dict):
        return [t for k, v in value.items() for t in (str(k), *strings(v))]
    if isinstance(value, list):
        return [t for v in value for t in strings(v)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", EVERY)
def test_save_and_load_give_the_same_map_bit_for_bit(name: str, tmp_path: Path) -> None:
    before = EVERY[name]
    path = tmp_path / "x.recipe.json"
    before.save(path)
    after = Straightening.load(path)
    assert after.recipe_hash == before.recipe_hash
    assert tuple(after.shape) == tuple(before.shape)
    for field in ("s", "c", "N", "B", "T"):
        np.testing.assert_array_equal(getattr(after.frames, field), getattr(before.frames, field))
    for field in ("width", "height", "pitch_nm", "spacing_nm"):
        assert getattr(after, field) == getattr(before, field)
    assert after.trace.closed == before.trace.closed
    assert after.trace.tolerance_nm == before.trace.tolerance_nm
    assert after.trace.parametrisation == before.trace.parametrisation
    np.testing.assert_array_equal(after.trace.points_nm, before.trace.points_nm)
    index = np.random.default_rng(0).uniform(-0.5, np.array(before.shape) - 0.5, (50, 3))
    np.testing.assert_array_equal(after.to_volume(index), before.to_volume(index))
    again = tmp_path / "again.recipe.json"
    after.save(again)
    assert json.loads(again.read_text()) == json.loads(path.read_text())


def test_every_setting_makes_another_hash() -> None:
    hashes = {s.recipe_hash for s in EVERY.values()}
    assert len(hashes) == len(EVERY)
    a = EVERY["plain"]
    assert Straightening(Trace(HELIX.copy()), 50, 40, 8, 10).recipe_hash == a.recipe_hash
    # the frames are the same with another rectangle, the map is not
    for other in ((51, 40, 8, 10), (50, 41, 8, 10), (50, 40, 9, 10), (50, 40, 8, 11)):
        assert Straightening(Trace(HELIX), *other).recipe_hash != a.recipe_hash


def test_the_hash_does_not_depend_on_the_path(tmp_path: Path) -> None:
    one, two = tmp_path / "a.recipe.json", tmp_path / "b" / "c.recipe.json"
    two.parent.mkdir()
    for path in (one, two):
        EVERY["plain"].save(path)
    moved = tmp_path / "moved.json"
    shutil.copy(two, moved)
    hashes = {Straightening.load(p).recipe_hash for p in (one, two, str(moved))}
    assert hashes == {EVERY["plain"].recipe_hash}


@pytest.mark.parametrize("name", ["plain", "closed", "adaptive", "up", "twist"])
def test_the_file_says_what_the_contract_lists(name: str, tmp_path: Path) -> None:
    straightening = EVERY[name]
    path = tmp_path / "x.recipe.json"
    straightening.save(path)
    text = path.read_text(encoding="utf-8")
    recipe = json.loads(text)
    assert recipe["schema"] == "napari-ouroboros-recipe/1"
    np.testing.assert_array_equal(recipe["points_nm"], straightening.trace.points_nm)
    for key in ("closed", "tolerance_nm", "parametrisation", "width", "height", "pitch_nm",
                "spacing_nm", "up", "twist", "n_slices"):  # fmt: skip
        assert key in recipe
    assert recipe["n_slices"] == straightening.shape[0]
    assert recipe["closed"] is straightening.trace.closed
    if name == "adaptive":
        assert recipe["adaptive"] == {"radius_nm": 300}
    else:
        assert recipe["adaptive"] is None
    assert "source" in recipe
    said = " ".join(strings(recipe))
    assert "zyx" in said.replace(", ", "").replace(" ", "")  # the points' order
    assert any(len(t) == 64 and set(t) <= set("0123456789abcdef") for t in strings(recipe))
    assert any("version" in key for key in strings(recipe))
    assert "NaN" not in text
    assert "Infinity" not in text
    assert text.isascii()


def edit(recipe: dict[str, Any], how: str) -> None:
    if how == "point":
        recipe["points_nm"][3][1] += 0.01
    elif how == "point in the middle":
        recipe["points_nm"][20][2] += 1
    elif how == "closed":
        recipe["closed"] = True
    elif how == "tolerance":
        recipe["tolerance_nm"] = 50
    elif how == "parametrisation":
        recipe["parametrisation"] = "chord"
    elif how == "spacing":
        recipe["spacing_nm"] = 10.01
    elif how == "adaptive":
        recipe["adaptive"] = {"radius_nm": 100}
    elif how == "up":
        recipe["up"] = [1, 0, 0]
    elif how == "twist":
        recipe["twist"] = [[0, 90]]
    elif how == "n_slices":
        recipe["n_slices"] += 1
    elif how == "schema":
        recipe["schema"] = "napari-ouroboros-recipe/2"
    elif how == "another program's":
        recipe["schema"] = "something/1"
    elif how == "no schema":
        del recipe["schema"]
    elif how == "no points":
        del recipe["points_nm"]
    elif how == "no width":
        del recipe["width"]
    elif how == "NaN":
        recipe["points_nm"][0][0] = float("nan")
    elif how == "hash":
        flip_hashes(recipe)
    elif how == "no hash":
        drop_hashes(recipe)
    else:
        raise KeyError(how)


def is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def flip_hashes(value: Any) -> None:
    for key, entry in value.items():
        if is_hash(entry):
            value[key] = entry[1:] + entry[0] if entry[0] != entry[1] else "0" * 64
        elif isinstance(entry, dict):
            flip_hashes(entry)


def drop_hashes(value: Any) -> None:
    for key in [k for k, v in value.items() if is_hash(v)]:
        del value[key]
    for entry in value.values():
        if isinstance(entry, dict):
            drop_hashes(entry)


@pytest.mark.parametrize(
    "how",
    ["point", "point in the middle", "closed", "tolerance", "parametrisation", "spacing",
     "adaptive", "up", "twist", "n_slices", "schema", "another program's", "no schema",
     "no points", "no width", "NaN", "hash", "no hash"],
)  # fmt: skip
def test_a_changed_recipe_is_an_error(how: str, tmp_path: Path) -> None:
    path = tmp_path / "x.recipe.json"
    EVERY["plain"].save(path)
    recipe = json.loads(path.read_text())
    edit(recipe, how)
    path.write_text(json.dumps(recipe))
    with pytest.raises(UserError) as error:
        _ = Straightening.load(path).frames
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 400


def test_a_recipe_of_another_version_with_the_same_frames_is_the_same_map(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.recipe.json"
    EVERY["plain"].save(path)
    recipe = json.loads(path.read_text())
    changed = 0
    for key, value in list(recipe.items()):
        if "version" in key and isinstance(value, str):
            recipe[key] = "99.0.1"
            changed += 1
    if not changed:
        recipe["software"]["version"] = "99.0.1"
    path.write_text(json.dumps(recipe))
    assert Straightening.load(path).recipe_hash == EVERY["plain"].recipe_hash


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"schema": 1}', "\x00\xff"])
def test_what_is_no_recipe(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.recipe.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as error:
        Straightening.load(path)
    assert "\n" not in str(error.value)


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        Straightening.load(tmp_path / "nothing.recipe.json")
    assert "nothing.recipe.json" in str(error.value)
