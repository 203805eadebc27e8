"""Units, dimensions and transforms as they are written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from viewer_states import dims

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer.coordinates import (
    parse_dimensions,
    parse_legacy_transform,
    parse_transform,
    to_metres,
    to_nm,
)


@pytest.mark.parametrize(
    ("scale", "unit", "nm"),
    [
        (8e-9, "m", 8.0),
        (3.2e-08, "m", 32.0),
        (4e-08, "m", 40.0),
        (1.0e-9, "m", 1.0),
        (3.3e-9, "m", 3.3),
        (8, "nm", 8.0),
        (0.004, "um", 4.0),
        (0.0325, "µm", 32.5),  # U+00B5
        (0.0325, "\u03bcm", 32.5),
        (1.1e-6, "mm", 1.1),
        (0.7e-5, "mm", 7.0),
        (1, "Å", 0.1),
        (1, "\u212b", 0.1),
        (45, "pm", 0.045),
        (2, "cm", 2e7),
        (3.0000000000000004e-09, "m", 3.0),  # 3 * 1e-9, as programs compute it
        (0.1 + 0.2, "nm", 0.3),
        (1 / 3, "nm", 1 / 3),
    ],
)
def test_units_are_exact(scale: float, unit: str, nm: float) -> None:
    assert to_nm(scale, unit) == nm


@given(st.integers(1, 10**9), st.integers(-6, 3))
def test_decimal_voxel_sizes_are_exact_in_every_unit(digits: int, exponent: int) -> None:
    """A voxel size of up to 9 digits, written in any unit or computed in floating point."""
    nm = float(Decimal(digits).scaleb(exponent))
    for unit, power in (("m", -9), ("mm", -6), ("um", -3), ("nm", 0), ("Å", 1), ("pm", 3)):
        scale = float(Decimal(digits).scaleb(exponent + power))
        assert to_nm(scale, unit) == nm
    assert to_nm(nm / 1e9, "m") == nm
    assert to_nm(nm * 1e-9, "m") == nm
    assert to_nm(to_metres(nm), "m") == nm


@given(st.floats(1e-3, 1e9))
def test_any_voxel_size_comes_back(nm: float) -> None:
    assert to_nm(to_metres(nm), "m") == pytest.approx(nm, rel=1.1e-15, abs=0)


@pytest.mark.parametrize(
    "obj",
    [
        [8e-9, "m"],
        {"x": 8e-9},
        {"x": [8e-9]},
        {"x": ["8e-9", "m"]},
        {"x": [True, "m"]},
        {"x": [0, "m"]},
        {"x": [-1, "m"]},
        {"x": [float("nan"), "m"]},
        {"x": [float("inf"), "m"]},
        {"x": [1, None]},
        "xyz",
    ],
)
def test_bad_dimensions(obj: Any) -> None:
    with pytest.raises(UserError, match=r"^here") as caught:
        parse_dimensions(obj, "here")
    assert "\n" not in str(caught.value)


def test_dimensions_keep_order_and_kind() -> None:
    found = parse_dimensions(
        {
            "z": [40, "nm"],
            "y'": [1, ""],
            "c^": [1, ""],
            "t": [0.1, "s"],
            "l": {"coordinates": [0], "labels": ["a"]},
        },
        "here",
    )
    assert [d.name for d in found] == ["z", "y'", "c^", "t", "l"]
    assert [d.is_global for d in found] == [True, False, False, True, True]
    assert [d.nm for d in found] == [40, None, None, None, None]
    assert [d.is_voxels for d in found] == [False, True, True, False, False]


XYZ = dims(8, 8, 40)


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        ([1], "it is not an object"),
        ({"matrix": np.eye(3, 4).tolist()}, "it has no outputDimensions"),
        ({"outputDimensions": XYZ, "rotate": 1}, "unknown entry 'rotate'"),
        ({"outputDimensions": XYZ, "matrix": np.eye(4).tolist()}, "its matrix is not 3 x 4"),
        ({"outputDimensions": XYZ, "matrix": [[1, 2], [3]]}, "not made of numbers"),
        ({"outputDimensions": XYZ, "matrix": "abc"}, "not made of numbers"),
        ({"outputDimensions": XYZ, "matrix": np.full((3, 4), np.nan).tolist()}, "not finite"),
        ({"outputDimensions": XYZ, "inputDimensions": dims(8, 8, names="xy")}, "2 input but 3"),
        ({"outputDimensions": XYZ, "sourceRank": 4}, "sourceRank is 4"),
        ({"outputDimensions": XYZ, "sourceRank": "3"}, "sourceRank is '3'"),
    ],
)
def test_transforms_that_are_refused(obj: Any, says: str) -> None:
    with pytest.raises(UserError, match=r"^layer 'em': its transform is not supported yet") as c:
        parse_transform(obj, "layer 'em'")
    assert says in str(c.value)
    assert "\n" not in str(c.value)


@pytest.mark.parametrize(
    "obj",
    [
        {"outputDimensions": {}, "matrix": 1},
        {"matrix": np.eye(4).tolist()},
        [[1, 0, 0], [0, 1, 0]],
        np.diag([1, 1, 1, 2.0]).tolist(),
        [1, 2, 3],
        "identity",
        {"rotation": [0, 0, 0], "scale": [1, 1, 1]},
    ],
)
def test_legacy_transforms_that_are_refused(obj: Any) -> None:
    with pytest.raises(UserError, match=r"^layer 'em': its transform is not supported yet"):
        parse_legacy_transform(obj, "layer 'em'")


def test_legacy_transform_in_its_three_forms() -> None:
    rows = [[0, -2, 0, 10], [3, 0, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]]
    # A quarter turn about z takes x to y; its quaternion is (0, 0, sin 45, cos 45).
    half = np.sqrt(0.5)
    parts = {"rotation": [0, 0, half, half], "scale": [3, 2, 4], "translation": [10, 20, 30]}
    for obj in (rows, [x for row in rows for x in row], parts):
        transform = parse_legacy_transform(obj, "layer 'em'")
        assert transform is not None
        assert transform.matrix is not None
        np.testing.assert_allclose(transform.matrix, np.array(rows)[:3], atol=1e-14)
        assert [d.nm for d in transform.output] == [1, 1, 1]
