"""Sources, labels and places for results that will not do: one clear line, and nothing is lost.

States, traces and settings are in `test_bad_input`.
"""

from __future__ import annotations

import gzip
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from shell import Shell, tree
from small_disk import anybodys_folder, as_nobody, small_disk
from small_scene import Scene

import napari_ouroboros as ou

SMALL = ("--width", "20", "--height", "16")
EM = ("--image-layer", "em", *SMALL)


@pytest.fixture(scope="module")
def straight(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A straightened TIFF of the image; its recipe lies beside it."""
    out = tmp_path_factory.mktemp("straight") / "out.tif"
    state = ou.read_state(scene.state)
    volume = ou.open_volume(state.volume_source("em").url)
    ou.straighten_to(out, volume, ou.Straightening(state.trace(image_layer="em"), 20, 16))
    return out


def refused(shell: Shell, out: Path, state: object, *words: object, code: int, say: list[str]):
    """Straighten into `out`: one line, and its folder is as it was."""
    before = tree(out.parent)
    shell("straighten", state, "-o", out, *words).failed(code, *say)
    assert tree(out.parent) == before


# -- sources ----------------------------------------------------------------------------------


def at_url(scene: Scene, name: str, url: str) -> Path:
    return scene.changed(
        name, lambda s: s["layers"][0].update(source=f"precomputed://{url}/em")
    )  # fmt: skip


def test_a_source_that_refuses_or_stays_silent(
    shell: Shell, scene: Scene, tmp_path: Path, http_server
) -> None:
    server = http_server(scene.folder)
    state = at_url(scene, "http.json", server.url)
    silent = json.loads(state.read_text())
    assert shell("straighten", state, "-o", tmp_path / "works.tif", *EM).worked()
    server.close()
    refused(
        shell, tmp_path / "x.tif", state, *EM, "--timeout", "20", code=1, say=["refused", "em/info"]
    )
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        silent = at_url(scene, "silent.json", url)
        start = time.monotonic()
        refused(
            shell, tmp_path / "x.tif", silent, *EM, "--timeout", "1", code=1,
            say=["did not answer", "1 s"],
        )  # fmt: skip
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("how", ["truncated", "corrupt gzip"])
def test_a_spoiled_chunk_is_named_and_never_zeros(
    shell: Shell, own_scene: Scene, tmp_path: Path, how: str
) -> None:
    chunks = sorted(p for p in (own_scene.folder / "em").rglob("*-*_*-*_*-*") if p.is_file())
    for chunk in chunks:
        data = chunk.read_bytes()
        if how == "truncated":
            chunk.write_bytes(data[: len(data) // 2])
        else:
            packed = bytearray(gzip.compress(data))
            packed[len(packed) // 2] ^= 0xFF
            chunk.with_name(chunk.name + ".gz").write_bytes(bytes(packed))
            chunk.unlink()
    folder = tmp_path / "out"
    folder.mkdir()
    line = shell("straighten", own_scene.state, "-o", folder / "x.tif", *EM).failed(1)
    assert any(chunk.name.removesuffix(".gz") in line for chunk in chunks), line
    assert tree(folder) == {}


def test_missing_chunks(shell: Shell, own_scene: Scene, tmp_path: Path) -> None:
    chunks = sorted(p for p in (own_scene.folder / "em").rglob("*-*_*-*_*-*") if p.is_file())
    for chunk in chunks:
        chunk.unlink()
    refused(
        shell,
        tmp_path / "x.tif",
        own_scene.state,
        *EM,
        code=1,
        say=["none of the first", "--missing"],
    )
    words = (*EM, "--missing", "error")
    refused(shell, tmp_path / "x.tif", own_scene.state, *words, code=1, say=["is missing"])
    shell(
        "straighten", own_scene.state, "-o", tmp_path / "x.tif", *EM, "--missing", "fill"
    ).worked()
    assert not tifffile.imread(tmp_path / "x.tif").any()


# -- labels -----------------------------------------------------------------------------------


def labels_of(straight: Path) -> np.ndarray:
    return np.ones(tifffile.imread(straight).shape, np.uint32)


@pytest.mark.parametrize("kind", ["shape", "float", "negative", "keep"])
def test_labels_that_do_not_fit(shell: Shell, straight: Path, tmp_path: Path, kind: str) -> None:
    labels = labels_of(straight)
    words: tuple[str, ...] = ()
    if kind == "shape":
        labels, say = labels[:-1], [str(labels[:-1].shape), str(labels.shape), "--labels-scale"]
    elif kind == "float":
        labels, say = labels.astype(np.float32), ["float32", "slice 0"]
    elif kind == "negative":
        labels = labels.astype(np.int32)
        labels[7, 3, 3] = -2
        say = ["slice 7", "-2"]
    else:
        words, say = ("--keep", str(2**40)), [str(2**40), "uint32"]
    np.save(tmp_path / "labels.npy", labels)
    before = tree(tmp_path)
    recipe = straight.with_name("out.recipe.json")
    done = shell(
        "backproject", tmp_path / "labels.npy", "--recipe", recipe, "-o", tmp_path / "home", *words
    )
    done.failed(2, *say)
    assert tree(tmp_path) == before


def test_labels_of_another_recipe(
    shell: Shell, scene: Scene, straight: Path, tmp_path: Path
) -> None:
    """What `straighten` wrote for one trace is not taken home by another's recipe."""
    state = ou.read_state(scene.state)
    other = ou.Straightening(
        ou.Trace(state.trace(image_layer="em").points_nm + [0, 0, 16]), 20, 16, 8, 8
    )
    volume = ou.open_volume(state.volume_source("em").url)
    report = ou.straighten_to(tmp_path / "other.tif", volume, other)
    done = shell("backproject", straight, "--recipe", report.recipe, "-o", tmp_path / "home")
    done.failed(2, "another recipe")
    assert not (tmp_path / "home").exists()


def test_recipes_that_are_none(shell: Shell, straight: Path, tmp_path: Path) -> None:
    content = json.loads(straight.with_name("out.recipe.json").read_text())
    np.save(tmp_path / "labels.npy", labels_of(straight))
    spoiled = {
        "moved": {**content, "points_nm": [[z + 1, y, x] for z, y, x in content["points_nm"]]},
        "newer": {**content, "schema": "napari-ouroboros-recipe/9"},
        "half": {k: v for k, v in content.items() if k != "pitch_nm"},
    }
    for name, recipe in spoiled.items():
        path = tmp_path / f"{name}.recipe.json"
        path.write_text(json.dumps(recipe))
        done = shell(
            "backproject", tmp_path / "labels.npy", "--recipe", path, "-o", tmp_path / "home"
        )
        done.failed(2, name)
        assert not (tmp_path / "home").exists()


# -- destinations -----------------------------------------------------------------------------


def test_a_result_that_exists_is_kept(shell: Shell, scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "x.tif"
    shell("straighten", scene.state, "-o", out, *EM).worked()
    refused(shell, out, scene.state, *EM, code=2, say=["x.tif", "exists", "--overwrite"])
    # Another result that would get the same recipe.
    refused(
        shell, tmp_path / "x", scene.state, *EM, code=2, say=["x.recipe.json", "x.tif"]
    )  # fmt: skip
    shell("straighten", scene.state, "-o", out, *EM, "--overwrite").worked()


def test_a_strangers_folder_is_never_replaced(shell: Shell, straight: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", labels_of(straight))
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    done = shell(
        "backproject", tmp_path / "labels.npy", "--recipe", straight.with_name("out.recipe.json"),
        "-o", home, "--overwrite",
    )  # fmt: skip
    done.failed(2, "home")
    assert (home / "thesis.txt").read_text() == "years of work"


def test_no_space(shell: Shell, scene: Scene, straight: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        big = ("--image-layer", "em", "--width", "140", "--height", "140", "--pitch", "4")
        refused(shell, disk / "x.tif", scene.state, *big, code=1, say=["no space"])
        refused(shell, disk / "x", scene.state, *big, code=1, say=["no space"])
        rng = np.random.default_rng(0)
        labels = rng.integers(1, 2**60, tifffile.imread(straight).shape, np.uint64)
        np.save(tmp_path / "labels.npy", labels)
        free = shutil.disk_usage(disk).free
        (disk / "fill").write_bytes(bytes(max(free - 40 * 1024, 0)))
        done = shell(
            "backproject", tmp_path / "labels.npy", "--recipe",
            straight.with_name("out.recipe.json"), "-o", disk / "home",
        )  # fmt: skip
        done.failed(1, "no space")
        assert [p.name for p in disk.iterdir()] == ["fill"]


def test_no_permission(scene: Scene) -> None:
    """As a user who may not write there; root may everywhere."""
    with anybodys_folder() as folder:
        shutil.copytree(scene.folder, folder / "scene")
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        words = ["straighten", str(folder / "scene" / "state.json"), *EM, "-o"]
        printed = as_nobody(
            # Once with all rights: the interpreter's own files may be root's alone.
            f"""
            import contextlib, io, os
            from napari_ouroboros import cli
            words = {words!r}
            assert cli.main([*words, {str(folder / "first.tif")!r}]) == 0
            os.unlink({str(folder / "first.tif")!r})
            os.unlink({str(folder / "first.recipe.json")!r})
            """,
            f"""
            err = io.StringIO()
            with contextlib.redirect_stderr(err), contextlib.redirect_stdout(err):
                code = cli.main([*words, {str(folder / "x.tif")!r}])
            print("ended", code, err.getvalue())
            """,
        ).partition("ended ")[2]
        code, _, line = printed.partition(" ")
        assert code in "12", printed
        assert "permission" in line.lower() or "may not" in line.lower(), printed
        assert len(line.strip().splitlines()) == 1, printed
        assert sorted(p.name for p in folder.iterdir()) == ["scene"]
