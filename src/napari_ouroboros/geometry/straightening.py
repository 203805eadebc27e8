"""The straightening map: the one object that knows where a straightened voxel lies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.frames import Frames, make_frames
from napari_ouroboros.geometry.segments import Segments, bound_segments
from napari_ouroboros.geometry.trace import Trace
from napari_ouroboros.geometry.vectors import norm

if TYPE_CHECKING:
    from napari_ouroboros.geometry.exactness import Exactness
    from napari_ouroboros.geometry.folds import FoldReport
    from napari_ouroboros.geometry.gather_groups import Groups

Float = NDArray[np.float64]


class Straightening:
    """Slices perpendicular to a trace, and the map between them and the volume.

    A straightened index is (slice, row, column), whole numbers being sample centres. Pixel
    (row, column) lies at v = (row - (height-1)/2) pitch along +B and u = (column - (width-1)/2)
    pitch along +N; (N, B, T) is right-handed in xyz. Everything is float64 nm, ordered zyx, and
    independent of the level that is read.

    Parameters
    ----------
    trace : Trace
    width, height : int
        Size of a slice in pixels: columns and rows.
    pitch_nm : float, optional
        Size of a pixel. None: the finest resolution of the volume's level; `straighten` fills
        it in, and until then (`resolved`) the map has no shape.
    spacing_nm : float, optional
        Distance between slices. None: like `pitch_nm`.
    adaptive_radius_nm : float, optional
        Slices lie closer where the curve bends, so that nothing within this radius is sampled
        coarser than `spacing_nm`.
    up : (z, y, x), optional
        Direction that appears upwards in every slice.
    twist : sequence of (s_nm, degrees), optional
        Turns N towards B; monotone between the keyframes.

    Raises
    ------
    UserError
        For sizes, lengths or directions that make no slice.
    """

    def __init__(
        self,
        trace: Trace,
        width: int = 100,
        height: int = 100,
        pitch_nm: float | None = None,
        spacing_nm: float | None = None,
        adaptive_radius_nm: float | None = None,
        up: ArrayLike | None = None,
        twist: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        if not isinstance(trace, Trace):
            raise UserError(
                f"a Straightening needs a Trace, not {type(trace).__name__}: Trace(points)"
            )
        self.trace = trace
        #: What a loaded recipe recorded of its source volume (url, mip, levels).
        self.source: dict[str, Any] | None = None
        self.width = _whole(width, "the width")
        self.height = _whole(height, "the height")
        self._pitch = _length(pitch_nm, "the pixel size (pitch)")
        self._spacing = _length(spacing_nm, "the distance between slices (spacing)")
        self.adaptive_radius_nm = (
            None
            if adaptive_radius_nm is None
            else _length(adaptive_radius_nm, "the adaptive radius", zero=True)
        )
        self.up = None if up is None else _direction(up)
        self.twist = None if twist is None else _keyframes(twist)

    def __repr__(self) -> str:
        size = f"{self.width} x {self.height}"
        if not self.is_resolved:
            return f"<Straightening of {len(self.trace)} points, {size}, pixel size open>"
        return (
            f"<Straightening of {len(self.trace)} points: {self.shape[0]} slices of {size}, "
            f"pixels {self.pitch_nm:g} nm, {self.spacing_nm:g} nm apart>"
        )

    # -- settings -------------------------------------------------------------------------

    @property
    def is_resolved(self) -> bool:
        """Whether pixel size and distance between slices are known."""
        return self._pitch is not None and self._spacing is not None

    def resolved(self, resolution: ArrayLike) -> Straightening:
        """Return this map with open lengths set to the finest of a resolution (3,) in nm."""
        if self.is_resolved:
            return self
        finest = float(np.min(np.asarray(resolution, float)))
        pitch = finest if self._pitch is None else self._pitch
        return Straightening(
            self.trace,
            self.width,
            self.height,
            pitch,
            # Spacing follows the volume, not a pitch the user chose: each default is its own.
            finest if self._spacing is None else self._spacing,
            self.adaptive_radius_nm,
            self.up,
            self.twist,
        )

    @property
    def pitch_nm(self) -> float:
        """Size of a pixel in nm."""
        if self._pitch is None:
            raise UserError(_OPEN)
        return self._pitch

    @property
    def spacing_nm(self) -> float:
        """Distance between slices in nm; on a closed trace adjusted so that it goes up in L."""
        if self._spacing is None:
            raise UserError(_OPEN)
        if self.trace.closed and self.adaptive_radius_nm is None:
            return self.curve.length / len(self.frames)
        return self._spacing

    # -- geometry -------------------------------------------------------------------------

    @cached_property
    def curve(self) -> Curve:
        """The curve through the trace."""
        return Curve(self.trace)

    @cached_property
    def frames(self) -> Frames:
        """One frame per slice: arrays .s (n,), .c .N .B .T (n, 3), zyx."""
        if self._pitch is None or self._spacing is None:
            raise UserError(_OPEN)
        s = self.curve.positions(self._spacing, self.adaptive_radius_nm)
        return make_frames(self.curve, s, self.up, self.twist)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) of the straightened volume."""
        return (len(self.frames), self.height, self.width)

    @property
    def mean_spacing_nm(self) -> float:
        """Mean distance between slices along the curve: `spacing_nm` unless they are adaptive."""
        if self.adaptive_radius_nm is None:
            return self.spacing_nm
        s, n = self.frames.s, len(self.frames)
        if self.trace.closed:
            return self.curve.length / n
        return float(s[-1] - s[0]) / (n - 1) if n > 1 else self.spacing_nm

    @property
    def remainder_nm(self) -> float:
        """What is left of an open curve behind the last slice, in nm."""
        return 0.0 if self.trace.closed else float(self.frames.length - self.frames.s[-1])

    @property
    def reach_nm(self) -> float:
        """Half the diagonal of a slice: how far from the curve a sample can lie, in nm."""
        return 0.5 * self.pitch_nm * float(np.hypot(self.width, self.height))

    @cached_property
    def planes(self) -> Float:
        """(m, 12) rows c, T, N, B for the kernels; a closed map ends with slice 0 again."""
        f = self.frames
        planes = np.hstack([f.c, f.T, f.N, f.B])
        return np.ascontiguousarray(np.vstack([planes, planes[:1]]) if f.closed else planes)

    @cached_property
    def extension(self) -> Float:
        """(2,) nm that one slice index is worth beyond the first and the last slice.

        The curve is straight there, so adaptive slices are a full spacing apart as well.
        """
        return np.full(2, self.spacing_nm)

    @cached_property
    def segments(self) -> Segments:
        """Bounds that let the kernels pass by what is far from a point."""
        return bound_segments(self.planes, self.reach_nm)

    @cached_property
    def groups(self) -> Groups:
        """Segments taken together, with models of how their planes lie, for the gather."""
        from napari_ouroboros.geometry.gather_groups import group_segments

        return group_segments(self.planes, self.reach_nm, self.pitch_nm)

    def to_volume(self, svu: ArrayLike) -> Float:
        """Straightened index (..., 3) = (slice, row, column) -> position zyx in nm.

        Between slices the frames are blended; beyond the ends of an open trace the map goes on
        straight; a closed one is periodic.
        """
        from napari_ouroboros.geometry import kernels

        index = _triples(svu, "svu")
        out = np.empty_like(index)
        kernels.place(
            index, self.planes, self.frames.closed, self.extension, self.pitch_nm,
            self.height, self.width, out,
        )  # fmt: skip
        return out.reshape(np.shape(svu))

    def to_straightened(self, zyx_nm: ArrayLike) -> Float:
        """Position (..., 3) zyx in nm -> straightened index (slice, row, column); NaN outside.

        Inside means an index within [-1/2, n - 1/2) on all three axes. Of several slices that
        pass through the point, the one whose centre is nearest counts.
        """
        return self.locate(zyx_nm)[0]

    def locate(self, zyx_nm: ArrayLike) -> tuple[Float, NDArray[np.bool_]]:
        """`to_straightened`, and whether several slices claim the point (contested)."""
        from napari_ouroboros.geometry import kernels

        points = _triples(zyx_nm, "zyx_nm")
        out = np.empty_like(points)
        contested = np.zeros(len(points), bool)
        kernels.locate(
            points, self.planes, self.segments.balls, self.frames.closed, self.extension,
            self.pitch_nm, self.height, self.width, out, contested,
        )  # fmt: skip
        return out.reshape(np.shape(zyx_nm)), contested.reshape(np.shape(zyx_nm)[:-1])

    # -- what to expect -------------------------------------------------------------------

    def fold_report(self) -> FoldReport:
        """Where slices run into each other, and the largest width that does not."""
        from napari_ouroboros.geometry.folds import fold_report

        return fold_report(self)

    def exactness(self, resolution: ArrayLike) -> Exactness:
        """What a round trip promises on voxels of this resolution (3,), zyx nm."""
        from napari_ouroboros.geometry.exactness import exactness

        return exactness(self, np.asarray(resolution, float))

    # -- the recipe -----------------------------------------------------------------------

    @cached_property
    def recipe_hash(self) -> str:
        """The sha256 of the frames: equal for the same map, whatever file it came from."""
        from napari_ouroboros.geometry.recipe import frames_hash

        return frames_hash(self)

    def recipe(self, source: dict[str, Any] | None = None) -> dict[str, Any]:
        """The recipe as a JSON-able dict (schema napari-ouroboros-recipe/1)."""
        from napari_ouroboros.geometry.recipe import to_dict

        return to_dict(self, source)

    def save(self, path: str | Path, source: dict[str, Any] | None = None) -> None:
        """Write the recipe as JSON, whole or not at all."""
        from napari_ouroboros.geometry.recipe import save

        save(self, Path(path), source)

    @classmethod
    def load(cls, path: str | Path) -> Straightening:
        """Read a recipe. An error if it does not give the very map that it was written for."""
        from napari_ouroboros.geometry.recipe import load

        straightening, recipe = load(Path(path))
        straightening.source = recipe.get("source")
        return straightening


_OPEN = (
    "this straightening has no pixel size or distance between slices yet; "
    "give pitch_nm and spacing_nm, or use .resolved(level.resolution)"
)


def _whole(value: object, what: str) -> int:
    try:
        number = int(value)  # type: ignore[call-overload]
        good = number == value and number >= 1
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise UserError(f"{what} must be a whole number of pixels, 1 or more; it is {value!r}")
    return int(number)


def _length(value: float | None, what: str, zero: bool = False) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (np.isfinite(number) and (number > 0 or (zero and number == 0))):
        raise UserError(
            f"{what} must be {'0 nm or more' if zero else 'over 0 nm'}; it is {value!r}"
        )
    return number


def _keyframes(twist: Any) -> list[tuple[float, float]]:
    try:
        keys = [(float(s), float(degrees)) for s, degrees in twist]
        good = bool(np.isfinite(keys).all())
    except (TypeError, ValueError):
        good = False
    if not good:
        raise UserError(f"twist must be pairs (s_nm, degrees) of numbers; it is {twist!r}")
    return keys


def _direction(up: ArrayLike) -> Float:
    try:
        direction = np.array(up, float)
    except (TypeError, ValueError):
        direction = np.empty(0)
    if direction.shape != (3,) or not np.isfinite(direction).all() or not norm(direction):
        raise UserError("up must be a direction of three numbers, zyx, not all 0")
    return direction


def _triples(values: ArrayLike, name: str) -> Float:
    array = np.asarray(values, np.float64)
    if array.ndim == 0 or array.shape[-1] != 3:
        raise UserError(f"{name} must have shape (..., 3); it has {array.shape}")
    return np.ascontiguousarray(array.reshape(-1, 3))
