"""Frames that ride along the curve without turning about it, and the twist put on top.

Frames are right-handed in xyz: N x B = T. Columns of a slice grow along +N, rows along +B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import transport
from napari_ouroboros.geometry.curve import Curve, CurvePoints
from napari_ouroboros.geometry.vectors import cross, dot, norm, unit
from napari_ouroboros.geometry.warm import is_done

Float = NDArray[np.float64]

# Between slices the frame is carried in steps that turn by no more than this.
_MAX_TURN = np.deg2rad(3.0)
_MAX_SUBSTEPS = 64
# Steps from which on numba is worth its import.
_MANY = 200_000
#: The key by which the compiled kernel is made ready.
TRANSPORT = "transport"
# Where `up` is closer to the tangent than this its projection is noise.
_UP_CONE = np.sin(np.deg2rad(10.0))


@dataclass(frozen=True, eq=False)
class Frames:
    """One frame per slice, axes zyx.

    Attributes
    ----------
    s : array (n,)
        Arc length of each slice in nm.
    c, N, B, T : arrays (n, 3)
        Centre in nm; unit vectors along columns, rows and the curve.
    curvature : array (n, 3)
        Curvature vector in 1/nm, towards the centre of curvature.
    length : float
        Arc length of the whole curve in nm.
    closed : bool
        Slice n is slice 0 (and not stored).
    """

    s: Float
    c: Float
    N: Float
    B: Float
    T: Float
    curvature: Float
    length: float
    closed: bool

    def __len__(self) -> int:
        return len(self.s)


def double_reflection(c: Float, T: Float, n0: Float) -> Float:
    """Carry a normal along a curve without rotation about it.

    Two reflections per step (Wang, Juettler, Zheng & Liu, Computation of rotation minimizing
    frames, ACM TOG 27(1), 2008): the error falls with the 4th power of the step.

    Parameters
    ----------
    c, T : arrays (n, 3)
        Points and unit tangents, both zyx (or both xyz: reflections have no handedness).
    n0 : array (3,)
        Unit normal at the first point.

    Returns
    -------
    array (n, 3)
        Unit normals, each perpendicular to its tangent.
    """
    arrays = (np.ascontiguousarray(c, float), np.ascontiguousarray(T, float), np.array(n0, float))
    # Both ways give the same bits. The plain one is done before numba is imported.
    if len(c) > _MANY or is_done(TRANSPORT):
        from napari_ouroboros.geometry.kernels import double_reflection as kernel

        normals: Float = kernel(*arrays)
    else:
        normals = transport.double_reflection(*arrays)
    # Reflections keep right angles up to rounding, which 1e5 steps add up; take it out.
    return unit(normals - dot(normals, T)[:, None] * T)


def compile_transport() -> None:
    """Import numba and compile the kernel of `double_reflection`."""
    from napari_ouroboros.geometry.kernels import double_reflection as kernel

    ends = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    kernel(ends, ends, np.array([0.0, 1.0, 0.0]))


def default_normal(tangent: Float) -> Float:
    """+x projected on the normal plane; +y where the tangent is within 10 degrees of +-x."""
    axis = np.array([0.0, 0.0, 1.0])
    if abs(tangent[2]) > np.cos(np.deg2rad(10.0)):
        axis = np.array([0.0, 1.0, 0.0])
    return unit(axis - (axis @ tangent) * tangent)


def make_frames(
    curve: Curve,
    s: Float,
    up: Float | None = None,
    twist: Sequence[tuple[float, float]] | None = None,
) -> Frames:
    """Frames at arc lengths `s` (n,) nm: rotation-minimising, then `up`, then `twist`.

    Parameters
    ----------
    curve : Curve
    s : array (n,)
        Arc lengths of the slices in nm, increasing.
    up : array (3,), optional
        Direction zyx that appears upwards in every slice: -B is its projection.
    twist : sequence of (s_nm, degrees), optional
        Angle to turn N towards B; monotone between the keyframes, constant beyond them.
    """
    ends = np.append(s, curve.length) if curve.closed else s
    points = curve.evaluate(ends)
    normals = _rotation_minimising(curve, ends, points)
    closing = 0.0
    if curve.closed:
        points = CurvePoints(*(array[:-1] for array in points))
        closing = _angle(normals[0], normals[-1], points.T[0])
        normals = normals[:-1]
    tangents = points.T
    binormals = cross(tangents, normals)
    # The closing angle is spread over the loop, so that slice n is slice 0.
    angle = -closing * s / curve.length if curve.closed else np.zeros(len(s))
    if up is not None:
        angle = _angle_to_up(normals, binormals, tangents, np.asarray(up, float), angle, curve)
    if twist is not None and len(twist):
        angle = angle + np.deg2rad(_twist_degrees(twist, s, curve))
    if np.any(angle):
        normals = np.cos(angle)[:, None] * normals + np.sin(angle)[:, None] * binormals
        binormals = cross(tangents, normals)
    arrays = (s, points.c, normals, binormals, tangents, points.curvature)
    for array in arrays:
        array.flags.writeable = False  # the recipe's hash stands for them
    return Frames(*arrays, curve.length, curve.closed)


def _rotation_minimising(curve: Curve, s: Float, points: CurvePoints) -> Float:
    """Normals at `s`, carried in steps fine enough whatever the distance between slices."""
    first = default_normal(points.T[0])
    if len(s) == 1:
        return first[None]
    # What the curve turns between two slices: at least the angle between their tangents.
    steps = np.diff(s)
    bend = norm(points.curvature)
    chord_turn = np.arccos(np.clip(dot(points.T[:-1], points.T[1:]), -1, 1))
    turn = np.maximum(chord_turn, steps * np.maximum(bend[:-1], bend[1:]))
    pieces = np.clip(np.ceil(turn / _MAX_TURN), 1, _MAX_SUBSTEPS).astype(np.int64)
    if pieces.max() > 1:
        start = np.concatenate([[0], np.cumsum(pieces)])
        within = np.arange(start[-1]) - np.repeat(start[:-1], pieces)
        fine = np.repeat(s[:-1], pieces) + within * np.repeat(steps / pieces, pieces)
        fine = np.append(fine, s[-1])
        # The slices' own arc lengths bit for bit, not the sum of their pieces.
        fine[start] = s
        dense = curve.evaluate(fine)
        return double_reflection(dense.c, dense.T, first)[start]
    return double_reflection(points.c, points.T, first)


def _angle(a: Float, b: Float, about: Float) -> float:
    """Angle from a to b about an axis, right-handed in xyz, in radians."""
    return float(np.arctan2(dot(cross(a, b), about), dot(a, b)))


def _angle_to_up(
    normals: Float, binormals: Float, tangents: Float, up: Float, free: Float, curve: Curve
) -> Float:
    """Angles that turn N so that -B is the projection of `up`.

    Where `up` is nearly parallel to the tangent the angle is carried on from its neighbours
    along the rotation-minimising frame (`free`: the angles that frame has of its own).
    """
    if up.shape != (3,) or not np.isfinite(up).all() or not norm(up):
        raise UserError("up must be a direction of three numbers, zyx, not all 0")
    up = up / norm(up)
    # B = -(projection of up) and N = B x T, so N = T x (projection of up).
    wanted = cross(tangents, up - dot(tangents, up)[:, None] * tangents)
    known = norm(wanted) > _UP_CONE
    if not known.any():
        return free
    angle = np.arctan2(dot(wanted, binormals), dot(wanted, normals))
    index = np.flatnonzero(known)
    away = np.unwrap(angle[index] - free[index])
    if curve.closed:
        # Over the seam as well: the same angles one loop earlier and later, whole turns apart.
        turns = 2 * np.pi * np.round((away[-1] - away[0]) / (2 * np.pi))
        index = np.concatenate([index - len(angle), index, index + len(angle)])
        away = np.concatenate([away - turns, away, away + turns])
    return np.asarray(free + np.interp(np.arange(len(angle)), index, away))


def _twist_degrees(twist: Sequence[tuple[float, float]], s: Float, curve: Curve) -> Float:
    """Monotone interpolation (PCHIP) of the keyframes; periodic on a closed curve."""
    from scipy.interpolate import PchipInterpolator

    keys = np.asarray(twist, float)
    keys = keys[np.argsort(keys[:, 0], kind="stable")]
    if np.any(np.diff(keys[:, 0]) == 0):
        repeated = keys[1:, 0][np.diff(keys[:, 0]) == 0][0]
        raise UserError(f"twist has two keyframes at s = {repeated:g} nm; keep one of them")
    length = curve.length
    if curve.closed:
        if keys[0, 0] < 0 or keys[-1, 0] > length * (1 + 1e-9):
            raise UserError(
                f"twist keyframes must lie on the closed curve, 0 to {length:.6g} nm; "
                f"they reach from {keys[0, 0]:g} to {keys[-1, 0]:g}"
            )
        gap = keys[0, 0] + length - keys[-1, 0]
        if gap > 1e-9 * length:
            # The same keyframes a turn earlier and later make it periodic.
            shift = np.array([length, 0.0])
            keys = np.vstack([keys - shift, keys, keys + shift])
        elif (keys[-1, 1] - keys[0, 1]) % 360:
            raise UserError(
                "on a closed trace the twist at its end must be that at its start, "
                "or whole turns away from it"
            )
    if len(keys) == 1:
        return np.full(len(s), keys[0, 1])
    return np.asarray(PchipInterpolator(*keys.T)(np.clip(s, keys[0, 0], keys[-1, 0])))
