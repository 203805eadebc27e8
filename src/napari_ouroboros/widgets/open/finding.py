"""What is at an address: a volume, a Neuroglancer state, a recipe. Metadata only; in a worker."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, Notice, OuroborosError, UserError
from napari_ouroboros.widgets.open.look import AS_IT_IS, Look, look_of

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.neuroglancer import State
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.widgets.background import Token

#: Files that say what a folder holds: whoever gives one of them means the folder.
_METADATA = ("info", "zarr.json", ".zattrs", ".zgroup", ".zarray", "attributes.json")

Kind = Literal["image", "segmentation", "trace"]
#: Told how many of how many layers have been looked at.
Report = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Item:
    """One thing that can be opened, or why it cannot.

    Attributes
    ----------
    name : str
    kind : {"image", "segmentation", "trace"}
    about : str
        A few words: dtype and channels, or the number of points.
    layer : str
        Name of the state's layer; "" for what is in no state.
    volume : Volume or None
        Opened; None for traces.
    points_nm : array (n, 3) or None
        Of a trace, zyx nm of the first volume.
    look : Look
    problem : str
        Why it cannot be opened; "" if it can.
    """

    name: str
    kind: Kind
    about: str = ""
    layer: str = ""
    volume: Volume | None = None
    points_nm: NDArray[np.float64] | None = None
    look: Look = AS_IT_IS
    problem: str = ""

    @property
    def ticked(self) -> bool:
        """Whether it is opened unless the user says otherwise: what the state shows, and traces."""
        return not self.problem and (self.kind == "trace" or self.look.visible)


@dataclass(frozen=True, eq=False)
class Found:
    """What is at an address.

    Attributes
    ----------
    source : str
        The address, as given.
    kind : {"volume", "state", "recipe"}
    items : tuple of Item
    state : State or None
    map : Straightening or None
        Of a recipe.
    notices : tuple of str
        What the user should know.
    """

    source: str
    kind: Literal["volume", "state", "recipe"]
    items: tuple[Item, ...]
    state: State | None = None
    map: Straightening | None = None
    notices: tuple[str, ...] = field(default=())


def find(
    source: str,
    resolution: Sequence[float] | None = None,
    cache: float | None = None,
    token: Token | None = None,
    report: Report | None = None,
) -> Found:
    """Look at an address.

    Parameters
    ----------
    source : str
        URL or folder of a volume; Neuroglancer link, state file or its URL; recipe.
    resolution : (3,) zyx nm, optional
        For a volume that does not say how large its voxels are.
    cache : float, optional
        Bytes of chunks to keep on disk.
    token, report
        Cancel and progress, layer by layer.

    Raises
    ------
    ResolutionNeeded
        Ask the user, and look again.
    UserError, SourceError
        One line that says what is wrong.
    Cancelled
        The token was set.
    """
    text = _plain(source)
    if not text:
        raise UserError("give a URL, a folder, a Neuroglancer link, a state file or a recipe")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Notice)
        found = _find(text, resolution, cache, token, report or (lambda done, total: None))
    notices = tuple(dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, Notice)))
    return dataclasses.replace(found, source=source, notices=notices)


def _find(
    text: str,
    resolution: Sequence[float] | None,
    cache: float | None,
    token: Token | None,
    report: Report,
) -> Found:
    path = _local(text)
    if path is not None and path.name in _METADATA and path.is_file():
        path = path.parent
    if path is not None and path.is_file():
        content = _json(path)
        if str(content.get("schema", "")).startswith("napari-ouroboros-recipe/"):
            return _recipe(path, cache)
        return _state(str(path), cache, token, report)
    if path is None and _holds_state(text):
        return _state(text, cache, token, report)
    return _volume(str(path) if path is not None else text, resolution, cache)


def address_to_keep(source: str) -> str:
    """Return an address that means the same in another working directory."""
    text = _plain(source)
    path = None if text.startswith("file://") else _local(text)
    return text if path is None else str(path)


def _plain(source: str) -> str:
    """The address without what is around it: quotes of a copied path, the name of its metadata."""
    text = source.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    folder, _, last = text.rpartition("/")
    if "://" in folder and "#" not in text and last in _METADATA:
        return folder
    return text


def _local(text: str) -> Path | None:
    if text.startswith("file://") and "|" not in text:
        from napari_ouroboros.neuroglancer.sources import parse_source

        text = parse_source(text).store.removeprefix("file://")
    elif "://" in text or text.startswith(("{", "#!")) or "|" in text:
        return None
    return Path(os.path.abspath(os.path.expanduser(text)))


def _json(path: Path) -> dict[str, Any]:
    if path.suffix.lower() != ".json":
        raise UserError(
            f"{path.name} is no volume, Neuroglancer state or recipe; open it with File > Open, or "
            "give the folder of a volume"
        )
    from napari_ouroboros.neuroglancer.json_text import read_json

    content: dict[str, Any] = read_json(path)
    if "layers" not in content and "schema" not in content and "scales" in content:
        raise UserError(f"{path} is the info of a volume; give the folder that it is in")
    return content


def _holds_state(text: str) -> bool:
    if text.startswith(("{", "#!")) or "#!" in text:
        return True
    parts = urlsplit(text)
    return parts.path.endswith(".json") or "json_url" in parse_qs(parts.query)


def _volume(where: str, resolution: Sequence[float] | None, cache: float | None) -> Found:
    from napari_ouroboros.volumes import open_volume

    volume = open_volume(where, resolution=resolution, cache=cache)
    name = where.split("|")[0].split("?")[0].rstrip("/").rsplit("/", 1)[-1] or where
    return Found(where, "volume", (volume_item(volume, name, volume.holds_labels),))


def volume_item(
    volume: Volume, name: str, labels: bool, layer: str = "", look: Look | None = None
) -> Item:
    """Return the item of an opened volume."""
    channels = f", {volume.channels} channels" if volume.channels > 1 else ""
    about = f"{volume.dtype.name}{channels}, {len(volume.levels)} mips"
    if len(volume.levels) == 1:
        about = about.removesuffix("s")
    kind: Kind = "segmentation" if labels else "image"
    return Item(name, kind, about, layer, volume, look=look or AS_IT_IS)


def _state(source: str, cache: float | None, token: Token | None, report: Report) -> Found:
    from napari_ouroboros.neuroglancer import read_state
    from napari_ouroboros.volumes import open_volume

    state = read_state(source)
    layers = (*state.image_layers, *state.annotation_layers)
    if not layers:
        raise UserError(f"{state.origin} has no layer of images, segmentations or annotations")
    items: list[Item] = []
    for number, layer in enumerate(state.image_layers):
        report(number, len(layers))
        if token is not None and token.is_set():
            raise Cancelled("cancelled")
        kind: Kind = layer.kind
        look = look_of(layer.raw)
        try:
            volume = open_volume(state.volume_source(layer.name).url, cache=cache)
        except OuroborosError as error:
            items.append(Item(layer.name, kind, layer=layer.name, look=look, problem=str(error)))
            continue
        items.append(volume_item(volume, layer.name, kind == "segmentation", layer.name, look))
    first = next((item for item in items if item.volume is not None), None)
    for layer in state.annotation_layers:
        items += traces_of(state, layer.name, first)
    if all(item.problem for item in items):
        raise UserError(items[0].problem)
    return Found(source, "state", tuple(items), state)


def traces_of(state: State, layer: str, volume_item: Item | None) -> list[Item]:
    """Return the traces of an annotation layer in the nm of a volume of the state."""
    from napari_ouroboros.widgets.trace.importing import of_state

    if volume_item is None:
        problem = "its place is not known without a volume of the state"
        return [Item(layer, "trace", layer=layer, problem=problem)]
    only = dataclasses.replace(
        state,
        layers=tuple(x for x in state.layers if x.name in (layer, volume_item.layer)),
    )
    try:
        found = of_state(only, volume_item.volume)
    except UserError as error:
        return [Item(layer, "trace", layer=layer, problem=str(error))]
    return [
        Item(
            candidate.name,
            "trace",
            f"{len(candidate.points_nm)} points",
            layer,
            points_nm=candidate.points_nm,
        )
        for candidate in found
    ]


def _recipe(path: Path, cache: float | None) -> Found:
    from napari_ouroboros.geometry import recipe
    from napari_ouroboros.operations.outputs import open_source

    map_, content = recipe.load(path)
    known = content.get("source") or {}
    items: list[Item] = []
    if known.get("url"):
        name = _last(known["url"])
        try:
            volume = open_source(known, path, cache=cache)
        except OuroborosError as error:
            items.append(Item(name, "image", problem=str(error)))
        else:
            items.append(volume_item(volume, name, volume.holds_labels))
    points = map_.trace.points_nm
    name = path.name.removesuffix(".json").removesuffix(".recipe")
    items.append(Item(name, "trace", f"{len(points)} points", points_nm=points))
    return Found(str(path), "recipe", tuple(items), map=map_)


def _last(url: str) -> str:
    return url.split("|")[0].rstrip("/").rsplit("/", 1)[-1] or url
