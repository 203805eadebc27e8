"""Points of the straightened space, home as points of the original. No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.errors import UserError
from napari_ouroboros.layers import space
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.home.point_maps import PointMaps, look_again
from napari_ouroboros.widgets.scene.live import slices_key
from napari_ouroboros.widgets.spaces.helper_layer import add_quietly

if TYPE_CHECKING:
    from napari.layers import Layer, Points

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.points_home import PointsHome
    from napari_ouroboros.widgets.scene.live import LiveState
    from napari_ouroboros.widgets.scene.scene import Scene

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Taken:
    """A layer's points as they are now, each with the map that it was set along."""

    svu: Float
    table: Any
    look: dict[str, NDArray[Any]]
    maps: list[Straightening]


@dataclass(frozen=True, eq=False)
class Brought:
    """Points at home.

    Attributes
    ----------
    points : PointsHome
        Those that lie within the straightened volume.
    inside : array (n,) of bool
        Which of the layer's points those are.
    n_traces : int
        Along how many traces they were set, one that was edited counting anew.
    table : DataFrame
        Features of those inside, each column in its own dtype.
    look : dict of arrays
        Their sizes in nm, symbols and colours.
    """

    points: PointsHome
    inside: NDArray[np.bool_]
    n_traces: int
    table: Any
    look: dict[str, NDArray[Any]]

    @property
    def text(self) -> str:
        """One line: how many there are, and what is not there."""
        n, out = int(self.inside.sum()), int((~self.inside).sum())
        parts = [f"{n:,} point{'' if n == 1 else 's'}"]
        if out:
            verb = "lies" if out == 1 else "lie"
            parts.append(f"{out:,} {verb} outside the slices and stayed where they are")
        if self.n_traces > 1:
            parts.append("the trace has changed between them: each along the one it was set along")
        return "; ".join(parts)


class HomePoints:
    """The Points layers of a scene's straightened space, and their way home.

    Each point goes home along the trace that it was set along, though it may have changed since.

    Parameters
    ----------
    scene : Scene
        Held weakly.
    """

    #: Layers have come, gone, or been renamed.
    changed = Signal()
    #: Points have been brought home: the layer in the viewer, and `Brought`.
    brought = Signal(object, object)
    #: A file has been written: its path, and `Brought`.
    written = Signal(object, object)
    #: It did not work: the error.
    failed = Signal(object)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self._worker = Worker("ouroboros-points", scene.deliver, keep_all=True)
        self._homes: weakref.WeakKeyDictionary[Layer, weakref.ref[Points]] = (
            weakref.WeakKeyDictionary()
        )
        self._closed = False
        layers = scene.straight.layers
        layers.events.inserted.connect(self._inserted)
        layers.events.removed.connect(self._removed)
        scene.live.changed.connect(self._map_changed)
        for layer in layers:
            self._follow(layer)

    @property
    def layers(self) -> list[Points]:
        """Points layers of the straightened space, the lowest first."""
        scene = self._scene()
        return [] if scene is None else [x for x in scene.straight.layers if _is_points(x)]

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return self._worker.idle

    def maps_of(self, layer: Points) -> PointMaps:
        """Along which map each point of a layer was set, as the layer is now."""
        return look_again(layer, self._map)

    def bring(self, layer: Points) -> None:
        """Bring a layer's points home; `brought` or `failed` follows."""
        self._bring_home(layer, lambda brought: None, lambda brought: self._show(layer, brought))

    def write(self, layer: Points, path: Path) -> None:
        """Write a layer's points with their places in both spaces; `written` or `failed` follows.

        What is there is replaced: who calls has asked.
        """

        def write(brought: Brought) -> None:
            brought.points.write_csv(path)

        self._bring_home(layer, write, lambda brought: self.written.emit(path, brought))

    def close(self) -> None:
        """Stop listening, and bring nothing more."""
        if self._closed:
            return
        self._closed = True
        self._worker.close()
        scene = self._scene()
        if scene is not None:
            scene.straight.layers.events.inserted.disconnect(self._inserted)
            scene.straight.layers.events.removed.disconnect(self._removed)
            scene.live.changed.disconnect(self._map_changed)
            for layer in scene.straight.layers:
                self._leave(layer)

    # -- the layers -----------------------------------------------------------------------

    def _inserted(self, event: Any) -> None:
        self._follow(event.value)

    def _removed(self, event: Any) -> None:
        self._leave(event.value)

    def _follow(self, layer: Layer) -> None:
        if _is_points(layer):
            layer.events.data.connect(self._edited)
            layer.events.name.connect(self._renamed)
            look_again(layer, self._map)
            self.changed.emit()

    def _leave(self, layer: Layer) -> None:
        if _is_points(layer):
            layer.events.data.disconnect(self._edited)
            layer.events.name.disconnect(self._renamed)
            self.changed.emit()

    def _renamed(self) -> None:
        self.changed.emit()

    @property
    def _map(self) -> Straightening | None:
        """The map of the slices that are shown."""
        scene = self._scene()
        return None if scene is None else scene.live.state.map

    def _edited(self, event: Any) -> None:
        # Before and after what napari tells of: some changes it does not tell of at all.
        gone = str(getattr(event.action, "value", event.action)) == "removed"
        look_again(event.source, self._map, event.data_indices if gone else None)

    def _map_changed(self, state: LiveState, before: LiveState) -> None:
        """What was set and nobody told of, such as pasted points, was set along the map before."""
        for layer in self.layers:
            look_again(layer, before.map)

    # -- the way home ---------------------------------------------------------------------

    def _bring_home(
        self,
        layer: Points,
        then: Callable[[Brought], None],
        done: Callable[[Brought], None],
    ) -> None:
        """Compute, and do something with what was found, in a thread."""
        try:
            taken = self._take(layer)
        except UserError as error:
            self.failed.emit(error)
            return

        def run(token: Token) -> Brought:
            brought = _brought(taken)
            then(brought)
            return brought

        self._worker.submit(run, done, self.failed.emit)

    def _take(self, layer: Points) -> _Taken:
        if layer.ndim != 3:
            raise UserError(f"{layer.name!r} has {layer.ndim} dimensions; slices need three")
        if not len(layer.data):
            raise UserError(f"{layer.name!r} has no points")
        maps = self.maps_of(layer).maps.tolist()
        if None in maps:
            raise UserError("there is no trace that these points could have been set along")
        # data to nm is affine, whatever the user has done to the layer.
        zero = np.array(layer.data_to_world((0.0, 0.0, 0.0)))
        axes = np.array([layer.data_to_world(e) for e in np.eye(3)]) - zero
        nm = np.asarray(layer.data, float) @ axes + zero
        steps = {m: (m.mean_spacing_nm, m.pitch_nm, m.pitch_nm) for m in set(maps)}
        return _Taken(
            nm / [steps[map_] for map_ in maps], layer.features.copy(), _look(layer), maps
        )

    def _show(self, layer: Points, brought: Brought) -> None:
        """One layer in the viewer for each of the straightened space; a re-run updates it."""
        from napari.layers import Points

        scene = self._scene()
        if scene is None or scene.reference is None:
            self.failed.emit(UserError("there is no volume to bring the points to"))
            return
        grid = scene.reference.levels[0]
        look: dict[str, Any] = {
            "data": grid.to_index(brought.points.zyx_nm),
            "features": brought.table,
            **brought.look,
            "size": brought.look["size"] / min(grid.resolution),
        }
        known = self._homes.get(layer)
        home = None if known is None else known()
        if home is None or home not in scene.viewer.layers:
            home = Points(
                look.pop("data"), name=f"{layer.name} (backprojected)", **space(grid),
                metadata={"napari-ouroboros": {"home": True}}, **look,
            )  # fmt: skip
            self._homes[layer] = weakref.ref(home)
            add_quietly(scene.viewer, home)
        else:
            for name, value in look.items():
                setattr(home, name, value)
        self.brought.emit(home, brought)


def _is_points(layer: Layer) -> bool:
    from napari.layers import Points

    from napari_ouroboros.widgets.spaces.helper_layer import is_helper

    return isinstance(layer, Points) and not is_helper(layer)


def _brought(taken: _Taken) -> Brought:
    from napari_ouroboros.operations.points_home import points_home, points_inside

    inside = points_inside(taken.svu, taken.maps)
    if not inside.any():
        points_home(taken.svu, taken.maps)  # says how many there are, and where the first is
    table = taken.table[inside].reset_index(drop=True)
    maps = [map_ for map_, is_in in zip(taken.maps, inside, strict=True) if is_in]
    points = points_home(taken.svu[inside], maps, {str(k): v for k, v in table.items()})
    look = {name: values[inside] for name, values in taken.look.items()}
    keys = {slices_key(map_) for map_ in set(maps)}
    return Brought(points, inside, len(keys), table, look)


def _look(layer: Points) -> dict[str, NDArray[Any]]:
    return {
        "size": np.asarray(layer.size, float) * float(np.mean(layer.scale[1:])),
        "symbol": np.array(layer.symbol),
        "face_color": np.array(layer.face_color),
        "border_color": np.array(layer.border_color),
    }
