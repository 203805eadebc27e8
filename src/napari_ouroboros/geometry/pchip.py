"""Cubic pieces as keyframes: what a monotone interpolant makes of them, and how to make it ours.

The twist of a recipe is a monotone interpolant (PCHIP; Fritsch & Butland, SIAM J. Sci. Stat.
Comput. 5, 1984): its slope at a key follows from the neighbours. To have a given piecewise cubic
again some keys need a companion close by that gives them the slope that they had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# A cubic whose slope is wrong by d at one end of a length h is off by 4/27 d h at most.
_SLOPE_ERROR = 4 / 27
_ROUNDS = 3


@dataclass(frozen=True)
class Node:
    """A place that a piecewise cubic passes.

    s, value : where, and degrees there
    left, right : slopes on both sides; None: whatever comes of it
    keep : index of the user's keyframe that it is, or -1
    """

    s: float
    value: float
    left: float | None
    right: float | None
    keep: int = -1


def slopes(x: Float, y: Float, period: float | None = None) -> Float:
    """Slopes (n,) at keys; with a period the first key follows the last."""
    if period is not None:
        before, after = x[-2:] - period, x[:2] + period
        if len(x) == 1:
            return np.zeros(1)
        ring = np.concatenate([before, x, after]), np.concatenate([y[-2:], y, y[:2]])
        return slopes(*ring)[2:-2]
    n = len(x)
    if n == 1:
        return np.zeros(1)
    h = np.diff(x)
    m = np.diff(y) / h
    if n == 2:
        return np.repeat(m, 2)
    out = np.zeros(n)
    same = m[1:] * m[:-1] > 0
    a, b = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        out[1:-1] = np.where(same, (a + b) / (a / m[:-1] + b / m[1:]), 0.0)
    out[0] = _end_slope(h[0], h[1], m[0], m[1])
    out[-1] = _end_slope(h[-1], h[-2], m[-1], m[-2])
    return out


def _end_slope(h0: float, h1: float, m0: float, m1: float) -> float:
    slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    if slope * m0 <= 0:
        return 0.0
    return 3 * m0 if m0 * m1 <= 0 and abs(slope) > 3 * abs(m0) else slope


def hermite(
    s: Float, a: Float | float, b: Float | float, va: Float | float, vb: Float | float,
    da: Float | float, db: Float | float,
) -> tuple[Float, Float]:  # fmt: skip
    """Values and slopes at `s` of the cubic with values and slopes at a and b."""
    h = np.asarray(b - a)
    t = (s - a) / h
    rise = vb - va
    c2 = 3 * rise - h * (2 * da + db)
    c3 = h * (da + db) - 2 * rise
    value = va + t * (h * da + t * (c2 + t * c3))
    slope = da + t * (2 * c2 + 3 * t * c3) / h
    return np.asarray(value), np.asarray(slope)


def merged(nodes: list[Node], apart: float) -> list[Node]:
    """Nodes closer together than `apart` as one: a key and its companions of an earlier time."""
    out: list[Node] = []
    group: list[Node] = []
    for node in [*nodes, None]:
        if node is not None and (not group or node.s - group[-1].s <= apart):
            group.append(node)
            continue
        users = [x for x in group if x.keep >= 0]
        if len(users) > 1:
            out += users  # never one for two of the user's
        else:
            ends = [x for x in group if x is nodes[0] or x is nodes[-1]]
            middle = [*users, *ends, group[len(group) // 2]][0]
            out.append(replace(middle, left=group[0].left, right=group[-1].right))
        group = [node] if node is not None else []
    return out


def thinned(nodes: list[Node], tolerance: float) -> list[Node]:
    """Fewer nodes of the same piecewise cubic to a tolerance; both ends and the user's stay."""
    out = [nodes[0]]
    i = 0
    while i < len(nodes) - 1:
        j = i + 1
        while j < len(nodes) - 1 and nodes[j].keep < 0 and _one_cubic(nodes[i : j + 2], tolerance):
            j += 1
        out.append(nodes[j])
        i = j
    return out


def _one_cubic(nodes: list[Node], tolerance: float) -> bool:
    first, last = nodes[0], nodes[-1]
    s = np.array([x.s for x in nodes])
    v = np.array([x.value for x in nodes])
    da = np.array([x.right or 0.0 for x in nodes[:-1]])
    db = np.array([x.left or 0.0 for x in nodes[1:]])
    share = np.array([0.25, 0.5, 0.75, 1.0])[:, None]
    at = s[:-1] + share * np.diff(s)
    pieces = hermite(at, s[:-1], s[1:], v[:-1], v[1:], da, db)[0]
    whole = hermite(at, first.s, last.s, first.value, last.value, da[0], db[-1])[0]
    return bool(np.abs(pieces - whole).max() <= tolerance)


def monotone(nodes: list[Node], tolerance: float) -> list[Node]:
    """More nodes where the cubic between two of them turns round, or is too steep for its rise."""
    out = [nodes[0]]
    for a, b in zip(nodes, nodes[1:], strict=False):
        da, db = a.right or 0.0, b.left or 0.0
        h = b.s - a.s
        mean = (b.value - a.value) / h
        wrong = max(abs(da) - 2.9 * abs(mean), abs(db) - 2.9 * abs(mean), -da * np.sign(mean),
                    -db * np.sign(mean))  # fmt: skip
        if wrong * h * _SLOPE_ERROR > tolerance:
            rise = b.value - a.value
            c2, c3 = 3 * rise - h * (2 * da + db), h * (da + db) - 2 * rise
            roots = np.roots([3 * c3, 2 * c2, h * da]) if c3 or c2 else np.empty(0)
            inner = sorted(
                float(t.real) for t in roots if abs(t.imag) < 1e-9 and 1e-3 < t.real < 1 - 1e-3
            )
            for t in inner or [0.5]:
                s = a.s + t * h
                value, slope = hermite(np.array(s), a.s, b.s, a.value, b.value, da, db)
                d = 0.0 if inner else float(slope)
                out.append(Node(s, float(value), d, d))
        out.append(b)
    return out


def companions(
    nodes: list[Node], period: float | None, tolerance: float, close: float
) -> list[Node]:
    """The nodes, and keys beside those at which the interpolant would have another slope."""
    for _ in range(_ROUNDS):
        # A companion changes the slope at a key that is nearly as close as itself.
        more = _with_companions(nodes, period, tolerance, close)
        if len(more) == len(nodes):
            break
        nodes = more
    return nodes


def _with_companions(
    nodes: list[Node], period: float | None, tolerance: float, close: float
) -> list[Node]:
    x, y = np.array([n.s for n in nodes]), np.array([n.value for n in nodes])
    natural = slopes(x, y, period)
    out: list[Node] = []
    for i, node in enumerate(nodes):
        left = _neighbour(nodes, i - 1, period)
        right = _neighbour(nodes, i + 1, period)
        bad_left = node.left is not None and _is_wrong(node, left, node.left, natural[i], tolerance)
        bad_right = node.right is not None and _is_wrong(
            node, right, node.right, natural[i], tolerance
        )
        before: Node | None = None
        after: Node | None = None
        if bad_left and node.left is not None and node.right is None and left and right:
            # Free on the other side: one key there, farther off, gives the slope here.
            after = _outside(node, left, right, node.left, close, 1)
        elif bad_right and node.right is not None and node.left is None and left and right:
            before = _outside(node, right, left, node.right, close, -1)
        elif bad_left or bad_right:
            # Both: one alone would change the slope on the other side.
            if node.left is not None and left:
                before = _inside(node, left, node.left, close, -1)
            if node.right is not None and right:
                after = _inside(node, right, node.right, close, 1)
        out += [x for x in (before, node, after) if x is not None]
    if period is not None:
        out = [n if 0 <= n.s < period else replace(n, s=n.s % period) for n in out]
    return sorted(out, key=lambda node: node.s)


def _neighbour(nodes: list[Node], i: int, period: float | None) -> Node | None:
    if 0 <= i < len(nodes):
        return nodes[i]
    if period is None:
        return None
    other = nodes[i % len(nodes)]
    return replace(other, s=other.s + (period if i >= len(nodes) else -period))


def _is_wrong(
    node: Node, other: Node | None, wanted: float, natural: float, tolerance: float
) -> bool:
    if other is None:
        return False
    return bool(abs(wanted - natural) * abs(other.s - node.s) * _SLOPE_ERROR > tolerance)


def _outside(
    node: Node, kept: Node, free: Node, wanted: float, close: float, way: int
) -> Node | None:
    """A key on the free side of a node, by which the slope at the node is the wanted one."""
    step = min(abs(free.s - node.s) / 3, 100 * close)
    h = abs(kept.s - node.s)
    mean = (node.value - kept.value) / (node.s - kept.s)
    slope = _solved(wanted, mean, step, h)
    return None if slope is None else Node(node.s + way * step, node.value + way * slope * step,
                                           None, None)  # fmt: skip


def _inside(node: Node, other: Node, wanted: float, close: float, way: int) -> Node | None:
    """A key close by on the kept side, at which the slope is the wanted one."""
    h = abs(other.s - node.s)
    if h < 5 * close:
        return None
    far = other.left if way > 0 else other.right
    if far is not None:
        # What the cubic's slope is there already: a short one bends much over so little.
        place = np.array(node.s + way * close)
        ends = (node.s, other.s, node.value, other.value, wanted, far)
        wanted = float(hermite(place, *ends)[1])
    slope = wanted
    for _ in range(3):
        s, value = node.s + way * close, node.value + way * slope * close
        found = _solved(wanted, (other.value - value) / (other.s - s), close, h - close)
        if found is None:
            return None
        slope = found
    return Node(node.s + way * close, node.value + way * slope * close, None, None)


def _solved(wanted: float, mean: float, near: float, far: float) -> float | None:
    """Mean slope over a length `near` on one side for a slope at the key between two lengths."""
    if wanted == 0:
        return 0.0
    if wanted * mean <= 0:
        return None
    a, b = 2 * far + near, far + 2 * near
    inverse = (a + b) / wanted - b / mean
    return a / inverse if inverse * wanted > 0 and abs(a / inverse) < 1e4 * abs(wanted) else None
