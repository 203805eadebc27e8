"""Traces in files of others: what there is to choose from in a state, a link or a CSV."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.widgets.trace.points_csv import read_csv

if TYPE_CHECKING:
    from napari_ouroboros.neuroglancer import State
    from napari_ouroboros.volumes import Volume


@dataclass(frozen=True, eq=False)
class Candidate:
    """Points that make a trace.

    Attributes
    ----------
    name : str
        For the layer.
    text : str
        What to choose by: name, kind and number of points.
    points_nm : array (n, 3)
        zyx, nm of the volume.
    """

    name: str
    text: str
    points_nm: NDArray[np.float64]


def candidates(source: str, volume: Volume | None) -> list[Candidate]:
    """Return the traces of a CSV, a state file or a link; may read from the network.

    Parameters
    ----------
    source : str
        Path or link.
    volume : Volume, optional
        The volume that the points are wanted in, where the state has several.

    Raises
    ------
    UserError
        Nothing that makes a trace; broken files, with the line.
    """
    text = source.strip()
    if not text:
        raise UserError("give a path or a link to import from")
    if text.lower().endswith((".csv", ".tsv", ".txt")):
        resolution = None if volume is None else volume.levels[0].resolution
        path = Path(text.removeprefix("file://")).expanduser()
        points = read_csv(path, resolution)
        return [Candidate(path.stem, f"{path.stem} ({len(points)} points)", points)]
    from napari_ouroboros.neuroglancer import read_state

    return of_state(read_state(text), volume)


def of_state(state: State, volume: Volume | None) -> list[Candidate]:
    """Return the traces of a state: its polylines, and the points of each layer."""
    image = _image_layer(state, volume)
    resolution = None if volume is None else volume.levels[0].resolution
    found: list[Candidate] = []
    problems: list[str] = []
    for layer in state.annotation_layers:
        groups = _groups(layer.raw)
        for id_, about in groups:
            try:
                with warnings.catch_warnings():
                    # What is left out of one group is in another, or no trace.
                    warnings.simplefilter("ignore", Notice)
                    points = state.points_nm(
                        layer.name, id_ if len(groups) > 1 else None, image, resolution
                    )
            except UserError as error:
                problems.append(str(error))
                continue
            name = layer.name if len(groups) == 1 else f"{layer.name} {id_}"
            found.append(Candidate(name, f"{name}: {about}", points))
    if not found:
        raise UserError(
            problems[0]
            if problems
            else f"{state.origin} has no points and no polyline to make a trace of"
        )
    return found


def _image_layer(state: State, volume: Volume | None) -> str | None:
    """Name of the layer in whose nm the points are wanted."""
    names = [layer.name for layer in state.image_layers]
    if volume is not None:
        for name in names:
            try:
                if state.volume_source(name).url == volume.url:
                    return name
            except UserError:  # a layer that holds no one volume is not the one
                continue
    return names[0] if names else None


def _groups(raw: dict[str, object]) -> list[tuple[str, str]]:
    """Ids and descriptions of what may be a trace in a layer's JSON."""
    listed = raw.get("annotations")
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    old = raw.get("points")
    points = len(old) if isinstance(old, list) else 0
    points += sum(item.get("type", "point" if "point" in item else "") == "point" for item in items)
    found = [("points", f"{points} points")] if points else []
    for item in items:
        if item.get("type") == "polyline":
            rows = item.get("points")
            count = len(rows) if isinstance(rows, list) else 0
            about = f"polyline of {count} points"
            if item.get("description"):
                about += f", {item['description']}"
            found.append((str(item.get("id", "")), about))
    return found
