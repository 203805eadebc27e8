"""Traces on volumes in zarr and N5: where Neuroglancer shows a voxel, there it is in nm.

Neuroglancer draws voxel i of an OME-Zarr around ``translation + i scale`` (its `ome.ts` takes half
a voxel off), that of a plain array or an N5 from i to i + 1 (`zarr/frontend.ts`, `n5/frontend.ts`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles.json_store import array2, array3, dataset5, ome_axes, ome_group, scale, translation
from viewer_states import dims, points, state

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer import AnnotationLayer, ImageLayer, build_state, read_state

VOXELS = np.array([[0, 0, 0], [3, 7, 11], [19.25, 30, 32]])  # zyx, whole numbers centres
SIZE = (40.0, 8.0, 4.0)


def write(folder: Path, files: dict[str, Any]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return f"file://{folder}"


def traced(positions: Any, image: Any, dimensions: dict[str, Any], **options: Any) -> np.ndarray:
    raw = state(points(*positions.tolist()), image=image, dimensions=dimensions)
    return read_state(raw).trace(**options).points_nm


def ome(version: str, *steps: Any, unit: str | None = "nanometer") -> dict[str, Any]:
    return ome_group([((20, 31, 33), list(steps))], version, axes=ome_axes("zyx", unit))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("spelling", ["zarr://{}", "{}|zarr:", "zarr{}://{}", "{}|zarr{}:"])
def test_ome_zarr_with_a_translation(version: str, spelling: str, tmp_path: Path) -> None:
    url = write(tmp_path, ome(version, scale(*SIZE), translation(1000, 12, -6)))
    number = {"0.4": "2", "0.5": "3"}[version]
    image = spelling.format(*([number, url] if spelling[4] == "{" else [url, number]))
    # Its dimensions: coordinate 1 is a voxel; voxel i's centre is at translation / scale + i.
    positions = VOXELS + np.array((1000, 12, -6)) / SIZE
    expected = VOXELS * SIZE + (1000, 12, -6)
    found = traced(positions, image, dims(*SIZE, names="zyx"))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    # The state's dimensions may be others, and in another order.
    found = traced((expected / 2)[:, ::-1], image, dims(2, 2, 2))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_without_translation(version: str, tmp_path: Path) -> None:
    """Neuroglancer has the centre of voxel 0 at 0, we its corner: voxels are what must agree."""
    url = write(tmp_path, ome(version, scale(*SIZE)))
    found = traced(VOXELS, f"zarr://{url}", dims(*SIZE, names="zyx"))
    np.testing.assert_allclose(found, (VOXELS + 0.5) * SIZE, rtol=0, atol=1e-9)


def test_micrometers(tmp_path: Path) -> None:
    files = ome("0.5", scale(0.04, 0.008, 0.004), translation(0, 0, 0.002), unit="micrometer")
    url = write(tmp_path, files)
    dimensions = {"z": [4e-8, "m"], "y": [8e-9, "m"], "x": [4e-9, "m"]}
    found = traced(VOXELS + (0, 0, 0.5), f"zarr://{url}", dimensions)
    np.testing.assert_allclose(found, (VOXELS + (0, 0, 0.5)) * SIZE, rtol=0, atol=1e-9)


def test_channels_and_time_beside_space(tmp_path: Path) -> None:
    steps = [scale(1, 1, *SIZE), translation(0, 0, 20, 4, 2)]
    files = ome_group([((1, 3, 20, 31, 33), steps)], "0.5", axes=ome_axes("tczyx"))
    url = write(tmp_path, files)
    dimensions = {"t": [1, ""], **dims(*SIZE, names="zyx")}
    positions = np.column_stack([np.zeros(3), VOXELS + 0.5])
    found = traced(positions, f"zarr://{url}", dimensions)
    np.testing.assert_allclose(found, (VOXELS + 0.5) * SIZE, rtol=0, atol=1e-9)


def test_ome_zarr_without_units(tmp_path: Path) -> None:
    """Neuroglancer then has dimensions like [40, ""], in which 1 is a voxel all the same."""
    url = write(tmp_path, ome("0.4", scale(*SIZE), translation(80, 16, 8), unit=None))
    found = traced(
        VOXELS + 2,
        f"zarr://{url}",
        dims(*SIZE, names="zyx", unit=""),
        resolution_nm=(20, 4, 2),
    )
    np.testing.assert_allclose(found, (VOXELS + 2) * (20, 4, 2), rtol=0, atol=1e-9)


def test_a_resolution_other_than_the_files(tmp_path: Path) -> None:
    url = write(tmp_path, ome("0.4", scale(*SIZE), translation(80, 16, 8)))
    found = traced(VOXELS + 2, f"zarr://{url}", dims(*SIZE, names="zyx"), resolution_nm=(20, 4, 2))
    np.testing.assert_allclose(found, (VOXELS + 2) * (20, 4, 2), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({".zarray": array2((20, 31, 33))}, ("d0", "d1", "d2")),
        ({"zarr.json": array3((20, 31, 33))}, ("dim_0", "dim_1", "dim_2")),
        ({"zarr.json": array3((20, 31, 33), dimension_names=["z", "y", "x"])}, ("z", "y", "x")),
    ],
)
def test_plain_zarr(files: dict[str, Any], names: tuple[str, ...], tmp_path: Path) -> None:
    url = write(tmp_path, files)
    dimensions = {name: [1, ""] for name in names}
    found = traced(VOXELS + 0.5, f"zarr://{url}", dimensions, resolution_nm=SIZE)
    np.testing.assert_allclose(found, (VOXELS + 0.5) * SIZE, rtol=0, atol=1e-9)


def test_plain_zarr_stored_xyz(tmp_path: Path) -> None:
    files = {"zarr.json": array3((33, 31, 20), dimension_names=["x", "y", "z"])}
    url = write(tmp_path, files)
    found = traced(
        (VOXELS + 0.5)[:, ::-1], f"zarr://{url}", dims(1, 1, 1, unit=""), resolution_nm=SIZE
    )
    np.testing.assert_allclose(found, (VOXELS + 0.5) * SIZE, rtol=0, atol=1e-9)


def test_n5(tmp_path: Path) -> None:
    group = {"scales": [[1, 1, 1]], "pixelResolution": {"unit": "nm", "dimensions": [4, 8, 40]}}
    files = {"attributes.json": group, "s0/attributes.json": dataset5((33, 31, 20))}
    url = write(tmp_path, files)
    found = traced((VOXELS + 0.5)[:, ::-1], f"n5://{url}", dims(4, 8, 40))
    np.testing.assert_allclose(found, (VOXELS + 0.5) * SIZE, rtol=0, atol=1e-9)


def test_a_transform_with_a_matrix(tmp_path: Path) -> None:
    """Columns are the source's z, y, x; its voxels are counted from the centre of the first."""
    url = write(tmp_path, ome("0.5", scale(*SIZE)))
    matrix = [[0, 0, 1, 5], [0, 1, 0, 6], [1, 0, 0, 7]]  # x, y, z of z, y, x
    out = dims(4, 8, 40)
    image = {"url": f"zarr://{url}", "transform": {"outputDimensions": out, "matrix": matrix}}
    found = traced((VOXELS)[:, ::-1] + (5, 6, 7), image, out)
    np.testing.assert_allclose(found, (VOXELS + 0.5) * SIZE, rtol=0, atol=1e-9)
    # Without a matrix only names and units change.
    image = {"url": f"zarr://{url}", "transform": {"outputDimensions": dims(40, 4, 4, names="abc")}}
    found = traced(VOXELS * SIZE / (40, 4, 4), image, dims(40, 4, 4, names="abc"))
    np.testing.assert_allclose(found, (VOXELS + 0.5) * SIZE, rtol=0, atol=1e-9)


def test_a_matrix_beside_a_translation_is_refused_by_name(tmp_path: Path) -> None:
    url = write(tmp_path, ome("0.5", scale(*SIZE), translation(20, 4, 2)))
    out = dims(*SIZE, names="zyx")
    matrix = np.eye(3, 4).tolist()
    image = {"url": f"zarr://{url}", "transform": {"outputDimensions": out, "matrix": matrix}}
    with pytest.raises(UserError, match="layer 'em': its transform is not supported yet"):
        traced(VOXELS, image, out)


@pytest.mark.parametrize(
    "files",
    [
        ome("0.5", scale(*SIZE), translation(1000, 12, -6)),
        ome("0.4", scale(*SIZE)),
        ome_group([((2, 20, 31, 33), [scale(1, *SIZE)])], "0.5", axes=ome_axes("czyx")),
        ome("0.4", scale(*SIZE), unit=None),
        {".zarray": array2((20, 31, 33))},
        {"zarr.json": array3((33, 31, 20), dimension_names=["x", "y", "z"])},
    ],
    ids=["moved", "not moved", "channels", "no unit", "plain", "plain xyz"],
)
@pytest.mark.parametrize("moved", [(0, 0, 0), (80, -8, 2)])
def test_written_states(files: dict[str, Any], moved: Any, tmp_path: Path) -> None:
    """Neuroglancer shows the points that we write at the voxels that they are in."""
    url = write(tmp_path, files)
    points_nm = (VOXELS + 0.5) * SIZE
    layers = [
        ImageLayer("em", f"zarr://{url}", translation_nm=moved),
        AnnotationLayer("t", points_nm),
    ]
    translated = "translation" in json.dumps(files)
    if translated and any(moved):
        with pytest.raises(UserError, match="leave translation_nm out"):
            build_state(layers, resolution_nm=SIZE)
        return
    raw = build_state(layers, resolution_nm=SIZE)
    source = raw["layers"][0]["source"]
    assert isinstance(source, str) == translated
    found = read_state(raw).trace(resolution_nm=SIZE).points_nm
    np.testing.assert_allclose(found, points_nm - moved, rtol=0, atol=1e-9)
    if not translated:
        # By Neuroglancer's words: its position of voxel 0, its matrix, its units.
        transform = source["transform"]
        is_ome = "axes" in json.dumps(files)
        rank = len(transform["inputDimensions"])
        first = np.full(rank, 0.0 if is_ome else 0.5)
        matrix = np.array(transform.get("matrix", np.eye(rank, rank + 1)))
        shown = dict(
            zip(
                transform["outputDimensions"],
                (matrix[:, :-1] @ first + matrix[:, -1])
                * [s for s, _ in transform["outputDimensions"].values()],
                strict=True,
            )
        )
        wanted = (np.array(SIZE) / 2 + moved) * 1e-9
        np.testing.assert_allclose([shown[a] for a in "zyx"], wanted, rtol=1e-9, atol=1e-18)
