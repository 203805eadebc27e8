"""Points of the straightened volume home into the original one, with all that is known of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.table import write_table

Float = NDArray[np.float64]

# The columns of a file, before those of the features.
_COLUMNS = ("order", "slice", "row", "column", "z [nm]", "y [nm]", "x [nm]")


class Features(Protocol):
    """Named columns, one value for each point: a dict of lists, or the table of a napari layer."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Pairs of a name and its values."""
        ...


@dataclass(frozen=True)
class PointsHome:
    """Points in both spaces; the i-th of one is the i-th of the other.

    Attributes
    ----------
    svu : (n, 3) array of float64
        (slice, row, column), whole numbers being the centres of samples.
    zyx_nm : (n, 3) array of float64
    features : dict of str to list
        As they were given, n values each.
    """

    svu: Float
    zyx_nm: Float
    features: Mapping[str, list[Any]] = field(default_factory=dict)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a line for each point, with its place in both spaces and its features.

        Columns: order (from 0), slice, row, column, z, y and x in nm, and the features. One that
        has the name of such a column gets " (feature)" behind it. Numbers are written so that
        reading gives the very same; a file that is there already is replaced.

        Raises
        ------
        DestinationError
            It cannot be written; what was there before is untouched.
        """
        names = [f"{name} (feature)" if name in _COLUMNS else name for name in self.features]
        rows = zip(
            range(len(self.svu)), *self.svu.T.tolist(), *self.zyx_nm.T.tolist(),
            *self.features.values(), strict=True,
        )  # fmt: skip
        write_table(path, [*_COLUMNS, *names], rows)


def points_home(
    points_svu: ArrayLike,
    straightening: Straightening | Sequence[Straightening],
    features: Features | None = None,
) -> PointsHome:
    """Bring points home: the position in the volume of each, by the map itself.

    Parameters
    ----------
    points_svu : (n, 3)
        (slice, row, column) of the straightened volume, whole numbers being the centres of
        samples; between them the map goes on smoothly. What napari's Points hold when their layer
        lies on the straightened image.
    straightening : Straightening, or n of them
        The map that the points were set in, or that of each.
    features : dict of columns, or a table with ``items()``; optional
        n values in each column.

    Returns
    -------
    PointsHome

    Raises
    ------
    UserError
        Points outside the straightened volume, [-1/2, n - 1/2) on each axis, or without a
        position (NaN): the line says how many, and which is the first. Features of another
        length. Points that are not (n, 3).
    """
    points = np.array(points_svu, np.float64)
    if points.size == 0:
        points = points.reshape(0, 3)
    if points.ndim != 2 or points.shape[1] != 3:
        raise UserError(
            f"points must be (slice, row, column) each, (n, 3) numbers; they have the shape "
            f"{points.shape}"
        )
    maps = _one_each(straightening, len(points))
    inside = points_inside(points, maps)
    if not inside.all():
        raise UserError(_outside(points, inside, maps))
    columns: dict[str, list[Any]] = {}
    for name, values in () if features is None else features.items():
        # By way of an array only what is one: a list may hold what no dtype holds exactly.
        column = values.tolist() if hasattr(values, "tolist") else list(values)
        if len(column) != len(points):
            raise UserError(
                f"the feature {name!r} has {len(column)} values for {len(points)} points"
            )
        columns[str(name)] = column
    home = np.empty_like(points)
    for map_, rows in _groups(maps):
        home[rows] = map_.to_volume(points[rows])
    return PointsHome(points, home, columns)


def points_inside(
    points_svu: Float, straightening: Straightening | Sequence[Straightening]
) -> NDArray[np.bool_]:
    """Whether each point (slice, row, column) lies in the straightened volume, its own of several.

    One without a position (NaN) lies in none.
    """
    maps = _one_each(straightening, len(points_svu))
    shapes = np.array([map_.shape for map_ in maps], np.float64).reshape(-1, 3)
    # NaN compares as False, and so counts as outside.
    inside: NDArray[np.bool_] = np.all((points_svu >= -0.5) & (points_svu < shapes - 0.5), axis=1)
    return inside


def _one_each(
    straightening: Straightening | Sequence[Straightening], n: int
) -> Sequence[Straightening]:
    if isinstance(straightening, Straightening):
        return [straightening] * n
    if len(straightening) != n:
        raise UserError(f"there are {len(straightening)} maps for {n} points")
    return straightening


def _groups(maps: Sequence[Straightening]) -> list[tuple[Straightening, list[int]]]:
    """Each map with its points: a map takes many points at once."""
    found: dict[int, tuple[Straightening, list[int]]] = {}
    for i, map_ in enumerate(maps):
        found.setdefault(id(map_), (map_, []))[1].append(i)
    return list(found.values())


def _outside(points: Float, inside: NDArray[np.bool_], maps: Sequence[Straightening]) -> str:
    first = int(np.argmin(inside))
    shape = maps[first].shape
    place = ", ".join(f"{n:g}" for n in points[first])
    n = int(np.count_nonzero(~inside))
    which = "is" if n == 1 else "are"
    return (
        f"{n} of {len(points)} points {which} outside the straightened volume of "
        f"{' x '.join(map(str, shape))} (slices, rows, columns), the first of them number {first} "
        f"at {place}: move or remove what is outside, or use the recipe that they were set in"
    )
