"""A landmark stays where it is when napari shows another level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.layers import align, cut, space
from napari_ouroboros.operations.demo.phantom import halve


def test_a_landmark_is_at_one_place_on_the_canvas(
    make_napari_viewer_proxy: Callable[..., Any],
) -> None:
    offset, resolution = (3, 5, 7), (40.0, 40.0, 40.0)
    image = np.zeros((20, 405, 411), np.uint8)
    # On the lattice of the coarsest level, so that halving keeps its edges sharp.
    image[:, 4 * 60 - 5 : 4 * 70 - 5, 4 * 80 - 7 : 4 * 90 - 7] = 255
    arrays, grids = [image], [Grid(image.shape, resolution, offset)]
    for _ in range(2):
        halved, offset = halve(arrays[-1], offset, (2, 2, 2))
        z, y, x = (2 * size for size in resolution)
        resolution = (z, y, x)
        arrays.append(halved)
        grids.append(Grid(halved.shape, resolution, offset))
    aligned = align(grids)
    assert aligned.mips == (0, 1, 2)
    levels = [
        cut(da.from_array(array, chunks=64), box)
        for array, box in zip(arrays, aligned.boxes, strict=True)
    ]
    start = np.array(aligned.boxes[0])[:, 0]
    grid = Grid(levels[0].shape, grids[0].resolution, tuple(grids[0].voxel_offset + start))

    viewer = make_napari_viewer_proxy(show=True)
    layer = viewer.add_image(levels, multiscale=True, contrast_limits=(0, 255), **space(grid))
    viewer.dims.set_point(0, grid.to_nm((12, 0, 0))[0])
    # Close enough for the canvas to resolve a fraction of the finest voxels.
    pixels_per_voxel = 4.37
    camera = viewer.scene.camera
    camera.center = (0, *grid.to_nm((0, 65 * 4, 85 * 4))[1:])
    camera.zoom = pixels_per_voxel / 40
    places = []
    for mip in aligned.mips:
        layer.locked_data_level = mip
        QApplication.processEvents()
        assert layer.data_level == mip
        bright = viewer.screenshot(canvas_only=True, flash=False)[..., 0] > 127
        places.append([*np.argwhere(bright).mean(axis=0), bright.sum()])
    places = np.array(places)
    assert places[0, 2] > 100
    wrong = (places[:, :2] - places[0, :2]) / pixels_per_voxel
    # Of the finest voxel, not of the coarsest: 1 pixel is 0.23 of one.
    np.testing.assert_allclose(wrong, 0, atol=0.25)
    np.testing.assert_allclose(places[:, 2] / places[0, 2], 1, atol=0.02)
