"""From a position in a Neuroglancer state to nm of a volume: dimensions, units, transforms.

A position goes through the transform of its annotation source into the global space of the
state, and from there through the inverse of the image source's transform into the volume.
Dimensions are matched by name (`placement.py` does it). Names and meaning follow Neuroglancer's own
``coordinate_transform.ts``: whole numbers are voxel corners, the linear part of a matrix is
a ratio of physical units, its translation is in units of the output dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError

Array = NDArray[np.float64]

_PREFIXES = {
    "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
    "": 0, "d": -1, "c": -2, "m": -3, "u": -6, "µ": -6, "μ": -6, "n": -9, "p": -12,
    "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip
_METRES = {f"{prefix}m": exponent for prefix, exponent in _PREFIXES.items()}
_METRES |= {"\u00c5": -10, "\u212b": -10}  # the letter and the sign for ångström
_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Dimension:
    """One dimension of a coordinate space: coordinate 1 is `scale` times `unit`."""

    name: str
    scale: float
    unit: str

    @property
    def is_voxels(self) -> bool:
        """Whether the unit is ``""``: voxels of the image layer's finest level."""
        return self.unit == ""

    @property
    def is_global(self) -> bool:
        """Whether layers share it: neither local (``z'``) nor a channel (``c^``)."""
        return not self.name.endswith(("'", "^"))

    @property
    def nm(self) -> float | None:
        """Length of coordinate 1 in nm; None where `unit` is no length."""
        return to_nm(self.scale, self.unit) if self.unit in _METRES else None


def to_nm(scale: float, unit: str) -> float:
    """`scale` units in nm, correctly rounded: 8e-9 m is exactly 8.0 nm.

    Scales that other programs computed with an error in the last places (``3 * 1e-9``) come
    out clean too.
    """
    nm = float(Decimal(repr(float(scale))).scaleb(_METRES[unit] + 9))
    clean = float(f"{nm:.12g}")
    return clean if abs(clean - nm) <= 1e-15 * abs(nm) else nm


def to_metres(nm: float) -> float:
    """Return the number of metres that `to_nm` turns back into `nm`."""
    return float(Decimal(repr(float(nm))).scaleb(-9))


def parse_dimensions(obj: object, where: str) -> tuple[Dimension, ...]:
    """Read ``{"x": [8e-9, "m"], ...}``; `where` begins the error messages."""
    if not isinstance(obj, dict):
        raise UserError(f'{where} must look like {{"x": [8e-9, "m"], ...}}')
    return tuple(_dimension(name, entry, where) for name, entry in obj.items())


def _dimension(name: str, entry: object, where: str) -> Dimension:
    if isinstance(entry, dict) and "coordinates" in entry:
        return Dimension(name, 1.0, "labels")  # coordinates with names: never a length
    if (
        not isinstance(entry, list)
        or len(entry) != 2
        or isinstance(entry[0], bool)
        or not isinstance(entry[0], int | float)
        or not isinstance(entry[1], str)
    ):
        raise UserError(f'{where}: dimension {name!r} must be like [8e-9, "m"]')
    if not (0 < entry[0] < float("inf")):
        raise UserError(f"{where}: the scale of dimension {name!r} must be above 0")
    return Dimension(name, float(entry[0]), entry[1])


@dataclass(frozen=True, eq=False)
class Transform:
    """How a source lies in the space of its layer.

    Attributes
    ----------
    output : tuple of Dimension
        Dimensions of the layer's space, in the state's order.
    input : tuple of Dimension or None
        Dimensions of the source; None: the source's own.
    matrix : array (rank, rank + 1) or None
        Affine; None is the identity.
    source_rank : int
        Inputs from here on exist only to place the source in a larger space.
    """

    output: tuple[Dimension, ...]
    input: tuple[Dimension, ...] | None = None
    matrix: Array | None = None
    source_rank: int | None = None

    @property
    def rank(self) -> int:
        """Number of output dimensions."""
        return len(self.output)

    @property
    def linear(self) -> Array:
        """(rank, rank)."""
        return np.eye(self.rank) if self.matrix is None else self.matrix[:, :-1]

    @property
    def translation(self) -> Array:
        """(rank,), in units of the output dimensions."""
        return np.zeros(self.rank) if self.matrix is None else self.matrix[:, -1]


def parse_transform(obj: object, where: str) -> Transform | None:
    """Read the ``transform`` of a source; None where there is none.

    Raises
    ------
    UserError
        ``<where>: its transform is not supported yet (...)`` or what is wrong with it.
    """
    if obj is None or obj == {}:
        return None
    if not isinstance(obj, dict):
        raise unsupported(where, "it is not an object")
    unknown = set(obj) - {"outputDimensions", "inputDimensions", "matrix", "sourceRank"}
    if unknown:
        raise unsupported(where, f"unknown entry {sorted(unknown)[0]!r}")
    if "outputDimensions" not in obj:
        raise unsupported(where, "it has no outputDimensions")
    output = parse_dimensions(obj["outputDimensions"], f"{where}: outputDimensions")
    rank = len(output)
    input_ = None
    if obj.get("inputDimensions") is not None:
        input_ = parse_dimensions(obj["inputDimensions"], f"{where}: inputDimensions")
        if len(input_) != rank:
            raise unsupported(where, f"{len(input_)} input but {rank} output dimensions")
    source_rank = obj.get("sourceRank", rank)
    if not isinstance(source_rank, int) or not 0 <= source_rank <= rank:
        raise unsupported(where, f"sourceRank is {source_rank!r}")
    matrix = obj.get("matrix")
    return Transform(
        output,
        input_,
        None if matrix is None else _matrix(matrix, rank, where),
        source_rank,
    )


def parse_legacy_transform(obj: object, where: str) -> Transform | None:
    """Read a layer's own ``transform`` of old states: 4 x 4 in nm, xyz; or its parts."""
    if obj is None or obj == {}:
        return None
    output = tuple(Dimension(name, 1e-9, "m") for name in _AXES)
    if isinstance(obj, list):
        rows = [obj[i : i + 4] for i in range(0, 16, 4)] if len(obj) == 16 else obj
        matrix = _matrix(rows, 3, where, rows=4)
        if not np.array_equal(matrix[3], (0, 0, 0, 1)):
            raise unsupported(where, "its last row is not 0 0 0 1")
        return Transform(output, None, matrix[:3])
    if not isinstance(obj, dict) or not set(obj) <= {"rotation", "translation", "scale"}:
        raise unsupported(where, "it is not a 4 x 4 matrix")
    rotation = _quaternion(_vector(obj.get("rotation", [0, 0, 0, 1]), 4, where))
    scale = _vector(obj.get("scale", [1, 1, 1]), 3, where)
    shift = _vector(obj.get("translation", [0, 0, 0]), 3, where)
    return Transform(output, None, np.column_stack([rotation * scale, shift]))


def _matrix(obj: object, rank: int, where: str, rows: int | None = None) -> Array:
    shape = (rank if rows is None else rows, rank + 1)
    try:
        matrix = np.array(obj, dtype=np.float64)
    except (TypeError, ValueError):
        raise unsupported(where, "its matrix is not made of numbers") from None
    if matrix.shape != shape:
        raise unsupported(where, f"its matrix is not {shape[0]} x {shape[1]}")
    if not np.isfinite(matrix).all():
        raise unsupported(where, "its matrix is not finite")
    return matrix


def _vector(obj: object, length: int, where: str) -> Array:
    return _matrix([obj], length - 1, where, rows=1)[0]


def _quaternion(q: Array) -> Array:
    """Rotation matrix of the quaternion x, y, z, w."""
    x, y, z, w = q / (np.linalg.norm(q) or 1.0)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def unsupported(where: str, why: str) -> UserError:
    """Return the error for a transform that is refused; `where` names its layer."""
    return UserError(f"{where}: its transform is not supported yet ({why})")
