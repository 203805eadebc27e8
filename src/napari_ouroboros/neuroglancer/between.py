"""How two volumes of a state lie to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer.placement import Placement
from napari_ouroboros.neuroglancer.source_space import ARRAYS, source_space

if TYPE_CHECKING:
    from napari_ouroboros.neuroglancer.state import VolumeSource
    from napari_ouroboros.volumes import Volume


def between(
    source: VolumeSource, volume: Volume, first: VolumeSource, reference: Volume
) -> NDArray[np.float64] | None:
    """Return the (4, 4) zyx matrix from nm of a volume to nm of the first; None where they agree.

    Both go through the global space of the state, as their transforms say.
    """
    plain = source.transform is None and first.transform is None
    if plain and not {source.format, first.format} & set(ARRAYS):
        return None

    def from_global(of: VolumeSource, at: Volume) -> tuple[Placement, NDArray[np.float64]]:
        resolution = at.levels[0].resolution[::-1]
        placement = Placement(
            of.transform,
            lambda: resolution,
            f"layer {of.layer!r}",
            source_space(of.url, of.format),
        )
        corners = placement.from_global(np.vstack([np.zeros(3), np.eye(3)]))
        matrix = np.eye(4)
        matrix[:3, 3] = corners[0]
        matrix[:3, :3] = (corners[1:] - corners[0]).T
        return placement, matrix

    there, to_there = from_global(source, volume)
    here, to_here = from_global(first, reference)
    if set(there.names) != set(here.names):
        raise UserError(
            f"layers {source.layer!r} and {first.layer!r} lie in different dimensions "
            f"({', '.join(there.names)} and {', '.join(here.names)}); show them one by one"
        )
    order = np.eye(4)
    order[:3, :3] = [[float(a == b) for a in there.names] for b in here.names]
    matrix = to_here @ order @ np.linalg.inv(to_there)
    return None if np.allclose(matrix, np.eye(4), rtol=1e-9, atol=1e-6) else matrix
