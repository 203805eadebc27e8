"""The shell on servers, on zarr, with a cache, and with each reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from local_server import LocalServer
from shell import Shell
from small_scene import OFFSET, RESOLUTION, Scene

from napari_ouroboros import open_volume

Serve = Callable[..., LocalServer]
SIZE = ("--width", 31, "--height", 25)


@pytest.fixture
def served(scene: Scene, http_server: Serve, tmp_path: Path) -> tuple[Path, LocalServer]:
    """A state whose volumes come from a server."""
    server = http_server(scene.folder)
    state = json.loads(scene.state.read_text())
    for layer, name in zip(state["layers"], ("em", "cells"), strict=False):
        layer["source"] = f"precomputed://{server.url}/{name}"
    path = tmp_path / "served.json"
    path.write_text(json.dumps(state))
    return path, server


def chunks_of(server: LocalServer, name: str) -> int:
    return sum(
        n for path, n in server.requests.items() if path.startswith(f"{name}/") and "-" in path
    )


def test_the_second_run_asks_the_server_for_no_chunk(
    served: tuple[Path, LocalServer],
    tmp_path: Path,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    state, server = served
    words = ["straighten", state, "--image-layer", "em", *SIZE, "--cache", 100, "-o"]
    shell(*words, tmp_path / "one.tif").worked()
    first = chunks_of(server, "em")
    assert first > 1
    shell(*words, tmp_path / "two.tif").worked()
    assert chunks_of(server, "em") == first
    one, two = (tifffile.imread(tmp_path / f"{n}.tif") for n in ("one", "two"))
    np.testing.assert_array_equal(one, two)
    assert any((tmp_path / "cache").rglob("*"))


@pytest.mark.parametrize("layer", ["em", "cells"])
def test_readers_give_the_same(
    layer: str, served: tuple[Path, LocalServer], tmp_path: Path, shell: Shell
) -> None:
    state, server = served
    found = []
    for reader in ("cloud-volume", "tensorstore"):
        out = tmp_path / f"{reader}.tif"
        words = ["straighten", state, "--image-layer", layer, *SIZE, "--reader", reader]
        shell(*words, "-o", out).worked()
        found.append(tifffile.imread(out))
        facts = json.loads(
            shell("info", f"{server.url}/{layer}", "--reader", reader, "--json").worked().out
        )
        assert facts["reader"] == reader
    np.testing.assert_array_equal(*found)
    assert found[0].any()


def test_a_plain_zarr_wants_its_voxel_size(scene: Scene, tmp_path: Path, shell: Shell) -> None:
    array = zarr.create_array(
        tmp_path / "plain.zarr",
        shape=scene.em.shape,
        chunks=(16, 16, 16),
        dtype="uint8",
        dimension_names=["z", "y", "x"],
    )
    array[:] = scene.em
    done = shell("info", tmp_path / "plain.zarr")
    assert done.code == 2
    assert "--resolution" in done.err
    words = ["info", tmp_path / "plain.zarr", "--resolution", "10,8,8", "--json"]
    facts = json.loads(shell(*words).worked().out)
    assert facts["levels"][0]["resolution"] == [10, 8, 8]

    # Its corner is at 0, the scene's volume begins at its offset: the trace moves by that.
    state = json.loads(scene.state.read_text())
    state["layers"][0]["source"] = f"zarr://file://{tmp_path / 'plain.zarr'}"
    for annotation in state["layers"][2]["annotations"]:
        annotation["point"] = list(np.subtract(annotation["point"], OFFSET[::-1]))
    path = tmp_path / "plain.json"
    path.write_text(json.dumps(state))
    words = ["straighten", path, "--image-layer", "em", *SIZE, "-o"]
    assert "--resolution" in shell(*words, tmp_path / "no.tif").err
    shell(*words, tmp_path / "a.tif", "--resolution", ",".join(map(str, RESOLUTION))).worked()
    words[1] = scene.state
    shell(*words, tmp_path / "b.tif").worked()
    a, b = (tifffile.imread(tmp_path / f"{n}.tif") for n in "ab")
    np.testing.assert_array_equal(a, b)
    # The recipe knows the size that was given.
    shell("check", tmp_path / "a.recipe.json").worked()


def test_zarr_out_and_home(scene: Scene, tmp_path: Path, shell: Shell) -> None:
    out, home = tmp_path / "nerve.ome.zarr", tmp_path / "home.ome.zarr"
    shell("straighten", scene.state, "--image-layer", "cells", *SIZE, "-o", out).worked()
    recipe = tmp_path / "nerve.recipe.json"
    done = shell("backproject", out, "--recipe", recipe, "-o", home, "--pyramid").worked()
    assert "zarr://file://" in done.out
    shell("backproject", out, "--recipe", recipe, "-o", tmp_path / "plain").worked()
    shell("backproject", out, "--recipe", recipe, "-o", tmp_path / "few", "--sharded").worked()
    volumes = [open_volume(path) for path in (home, tmp_path / "plain", tmp_path / "few")]
    blocks = [volume.read(0) for volume in volumes]
    assert blocks[0].dtype == np.uint64
    ids = set(np.unique(blocks[0]).tolist())
    assert ids == set(np.unique(open_volume(out).read(0)).tolist())
    for volume, block in zip(volumes[1:], blocks[1:], strict=True):
        np.testing.assert_array_equal(block, blocks[0])
        np.testing.assert_allclose(volume.bounds_nm, volumes[0].bounds_nm)
    files = [sum(p.is_file() for p in (tmp_path / n).rglob("*")) for n in ("plain", "few")]
    assert files[1] < files[0]


def test_cubic(scene: Scene, tmp_path: Path, shell: Shell) -> None:
    words = ["straighten", scene.state, *SIZE, "--interpolation", "cubic", "-o"]
    shell(*words, tmp_path / "c.tif", "--image-layer", "em").worked()
    assert tifffile.imread(tmp_path / "c.tif").std() > 1
    done = shell(*words, tmp_path / "no.tif", "--image-layer", "cells")
    assert done.code == 2
    assert "cubic" in done.err
