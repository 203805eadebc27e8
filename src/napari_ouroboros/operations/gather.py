"""Labels for a block of voxels: which label slices it needs, and the gather kernel around them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.geometry import Grid, Straightening
from napari_ouroboros.geometry.touched import runs
from napari_ouroboros.operations.plan import Cancel


class LabelSlices(Protocol):
    """What the gather asks of labels; `LabelStack` is one."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        ...

    @property
    def out_dtype(self) -> np.dtype[Any]:
        """Unsigned dtype of what is read."""
        ...

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        """Slices k0 to k1."""
        ...


@dataclass
class Block:
    """Labels of a block of voxels (z, y, x).

    Attributes
    ----------
    labels : array (z, y, x)
    distance : array (z, y, x) of float64
        Squared distance to the centre line in nm^2; inf outside the tube. Of no length where
        nobody asked for it.
    claims : array (z, y, x) of uint8
        Slices that pass through the voxel: 0 outside the tube, over 1 contested.
    """

    labels: NDArray[Any]
    distance: NDArray[np.float64]
    claims: NDArray[np.uint8]


@dataclass(frozen=True)
class LabelGrid:
    """A label stack and how its samples lie among the recipe's.

    Attributes
    ----------
    stack : LabelSlices
    scale : (3,)
        Label samples per recipe sample.
    offset : (3,)
        Recipe index of the label grid's first cell: label index i' is recipe index
        (i' + 1/2) / scale - 1/2 + offset.
    """

    stack: LabelSlices
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) of the labels."""
        return self.stack.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Unsigned dtype of the labels."""
        return self.stack.out_dtype

    @classmethod
    def of(
        cls,
        labels: Any,
        straightening: Straightening,
        keep: Sequence[int] | None = None,
        scale: Sequence[float] | None = None,
        offset: Sequence[float] | None = None,
    ) -> LabelGrid:
        """Open labels and check that they belong to the map.

        Raises
        ------
        UserError
            Another recipe's labels; a shape that does not fit; no whole numbers.
        """
        from napari_ouroboros.volumes.labels.label_stack import LabelStack, open_labels

        stack = labels if isinstance(labels, LabelStack) else open_labels(labels)
        written_for = stack.metadata.get("frames_sha256")
        if written_for is not None and written_for != straightening.recipe_hash:
            raise UserError(
                "these labels were made with another recipe "
                f"({stack.metadata.get('recipe', 'unnamed')}); give that one with --recipe"
            )
        factors = _three(scale, "the labels' scale", (1.0, 1.0, 1.0), positive=True)
        start = _three(offset, "the labels' offset", (0.0, 0.0, 0.0))
        shape = straightening.shape
        if offset is None:
            wanted = tuple(int(np.floor(n * f + 0.5)) for n, f in zip(shape, factors, strict=True))
            if stack.shape != wanted:
                raise UserError(_misfit(stack.shape, shape, wanted, scale is not None))
        elif not _fits(stack.shape, shape, factors, start):
            raise UserError(
                f"the labels have shape {stack.shape} and start at {start} of the recipe's "
                f"{shape} (slices, rows, columns): they reach beyond it; is the offset right?"
            )
        if keep is not None:
            stack = stack.select(keep)
        return cls(stack, factors, start)

    def look_for_negative(self) -> None:
        """Read signed labels in order; UserError at the first negative slice."""
        if np.dtype(getattr(self.stack, "dtype", np.uint8)).kind == "i":
            for k in range(self.shape[0]):
                self.stack.read(k, k + 1)


class Gatherer:
    """Takes labels home block by block; thread-safe.

    Parameters
    ----------
    straightening : Straightening
    grid : Grid
        Of the volume that is labelled.
    labels : LabelGrid
    """

    def __init__(self, straightening: Straightening, grid: Grid, labels: LabelGrid) -> None:
        self.straightening, self.grid, self.labels = straightening, grid, labels
        self._local = threading.local()

    def block(
        self,
        index: tuple[int, int, int],
        chunk: tuple[int, int, int],
        segments: NDArray[np.int64],
        cancel: Cancel | None = None,
        distances: bool = True,
    ) -> Block:
        """Labels of one chunk, clipped at the volume's end.

        Parameters
        ----------
        index, chunk : (int, int, int)
            Which chunk, and the size of chunks in voxels, zyx.
        segments : array, increasing
            Those that may reach into it; -1 and the last one are an open trace's extensions.
        cancel : Cancel, optional
        distances : bool
            Without them 3 times as fast: most voxels' labels are certain from predictions.
        """
        from napari_ouroboros.geometry import gather_kernel as kernel

        needed = self._needed(segments)
        address, claims, distance = self._claim(
            index, chunk, segments, self._addresses(needed), distances
        )
        out = np.zeros(claims.shape, self.labels.dtype)
        if len(needed) and claims.any():
            pages = self._pages(needed, cancel)
            kernel.look_up(address, claims, pages, out)
        return Block(out, distance if distances else np.empty((0, 0, 0)), claims)

    def samples(
        self,
        index: tuple[int, int, int],
        chunk: tuple[int, int, int],
        segments: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which label sample each voxel of a chunk gets, as `block` takes it; no label is read.

        Parameters
        ----------
        index, chunk, segments
            See `block`.

        Returns
        -------
        voxels, samples : arrays (n,)
            Flat indices, C order, of the voxels of the chunk (clipped at the volume's end) that
            have a sample, increasing, and those of their samples in the whole of the labels.
        """
        first = np.arange(self.labels.shape[0]) * int(np.prod(self.labels.shape[1:]))
        address, claims, _ = self._claim(index, chunk, segments, first, distances=False)
        voxels = np.flatnonzero((claims.reshape(-1) > 0) & (address.reshape(-1) >= 0))
        return voxels, address.reshape(-1)[voxels]

    def _claim(
        self,
        index: tuple[int, int, int],
        chunk: tuple[int, int, int],
        segments: NDArray[np.int64],
        first: NDArray[np.int64],
        distances: bool,
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float64]]:
        """Address, claims and distance of the voxels (z, y, x) of a chunk.

        The room of addresses, and of distances that nobody asked for, is that of the next call.
        first (slices',): address of each label slice's first sample.
        """
        from napari_ouroboros.geometry import gather_kernel as kernel

        s = self.straightening
        corner = np.asarray(index) * chunk
        z, y, x = (int(n) for n in np.minimum(corner + chunk, self.grid.shape) - corner)
        claims = np.zeros((z, y, x), np.uint8)
        address, owner, scratch = self._scratch(z * y * x)
        distance = np.full((z, y, x), np.inf) if distances else scratch.reshape(z, y, x)
        n = len(s.planes) - 1
        inner = segments[(segments >= 0) & (segments < n)]
        kernel.claim(
            kernel.Tube(
                s.planes, s.segments.bends, s.segments.slacks, s.groups, s.frames.closed,
                s.extension, s.pitch_nm, s.height, s.width,
            ),
            kernel.Samples(
                first, np.asarray(self.labels.offset, float),
                np.asarray(self.labels.scale, float), np.asarray(self.labels.shape),
            ),
            kernel.Voxels(
                self.grid.to_nm(corner), np.asarray(self.grid.resolution, float),
                claims, address.reshape(z, y, x), owner.reshape(z, y, x), distance,
            ),
            np.unique(s.groups.of_segment[inner]), bool((segments < 0).any()),
            bool((segments >= n).any()), distances,
        )  # fmt: skip
        return address.reshape(z, y, x), claims, distance

    def _scratch(
        self, voxels: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        """Address, owner and distance of every voxel, in the same room for a thread's every block.

        Only what `claim` wrote is read again, and fresh pages cost as much as the work on them.
        """
        room = getattr(self._local, "room", None)
        if room is None or len(room[0]) < voxels:
            room = self._local.room = (
                np.empty(voxels, np.int64), np.empty(voxels, np.int32), np.empty(voxels)
            )  # fmt: skip
        address, owner, distance = room
        return address[:voxels], owner[:voxels], distance[:voxels]

    def _addresses(self, needed: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where among the pages of the needed label slices each slice begins."""
        first = np.zeros(self.labels.shape[0], np.int64)
        first[needed] = np.arange(len(needed)) * int(np.prod(self.labels.shape[1:]))
        return first

    def _pages(self, needed: NDArray[np.int64], cancel: Cancel | None) -> NDArray[Any]:
        """The needed label slices, one behind the other."""
        parts = []
        for first, last in runs(needed):
            if cancel is not None and cancel.is_set():
                raise Cancelled("the job was cancelled; nothing was kept")
            parts.append(self.labels.stack.read(first, last + 1))
        return np.ascontiguousarray(np.concatenate(parts) if len(parts) > 1 else parts[0])

    def _needed(self, segments: NDArray[np.int64]) -> NDArray[np.int64]:
        """Label slices hit by slice indices from half a slice before to half behind a segment."""
        n, f, offset = self.labels.shape[0], self.labels.scale[0], self.labels.offset[0]
        low, high = segments.astype(float), segments + 1.0
        if self.straightening.frames.closed:
            # The second half of the last segment is the first half of slice 0's cell.
            last = len(self.straightening.planes) - 2
            if segments[-1] == last:
                low, high = np.append(low, -0.5), np.append(high, 0.0)
        first = np.floor((np.maximum(low, -0.5) - offset + 0.5) * f - 1e-9).astype(np.int64)
        stop = np.floor((high - offset + 0.5) * f + 1e-9).astype(np.int64)
        first, stop = np.clip(first, 0, n), np.clip(stop + 1, 0, n)
        marked = np.zeros(n + 1, np.int64)
        np.add.at(marked, first, 1)
        np.add.at(marked, np.maximum(stop, first), -1)
        return np.flatnonzero(np.cumsum(marked)[:-1] > 0)

    def largest_need(
        self, blocks: Sequence[tuple[tuple[int, int, int], dict[int, NDArray[np.int64]]]]
    ) -> int:
        """Bytes of the most label slices that any block needs at once."""
        page = int(np.prod(self.labels.shape[1:])) * self.labels.dtype.itemsize
        most = max((len(s) for _, parts in blocks for s in parts.values()), default=0)
        return int(np.ceil((most + 2) * self.labels.scale[0])) * page


def _three(
    values: Sequence[float] | None,
    what: str,
    default: tuple[float, float, float],
    positive: bool = False,
) -> tuple[float, float, float]:
    if values is None:
        return default
    numbers = tuple(float(v) for v in values)
    if len(numbers) != 3 or not np.isfinite(numbers).all() or (positive and min(numbers) <= 0):
        raise UserError(
            f"{what} must be three numbers{' over 0' if positive else ''}, zyx; it is {values!r}"
        )
    return numbers


def _fits(
    have: tuple[int, ...],
    recipe: tuple[int, ...],
    scale: tuple[float, float, float],
    offset: tuple[float, float, float],
) -> bool:
    """Whether a crop lies within the recipe, give or take one of its own samples."""
    return all(
        o >= -1 / f and o + n / f <= whole + 1 / f
        for n, whole, f, o in zip(have, recipe, scale, offset, strict=True)
    )


def _misfit(
    have: tuple[int, ...], recipe: tuple[int, ...], wanted: tuple[int, ...], scaled: bool
) -> str:
    if scaled:
        return f"the labels have shape {have}; with this scale they should have {wanted}"
    return (
        f"the labels have shape {have}, the recipe {recipe} (slices, rows, columns); for labels "
        "on another grid say so with --labels-scale, for a crop with --labels-offset"
    )
