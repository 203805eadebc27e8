"""What is to be brought home, checked before anything is written."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.destination import (
    Scale,
    check_coarser,
    check_form,
    conflict_folder,
    label_place,
    notice_shift,
    notice_wide,
    scales_of,
)
from napari_ouroboros.operations.gather import Gatherer, LabelGrid
from napari_ouroboros.operations.label_inputs import open_stack, result_dtype
from napari_ouroboros.operations.merge import TouchedBlock, touched_blocks
from napari_ouroboros.operations.outputs import CHUNK, check_free
from napari_ouroboros.operations.plan import default_threads
from napari_ouroboros.operations.pyramid import CoarserScale
from napari_ouroboros.operations.sampler import DEFAULT_MEMORY

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.level import Index


class CheckedBackprojection:
    """A backprojection with everything checked; parameters and errors as `backproject` has them.

    Attributes
    ----------
    path, output
        Where the result goes, and in which form.
    conflicts
        Where the mask of contested voxels goes, and in which form; None: it is not wanted.
    scale : Scale
        Whose voxels are labelled.
    gatherers : list of Gatherer
        One for each trace.
    blocks : list of TouchedBlock
        The chunks that the tubes touch.
    units : dict of Index to list of TouchedBlock
        Those of each write unit: a chunk, or a shard.
    pyramid : list of CoarserScale
    files : ExitStack
        What has been opened; whoever runs it closes it.
    """

    def __init__(
        self,
        labels: Any,
        straightening: Straightening | Sequence[Straightening],
        destination: str | os.PathLike[str],
        like: Volume | None = None,
        mip: int | None = None,
        *,
        keep: Sequence[int] | None = None,
        labels_scale: Sequence[float] | None = None,
        labels_offset: Sequence[float] | None = None,
        dtype: DTypeLike | None = None,
        conflicts: str | os.PathLike[str] | None = None,
        pyramid: bool = False,
        sharded: bool = False,
        memory: int = DEFAULT_MEMORY,
        timeout: float = 60.0,
        threads: int | None = None,
        overwrite: bool = False,
        command: str | None = None,
    ) -> None:
        self.start = time.monotonic()
        self.path, self.output = label_place(destination)
        check_form(self.output, pyramid, sharded)
        self.sharded = sharded
        self.conflicts = None if conflicts is None else conflict_folder(conflicts, self.path)
        for path, _ in filter(None, ((self.path, self.output), self.conflicts)):
            check_free(path, overwrite)
        self.overwrite, self.command, self.memory, self.keep = overwrite, command, memory, keep
        self.threads = threads or default_threads()
        maps = [straightening] if isinstance(straightening, Straightening) else list(straightening)
        stacks = [labels] if isinstance(straightening, Straightening) else list(labels)
        if len(maps) != len(stacks) or not maps:
            raise UserError(
                f"{len(stacks)} label volumes for {len(maps)} recipes; give one for each"
            )
        source = maps[0].source
        self.scale, *coarser = scales_of(source, like, mip, self.output)
        notice_shift(self.scale)
        if pyramid:
            check_coarser([self.scale, *coarser])
        if self.conflicts is not None:
            self.conflict_scale = scales_of(source, like, mip, self.conflicts[1])[0]
        with ExitStack() as files:
            opened = [
                open_stack(files, stack, memory // 4 // len(stacks), timeout) for stack in stacks
            ]
            self.gatherers = [
                Gatherer(
                    map_,
                    self.scale.source,
                    LabelGrid.of(stack, map_, keep, labels_scale, labels_offset),
                )
                for stack, map_ in zip(opened, maps, strict=True)
            ]
            self.dtype = result_dtype(self.gatherers, dtype)
            self.blocks = touched_blocks(self.gatherers, CHUNK)
            if self.output == "tiff":
                notice_wide([index for index, _ in self.blocks], self.scale, self.dtype)
            self.files = files.pop_all()
        self.units = self._grouped()
        self.pyramid = [
            CoarserScale(
                self.scale, scale, CHUNK, [index for index, _ in self.blocks],
                self._unit(scale), self.dtype,
            )
            for scale in (coarser if pyramid else [])
        ]  # fmt: skip
        if sharded:
            self.threads = max(1, min(self.threads, memory // 2 // self.held_bytes))

    @property
    def mip(self) -> int:
        """Level of the source whose grid the result gets."""
        return self.scale.mip

    def _unit(self, scale: Scale) -> Index:
        """Voxels of a write unit."""
        if not self.sharded:
            return CHUNK
        from napari_ouroboros.volumes.writing.precomputed_writer import shard_unit

        chunk_bytes = int(np.prod(CHUNK)) * self.dtype.itemsize
        return shard_unit(scale.written.shape, CHUNK, chunk_bytes)

    def _grouped(self) -> dict[Index, list[TouchedBlock]]:
        """The touched chunks of each write unit."""
        units: dict[Index, list[TouchedBlock]] = {}
        unit = self._unit(self.scale)
        for block in self.blocks:
            z, y, x = (i * c // u for i, c, u in zip(block[0], CHUNK, unit, strict=True))
            units.setdefault((z, y, x), []).append(block)
        return units

    @property
    def held_bytes(self) -> int:
        """What one write unit holds: its chunks, and the store's own copy of a shard's."""
        chunk_bytes = int(np.prod(CHUNK)) * self.dtype.itemsize
        if not self.sharded:
            return chunk_bytes
        most = max([*map(len, self.units.values()), *(s.most_chunks for s in self.pyramid)])
        return 2 * most * chunk_bytes
