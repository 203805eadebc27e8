"""Paint the things of the phantom into its arrays, box by box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.operations.demo.phantom_nerve import F64, NERVE_SHEATH, Nerve, Path, Tube
from napari_ouroboros.operations.demo.phantom_tissue import CellBody, Disc, Vessel, blend

Box = tuple[slice, slice, slice]

#: Pixel of `nerve_texture` and its step along the nerve, in units of the finest voxel edge.
TEXTURE_PIXEL, TEXTURE_STEP = 0.9, 4.0


def _axes(grid: Grid, box: Box) -> tuple[F64, F64, F64]:
    """Give the nm of the voxel centres of a box, shaped to broadcast."""
    z, y, x = (
        np.asarray((np.arange(b.start, b.stop) + o + 0.5) * r, float)
        for b, o, r in zip(box, grid.voxel_offset, grid.resolution, strict=True)
    )
    return z[:, None, None], y[None, :, None], x[None, None, :]


def _box(grid: Grid, low: F64, high: F64) -> Box | None:
    """Voxels between two corners (nm), or None when there are none inside the volume."""
    first = np.maximum(np.floor(grid.to_index(low)).astype(int), 0)
    last = np.minimum(np.ceil(grid.to_index(high)).astype(int) + 1, grid.shape)
    if (first >= last).any():
        return None
    z, y, x = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return z, y, x


def paint(
    image: NDArray[np.uint8],
    grid: Grid,
    thing: Disc | CellBody,
    centre: F64,
    reach: float,
    pixel: float,
) -> None:
    """Paint a thing that lies within `reach` of its centre."""
    box = _box(grid, centre - reach, centre + reach)
    if box is not None:
        thing.paint(image[box], *_axes(grid, box), pixel)


def _beside(path: Path, grid: Grid, rows: slice, reach: float) -> Box | None:
    """Return the box around `path` in a block of rows, widened by `reach` nm."""
    y = (np.array([rows.start, rows.stop]) + grid.voxel_offset[1]) * grid.resolution[1]
    points = path.points(np.linspace(y[0] - reach, y[1] + reach, 33))
    low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
    box = _box(grid, low, high)
    return None if box is None else (box[0], rows, box[2])


def paint_vessel(
    image: NDArray[np.uint8], grid: Grid, vessel: Vessel, rows: slice, pixel: float
) -> None:
    """Paint the part of the vessel in a block of rows of y."""
    reach = 1.7 * vessel.trunk_radius
    boxes = [_beside(p, grid, rows, reach) for p in (vessel.trunk, vessel.branch)]
    found = [b for b in boxes if b is not None]
    if found:
        z = slice(min(b[0].start for b in found), max(b[0].stop for b in found))
        x = slice(min(b[2].start for b in found), max(b[2].stop for b in found))
        box = (z, rows, x)
        vessel.paint(image[box], *_axes(grid, box), pixel)


def paint_nerve(
    image: NDArray[np.uint8],
    fascicles: NDArray[np.uint8],
    grid: Grid,
    nerve: Nerve,
    cross_sections: NDArray[np.float32],
    rows: slice,
    pixel: float,
) -> None:
    """Paint nerve and truth where they lie in a block of rows of y."""
    reach = nerve.radius + 2 * pixel
    box = _beside(nerve.path, grid, rows, reach)
    if box is None:
        return
    z, y, x = _axes(grid, box)
    cz, cx, z1, x1, _, _ = nerve.path.derivatives(y)
    dz, dx = z - cz, x - cx
    # A cheap bound first: the slope of the path shortens the distance within a plane of y; a
    # bend shortens it further, by less than a fifth for the bends that are made here.
    along = (dz * z1 + dx * x1) / np.sqrt(1 + z1**2 + x1**2)
    near = np.nonzero(dz**2 + dx**2 - along**2 < (1.25 * reach) ** 2)
    where = z[near[0], 0, 0], y[0, near[1], 0], x[0, 0, near[2]]
    # A section shows the average over its thickness; the truth is that of voxel centres.
    layers = max(1, round(grid.resolution[0] / (1.25 * pixel)))
    part = image[box]
    old = part[near]
    total = np.zeros(len(old), np.float32)
    nearest = nerve.path.nearest(*where)
    tube = nerve.locate(*where, nearest)
    inside = np.hypot(tube.u, tube.v) < nerve.radius * (1 - NERVE_SHEATH)
    fascicles[box][near] = nerve.index(tube) * inside
    for layer in range(layers):
        up = ((layer + 0.5) / layers - 0.5) * grid.resolution[0]
        if up:
            moved = where[0] + up
            beside = nerve.path.nearest(moved, where[1], where[2], nearest.y)
            layer_tube = nerve.locate(moved, where[1], where[2], beside)
        else:
            layer_tube = tube
        total += _seen(old, layer_tube, nerve, cross_sections, pixel)
    part[near] = np.rint(total / layers).astype(np.uint8)


def _seen(
    background: NDArray[np.uint8],
    tube: Tube,
    nerve: Nerve,
    cross_sections: NDArray[np.float32],
    pixel: float,
) -> NDArray[np.float32]:
    """Return the grey values of points of the tube, laid over those of the background."""
    from scipy import ndimage

    rho = np.hypot(tube.u, tube.v)
    half = (cross_sections.shape[1] - 1) / 2
    step = pixel * TEXTURE_PIXEL
    grey = ndimage.map_coordinates(
        cross_sections,
        [tube.s / (pixel * TEXTURE_STEP), tube.u / step + half, tube.v / step + half],
        order=1,
        mode="nearest",
    )
    out = background.copy()
    # A pale sleeve of loose tissue sets the nerve off from what is around it.
    sleeve = np.clip((nerve.radius + 5 * pixel - rho) / (2 * pixel), 0, 1) * (rho > nerve.radius)
    blend(out, sleeve * 0.8, 168.0)
    blend(out, np.clip((nerve.radius - rho) / pixel + 0.5, 0, 1), grey)
    return out.astype(np.float32)
