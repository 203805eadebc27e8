"""The demo in napari: the volume with its labels in one window, the straightened nerve in another.

Run as a program, ``python -m napari_ouroboros.widgets.demo_windows STATE RECIPE IMAGE LABELS``, so
that the demo itself needs no window.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ouroboros.geometry import Straightening

if TYPE_CHECKING:
    import napari


def show_volume(viewer: napari.Viewer, state: Path) -> None:
    """Add image, truth (hidden), labels and trace of a state, and look at the trace's middle."""
    viewer.title = "Ouroboros demo: labels brought back into the volume"
    for layer in viewer.open(str(state), plugin="napari-ouroboros"):
        if layer.name == "truth":
            layer.visible = False
        if layer.name == "labels":
            layer.opacity = 0.5
        if layer.name == "trace":
            middle = layer.data_to_world(layer.data[len(layer.data) // 2])
            viewer.dims.set_point(range(3), middle)
    viewer.canvas.overlays.scale_bar.visible = True


def show_straightened(viewer: napari.Viewer, recipe: Path, image: Path, labels: Path) -> None:
    """Add the straightened image and the labels found in it, in nm along and across the nerve."""
    import tifffile

    viewer.title = "Ouroboros demo: the straightened nerve"
    map_ = Straightening.load(recipe)
    place = {
        "scale": (map_.spacing_nm, map_.pitch_nm, map_.pitch_nm),
        "units": ("nm",) * 3,
        "axis_labels": ("slice", "row", "column"),
    }
    viewer.add_image(tifffile.imread(image), name="straightened", contrast_limits=(0, 255), **place)
    viewer.add_labels(tifffile.imread(labels), name="fascicles found", opacity=0.4, **place)
    viewer.dims.set_current_step(0, map_.shape[0] // 2)
    viewer.canvas.overlays.scale_bar.visible = True


def main(arguments: Sequence[str]) -> None:
    """Open both windows and wait until they are closed."""
    import napari

    state, recipe, image, labels = map(Path, arguments)
    # The first window shown lies below the second: what came home shall be on top.
    show_straightened(napari.Viewer(), recipe, image, labels)
    show_volume(napari.Viewer(), state)
    napari.run()


if __name__ == "__main__":
    main(sys.argv[1:])
