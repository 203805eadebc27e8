"""Check: straighten, backproject, compare; which promise holds, and what was measured."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Grid, Straightening
from napari_ouroboros.geometry.exactness import Exactness
from napari_ouroboros.geometry.folds import FoldReport
from napari_ouroboros.geometry.touched import block_box, touched_chunks
from napari_ouroboros.operations.boxes import Box, check_slice, voxels_of
from napari_ouroboros.operations.gather import Gatherer, LabelGrid
from napari_ouroboros.operations.plan import Cancel, Plan, Progress, Unit, default_threads
from napari_ouroboros.operations.sampler import DEFAULT_MEMORY, Missing, SliceSampler

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume

# Drawn samples that are followed there and back; enough to see one in a hundred thousand.
_DRAWN_SAMPLES = 1_000_000
_CHUNK = (64, 64, 64)


@dataclass(frozen=True)
class CheckReport:
    """A round trip, promised and measured.

    Attributes
    ----------
    promised : Exactness
        What the settings promise on the level's voxels.
    folds : FoldReport
    voxels : int
        Voxels in the tube that were compared.
    voxels_changed : int
        Of them, those whose value came back different (nearest neighbour both ways).
    voxels_contested : int
        Voxels that several slices claim.
    samples, samples_changed : int
        Drawn samples followed to their voxel and back, and those that came back elsewhere.
    kept_promises : bool
        Nothing changed where exactness was promised.
    seconds : float
    """

    promised: Exactness
    folds: FoldReport
    voxels: int
    voxels_changed: int
    voxels_contested: int
    samples: int
    samples_changed: int
    seconds: float

    @property
    def volume_agreement(self) -> float:
        """Share of the voxels in the tube that came back unchanged."""
        return 1.0 - self.voxels_changed / self.voxels if self.voxels else 1.0

    @property
    def drawn_agreement(self) -> float:
        """Share of the drawn samples that came back to themselves."""
        return 1.0 - self.samples_changed / self.samples if self.samples else 1.0

    @property
    def kept_promises(self) -> bool:
        """Whether what was promised was found."""
        return not (
            (self.promised.volume_exact and self.voxels_changed)
            or (self.promised.drawn_exact and self.samples_changed)
        )

    @property
    def text(self) -> str:
        """Three lines for people."""
        return "\n".join(
            [
                f"promised: {self.promised.text}",
                f"folding: {self.folds.text}",
                f"measured: volume -> straightened -> volume {_share(self.volume_agreement)} of "
                f"{self.voxels:,} voxels unchanged; straightened -> volume -> straightened "
                f"{_share(self.drawn_agreement)} of {self.samples:,} samples unchanged; "
                f"{self.voxels_contested:,} voxels lie in more than one slice",
            ]
        )


def check(
    volume: Volume,
    straightening: Straightening,
    mip: int = 0,
    *,
    missing: Missing | None = None,
    memory: int = DEFAULT_MEMORY,
    threads: int | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> CheckReport:
    """Run the round trip in memory, chunk by chunk, and compare with the volume itself.

    Parameters
    ----------
    volume : Volume
        Its own values are what is compared: ids of a segmentation, grey values of an image,
        both by nearest neighbour, so "unchanged" means equal.
    straightening : Straightening
    mip : int
    missing, memory, threads, progress, cancel
        As for `straighten_to`.

    Returns
    -------
    CheckReport
    """
    start = time.monotonic()
    level = volume.mip(mip)
    map_ = straightening.resolved(level.resolution)
    check_slice(map_, volume, memory)
    with SliceSampler(
        volume,
        map_,
        mip,
        "nearest",
        0,
        missing,
        memory,
        threads,
    ) as sampler:
        trip = _RoundTrip(volume, map_, mip, sampler)
        trip.plan().run(threads or default_threads(), progress, cancel)
    samples, samples_changed = _drawn(map_, Grid(level.shape, level.resolution, level.voxel_offset))
    voxels, changed, contested = (int(n) for n in trip.totals)
    return CheckReport(
        promised=map_.exactness(level.resolution),
        folds=map_.fold_report(),
        voxels=voxels,
        voxels_changed=changed,
        voxels_contested=contested,
        samples=samples,
        samples_changed=samples_changed,
        seconds=time.monotonic() - start,
    )


def plan_check(
    volume: Volume, straightening: Straightening, mip: int = 0, memory: int = DEFAULT_MEMORY
) -> Plan:
    """What `check` would read and hold, from geometry alone: for a dry run."""
    map_ = straightening.resolved(volume.mip(mip).resolution)
    check_slice(map_, volume, memory)
    with SliceSampler(volume, map_, mip, "nearest", 0, memory=memory) as sampler:
        return _RoundTrip(volume, map_, mip, sampler).plan(figures=True)


class _RoundTrip:
    """Straightened slices as labels, taken home, compared with the chunk that they came from."""

    def __init__(
        self, volume: Volume, straightening: Straightening, mip: int, sampler: SliceSampler
    ) -> None:
        self.level = level = volume.mip(mip)
        self.volume, self.mip, self.map = volume, mip, straightening
        self.grid = Grid(level.shape, level.resolution, level.voxel_offset)
        self.stack = _SampledStack(sampler, straightening)
        self.gatherer = Gatherer(
            straightening, self.grid, LabelGrid(self.stack, (1.0,) * 3, (0.0,) * 3)
        )
        self.blocks = touched_chunks(straightening, self.grid, _CHUNK)
        self.totals = np.zeros(3, np.int64)
        self._lock = threading.Lock()

    def plan(self, figures: bool = False) -> Plan:
        """One unit per touched block; `figures`: with what they read, which takes a moment."""
        chunks = self._chunks() if figures else np.zeros((0, 3), np.int64)
        to_fetch = voxels_of(chunks, self.level) * self.volume.channels * self.volume.dtype.itemsize
        return Plan(
            "the check",
            [
                Unit(str(index), partial(self._compare, index, segments))
                for index, segments in self.blocks
            ],
            bytes_to_fetch=to_fetch,
            bytes_to_write=0,
            memory_bytes=min(to_fetch, self.stack.memory) + self.stack.held_bytes,
            chunks_to_fetch=len(chunks),
        )

    def _chunks(self) -> NDArray[np.int64]:
        """Of the volume (n, 3): those that the slices read, and once more those of every block."""
        parts = [self.stack.chunks()]
        for index, _ in self.blocks:
            box = np.array(block_box(index, _CHUNK, self.grid.shape)).T
            low, high = box[0] // self.level.chunk, (box[1] - 1) // self.level.chunk
            parts.append(np.argwhere(np.ones(high - low + 1, bool)) + low)
        return np.concatenate(parts)

    def _compare(
        self, index: tuple[int, int, int], segments: NDArray[np.int64], cancel: Cancel
    ) -> None:
        self.stack.cancel = cancel  # the same one for every unit
        block = self.gatherer.block(index, _CHUNK, segments, cancel, distances=False)
        inside = block.claims > 0
        if not inside.any():
            return
        box = block_box(index, _CHUNK, self.grid.shape)
        truth = self.volume.read(self.mip, box, cancel=cancel)
        truth = truth[..., 0] if truth.ndim == 4 else truth
        truth = np.ascontiguousarray(truth).view(block.labels.dtype)
        with self._lock:
            self.totals += (
                int(inside.sum()),
                int(np.count_nonzero((truth != block.labels) & inside)),
                int(np.count_nonzero(block.claims > 1)),
            )


class _SampledStack:
    """The first channel of a volume, straightened by nearest neighbour, as labels: its bits."""

    def __init__(self, sampler: SliceSampler, straightening: Straightening) -> None:
        self._sampler = sampler
        self.cancel: Cancel | None = None
        self.shape = straightening.shape
        self.out_dtype = np.dtype(f"u{sampler.dtype.itemsize}")
        self.metadata: dict[str, Any] = {}
        self._slabs: dict[int, NDArray[Any]] = {}
        self._lock = threading.Lock()
        page = max(1, int(np.prod(self.shape[1:])) * sampler.dtype.itemsize)
        self._step = max(1, min(32, 4_000_000 // page))
        self._most = max(4, 128 * 2**20 // (page * self._step))
        self.memory = sampler.memory
        #: Bytes of the slices that are kept.
        self.held_bytes = page * min(self._most * self._step, self.shape[0])

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        """Slices k0 to k1."""
        first = k0 // self._step
        slabs = [self._slab(i) for i in range(first, (k1 - 1) // self._step + 1)]
        joined = np.concatenate(slabs) if len(slabs) > 1 else slabs[0]
        return joined[k0 - first * self._step : k1 - first * self._step]

    def chunks(self) -> NDArray[np.int64]:
        """Of the volume (n, 3): all that are read, each once."""
        count = -(-self.shape[0] // self._step)
        return np.unique(
            np.concatenate([self._sampler.chunks(self._box(i)) for i in range(count)]), axis=0
        )

    def _box(self, i: int) -> Box:
        n, rows, columns = self.shape
        return Box((i * self._step, min((i + 1) * self._step, n)), (0, rows), (0, columns))

    def _slab(self, i: int) -> NDArray[Any]:
        with self._lock:
            if i in self._slabs:
                self._slabs[i] = self._slabs.pop(i)
                return self._slabs[i]
        values = self._sampler.read(self._box(i), self.cancel)[..., 0]
        slab = np.ascontiguousarray(values).view(self.out_dtype)
        with self._lock:
            self._slabs[i] = slab
            while len(self._slabs) > self._most:
                del self._slabs[next(iter(self._slabs))]
        return slab


def _drawn(straightening: Straightening, grid: Grid) -> tuple[int, int]:
    """Follow drawn samples to their nearest voxel and back: how many, and how many changed."""
    shape = np.asarray(straightening.shape)
    total = int(np.prod(shape))
    # Every sample, or evenly many of them: a step that shares no factor with a row's length.
    step = max(1, -(-total // _DRAWN_SAMPLES))
    while step > 1 and np.gcd(step, int(shape[2])) > 1:
        step += 1
    index = np.stack(np.unravel_index(np.arange(0, total, step), straightening.shape), axis=-1)
    voxel = np.floor(grid.to_index(straightening.to_volume(index)) + 0.5)
    inside = np.all((voxel >= 0) & (voxel < grid.shape), axis=1)
    back = straightening.to_straightened(grid.to_nm(voxel[inside]))
    with np.errstate(invalid="ignore"):
        same = np.all(np.floor(back + 0.5) == index[inside], axis=1)
    return int(inside.sum()), int(np.count_nonzero(~same))


def _share(value: float) -> str:
    """A percentage that says 100 % only when nothing changed."""
    return "100 %" if value == 1.0 else f"{min(100 * value, 99.9999):.4g} %"
