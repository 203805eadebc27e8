"""What becomes of keyframes when the trace changes: rules from one `TraceState` to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.frames import make_frames
from napari_ouroboros.geometry.vectors import dot
from napari_ouroboros.widgets.trace.state import Keyframe, Rule, TraceState

Float = NDArray[np.float64]
Keyframes = tuple[Keyframe, ...]

#: Keyframes nearer to each other than this share of the curve are one.
_SAME = 1e-6
#: Frames are made at so many places at least, so that `up` is followed along the curve.
_STEPS = 400


def anchored(reach_nm: float, tolerance_nm: float) -> Rule:
    """The curve moves: slices keep their orientation where it stays, and at user keyframes.

    With an up direction there is nothing to hold: keyframes only go along with their places.
    """

    def rule(old: TraceState, new: TraceState) -> Keyframes:
        if old.curve is None or new.curve is None:
            return ()
        users = [key for key in old.keyframes if key.by_user]
        if new.up is not None:
            return _moved_along(old.curve, new.curve, users)
        from napari_ouroboros.geometry.anchoring import reanchored

        twist, kept = reanchored(
            old.trace(), old.twist, new.trace(), [key.s_nm for key in users], reach_nm, tolerance_nm
        )
        by_user = set(kept)
        return tuple(
            Keyframe(float(s), float(degrees), i in by_user) for i, (s, degrees) in enumerate(twist)
        )

    return rule


def _moved_along(old: Curve, new: Curve, keyframes: Iterable[Keyframe]) -> Keyframes:
    from napari_ouroboros.geometry.nearest import nearest_on_curve

    found = {}
    for key in keyframes:
        s = nearest_on_curve(new, old.at(key.s_nm)[0])[0]
        found[s] = Keyframe(s, key.degrees, key.by_user)
    return tuple(found[s] for s in sorted(found))


def with_keyframe(state: TraceState, s_nm: float, degrees: float, apart_nm: float) -> Keyframes:
    """Turn the slice at `s_nm` to `degrees`, and its neighbours smoothly along.

    The change fades to nothing at the user's neighbouring keyframes; beyond the first and the
    last it stays the same. Keyframes of the user within `apart_nm` are replaced.
    """
    curve = state.curve
    if curve is None:
        return state.keyframes
    s = float(s_nm % curve.length if curve.closed else np.clip(s_nm, 0, curve.length))
    near = max(apart_nm, _SAME * curve.length)
    users = [k for k in state.keyframes if k.by_user and _apart(curve, k.s_nm, s) > near]
    change = degrees - float(turned(state, s))
    ramp = _interpolant([(k.s_nm, 0.0) for k in users] + [(s, change)], curve)
    gone = _SAME * curve.length
    others = [k for k in state.keyframes if not k.by_user and _apart(curve, k.s_nm, s) > gone]
    moved = [Keyframe(k.s_nm, k.degrees + float(ramp(k.s_nm)), False) for k in others]
    return _sorted([*users, *moved, Keyframe(s, float(degrees), True)])


def without_keyframe(state: TraceState, s_nm: float) -> Keyframes:
    """Take the user's keyframe nearest to `s_nm` away.

    The slices between its neighbours then turn evenly from one to the other, so what held them
    still there goes too. Without any keyframe of the user nothing is turned.
    """
    curve = state.curve
    users = [key for key in state.keyframes if key.by_user]
    if curve is None or not users:
        return state.keyframes
    gone = min(users, key=lambda key: _apart(curve, key.s_nm, s_nm))
    rest = [key for key in users if key is not gone]
    if not rest:
        return ()
    low = max((k.s_nm for k in rest if k.s_nm < gone.s_nm), default=-np.inf)
    high = min((k.s_nm for k in rest if k.s_nm > gone.s_nm), default=np.inf)
    if curve.closed and not (np.isfinite(low) and np.isfinite(high)):
        # Over the seam: its neighbours are the last and the first of the rest.
        low, high = max(k.s_nm for k in rest), min(k.s_nm for k in rest)

    def between(s: float) -> bool:
        return low < s < high if low < high else s > low or s < high

    held = [k for k in state.keyframes if not k.by_user and not between(k.s_nm)]
    return _sorted([*rest, *held])


def reversed_twist(old: TraceState, new: TraceState) -> Keyframes:
    """The way is gone backwards: each slice keeps its up side, and shows its other face."""
    a, b = old.curve, new.curve
    if a is None or b is None:
        return ()
    n = _frame(old, 0.0, old.twist)[0]
    there = 0.0 if old.closed else b.length
    n0, b0 = _frame(new, there, None)
    # N' = -N and B' = B; a turn towards B is one away from it on the other face.
    at_start = float(np.degrees(np.arctan2(dot(-n, b0), dot(-n, n0))))
    offset = at_start + float(turned(old, 0.0))

    def place(s: float) -> float:
        return float((-s) % b.length) if old.closed else float(max(b.length - s, 0.0))

    keys = [Keyframe(place(k.s_nm), offset - k.degrees, k.by_user) for k in old.keyframes]
    if not keys and abs((offset + 180) % 360 - 180) > 1e-9:
        keys = [Keyframe(0.0, offset, False)]
    return _sorted(keys)


def with_up(old: TraceState, new: TraceState) -> Keyframes:
    """Another up direction, or none: the slices at the user's keyframes stay as they are."""
    if old.curve is None or new.curve is None:
        return ()
    found = []
    for key in old.keyframes:
        if key.by_user:
            n = _frame(old, key.s_nm, old.twist)[0]
            n0, b0 = _frame(new, key.s_nm, None)
            angle = float(np.degrees(np.arctan2(dot(n, b0), dot(n, n0))))
            # Whole turns between keyframes stay as the user has them.
            angle += 360 * round((key.degrees - angle) / 360)
            found.append(Keyframe(key.s_nm, angle, True))
    return _sorted(found)


def turned(state: TraceState, s_nm: float) -> float:
    """Degrees by which the slice at `s_nm` is turned."""
    curve = state.curve
    if curve is None or not state.keyframes:
        return 0.0
    return float(_interpolant(state.twist or [], curve)(s_nm))


def _frame(
    state: TraceState, s_nm: float, twist: list[tuple[float, float]] | None
) -> tuple[Float, Float]:
    """N and B of the slice at an arc length."""
    curve = state.curve
    assert curve is not None
    grid = np.linspace(0, curve.length, _STEPS, endpoint=not curve.closed)
    s = np.unique(np.append(grid, s_nm % curve.length if curve.closed else s_nm))
    frames = make_frames(curve, s, state.up, twist)
    i = int(np.argmin(np.abs(s - (s_nm % curve.length if curve.closed else s_nm))))
    return frames.N[i], frames.B[i]


def _interpolant(pairs: Iterable[tuple[float, float]], curve: Curve) -> Callable[[float], float]:
    """Monotone between the pairs, constant beyond them; periodic on a closed curve."""
    from scipy.interpolate import PchipInterpolator

    keys = np.array(sorted(pairs), np.float64)
    if len(keys) == 1:
        return lambda s: float(keys[0, 1])
    if curve.closed and keys[0, 0] + curve.length - keys[-1, 0] > 1e-9 * curve.length:
        shift = np.array([curve.length, 0.0])
        keys = np.vstack([keys - shift, keys, keys + shift])
    curve_of = PchipInterpolator(*keys.T)
    return lambda s: float(curve_of(np.clip(s, keys[0, 0], keys[-1, 0])))


def _apart(curve: Curve, a: float, b: float) -> float:
    way = abs(a - b)
    return min(way, curve.length - way) if curve.closed else way


def _sorted(keyframes: Iterable[Keyframe]) -> Keyframes:
    return tuple(sorted(keyframes, key=lambda key: key.s_nm))
