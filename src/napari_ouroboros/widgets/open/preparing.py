"""What was ticked becomes layers and traces, ready to be added. In a worker; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.widgets.open.finding import Found, Item, Report, traces_of

if TYPE_CHECKING:
    from napari_ouroboros.layers import LayerData
    from napari_ouroboros.neuroglancer import State
    from napari_ouroboros.widgets.background import Token

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ready:
    """What to add to a viewer.

    Attributes
    ----------
    layers : list of LayerData
        Lowest first.
    traces : list of (name, points (n, 3) zyx nm)
    position_nm : array (3,) or None
        Where to look, zyx nm; None: wherever napari looks.
    found : Found
        What it was made from.
    """

    layers: list[LayerData]
    traces: list[tuple[str, Float]]
    position_nm: Float | None
    found: Found


def prepare(
    found: Found,
    chosen: Collection[int],
    token: Token | None = None,
    report: Report | None = None,
    make: Callable[..., list[LayerData]] | None = None,
) -> Ready:
    """Make layers of the items with these indices.

    Parameters
    ----------
    found : Found
    chosen : collection of int
        Indices of `found.items`.
    token, report
        Cancel and progress, layer by layer.
    make : callable, optional
        ``make(volume, name, labels)``: default `streaming.prepare_volume`.

    Raises
    ------
    UserError, SourceError
        Nothing was chosen; layers that do not lie in one space.
    Cancelled
        The token was set.
    """
    from napari_ouroboros.widgets.streaming import prepare_volume

    make = make or partial(prepare_volume, cancel=token)
    items = [item for index, item in enumerate(found.items) if index in chosen]
    items = [item for item in items if not item.problem]
    if not items:
        raise UserError("nothing is ticked; tick what to open")
    volumes = [item for item in items if item.volume is not None]
    # All else is placed in the nm of one volume: an image rather than labels laid over it, as
    # the scene chooses its reference.
    reference = next((item for item in volumes if item.kind == "image"), None)
    reference = reference or next(iter(volumes), None)
    layers: list[LayerData] = []
    for number, item in enumerate(volumes):
        if report is not None:
            report(number, len(volumes))
        if token is not None and token.is_set():
            raise Cancelled("cancelled")
        assert reference is not None
        layers += _layers(found.state, item, reference, make)
    traces: list[tuple[str, Float]] = []
    done: set[str] = set()
    for item in items:
        if item.kind != "trace" or item.points_nm is None:
            continue
        if found.state is None or reference is None:
            traces.append((item.name, item.points_nm))
        elif item.layer not in done:
            # In the nm of the volume that everything is placed in, which need not be the first.
            done.add(item.layer)
            wanted = {i.name for i in items if i.kind == "trace" and i.layer == item.layer}
            for placed in traces_of(found.state, item.layer, reference):
                if placed.problem:
                    raise UserError(placed.problem)
                if placed.name in wanted and placed.points_nm is not None:
                    traces.append((placed.name, placed.points_nm))
    position = None
    if found.state is not None and reference is not None:
        position = state_position(found.state, reference)
    if position is None and traces:
        points = traces[0][1]
        position = points[len(points) // 2]
    return Ready(layers, traces, position, found)


def _layers(
    state: State | None, item: Item, reference: Item, make: Callable[..., list[LayerData]]
) -> list[LayerData]:
    volume = item.volume
    assert volume is not None
    more: dict[str, object] = {}
    if state is not None and item is not reference:
        from napari_ouroboros.neuroglancer.between import between

        assert reference.volume is not None
        affine = between(
            state.volume_source(item.layer),
            volume,
            state.volume_source(reference.layer),
            reference.volume,
        )
        if affine is not None:
            more["affine"] = affine
    if not item.look.visible:
        more["visible"] = False
    found = []
    for data, meta, kind in make(volume, item.name, item.kind == "segmentation"):
        own = dict(more)
        if kind == "labels" and item.look.opacity is not None:
            own["opacity"] = item.look.opacity
        if kind == "image" and item.look.contrast_limits is not None and "rgb" not in meta:
            own["contrast_limits"] = item.look.contrast_limits
            meta["metadata"]["napari-ouroboros"].pop("contrast", None)  # none is left open
        found.append((data, {**meta, **own}, kind))
    return found


def state_position(state: State, item: Item) -> Float | None:
    """Return where a state looks, (3,) zyx nm of a volume; None if it does not say it."""
    from napari_ouroboros.neuroglancer.coordinates import Transform
    from napari_ouroboros.neuroglancer.placement import Placement
    from napari_ouroboros.neuroglancer.source_space import source_space

    raw: object = state.raw.get("position")
    if raw is None:  # as old states have it
        pose: object = state.raw
        for key in ("navigation", "pose", "position", "voxelCoordinates"):
            pose = pose.get(key) if isinstance(pose, dict) else None
        raw = pose
    dimensions = state.dimensions
    if not isinstance(raw, list) or dimensions is None or len(raw) != len(dimensions):
        return None
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in raw):
        return None
    position = np.array([raw], np.float64)
    volume = item.volume
    if volume is None or not np.isfinite(position).all():
        return None
    source = state.volume_source(item.layer)
    resolution = volume.levels[0].resolution[::-1]
    try:
        placement = Placement(
            source.transform,
            lambda: resolution,
            f"layer {item.layer!r}",
            source_space(source.url, source.format),
        )
        return placement.to_nm(position, Transform(dimensions), "position")[0]
    except UserError:
        return None  # a view in dimensions that the volume does not have is no reason to stop
