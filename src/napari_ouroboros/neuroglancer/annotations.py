"""Annotations of a layer, and which of them make a trace."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Notice, UserError

#: What `annotation_id` may say to choose the point annotations, all together.
POINTS = "points"

_KEYS = {
    "point": ("point",),
    "line": ("pointA", "pointB"),
    "axis_aligned_bounding_box": ("pointA", "pointB"),
    "ellipsoid": ("center",),
    "polyline": (),
}
_NAMES = {
    "line": ("line", "lines"),
    "axis_aligned_bounding_box": ("box", "boxes"),
    "ellipsoid": ("ellipsoid", "ellipsoids"),
}


@dataclass(frozen=True, eq=False)
class Annotation:
    """One annotation as its file has it.

    Attributes
    ----------
    kind : str
        ``point``, ``polyline``, ``line``, ``axis_aligned_bounding_box``, ``ellipsoid``, or a
        type that is not known here.
    id, description : str
        Empty where there is none.
    positions : array (n, rank)
        In the dimensions of the source, in their order: the point, the points of a polyline,
        both ends of a line or box, the centre of an ellipsoid; (0, rank) for unknown types.
    segments : tuple of str
        Ids of the segments it belongs to.
    """

    kind: str
    id: str
    description: str
    positions: NDArray[np.float64]
    segments: tuple[str, ...] = ()


def parse_annotations(obj: object, rank: int, where: str) -> tuple[Annotation, ...]:
    """Read the list ``annotations`` of a layer whose source has `rank` dimensions."""
    if obj is None:
        return ()
    if not isinstance(obj, list):
        raise UserError(f"{where}: its annotations must be a list")
    return tuple(
        _annotation(item, rank, f"{where}: annotation {index}") for index, item in enumerate(obj)
    )


def parse_legacy_points(obj: object, where: str) -> tuple[Annotation, ...]:
    """Read the list ``points`` of old states, ``[[x, y, z], ...]``."""
    if obj is None:
        return ()
    if not isinstance(obj, list):
        raise UserError(f"{where}: its points must be a list")
    return tuple(
        Annotation("point", str(i), "", _position(item, 3, f"{where}: point {i}")[None])
        for i, item in enumerate(obj)
    )


def choose(
    annotations: tuple[Annotation, ...], annotation_id: str | None, where: str
) -> NDArray[np.float64]:
    """Positions (n, rank) of the annotations that make the trace.

    All points in their order, or a polyline. Lines, boxes and ellipsoids are left out, with a
    `Notice` that counts them; a line can be had by its id.

    Raises
    ------
    UserError
        Where there is nothing to choose from, and where there are several candidates and
        `annotation_id` chooses none: the message lists them.
    """
    points = [a for a in annotations if a.kind == "point"]
    polylines = [a for a in annotations if a.kind == "polyline"]
    if annotation_id is not None:
        return _by_id(annotations, points, polylines, annotation_id, where)
    left_out = Counter(a.kind for a in annotations if a.kind not in ("point", "polyline"))
    others = ", ".join(
        f"{count} {_NAMES.get(kind, (repr(kind),) * 2)[count > 1]}"
        for kind, count in left_out.items()
    )
    if not points and not polylines:
        if not annotations:
            raise UserError(f"{where} has no annotations; a trace needs points or a polyline")
        raise UserError(f"{where} has {others}, but a trace needs points or a polyline")
    if len(polylines) + bool(points) > 1:
        raise UserError(
            f"{where} has several traces; choose one with --annotation-id: "
            + _list(points, polylines)
        )
    if others:
        warnings.warn(f"{where}: {others} left out of the trace", Notice, stacklevel=3)
    found = polylines[0].positions if polylines else np.concatenate([a.positions for a in points])
    return _enough(found, where)


def _by_id(
    annotations: tuple[Annotation, ...],
    points: list[Annotation],
    polylines: list[Annotation],
    annotation_id: str,
    where: str,
) -> NDArray[np.float64]:
    named = [a for a in annotations if a.id == annotation_id]
    if len(named) > 1:
        raise UserError(f"{where} has {len(named)} annotations with the id {annotation_id!r}")
    if not named and annotation_id == POINTS and points:
        return _enough(np.concatenate([a.positions for a in points]), where)
    if not named:
        raise UserError(
            f"{where} has no annotation with the id {annotation_id!r}; it has: "
            + (_list(points, polylines) or "none that makes a trace")
        )
    if named[0].kind not in ("polyline", "line"):
        raise UserError(
            f"{where}: annotation {annotation_id!r} is of type {named[0].kind!r}, which makes no "
            f"trace; its traces are: {_list(points, polylines) or 'none'}"
        )
    return _enough(named[0].positions, where)


def _enough(positions: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    if len(positions) < 2:
        raise UserError(f"{where}: a trace needs at least 2 points; this one has {len(positions)}")
    return positions


def _list(points: list[Annotation], polylines: list[Annotation]) -> str:
    """Name the candidates in one line."""
    rows = [f"{POINTS!r} (the {len(points)} single points)"] if points else []
    for polyline in polylines:
        about = f", {polyline.description}" if polyline.description else ""
        rows.append(f"{polyline.id!r} ({len(polyline.positions)} points{about})")
    if len(rows) > 12:
        rows = [*rows[:12], f"and {len(rows) - 12} more"]
    return "; ".join(rows)


def _annotation(item: object, rank: int, where: str) -> Annotation:
    if not isinstance(item, dict):
        raise UserError(f"{where} is not an object")
    kind = item.get("type", "point" if "point" in item else None)
    if not isinstance(kind, str):
        raise UserError(f"{where} has no type")
    id_ = item.get("id")
    where = f"{where} ({id_!r})" if id_ else where
    if kind == "polyline":
        rows = item.get("points")
        if not isinstance(rows, list):
            raise UserError(f"{where}: a polyline needs a list of points")
        found = [_position(row, rank, f"{where}: point {i}") for i, row in enumerate(rows)]
    else:
        found = [_position(item.get(key), rank, f"{where}: {key}") for key in _KEYS.get(kind, ())]
    description = item.get("description")
    return Annotation(
        kind,
        "" if id_ is None else str(id_),
        " ".join(str(description).split()) if description else "",
        np.reshape(np.array(found, dtype=np.float64), (len(found), rank)),
        _segments(item.get("segments")),
    )


def _position(obj: object, rank: int, where: str) -> NDArray[np.float64]:
    numbers = isinstance(obj, list) and all(
        isinstance(x, int | float) and not isinstance(x, bool) for x in obj
    )
    if not numbers:
        raise UserError(f"{where} must be a list of {rank} numbers")
    try:
        position = np.array(obj, dtype=np.float64)
    except OverflowError:
        position = np.full(len(obj), np.inf)  # type: ignore[arg-type]
    if len(position) != rank:
        raise UserError(f"{where} has {len(position)} numbers; its layer has {rank} dimensions")
    if not np.isfinite(position).all():
        raise UserError(f"{where} is not finite")
    return position


def _segments(obj: object) -> tuple[str, ...]:
    """Ids from ``[["1", "2"]]`` or ``["1", "2"]``."""
    if not isinstance(obj, list):
        return ()
    return tuple(str(x) for item in obj for x in (item if isinstance(item, list) else [item]))
