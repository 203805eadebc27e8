"""Independent code that knows the right answer: closed forms and slow, literal implementations.

Nothing here imports the package under test. Closed forms are written in xyz, as in the books,
and turned around once, on the way out: every function returns zyx.
"""

from __future__ import annotations

from oracles.curves import (
    Circle,
    Helix,
    cassini_oval,
    closing_angle,
    coil_self_distance,
    hairpin,
    parabola,
    trefoil,
    writhe,
)
from oracles.literal_map import LiteralMap, Located
from oracles.measures import (
    arc_lengths,
    cross_zyx,
    dense_line,
    distance_to_line,
    handedness,
    projected,
    turn_between,
)
from oracles.resample import catmull_rom, linear_scene, resample

__all__ = [
    "Circle",
    "Helix",
    "LiteralMap",
    "Located",
    "arc_lengths",
    "cassini_oval",
    "catmull_rom",
    "closing_angle",
    "coil_self_distance",
    "cross_zyx",
    "dense_line",
    "distance_to_line",
    "hairpin",
    "handedness",
    "linear_scene",
    "parabola",
    "projected",
    "resample",
    "trefoil",
    "turn_between",
    "writhe",
]
