"""What is found at an address, and what it becomes; without a window."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer
from oracles.precomputed import write_by_hand
from small_scene import RESOLUTION, Scene, make_scene

from napari_ouroboros.errors import Cancelled, ResolutionNeeded, SourceError, UserError
from napari_ouroboros.geometry import Straightening, Trace, recipe
from napari_ouroboros.neuroglancer import links
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.widgets.background import Token
from napari_ouroboros.widgets.open.finding import address_to_keep, find
from napari_ouroboros.widgets.open.preparing import prepare
from napari_ouroboros.widgets.open.tree import mip_rows


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"))


def test_a_state_lists_everything_that_is_in_it(scene: Scene) -> None:
    seen: list[tuple[int, int]] = []
    found = find(str(scene.state), report=lambda done, total: seen.append((done, total)))
    assert found.kind == "state"
    assert [(item.name, item.kind, item.about) for item in found.items] == [
        ("em", "image", "uint8, 2 mips"),
        ("cells", "segmentation", "uint64, 1 mip"),
        ("trace", "trace", f"{len(scene.points_nm)} points"),
    ]
    assert all(item.ticked for item in found.items)
    np.testing.assert_allclose(found.items[2].points_nm, scene.points_nm, atol=1e-9)
    assert seen == [(0, 3), (1, 3)]


def test_mips_are_listed_as_the_shell_lists_them(scene: Scene) -> None:
    volume = open_volume(scene.folder / "em")
    assert mip_rows(volume)[0] == ("mip 0", "96 × 80 × 72", "8 × 8 × 10", "raw", "32 × 32 × 32")


def test_links_in_every_way(scene: Scene, http_server: Callable[..., LocalServer]) -> None:
    server = http_server(scene.folder)
    content = json.loads(scene.state.read_text())
    for layer, name in zip(content["layers"], ("em", "cells"), strict=False):
        layer["source"] = f"precomputed://{server.url}/{name}"
    (scene.folder / "remote.json").write_text(json.dumps(content))
    for address in (
        links.make_link(content),
        json.dumps(content),
        f"{server.url}/remote.json",
        f"https://any.where/#!{server.url}/remote.json",
        f"https://any.where/?json_url={server.url}/remote.json",
    ):
        found = find(address)
        assert [item.name for item in found.items] == ["em", "cells", "trace"]
        assert not any(item.problem for item in found.items)


def test_a_volume_in_every_way(scene: Scene, http_server: Callable[..., LocalServer]) -> None:
    server = http_server(scene.folder)
    for address in (
        str(scene.folder / "em"),
        str(scene.folder / "em" / "info"),
        f"precomputed://file://{scene.folder / 'em'}",
        f"file://{scene.folder / 'em'}",
        f"{server.url}/em",
        f"precomputed://{server.url}/em/",
        f"{server.url}/em/info",
        f'"{scene.folder / "em"}"',  # as a path is copied in Windows
        f"'{scene.folder / 'em'}'",
    ):
        found = find(address)
        assert found.kind == "volume"
        assert [item.name for item in found.items] == ["em"], address
        assert found.items[0].volume is not None


def test_an_address_to_keep_opens_from_anywhere(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scene.folder)
    kept = [address_to_keep(text) for text in ("em", "./em/info", '"state.json"')]
    monkeypatch.chdir(tmp_path)
    assert [len(find(text).items) for text in kept] == [1, 1, 3]
    for address in ("precomputed://https://a.b/c", "file:///a/b", "s3://b/c|zarr:", "{}"):
        assert address_to_keep(address) == address


def test_layers_and_places_of_a_state(scene: Scene) -> None:
    def change(state: dict[str, Any]) -> None:
        state["position"] = [10.5, 20.5, 40.5]
        state["layers"][0]["shaderControls"] = {"normalized": {"range": [20, 180]}}
        state["layers"][1] |= {"visible": False, "selectedAlpha": 0.3}

    found = find(str(scene.changed("looks.json", change)))
    assert [item.ticked for item in found.items] == [True, False, True]
    ready = prepare(found, [0, 1, 2])
    (_, em, kind), (_, cells, labels) = ready.layers
    assert (kind, labels) == ("image", "labels")
    assert em["name"] == "em"
    assert em["contrast_limits"] == (20, 180)
    assert em["scale"] == RESOLUTION
    assert em["units"] == ("nm",) * 3
    assert cells["visible"] is False
    assert cells["opacity"] == 0.3
    ((name, points),) = ready.traces
    assert name == "trace"
    np.testing.assert_allclose(points, scene.points_nm, atol=1e-9)
    # Global dimensions are those of the finest level, xyz.
    np.testing.assert_allclose(ready.position_nm, [40.5 * 10, 20.5 * 8, 10.5 * 8])


def test_without_a_position_the_view_goes_to_the_middle_of_the_trace(scene: Scene) -> None:
    ready = prepare(find(str(scene.state)), [0, 2])
    np.testing.assert_allclose(
        ready.position_nm, scene.points_nm[len(scene.points_nm) // 2], atol=1e-9
    )


def test_a_shifted_layer_lies_where_neuroglancer_shows_it(scene: Scene) -> None:
    def change(state: dict[str, Any]) -> None:
        state["layers"][1]["source"] = {
            "url": state["layers"][1]["source"],
            "transform": {
                "outputDimensions": {"x": [8e-9, "m"], "y": [8e-9, "m"], "z": [10e-9, "m"]},
                "matrix": [[1, 0, 0, 5], [0, 1, 0, -2], [0, 0, 1, 3]],
            },
        }

    ready = prepare(find(str(scene.changed("shifted.json", change))), [0, 1])
    expected = np.eye(4)
    expected[:3, 3] = [3 * 10, -2 * 8, 5 * 8]
    np.testing.assert_allclose(ready.layers[1][1]["affine"], expected, atol=1e-9)
    assert "affine" not in ready.layers[0][1]


def test_one_bad_layer_does_not_keep_the_others(scene: Scene) -> None:
    def change(state: dict[str, Any]) -> None:
        state["layers"][1]["source"] = "precomputed://file://./missing"
        state["layers"][2]["annotations"] = []

    found = find(str(scene.changed("bad.json", change)))
    assert [bool(item.problem) for item in found.items] == [False, True, True]
    assert "missing" in found.items[1].problem
    assert not found.items[1].ticked
    ready = prepare(found, [0, 1, 2])
    assert [meta["name"] for _, meta, _ in ready.layers] == ["em"]
    assert ready.traces == []
    with pytest.raises(UserError, match="nothing is ticked"):
        prepare(found, [1])


def test_two_polylines_are_two_traces(scene: Scene) -> None:
    def change(state: dict[str, Any]) -> None:
        rows = [[20, 20, 40], [30, 30, 50], [40, 40, 60]]
        state["layers"][2]["annotations"] = [
            {"type": "polyline", "id": id_, "points": rows} for id_ in ("a", "b")
        ]

    found = find(str(scene.changed("two.json", change)))
    assert [item.name for item in found.items] == ["em", "cells", "trace a", "trace b"]
    ready = prepare(found, [0, 3])
    assert [name for name, _ in ready.traces] == ["trace b"]


def test_a_plain_zarr_asks_for_its_voxel_size(tmp_path: Path) -> None:
    import zarr

    data = np.arange(8 * 9 * 10, dtype=np.uint8).reshape(8, 9, 10)
    zarr.create_array(tmp_path / "plain.zarr", data=data, chunks=(4, 4, 4))
    address = str(tmp_path / "plain.zarr")
    with pytest.raises(ResolutionNeeded):
        find(address)
    with pytest.raises(ResolutionNeeded):  # its metadata stand for the folder
        find(f"{address}/zarr.json")
    found = find(address, resolution=(40.0, 8.0, 4.0))
    volume = found.items[0].volume
    assert volume is not None
    assert volume.levels[0].resolution == (40.0, 8.0, 4.0)


def test_a_recipe_brings_its_volume_trace_and_sizes(scene: Scene, tmp_path: Path) -> None:
    map_ = Straightening(Trace(scene.points_nm), 31, 21, 8.0, 10.0, twist=[(0.0, 30.0)])
    source = open_volume(scene.folder / "em").source_info() | {"mip": 0}
    recipe.save(map_, tmp_path / "x.recipe.json", source)
    found = find(str(tmp_path / "x.recipe.json"))
    assert [(item.name, item.kind) for item in found.items] == [("em", "image"), ("x", "trace")]
    assert found.map is not None
    assert found.map.recipe_hash == map_.recipe_hash
    ready = prepare(found, [0, 1])
    np.testing.assert_array_equal(ready.traces[0][1], scene.points_nm)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "give a URL, a folder"),
        ("/no/such/folder", "there is no folder"),
        ("{", "not JSON"),
        ("https://any.where/#!nonsense", "holds no state"),
        ('{"layers": []}', "no layer of images"),
    ],
)
def test_what_is_wrong_is_one_line(address: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        find(address)
    assert "\n" not in str(error.value)


def test_files_of_others_are_named_so(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"picture\.png is no volume"):
        find(str(tmp_path / "picture.png"))
    (tmp_path / "info.json").write_text('{"scales": []}')
    with pytest.raises(UserError, match="give the folder that it is in"):
        find(str(tmp_path / "info.json"))


def test_a_server_that_refuses_and_one_that_forbids(
    scene: Scene, http_server: Callable[..., LocalServer]
) -> None:
    server = http_server(scene.folder)
    server.fault("*", 403)
    with pytest.raises(SourceError, match="403"):
        find(f"precomputed://{server.url}/em")
    server.heal()
    assert find(f"precomputed://{server.url}/em").items[0].volume is not None


def test_a_set_token_stops_between_layers(scene: Scene) -> None:
    token = Token()
    with pytest.raises(Cancelled):
        find(str(scene.state), token=token, report=lambda done, total: token.set())
    found = find(str(scene.state))
    with pytest.raises(Cancelled):
        prepare(found, [0, 1], token)


def test_contrast_of_other_types_is_measured(tmp_path: Path) -> None:
    data = np.full((1, 20, 20, 20), 700, np.uint16)
    data[:, :10] = 300
    write_by_hand(tmp_path / "v", [data], resolutions=[[8, 8, 8]], chunk=(10, 10, 10))
    ready = prepare(find(str(tmp_path / "v")), [0])
    assert ready.layers[0][1]["contrast_limits"] == (300.0, 700.0)
