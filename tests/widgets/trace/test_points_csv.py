"""Points as CSV: what we write, what others write, and what is wrong in which line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.widgets.trace.exporting import export
from napari_ouroboros.widgets.trace.importing import candidates
from napari_ouroboros.widgets.trace.points_csv import csv_text, parse_csv

POINTS = np.array([[100.0, 20.5, 3 + 1 / 3], [-7, 1e7 + 0.125, 9], [0, 0, 0]])


def test_what_is_written_is_read_to_the_bit() -> None:
    text = csv_text(POINTS, (40, 8, 4))
    assert text.splitlines()[0] == ("order,z [nm],y [nm],x [nm],z [voxel],y [voxel],x [voxel]")
    np.testing.assert_array_equal(parse_csv(text, "f"), POINTS)
    voxels = np.array([[float(v) for v in line.split(",")[4:]] for line in text.splitlines()[1:]])
    np.testing.assert_allclose(voxels * (40, 8, 4), POINTS, rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x,y,z\n1,2,3\n4,5,6\n", [[3, 2, 1], [6, 5, 4]]),
        ("z;y;x\n1;2;3\n", [[1, 2, 3]]),
        ("name\tX (um)\tY (um)\tZ (um)\na\t1\t2\t3\n", [[3000, 2000, 1000]]),
        ("x_voxel,y_voxel,z_voxel\n1,2,3\n\n2,2,2\n", [[120, 16, 4], [80, 16, 8]]),
        ("index,axis-0,axis-1,axis-2\n0.0,1,2,3\n", [[60, 20, 14]]),
        ("order,z,y,x\n1,1,1,1\n0,2,2,2\n", [[2, 2, 2], [1, 1, 1]]),
    ],
    ids=["xyz", "semicolons", "micrometres", "voxels", "napari", "order"],
)
def test_columns_by_their_names_and_units(text: str, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(parse_csv(text, "f.csv", (40, 8, 4)), expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "f.csv is empty"),
        ("1,2,3\n", "line 1: columns z, y and x"),
        ("z,y\n1,2\n", "line 1: columns z, y and x"),
        ("z [nm],y [um],x [nm]\n1,2,3\n", "line 1: columns z, y and x of one unit"),
        ("z,y,x\n", "no points"),
        ("z,y,x\n1,2,3\n1,two,3\n", "line 3: y is no number: 'two'"),
        ("z,y,x\n1,2\n", "line 2: there is no x; it has 2 columns"),
        ("z,y,x\n1,nan,2\n", "line 2: y is not finite"),
        ("x_px,y_px,z_px\n1,2,3\n", "open the volume first"),
    ],
    ids=["empty", "no names", "two axes", "units", "no points", "word", "short", "nan", "voxels"],
)
def test_what_is_wrong_and_where(text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        parse_csv(text, "f.csv")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_state_offers_each_polyline_and_the_points(small_scene: object, tmp_path: Path) -> None:
    line = [[1, 2, 3], [4, 5, 6.5], [7, 7, 7]]

    def change(state: dict) -> None:  # type: ignore[type-arg]
        state["layers"][2]["annotations"].append(
            {"type": "polyline", "id": "axon", "points": line, "description": "left one"}
        )

    scene = small_scene
    path = scene.changed("several.json", change)  # type: ignore[attr-defined]
    volume = open_volume(scene.folder / "em")  # type: ignore[attr-defined]
    points, axon = candidates(str(path), volume)
    assert "4 points" in points.text
    assert "left one" in axon.text
    np.testing.assert_allclose(points.points_nm, scene.points_nm)  # type: ignore[attr-defined]
    np.testing.assert_allclose(axon.points_nm, np.array(line)[:, ::-1] * (10, 8, 8))


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_what_is_exported_comes_back(small_scene: object, tmp_path: Path, name: str) -> None:
    volume = open_volume(small_scene.folder / "em")  # type: ignore[attr-defined]
    file = export(tmp_path / name, "my trace", POINTS, volume)
    (found,) = candidates(str(file), volume)
    np.testing.assert_allclose(found.points_nm, POINTS, rtol=1e-12, atol=1e-9)
    export(file, "my trace", POINTS[:2], volume)  # the dialog has asked
    assert len(candidates(str(file), volume)[0].points_nm) == 2
    with pytest.raises(UserError, match=r"\.csv or \.json"):
        export(tmp_path / "a.tif", "my trace", POINTS, volume)
