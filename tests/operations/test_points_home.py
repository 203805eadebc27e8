"""Points set in the straightened volume, home in nm, with their features."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import Helix

from napari_ouroboros import DestinationError, Straightening, Trace, UserError
from napari_ouroboros.operations.points_home import points_home
from napari_ouroboros.widgets.trace.points_csv import read_csv

#: A straight trace along +z, where the map is known without any code.
STRAIGHT = Straightening(Trace([[100, 200, 300], [180, 200, 300]]), 7, 5, 10.0, 20.0)


def helical() -> Straightening:
    points = Helix(300.0, 300.0).position(np.linspace(0, 6, 200)) + 1000
    return Straightening(Trace(points), 16, 12, 5.0, 5.0)


HELICAL = helical()


def test_a_straight_trace_by_hand() -> None:
    """Slices are 20 nm apart in z, columns grow along +x, rows along T x N = +y."""
    found = points_home([[0, 2, 3], [4, 2, 3], [1.5, 0, 3], [2, 2, 5.5]], STRAIGHT)
    np.testing.assert_allclose(
        found.zyx_nm,
        [[100, 200, 300], [180, 200, 300], [130, 180, 300], [140, 200, 325]],
        atol=1e-9,
    )
    assert found.svu.tolist()[2] == [1.5, 0, 3]
    assert found.features == {}


def test_each_point_has_a_map_of_its_own() -> None:
    points = [[0, 2, 3], [4, 2, 3], [3, 11, 3], [1.5, 0, 3]]
    maps = [STRAIGHT, HELICAL, HELICAL, STRAIGHT]
    found = points_home(points, maps, {"n": [1, 2, 3, 4]})
    for i, (point, map_) in enumerate(zip(points, maps, strict=True)):
        np.testing.assert_array_equal(found.zyx_nm[i], points_home([point], map_).zyx_nm[0])
    assert found.features == {"n": [1, 2, 3, 4]}
    # The third is outside the narrow one.
    with pytest.raises(
        UserError, match=r"1 of 4 points is outside .* 5 x 5 x 7 .* number 2 at 3, 11"
    ):
        points_home(points, [STRAIGHT] * 4)
    with pytest.raises(UserError, match="2 maps for 4 points"):
        points_home(points, [STRAIGHT] * 2)


@given(
    st.lists(
        st.tuples(
            *(st.floats(-0.5, n - 0.5, exclude_max=True) for n in HELICAL.shape),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_the_map_leads_back(points: list[tuple[float, float, float]]) -> None:
    """Without folds the way back is unique; the tube here is far narrower than the bends."""
    found = points_home(points, HELICAL)
    back = HELICAL.to_straightened(found.zyx_nm)
    here = np.isfinite(back).all(axis=1)  # the outermost rim may round to the other side
    np.testing.assert_allclose(back[here], np.array(points)[here], atol=1e-6)
    rim = np.min([np.array(points) + 0.5, np.array(HELICAL.shape) - 0.5 - points], axis=(0, 2))
    assert here[rim > 1e-6].all()


@pytest.mark.parametrize(
    "wrong",
    [[-0.51, 2, 3], [4.5, 2, 3], [0, 4.5, 3], [0, 2, 6.5], [0, 2, np.nan], [0, np.inf, 3]],
)
def test_points_outside_are_counted(wrong: list[float]) -> None:
    with pytest.raises(UserError, match=r"^2 of 3 points are outside .* 5 x 5 x 7 .* number 1 at"):
        points_home([[0, 0, 0], wrong, wrong], STRAIGHT)
    with pytest.raises(UserError, match=r"^1 of 1 points is outside"):
        points_home([wrong], STRAIGHT)


def test_the_rim_is_inside() -> None:
    points = [[-0.5, -0.5, -0.5], [4.499, 4.499, 6.499]]
    np.testing.assert_allclose(
        points_home(points, STRAIGHT).zyx_nm, [[90, 175, 265], [189.98, 224.99, 334.99]]
    )


def test_what_is_no_points() -> None:
    with pytest.raises(UserError, match=r"\(n, 3\)"):
        points_home([[1, 2]], STRAIGHT)
    with pytest.raises(UserError, match=r"\(n, 3\)"):
        points_home([1, 2, 3], STRAIGHT)
    assert points_home(np.empty((0, 3)), STRAIGHT).zyx_nm.shape == (0, 3)


@pytest.mark.parametrize("values", [[1], (1, 2, 3), np.arange(4)])
def test_features_of_another_length(values: object) -> None:
    with pytest.raises(UserError, match=r"the feature 'size' has . values for 2 points"):
        points_home([[0, 0, 0], [1, 1, 1]], STRAIGHT, {"size": values})


def test_csv_has_both_places_and_the_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    points = rng.random((20, 3)) * (np.array(HELICAL.shape) - 1)
    features = pd.DataFrame(
        {
            "id": rng.integers(2**63, 2**64 - 1, 20, np.uint64),
            "what": pd.Categorical(["vesicle, large", 'a "b"'] * 10),
            "row": rng.random(20),
        }
    )
    found = points_home(points, HELICAL, features)
    assert found.features["id"] == features["id"].tolist()
    path = tmp_path / "points.csv"
    found.write_csv(path)
    with open(path, newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    for i, line in enumerate(lines):
        assert int(line["order"]) == i
        assert [float(line[n]) for n in ("slice", "row", "column")] == points[i].tolist()
        assert [float(line[f"{a} [nm]"]) for a in "zyx"] == found.zyx_nm[i].tolist()
        # 64 bits, not by way of a float; text as it is.
        assert int(line["id"]) == features["id"][i]
        assert line["what"] == features["what"][i]
        assert float(line["row (feature)"]) == features["row"][i]
    assert len(lines) == 20
    # As a trace it is the same points.
    np.testing.assert_array_equal(read_csv(path), found.zyx_nm)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    found = points_home([[0, 0, 0]], STRAIGHT)
    with pytest.raises(DestinationError, match="cannot write"):
        found.write_csv(tmp_path / "none" / "points.csv")
    assert list(tmp_path.iterdir()) == []
