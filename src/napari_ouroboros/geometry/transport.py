"""`kernels.double_reflection` in Python's own floats, bit for bit: some microseconds a step.

Enough for a trace of thousands of slices, and then numba, which takes the better part of a second
to import, need not be there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def double_reflection(c: Float, T: Float, n0: Float) -> Float:
    """Normals (n, 3) carried along points c with unit tangents T; see frames.double_reflection."""
    r0, r1, r2 = n0.tolist()
    out = [(r0, r1, r2)]
    tangents = T.tolist()
    t0, t1, t2 = tangents[0]
    steps = np.diff(c, axis=0).tolist()
    for (a0, a1, a2), (u0, u1, u2) in zip(steps, tangents[1:], strict=True):
        aa = a0 * a0 + a1 * a1 + a2 * a2
        if aa > 0.0:
            p = 2.0 / aa * (a0 * r0 + a1 * r1 + a2 * r2)
            r0, r1, r2 = r0 - p * a0, r1 - p * a1, r2 - p * a2
            p = 2.0 / aa * (a0 * t0 + a1 * t1 + a2 * t2)
            t0, t1, t2 = t0 - p * a0, t1 - p * a1, t2 - p * a2
        b0, b1, b2 = u0 - t0, u1 - t1, u2 - t2
        bb = b0 * b0 + b1 * b1 + b2 * b2
        if bb > 0.0:
            p = 2.0 / bb * (b0 * r0 + b1 * r1 + b2 * r2)
            r0, r1, r2 = r0 - p * b0, r1 - p * b1, r2 - p * b2
        # The normal part only: rounding would otherwise grow with the number of steps.
        p = r0 * u0 + r1 * u1 + r2 * u2
        r0, r1, r2 = r0 - p * u0, r1 - p * u1, r2 - p * u2
        p = 1.0 / math.sqrt(r0 * r0 + r1 * r1 + r2 * r2)
        r0, r1, r2 = r0 * p, r1 * p, r2 * p
        out.append((r0, r1, r2))
        t0, t1, t2 = u0, u1, u2
    return np.array(out)
