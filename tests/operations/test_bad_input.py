"""What the user can mend about states, traces and settings: one clear line, exit code 2, no file.

Through the shell, and through Python, where the same line is a `UserError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import Shell, run_process, tree
from small_scene import Scene

import napari_ouroboros as ou
from napari_ouroboros import Notice, Straightening, UserError

NAN = float("nan")


@pytest.fixture
def straighten(shell: Shell, scene: Scene, tmp_path: Path) -> Callable[..., str]:
    """``straighten(words, *parts, state=...)``: fails with one line that has the parts.

    The folder of the result stays as it was.
    """

    def run(
        words: tuple[object, ...] | str,
        *parts: str,
        state: object = None,
        code: int = 2,
        layer: str | None = "em",
        out: object = "nerve.tif",
    ) -> str:
        before = tree(tmp_path)
        image = () if layer is None else ("--image-layer", layer)
        more = tuple(words.split()) if isinstance(words, str) else words
        done = shell("straighten", state or scene.state, "-o", tmp_path / str(out), *image, *more)
        line = done.failed(code, *parts)
        assert tree(tmp_path) == before
        return line

    return run


# -- layers and traces ------------------------------------------------------------------------


def test_no_such_layer_lists_those_there_are(straighten: Callable[..., str], scene: Scene) -> None:
    straighten("", "'em', 'cells'", "--image-layer", layer=None)
    straighten("", "no image layer 'nerve'", "'em', 'cells'", layer="nerve")
    straighten("--annotation-layer way", "no annotation layer 'way'", "'trace'")
    straighten("--annotation-id 77", "'77'", "'points' (the 4 single points)")
    without = scene.changed("without.json", lambda s: s["layers"].pop())
    straighten("", "annotation layer", state=without)
    with pytest.raises(UserError, match=r"no image layer 'nerve'.*'em', 'cells'"):
        ou.read_state(scene.state).volume_source("nerve")


@pytest.mark.parametrize(
    ("name", "points", "part"),
    [
        ("none", [], "has no annotations; a trace needs points"),
        ("one", [[40, 120, 40]], "at least 2 points; this one has 1"),
        ("same", [[40, 120, 40]] * 5, "all 5 points of the trace lie on one spot"),
        ("nan", [[40, 120, 40], [NAN, 1, 2]], "annotation 1 ('1'): point is not finite"),
        ("flat", [[40, 120, 40], [1, 2]], "annotation 1 ('1'): point has 2 numbers"),
        ("text", [[40, 120, 40], ["a", 1, 2]], "annotation 1 ('1'): point must be a list of 3"),
    ],
)
def test_no_trace(
    straighten: Callable[..., str], scene: Scene, name: str, points: list[Any], part: str
) -> None:
    state = scene.with_points(f"{name}.json", points)
    straighten("", "layer 'trace'" if name != "same" else "trace", part, state=state)
    with pytest.raises(UserError) as caught:
        ou.read_state(state).trace(image_layer="em")
    assert part in str(caught.value)


def test_two_points_do_not_close(straighten: Callable[..., str], scene: Scene) -> None:
    state = scene.with_points("two.json", [[40, 120, 40], [40, 140, 60]])
    straighten("--closed", "closed trace needs at least 3 different points", state=state)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"layers": [}', ("not JSON", "line 1, column 13")),
        ("", ("is empty",)),
        ("[1, 2]", ("not a JSON object",)),
        ("\xff\x00", ("not text in UTF-8",)),
        ('{"scales": []}', ("no list of layers",)),
    ],
)
def test_a_broken_state(
    straighten: Callable[..., str], shell: Shell, tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    straighten("", str(path), *parts, state=path)
    assert shell("info", path).code == 2
    with pytest.raises(UserError, match=r"broken\.json"):
        ou.read_state(path)


def test_what_is_not_there(straighten: Callable[..., str], shell: Shell, scene: Scene) -> None:
    straighten("", "there is no file", "gone.json", state=scene.folder / "gone.json")
    straighten("", "is a folder", state=scene.folder)
    shell("info", scene.folder / "gone.json").failed(2, "there is no file", "gone.json")
    shell("info", scene.folder / "gone").failed(2, "there is no folder", "gone")
    shell("info", "").failed(2, "empty")
    shell("info", scene.folder).failed(1, "no volume here", "the folder that holds `info`")
    shell("check", scene.folder / "gone.recipe.json").failed(2, "there is no recipe")

    def move(name: str, url: str) -> Path:
        return scene.changed(name, lambda s: s["layers"][0].update(source=url))

    moved = move("moved.json", "precomputed://file://./gone")
    straighten("", "there is no folder", str(scene.folder / "gone"), state=moved)
    zarr = move("as_zarr.json", "zarr2://file://./gone")
    straighten("", "there is no folder", str(scene.folder / "gone"), state=zarr)
    nifti = move("as_nifti.json", "nifti://https://localhost/scan.nii.gz")
    straighten("", "NIfTI is not supported", state=nifti)


# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("--mip 2", ("no mip 2", "0: 10 x 8 x 8 nm", "1: 20 x 16 x 16 nm")),
        ("--mip -1", ("no mip -1", "0: 10 x 8 x 8 nm")),
        ("--mip fine", ("--mip", "'fine'", "auto")),
        ("--width 0", ("width", "1 or more", "0")),
        ("--height -3", ("height", "1 or more", "-3")),
        ("--width 2.5", ("--width", "'2.5'")),
        (
            "--width 1000000 --height 1000000",
            ("one slice of 1000000 x 1000000 pixels takes", "smaller"),
        ),
        ("--spacing -2", ("spacing", "over 0 nm", "-2")),
        ("--spacing 0", ("spacing", "over 0 nm")),
        ("--spacing nan", ("spacing", "over 0 nm")),
        ("--spacing 1e-9", ("slices", "is the distance in nm?")),
        ("--pitch -8", ("pixel size", "over 0 nm", "-8")),
        ("--pitch inf", ("pixel size", "over 0 nm")),
        ("--tolerance -1", ("tolerance", "0 nm or more")),
        ("--adaptive -5", ("adaptive radius", "0 nm or more")),
        ("--adaptive nan", ("adaptive radius", "0 nm or more")),
        ("--up 0,0,0", ("up", "direction")),
        ("--up 1,2", ("--up", "'1,2'", "Z,Y,X")),
        ("--up -1,2", ("--up", "'-1,2'", "Z,Y,X")),
        ("--resolution -40,8,8", ("10,8,8 nm", "leave --resolution out")),
        ("--up a,b,c", ("--up", "Z,Y,X")),
        ("--twist none.txt", ("there is no twist file none.txt",)),
        ("--slices 90:95", ("90:95", "0:94")),
        ("--slices 5:5", ("5:5", "0:94")),
        ("--slices -1:5", ("--slices",)),
        ("--slices 5", ("--slices", "A:B")),
        ("--fill 300", ("300", "uint8", "0 to 255")),
        ("--fill 0.5", ("0.5", "uint8")),
        ("--fill nan", ("nan", "uint8")),
        ("--interpolation lanczos", ("--interpolation", "'lanczos'", "'nearest', 'linear'")),
        ("--memory 0", ("--memory", "'0'")),
        ("--threads 0", ("--threads", "'0'")),
        ("--threads none", ("--threads", "'none'")),
        ("--timeout -1", ("--timeout", "over 0")),
        ("--missing maybe", ("--missing", "'fill', 'error'")),
        ("--colour red", ("--colour", "--help")),
    ],
)
def test_settings(straighten: Callable[..., str], words: str, parts: tuple[str, ...]) -> None:
    straighten(words, *parts)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("0 10\nhere 20\n", "lines of two numbers"),
        ("0 10 20\n", "lines of two numbers"),
        ("# nothing\n", "no lines of two numbers"),
        ("[[0, 1], 5]", "lines of two numbers"),
        ("0 nan\n", "pairs (s_nm, degrees)"),
    ],
)
def test_twist_files(straighten: Callable[..., str], tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "twist.txt").write_text(text)
    straighten(("--twist", tmp_path / "twist.txt"), part)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"width": 0}, "width"),
        ({"height": 1.5}, "height"),
        ({"width": "ten"}, "width"),
        ({"spacing_nm": -2}, "spacing"),
        ({"pitch_nm": NAN}, "pixel size"),
        ({"pitch_nm": "8 nm"}, "pixel size"),
        ({"adaptive_radius_nm": -1}, "adaptive radius"),
        ({"up": (0, 0, 0)}, "up"),
        ({"up": (1, 0)}, "up"),
        ({"twist": [(0, NAN)]}, "twist"),
    ],
)
def test_settings_in_python(scene: Scene, settings: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        Straightening(ou.Trace(scene.points_nm), **settings)
    assert "\n" not in str(caught.value)


def test_jobs_in_python(scene: Scene, tmp_path: Path) -> None:
    volume = ou.open_volume(scene.folder / "em")
    cells = ou.open_volume(scene.folder / "cells")
    map_ = Straightening(ou.Trace(scene.points_nm), 20, 18)
    out = tmp_path / "nerve.tif"
    for message, run in [
        ("no mip 2; .* 0: 10 x 8 x 8 nm; 1:", lambda: ou.straighten(volume, map_, 2)),
        ("no mip 2", lambda: ou.straighten_to(out, volume, map_, 2)),
        ("invent label ids", lambda: ou.straighten(cells, map_, 0, "linear")),
        ("'lanczos'", lambda: ou.straighten_to(out, volume, map_, 0, "lanczos")),
        ("90:95 .* 0:94", lambda: ou.straighten_to(out, volume, map_, slices=(90, 95))),
        ("300.* uint8", lambda: ou.straighten(volume, map_, fill=300)),
        ("'maybe'", lambda: ou.straighten(volume, map_, missing="maybe")),  # type: ignore[arg-type]
        ("one slice", lambda: ou.straighten(volume, Straightening(map_.trace, 10**6, 10**6))),
        (r"'\.png'", lambda: ou.straighten_to(tmp_path / "nerve.png", volume, map_)),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            run()
        assert "\n" not in str(caught.value)
    assert tree(tmp_path) == {}


def test_linear_interpolation_of_a_segmentation(
    straighten: Callable[..., str], scene: Scene
) -> None:
    straighten("--interpolation linear", "invent label ids", "use nearest", layer="cells")

    # An image volume that the state shows as a segmentation is one, too.
    def show(state: dict[str, Any]) -> None:
        state["layers"][0]["type"] = "segmentation"

    state = scene.changed("shown.json", show)
    straighten("--interpolation linear", "invent label ids", state=state)


@pytest.mark.parametrize(
    ("out", "parts"),
    [
        ("nerve.png", ("'.png'", ".tif", "precomputed folder")),
        ("nerve.h5", ("'.h5'", ".zarr")),
        ("none/nerve.tif", ("does not exist; create it first",)),
        ("none/nerve", ("does not exist; create it first",)),
    ],
)
def test_names_of_results(straighten: Callable[..., str], out: str, parts: tuple[str, ...]) -> None:
    straighten("", *parts, out=out)
    straighten("--dry-run", *parts, out=out)


@pytest.mark.parametrize(
    ("out", "part"),
    [
        ("", "'' is no name"),
        (".", "'.' is no name"),
        ("/", "'/' is no name"),
        ("s3://bucket/nerve", "not to s3://"),
        ("precomputed://gs://bucket/nerve", "not to gs://"),
    ],
)
def test_no_names_of_results(shell: Shell, scene: Scene, out: str, part: str) -> None:
    shell("straighten", scene.state, "--image-layer", "em", "-o", out).failed(2, part)


def test_no_command(shell: Shell) -> None:
    shell().failed(2, "COMMAND")
    shell("unroll").failed(2, "'unroll'", "straighten", "backproject")
    shell("straighten").failed(2, "STATE", "-o")
    assert shell("--version").out.startswith(ou.__version__)
    assert "--labels-offset" in shell("backproject", "--help").out


# -- where the trace lies ---------------------------------------------------------------------


def test_a_trace_wholly_outside_is_an_error_with_both_boxes(
    straighten: Callable[..., str], shell: Shell, scene: Scene
) -> None:
    positions = [[1000, 2000, 3000], [1100, 2000, 3100]]
    state = scene.with_points("outside.json", positions)
    boxes = (
        "wholly outside", "[30000, 16000, 8000] to [31000, 16000, 8800] nm",
        "[300, 800, -56] to [1020, 1440, 712]", "units",
    )  # fmt: skip
    straighten("", *boxes, state=state)
    straighten("--dry-run", *boxes, state=state)
    map_ = Straightening(ou.read_state(state).trace(image_layer="em"), 20, 18)
    with pytest.raises(UserError, match="wholly outside"):
        ou.straighten(ou.open_volume(scene.folder / "em"), map_)


def test_a_trace_partly_outside_works_with_a_note(
    shell: Shell, scene: Scene, tmp_path: Path
) -> None:
    state = scene.with_points("leaves.json", [[40, 140, 60], [42, 142, 130]])
    words = ("straighten", state, "--image-layer", "em", "--width", 10, "--height", 10)
    done = shell(*words, "-o", tmp_path / "nerve.tif").worked()
    (note,) = done.notes
    volume = ou.open_volume(scene.folder / "em")
    map_ = Straightening.load(tmp_path / "nerve.recipe.json")
    count = ou.outside(volume, map_)
    where = map_.to_volume(np.stack(np.indices(map_.shape), axis=-1))
    beyond = ~volume.levels[0].contains(where)
    np.testing.assert_array_equal(count, beyond.sum(axis=(1, 2)))
    assert 0 < beyond.sum() < beyond.size
    assert f"{100 * beyond.mean():.2g} % of the samples" in note
    assert f"{np.count_nonzero(count)} of {len(count)} slices" in note
    assert "fill value" in note
    with pytest.warns(Notice, match="lie outside the volume"):
        stack = ou.straighten(volume, map_).compute()
    assert (stack[beyond] == 0).all()
    again = shell(*words, "-o", tmp_path / "again.tif", "--json").worked()
    assert json.loads(again.out)["samples_outside"] == beyond.sum()
    assert again.notes == [note]


def test_a_pitch_that_skips_voxels_is_noted(shell: Shell, scene: Scene, tmp_path: Path) -> None:
    words = ("straighten", scene.state, "--image-layer", "em", "--width", 8, "--height", 8)
    done = shell(*words, "-o", tmp_path / "a.tif", "--pitch", 17, "--spacing", 17).worked()
    (note,) = done.notes
    assert "mip 1 fits better (--mip auto takes it)" in note


# -- as a process -----------------------------------------------------------------------------


def test_a_process_ends_with_the_code_and_one_line(scene: Scene, tmp_path: Path) -> None:
    words = ("straighten", scene.state, "--image-layer", "em", "-o", tmp_path / "nerve.tif")
    run_process(*words, "--width", 0).failed(2, "width")
    run_process("info", scene.folder).failed(1, "no volume here")
    run_process(*words, "--mip", 7, "--json").failed(2, "no mip 7")
    shown = run_process(*words, "--width", 0, "--debug")
    assert shown.code == 2
    assert "Traceback" in shown.err
    assert shown.err.splitlines()[-1].startswith("napari-ouroboros: the width")
    assert tree(tmp_path) == {}


def test_an_error_of_our_own_is_one_line_too(
    shell: Shell, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ouroboros.operations import info

    def fail(error: Exception) -> Callable[..., None]:
        def describe(*_: object, **__: object) -> None:
            raise error

        return describe

    monkeypatch.setattr(info, "describe", fail(KeyError("lost\nand found")))
    done = shell("info", scene.folder)
    assert (done.code, done.out, len(done.errors)) == (1, "", 1)
    assert "this should not have happened: KeyError" in done.err
    assert "--debug" in done.err
    monkeypatch.setattr(info, "describe", fail(MemoryError()))
    assert "not enough memory" in shell("info", scene.folder).failed(1)
