"""The Points layers of the straightened space: taken for a session, and brought back. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ouroboros.errors import OuroborosError, one_line
from napari_ouroboros.session import FeatureEntry, PointEntry, PointsEntry
from napari_ouroboros.widgets.home.point_maps import PointMaps
from napari_ouroboros.widgets.spaces.helper_layer import add_quietly

if TYPE_CHECKING:
    from napari.layers import Points
    from numpy.typing import NDArray

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.widgets.scene.scene import Scene
    from napari_ouroboros.widgets.session.capture import Recipes


@dataclass(frozen=True, eq=False)
class TakenPoints:
    """A layer's points as they are now."""

    name: str
    maps: PointMaps
    scale: tuple[float, ...]
    affine: NDArray[np.float64]
    table: Any
    size: NDArray[np.float64]
    symbol: NDArray[np.object_]
    face: NDArray[np.float64]
    border: NDArray[np.float64]
    visible: bool
    opacity: float
    index_straightened: int | None

    @classmethod
    def of(cls, layer: Points, maps: PointMaps, index: int | None) -> TakenPoints:
        """Take them; `maps` are those of the layer as it is now."""
        return cls(
            layer.name,
            maps,
            tuple(float(x) for x in layer.scale),
            _after_scale(layer),
            layer.features.copy(),
            np.array(layer.size, float),
            np.array(layer.symbol, object),
            np.array(layer.face_color, float),
            np.array(layer.border_color, float),
            bool(layer.visible),
            float(layer.opacity),
            index,
        )

    def entry(self, recipes: Recipes) -> PointsEntry:
        """Make their part of a document. Points without a place are in none."""
        here = np.flatnonzero(np.isfinite(self.maps.rows).all(axis=1))
        maps = self.maps.maps[here]
        numbers = {
            map_: i for i, map_ in enumerate(dict.fromkeys(m for m in maps if m is not None))
        }
        points = [
            PointEntry(
                tuple(self.maps.rows[i].tolist()),
                numbers.get(self.maps.maps[i]),
                float(self.size[i]),
                str(getattr(self.symbol[i], "value", self.symbol[i])),
                tuple(self.face[i].tolist()),
                tuple(self.border[i].tolist()),
            )
            for i in here.tolist()
        ]
        changed = not np.array_equal(self.affine, np.eye(4))
        return PointsEntry(
            self.name,
            tuple(points),
            tuple(recipes.of(map_) for map_ in numbers),
            self.scale,  # type: ignore[arg-type]  # three of them
            tuple(map(tuple, self.affine.tolist())) if changed else None,  # type: ignore[arg-type]
            _features(self.table.iloc[here]),
            self.visible,
            self.opacity,
            self.index_straightened,
        )


def take_points(scene: Scene, indices: Mapping[Any, int]) -> tuple[TakenPoints, ...]:
    """Take the points of a scene's straightened space. In the GUI thread.

    `indices` are those of layers, see `layer_order`.
    """
    points = scene.overlays.points
    # A session keeps points of slices; of others no trace is known.
    layers = [layer for layer in points.layers if layer.ndim == 3]
    return tuple(TakenPoints.of(x, points.maps_of(x), indices.get(x)) for x in layers)


def prepare_points(
    entries: Sequence[PointsEntry],
) -> tuple[list[tuple[PointsEntry, list[Straightening]]], tuple[PointsEntry, ...], list[str]]:
    """Make the maps of the recipes of each; also what cannot be had, and why. In a worker."""
    found, lost, problems = [], [], []
    for entry in entries:
        try:
            found.append((entry, _maps_of(entry)))
        except OuroborosError as error:
            lost.append(entry)
            problems.append(f"the points {entry.name!r} cannot be shown: {one_line(error)}")
    return found, tuple(lost), problems


def _maps_of(entry: PointsEntry) -> list[Straightening]:
    from napari_ouroboros.geometry import recipe

    name = f"a recipe of the points {entry.name!r}"
    maps = [recipe.from_dict(data, name) for data in entry.recipes]
    for map_ in maps:
        _ = map_.recipe_hash  # here, not in the GUI thread
    return maps


def show_points(scene: Scene, entry: PointsEntry, maps: list[Straightening]) -> None:
    """Bring a layer back. In the GUI thread."""
    from napari.layers import Points

    points = entry.points
    rows = np.array([point.at for point in points], float).reshape(-1, 3)
    known = np.empty(len(points), object)
    known[:] = [None if point.recipe is None else maps[point.recipe] for point in points]
    look: dict[str, Any] = {}
    if points:
        look = {
            "size": [point.size for point in points],
            "symbol": [point.symbol for point in points],
            "face_color": np.array([point.face for point in points]),
            "border_color": np.array([point.border for point in points]),
        }
    layer = Points(
        rows,
        name=entry.name,
        scale=entry.scale,
        affine=None if entry.affine is None else np.array(entry.affine),
        units=("nm",) * 3,
        features={feature.name: feature.array() for feature in entry.features},
        visible=entry.visible,
        opacity=entry.opacity,
        metadata=PointMaps(rows, known).keep_in({}),
        **look,
    )
    kinds = {feature.name: "category" for feature in entry.features if feature.type == "category"}
    if kinds:
        layer.features = layer.features.astype(kinds)
    scene.work.order.want(layer, straightened=entry.index_straightened)
    add_quietly(scene.straight, layer)


def _after_scale(layer: Points) -> NDArray[np.float64]:
    """What is done to a layer's data after its scale, as one matrix (4, 4)."""
    zero = np.array(layer.data_to_world((0.0, 0.0, 0.0)), float)
    matrix = np.eye(4)
    matrix[:3, 3] = zero
    for axis, (unit, step) in enumerate(zip(np.eye(3), layer.scale, strict=True)):
        matrix[:3, axis] = (np.array(layer.data_to_world(unit), float) - zero) / step
    return matrix


def _features(table: Any) -> tuple[FeatureEntry, ...]:
    found = []
    for name, column in table.items():
        there = zip(column.tolist(), column.isna().tolist(), strict=True)
        values = [None if gone else value for value, gone in there]
        found.append(FeatureEntry.of(str(name), str(column.dtype), values))
    return tuple(found)
