"""A phantom worth looking at: a nerve of several fascicles and a vessel, whose truth is known.

The image resembles electron microscopy of a small peripheral nerve. The truth is evaluated in
closed form at every voxel centre and shares no code with the map that it is there to test.
`make_phantom` makes the arrays, `write_phantom` the folder that the demo starts from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.operations.demo.phantom_nerve import F64, Nerve, nerve_texture
from napari_ouroboros.operations.demo.phantom_paint import (
    TEXTURE_PIXEL,
    TEXTURE_STEP,
    paint,
    paint_nerve,
    paint_vessel,
)
from napari_ouroboros.operations.demo.phantom_scene import (
    blood_cells,
    cell_bodies,
    centre_line,
    traced,
    vessel_beside,
)
from napari_ouroboros.operations.demo.phantom_texture import grain, neuropil
from napari_ouroboros.operations.demo.steps import Steps
from napari_ouroboros.operations.plan import Cancel, Progress

if TYPE_CHECKING:
    from napari_ouroboros.volumes.writing.precomputed_writer import Box, PrecomputedWriter

# About 512^3 voxels. No size divides by 2 or 4, so that the edges of coarser levels matter.
SHAPE = (251, 727, 731)
RESOLUTION = (200.0, 80.0, 80.0)
VOXEL_OFFSET = (412, 1204, 2056)
# Three mips: each of the two further ones is coarser by these factors (zyx), which brings the
# voxels closer to cubes.
HALVINGS = ((1, 2, 2), (2, 2, 2))
# Names in the folder that `write_phantom` makes.
STATE, IMAGE, TRUTH = "state.json", "image", "truth"
_BLOCK = 16  # planes of y that are painted at a time


@dataclass(frozen=True, eq=False)
class Phantom:
    """An image, what is true about it, and where it lies. Arrays zyx, lengths nm.

    Attributes
    ----------
    image : uint8 array (z, y, x)
    fascicles : uint8 array (z, y, x)
        0 outside, else 1 + the index in `ids`.
    ids : uint64 array (n,)
        Labels of the fascicles, from 1 to beyond what a float64 can hold.
    points_nm : float64 array (n, 3)
        Traced points in order along the middle of the nerve, zyx nm.
    resolution, voxel_offset : 3 numbers each, zyx
    nerve : Nerve
        The closed form behind it.
    """

    image: NDArray[np.uint8]
    fascicles: NDArray[np.uint8]
    ids: NDArray[np.uint64]
    points_nm: F64
    resolution: tuple[float, float, float]
    voxel_offset: tuple[int, int, int]
    nerve: Nerve

    @property
    def truth(self) -> NDArray[np.uint64]:
        """Labels (z, y, x) as uint64, made anew (8 bytes a voxel) at each call."""
        return self.truth_ids(self.fascicles)

    def truth_ids(self, fascicles: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Return a part of `fascicles` as the label ids, uint64."""
        table = np.concatenate([np.zeros(1, np.uint64), self.ids])
        return table[fascicles]

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        shape = self.image.shape
        return Grid((shape[0], shape[1], shape[2]), self.resolution, self.voxel_offset)


def make_phantom(
    shape: tuple[int, int, int] = SHAPE,
    resolution: tuple[float, float, float] = RESOLUTION,
    voxel_offset: tuple[int, int, int] = VOXEL_OFFSET,
    seed: int = 0,
    radius_nm: float | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Phantom:
    """Make the phantom; the same arguments give the same voxels.

    Parameters
    ----------
    shape, resolution, voxel_offset : 3 numbers each, zyx
        Voxels, nm, voxels.
    seed : int
        Of all texture; the layout of the nerve does not depend on it.
    radius_nm : float, optional
        Of the nerve. By default about a tenth of the smaller of depth (z) and width (x).
    progress : callable, optional
        ``progress(done, total)``.
    cancel : object with ``is_set()``, optional
        Stops it.

    Raises
    ------
    UserError
        When the volume has no room for the nerve.
    Cancelled
        `cancel` was set.
    """
    grid = Grid(shape, resolution, voxel_offset)
    low, high = grid.bounds_nm
    extent = high - low
    radius = 0.105 * min(extent[0], extent[2]) if radius_nm is None else float(radius_nm)
    pixel = min(resolution)
    if not (radius >= 6 * pixel and 3 * radius <= min(extent[0], extent[2]) and min(shape) >= 8):
        raise UserError(
            f"a nerve of {radius:g} nm radius does not fit a volume of {extent.tolist()} nm (zyx) "
            f"with voxels of {pixel:g} nm; enlarge the volume or set radius_nm"
        )
    voxel_px = (resolution[0] / pixel, resolution[1] / pixel, resolution[2] / pixel)
    nerve = Nerve(centre_line(low, extent, radius), radius, (float(low[1]), float(high[1])))
    # One generator for each thing: adding to one does not change the others.
    rngs = [np.random.default_rng([seed, n]) for n in range(6)]

    steps = Steps(progress, cancel)
    image = np.empty(shape, np.uint8)
    fascicles = np.zeros(shape, np.uint8)
    tissue = neuropil(rngs[0], shape, voxel_px)

    with ThreadPoolExecutor(2) as pool:

        def every(task: Callable[[int], None], count: int, start: float, end: float) -> None:
            part = steps.part(start, end)
            try:
                for done, _ in enumerate(pool.map(task, range(count)), 1):
                    part.tell(done / count)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

        def background(z: int) -> None:
            np.clip(tissue.plane(z, shape[1:]), 0, 255, out=image[z], casting="unsafe")

        every(background, shape[0], 0.0, 0.25)
        for body in cell_bodies(rngs[1], grid, nerve, voxel_px):
            paint(image, grid, body, body.centre, body.reach, pixel)
        vessel = vessel_beside(nerve, low, extent)
        cross_sections = nerve_texture(nerve, rngs[2], pixel * TEXTURE_PIXEL, pixel * TEXTURE_STEP)
        blocks = -(-shape[1] // _BLOCK)

        def tubes(n: int) -> None:
            rows = slice(n * _BLOCK, min((n + 1) * _BLOCK, shape[1]))
            paint_vessel(image, grid, vessel, rows, pixel)

        def nerves(n: int) -> None:
            rows = slice(n * _BLOCK, min((n + 1) * _BLOCK, shape[1]))
            paint_nerve(image, fascicles, grid, nerve, cross_sections, rows, pixel)

        every(tubes, blocks, 0.3, 0.4)
        for cell in blood_cells(rngs[3], vessel, low, extent, pixel):
            paint(image, grid, cell, cell.centre, cell.reach, pixel)
        every(nerves, blocks, 0.45, 0.8)
        noise = grain(rngs[4], shape[0], shape[1:], 8.0)
        every(lambda z: noise.add(image[z], z), shape[0], 0.8, 1.0)

    ids = np.array([f.id for f in nerve.fascicles], np.uint64)
    return Phantom(
        image, fascicles, ids, traced(rngs[5], nerve, low, extent), resolution, voxel_offset, nerve
    )


@dataclass(frozen=True)
class PhantomPaths:
    """What `write_phantom` wrote: a viewer state and the two volumes that it shows."""

    state: Path
    image: Path
    truth: Path


def write_phantom(
    folder: str | Path,
    phantom: Phantom | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> PhantomPaths:
    """Write a phantom as Neuroglancer precomputed volumes and a viewer state.

    Parameters
    ----------
    folder : path
        Made if it does not exist. In it: ``image`` (3 mips, raw), ``truth`` (one mip,
        compressed_segmentation) and ``state.json`` with the layers ``em``, ``truth`` and
        ``trace``; its sources are relative to the folder.
    phantom : Phantom, optional
        Default: ``make_phantom()``.
    overwrite : bool
        Replace what an earlier call wrote.
    progress : callable, optional
        ``progress(done, total)``.
    cancel : object with ``is_set()``, optional
        Stops it.

    Raises
    ------
    UserError
        Something is there already and `overwrite` is not set.
    DestinationError
        No permission or no space.
    Cancelled
        `cancel` was set; neither volume looks finished.
    """
    from napari_ouroboros.neuroglancer.writing import (
        AnnotationLayer,
        ImageLayer,
        SegmentationLayer,
        write_state,
    )
    from napari_ouroboros.volumes.writing.staging import destination_errors

    folder = Path(folder)
    with destination_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    steps = Steps(progress, cancel)
    if phantom is None:
        made = make_phantom(progress=steps.part(0, 0.8).progress, cancel=cancel)
        steps = steps.part(0.8, 1)
    else:
        made = phantom
    paths = PhantomPaths(folder / STATE, folder / IMAGE, folder / TRUTH)
    _write_image(paths.image, made, overwrite, steps.part(0, 0.8))
    _write_truth(paths.truth, made, overwrite, steps.part(0.8, 1))
    write_state(
        paths.state,
        [
            ImageLayer("em", f"precomputed://file://{paths.image.resolve()}"),
            SegmentationLayer(
                "truth",
                f"precomputed://file://{paths.truth.resolve()}",
                segments=[int(i) for i in made.ids],
            ),
            AnnotationLayer("trace", made.points_nm),
        ],
        resolution_nm=made.resolution,
        position_nm=made.points_nm[len(made.points_nm) // 2],
        selected="trace",
        relative=True,
        overwrite=overwrite,
    )
    return paths


def halve(
    image: NDArray[np.uint8], voxel_offset: tuple[int, int, int], factors: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], tuple[int, int, int]]:
    """Average blocks of `factors` (1 or 2, zyx); return the coarser level and its voxel_offset.

    Blocks lie on the lattice of the coarser level's own voxels, so that both levels agree on
    where things are. A block at the edge is the average of those of its voxels that exist.
    Halves are rounded up.
    """
    start = [o % f for o, f in zip(voxel_offset, factors, strict=True)]
    end = [-(n + s) % f for n, s, f in zip(image.shape, start, factors, strict=True)]
    # One voxel twice has the average of that voxel.
    padded = np.pad(image, list(zip(start, end, strict=True)), mode="edge")
    corners = itertools.product(*(range(f) for f in factors))
    slices = [
        tuple(slice(c, None, f) for c, f in zip(corner, factors, strict=True)) for corner in corners
    ]
    total = padded[slices[0]].astype(np.uint16)
    for part in slices[1:]:
        total += padded[part]
    total += len(slices) // 2
    total //= len(slices)
    z, y, x = (o // f for o, f in zip(voxel_offset, factors, strict=True))
    return total.astype(np.uint8), (z, y, x)


def _write_image(path: Path, phantom: Phantom, overwrite: bool, steps: Steps) -> None:
    from napari_ouroboros.volumes.writing.precomputed_writer import (
        PrecomputedWriter,
        is_our_precomputed,
    )
    from napari_ouroboros.volumes.writing.staging import StagedFolder

    image, offset, resolution = phantom.image, phantom.voxel_offset, phantom.resolution
    with StagedFolder(path, overwrite, is_our_precomputed) as folder:
        writer = PrecomputedWriter(
            folder,
            shape=image.shape,
            resolution=resolution,
            voxel_offset=offset,
            dtype=np.uint8,
            kind="image",
        )
        _write(writer, image, steps.part(0, 0.75))
        for factors in HALVINGS:
            image, offset = halve(image, offset, factors)
            z, y, x = (r * f for r, f in zip(resolution, factors, strict=True))
            resolution = (z, y, x)
            writer = writer.coarser(shape=image.shape, resolution=resolution, voxel_offset=offset)
            _write(writer, image, steps.part(1 - 0.25 / factors[0], 1))
        folder.commit()


def _write_truth(path: Path, phantom: Phantom, overwrite: bool, steps: Steps) -> None:
    from napari_ouroboros.volumes.writing.precomputed_writer import (
        PrecomputedWriter,
        is_our_precomputed,
    )
    from napari_ouroboros.volumes.writing.staging import StagedFolder

    with StagedFolder(path, overwrite, is_our_precomputed) as folder:
        writer = PrecomputedWriter(
            folder,
            shape=phantom.fascicles.shape,
            resolution=phantom.resolution,
            voxel_offset=phantom.voxel_offset,
            dtype=np.uint64,
            kind="segmentation",
        )
        _write(writer, phantom.fascicles, steps, phantom.truth_ids)
        folder.commit()


def _write(
    writer: PrecomputedWriter,
    array: NDArray[np.uint8],
    steps: Steps,
    convert: Callable[[NDArray[np.uint8]], NDArray[Any]] = np.ascontiguousarray,
) -> None:
    """Write `array` chunk by chunk in some threads; what is all 0 in a segmentation is left out."""
    boxes = list(writer.chunks())

    def one(box: Box) -> None:
        part = array[tuple(slice(*ends) for ends in box)]
        if writer.kind == "image" or part.any():
            writer.write(box, convert(part))

    with ThreadPoolExecutor(4) as pool:
        try:
            for done, _ in enumerate(pool.map(one, boxes), 1):
                steps.tell(done / len(boxes))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
