"""What a straightened layer shows: planes of one map through one volume. No Qt, no napari."""

from __future__ import annotations

import itertools
import threading
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, Notice
from napari_ouroboros.geometry import Straightening, Trace
from napari_ouroboros.operations.warm_up import warm_up

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel
    from napari_ouroboros.operations.preview import Preview, SliceAxis
    from napari_ouroboros.volumes import Volume

Array = NDArray[Any]
#: First and one past the last index on each axis: slices, rows, columns.
Range = tuple[int, int]

# A coarse picture has pixels at most so many times those wanted.
_COARSEST = 8.0
# The most samples that are computed where a window waits for them, and for how long.
_FEW_SAMPLES = 256 * 256
_AT_ONCE_SECONDS = 0.02
# So many slices are read one by one; more of them all together.
_FEW_SLICES = 4

#: Contents are counted, so that of two the later one is known.
next_serial = itertools.count(1).__next__


class Want(NamedTuple):
    """One plane: across `axis` (0 slices, 1 rows, 2 columns), at place `at`."""

    axis: int
    at: int


class Content(Protocol):
    """Planes of a volume of (slices, rows, columns), perhaps with channels after them.

    Attributes
    ----------
    shape : (slices, rows, columns)
    dtype : numpy.dtype
    channels : int
    scale_nm : (spacing, pitch, pitch)
    mips : tuple of int
        What can be read instead of the truth, from the truth itself to the coarsest.
    serial : int
        Grows with every content that is made.
    about : dict
        For the layer's metadata.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    channels: int
    scale_nm: tuple[float, float, float]
    mips: tuple[int, ...]
    serial: int
    about: dict[str, Any]

    def is_here(self, want: Want, mip: int) -> bool:
        """Whether `read` would not wait for anything slow."""

    def read(self, want: Want, mip: int, cancel: Cancel | None = None) -> Array:
        """Return a plane of (…) or (…, channels); may wait."""

    def read_at_once(self, want: Want) -> Array | None:
        """Return the true plane if that takes next to no time, else None."""

    def exact(self, box: Sequence[Range]) -> Array:
        """Return a part of the whole: the truth; may wait long."""


class LiveContent:
    """The straightened volume of one map, sampled when it is asked for.

    Parameters
    ----------
    preview : Preview
        Of the volume; keeps the chunks from one map to the next.
    map_ : Straightening
        With every length settled, in nm of the reference volume.
    mip : int
        Level of this volume that is the truth.
    interpolation : str or None
    shift_nm : (3,), optional
        Where nm 0 of this volume lies in nm of the reference.
    picked : frozenset of int
        Only these ids are kept; empty: all.
    """

    def __init__(
        self,
        preview: Preview,
        map_: Straightening,
        mip: int,
        interpolation: str | None = None,
        shift_nm: NDArray[np.float64] | None = None,
        picked: frozenset[int] = frozenset(),
    ) -> None:
        self._preview, self._given, self._shift = preview, map_, shift_nm
        self.mip, self.interpolation, self.picked = mip, interpolation, picked
        self.volume: Volume = preview.volume
        self.serial = next_serial()
        self.about: dict[str, Any] = {"state": "preview"}
        self.shape = map_.shape
        self.dtype = self.volume.dtype
        self.channels = self.volume.channels
        self.scale_nm = (map_.mean_spacing_nm, map_.pitch_nm, map_.pitch_nm)
        self.mips = (mip, *coarser_mips(self.volume, mip, map_))
        self._lock = threading.Lock()
        self._map = map_ if shift_nm is None else None
        self._whole: Any = None

    @property
    def map(self) -> Straightening:
        """The map in nm of this volume; perhaps computed now."""
        with self._lock:
            if self._map is None:
                assert self._shift is not None
                self._map = shifted(self._given, self._shift)
            return self._map

    def is_here(self, want: Want, mip: int) -> bool:
        """Whether all chunks of a plane have been decoded."""
        if want.axis == 0:
            return self._preview.slice_is_here(self.map, want.at, mip, self.interpolation)
        axis: SliceAxis = "column" if want.axis == 1 else "row"
        return self._preview.strip_is_here(
            self.map,
            mip,
            axis,
            want.at,
            interpolation=self.interpolation,
        )

    def read(self, want: Want, mip: int, cancel: Cancel | None = None) -> Array:
        """Return a plane as `straighten` at that mip has it."""
        if want.axis == 0:
            plane = self._preview.slice(self.map, want.at, mip, self.interpolation, cancel)
        else:
            axis: SliceAxis = "column" if want.axis == 1 else "row"
            plane = self._preview.strip(
                self.map, mip, axis, want.at,
                interpolation=self.interpolation, cancel=cancel,
            )  # fmt: skip
        return only(plane, self.picked)

    def read_at_once(self, want: Want) -> Array | None:
        """Return a small slice whose chunks are here: sooner done than handed to a thread."""
        _, rows, columns = self.shape
        if want.axis or rows * columns * self.channels > _FEW_SAMPLES or self._map is None:
            return None
        if not warm_up(self.volume, self.interpolation, self._preview.kind):
            return None  # numpy beside a compiler at work is slow
        if not self.is_here(want, self.mip):
            return None
        try:
            return self.read(want, self.mip, _Deadline(_AT_ONCE_SECONDS))
        except Cancelled:  # its chunks have gone meanwhile
            return None

    def exact(self, box: Sequence[Range]) -> Array:
        """Return ``straighten(...)[box]``."""
        (first, last), rows, columns = box
        part = (slice(*rows), slice(*columns))
        if last - first <= _FEW_SLICES:
            try:
                slices = [
                    self._preview.slice(self.map, k, self.mip, self.interpolation)[part]
                    for k in range(first, last)
                ]
            except Cancelled:  # the preview is closed, but whoever holds this wants its data
                pass
            else:
                if slices:
                    return only(np.stack(slices), self.picked)
        whole = self.whole()[(slice(first, last), *part)]
        return only(np.asarray(whole.compute(scheduler="single-threaded")), self.picked)

    def whole(self) -> Any:
        """Return the lazy array of `straighten`, before ids are picked."""
        from napari_ouroboros.operations.straighten_lazy import straighten

        map_ = self.map
        with self._lock:
            if self._whole is None:
                with warnings.catch_warnings():
                    # What lies outside or fits badly is said in the dock.
                    warnings.simplefilter("ignore", Notice)
                    self._whole = straighten(self.volume, map_, self.mip, self.interpolation)
            return self._whole


class _Deadline:
    """Cancels what has not ended in time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def is_set(self) -> bool:
        return time.monotonic() > self._end


def only(plane: Array, picked: frozenset[int]) -> Array:
    """Return the plane with every id but the picked ones set to 0; all where none is picked."""
    if not picked:
        return plane
    ids = np.array(sorted(picked), plane.dtype)
    return np.where(np.isin(plane, ids), plane, plane.dtype.type(0))


def coarser_mips(volume: Volume, mip: int, map_: Straightening) -> tuple[int, ...]:
    """Return the levels that do for a first look, the finest first."""
    most = _COARSEST * max(map_.pitch_nm, min(volume.mip(mip).resolution))
    found = [
        m
        for m in range(mip + 1, len(volume.levels))
        if min(volume.levels[m].resolution) <= most * (1 + 1e-9)
    ]
    return tuple(found)


def shifted(map_: Straightening, shift_nm: NDArray[np.float64]) -> Straightening:
    """Return the same map for a volume whose nm 0 lies at `shift_nm`, both zyx."""
    trace = map_.trace
    moved = Trace(trace.points_nm - shift_nm, trace.closed, trace.tolerance_nm)
    return Straightening(
        moved, map_.width, map_.height, map_.pitch_nm,
        # A closed trace's own spacing is already adjusted, and stays what it is.
        map_.spacing_nm, map_.adaptive_radius_nm, map_.up, map_.twist,
    )  # fmt: skip


def level_for(volume: Volume, reference: Volume, mip: int) -> int:
    """Return the level of a volume whose voxels are nearest in size to those of the reference's."""
    if volume is reference:
        return mip
    wanted = np.log(min(reference.mip(mip).resolution))
    sizes = [abs(np.log(min(level.resolution)) - wanted) for level in volume.levels]
    return int(np.argmin(sizes))
