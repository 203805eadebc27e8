"""The user's points along a long thin thing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import Notice, UserError

Parametrisation = Literal["centripetal", "chord"]


@dataclass(frozen=True, eq=False)
class Trace:
    """Points in order along a nerve, vessel or neurite, in physical space.

    Parameters
    ----------
    points_nm : array (n, 3)
        At least 2 different points (3 when `closed`), zyx, nm. Neighbours that coincide
        are merged, with a `Notice`.
    closed : bool
        The trace returns to its first point, which must not be repeated at the end.
    tolerance_nm : float
        How far the curve may leave the points, in nm. 0: it passes through each of them.
    parametrisation : {"centripetal", "chord"}
        Spacing of the spline's parameter: the square root of the distance between
        points (Yuksel et al. 2011: no loops where points are unevenly spaced), or the
        distance itself (Floater & Surazhsky 2006: 4th order on dense points).

    Raises
    ------
    UserError
        For fewer points than needed, points that all coincide, NaN or infinite values,
        a negative tolerance.
    """

    points_nm: NDArray[np.float64]
    closed: bool = False
    tolerance_nm: float = 0.0
    parametrisation: Parametrisation = "centripetal"
    n_merged: int = field(init=False, default=0)

    def __init__(
        self,
        points_nm: ArrayLike,
        closed: bool = False,
        tolerance_nm: float = 0.0,
        parametrisation: Parametrisation = "centripetal",
    ) -> None:
        try:
            points = np.array(points_nm, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UserError("points_nm must be numbers: an (n, 3) array, zyx, nm") from error
        if points.size == 0:
            raise UserError("the trace has no points; at least 2 different ones are needed")
        if points.ndim != 2 or points.shape[1] != 3:
            raise UserError(f"points_nm must have shape (n, 3), zyx, nm; it has {points.shape}")
        bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
        if bad.size:
            raise UserError(f"point {bad[0]} of the trace is not finite: {points[bad[0]].tolist()}")
        if not (np.isfinite(tolerance_nm) and tolerance_nm >= 0):
            raise UserError(f"the tolerance must be 0 nm or more; it is {tolerance_nm}")
        if parametrisation not in ("centripetal", "chord"):
            raise UserError(
                f"parametrisation must be 'centripetal' or 'chord'; it is {parametrisation!r}"
            )
        merged = _merge_duplicates(points, closed)
        needed = 3 if closed else 2
        if len(merged) < needed:
            if len(points) >= needed and len(merged) == 1:
                raise UserError(f"all {len(points)} points of the trace lie on one spot")
            kind = "closed trace" if closed else "trace"
            count = "1 point" if len(merged) == 1 else f"{len(merged)} different points"
            raise UserError(f"a {kind} needs at least {needed} different points; this has {count}")
        if len(merged) < len(points):
            warnings.warn(
                f"{len(points) - len(merged)} of {len(points)} points repeat their neighbour "
                "and were merged",
                Notice,
                stacklevel=2,
            )
        merged.flags.writeable = False
        set_ = object.__setattr__
        set_(self, "points_nm", merged)
        set_(self, "closed", bool(closed))
        set_(self, "tolerance_nm", float(tolerance_nm))
        set_(self, "parametrisation", parametrisation)
        set_(self, "n_merged", len(points) - len(merged))

    def __len__(self) -> int:
        return len(self.points_nm)


def _merge_duplicates(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """Drop points that coincide with the one before; closed: the last if it is the first."""
    # Relative to the trace's own size: float32 exports of coordinates repeat points inexactly.
    same = 1e-9 * max(float(np.ptp(points, axis=0).max()), 1e-3)
    keep = np.ones(len(points), bool)
    last = 0
    for i in range(1, len(points)):
        if np.linalg.norm(points[i] - points[last]) <= same:
            keep[i] = False
        else:
            last = i
    if closed and last > 0 and np.linalg.norm(points[last] - points[0]) <= same:
        keep[last] = False
    return points[keep]
