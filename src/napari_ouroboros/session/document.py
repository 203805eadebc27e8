"""What a session is: everything that a window shows and that people made in it, as plain values.

All parts are immutable, so that a thread may write a document while the window goes on. Points
and directions are zyx, lengths nm. Voxels of labels are not here: they lie in stores, zarr
arrays in folders, which `LabelsEntry.store` names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from napari_ouroboros.errors import UserError, one_line
from napari_ouroboros.session.json_fields import from_json, to_json
from napari_ouroboros.session.names import check_store
from napari_ouroboros.session.points import PointsEntry

SCHEMA = "napari-ouroboros-session/1"

Vector = tuple[float, float, float]
Row = tuple[float, float, float, float]
LabelType = Literal["uint8", "uint16", "uint32", "uint64"]

_LARGEST_ID = 2**64 - 1


@dataclass(frozen=True)
class SourceEntry:
    """A layer that shows a volume; the lowest layer first.

    Attributes
    ----------
    url : str
        As `open_volume` takes it. Names, passwords and signatures in it are not written.
    kind : {"image", "labels"}
    name : str
        Of the layer.
    channel : int or None
        Which channel of the volume, where each has a layer.
    resolution : (3,) or None
        Size of a voxel zyx in nm as the user gave it; None: the volume says it.
    mips : tuple of int
        Levels that are shown, the finest first; empty: all.
    affine : (4, 4) or None
        From the layer's own world to the viewer's, where they are not one.
    visible, opacity, blending, gamma, contrast_limits, colormap
        As napari has them; None: left open.
    straightened : bool
        Whether the layer goes through the straightened view.
    index, index_straightened : int or None
        Its place among the layers of this document, the lowest 0, in the volume's space and in
        the straightened one; None: it was not there.
    """

    url: str
    kind: Literal["image", "labels"] = "image"
    name: str = ""
    channel: int | None = None
    resolution: Vector | None = None
    mips: tuple[int, ...] = ()
    affine: tuple[Row, Row, Row, Row] | None = None
    visible: bool = True
    opacity: float = 1.0
    blending: str | None = None
    gamma: float | None = None
    contrast_limits: tuple[float, float] | None = None
    colormap: str | None = None
    straightened: bool = True
    index: int | None = None
    index_straightened: int | None = None


@dataclass(frozen=True)
class KeyframeEntry:
    """How far slices are turned at an arc length; as the trace's keyframes."""

    s_nm: float
    degrees: float
    by_user: bool = True


@dataclass(frozen=True)
class TraceEntry:
    """A trace: points (n, 3) zyx nm in order, any number of them, and what is set for it.

    `index` is as that of a `SourceEntry`.
    """

    name: str
    points_nm: tuple[Vector, ...] = ()
    closed: bool = False
    tolerance_nm: float = 0.0
    up: Vector | None = None
    keyframes: tuple[KeyframeEntry, ...] = ()
    active: bool = False
    visible: bool = True
    index: int | None = None


@dataclass(frozen=True)
class SliceEntry:
    """How slices are cut; None: as the level has it."""

    width: int = 100
    height: int = 100
    pitch_nm: float | None = None
    spacing_nm: float | None = None
    mip: int | Literal["auto"] = 0
    interpolation: str | None = None
    adaptive_radius_nm: float | None = None


@dataclass(frozen=True)
class LabelColour:
    """The colour (red, green, blue, opacity; 0 to 1) that somebody chose for an id."""

    label: int
    rgba: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        if not 0 <= self.label <= _LARGEST_ID:
            raise UserError(f"{self.label} is no id of a label")


@dataclass(frozen=True)
class LabelsEntry:
    """Labels painted or computed in the straightened space of one recipe.

    Attributes
    ----------
    name : str
        Of the layer.
    recipe : dict
        The recipe in which they were made (see `geometry.recipe`); the labels stay with it
        whatever becomes of the trace.
    store : str
        Where the zarr array lies, a path such as ``labels/1`` relative to the working folder,
        and in the session file.
    dtype : {"uint8", "uint16", "uint32", "uint64"}
    shape : (slices, rows, columns)
    visible, opacity, seed
        As napari has them; `seed` is that of its colours.
    colours : tuple of LabelColour
    selected : int
        The id that is painted.
    trace : int or None
        Index of the trace whose space it is, in the document's traces.
    made_along : TraceEntry or None
        The trace as it was when the map was made, where that is known.
    index, index_straightened : int or None
        As those of a `SourceEntry`; the first is that of the labels as the volume shows them.
    """

    name: str
    recipe: dict[str, Any]
    store: str
    dtype: LabelType
    shape: tuple[int, int, int]
    visible: bool = True
    opacity: float = 0.7
    seed: float | None = None
    colours: tuple[LabelColour, ...] = ()
    selected: int = 1
    trace: int | None = None
    made_along: TraceEntry | None = None
    index: int | None = None
    index_straightened: int | None = None

    def __post_init__(self) -> None:
        check_store(self.store)
        if "schema" not in self.recipe:
            raise UserError(f"the labels {self.name!r} have no recipe")
        if min(self.shape) < 1:
            raise UserError(f"the labels {self.name!r} have the shape {self.shape}")


@dataclass(frozen=True)
class MarkEntry:
    """A judged slice: its index and its centre zyx nm, so that it survives an edit of the trace."""

    slice: int
    nm: Vector
    verdict: Literal["good", "bad", ""] = ""
    comment: str = ""


@dataclass(frozen=True)
class PlaceEntry:
    """The shown slice, and whether each space follows the other."""

    slice_index: int = 0
    follow: bool = True


@dataclass(frozen=True)
class CameraEntry:
    """A camera as napari's: centre and angles (3,), zoom, what grows where along each axis."""

    centre: Vector
    zoom: float
    angles: Vector = (0.0, 0.0, 90.0)
    perspective: float = 0.0
    orientation: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class DimsEntry:
    """What napari's sliders show: 2D or 3D, the order of the axes, the point in the world."""

    ndisplay: Literal[2, 3] = 2
    order: tuple[int, ...] = ()
    point: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if sorted(self.order) != list(range(len(self.order))):
            raise UserError(f"{list(self.order)} is no order of axes")


@dataclass(frozen=True)
class SpaceEntry:
    """How one of the two spaces is looked at."""

    camera: CameraEntry | None = None
    dims: DimsEntry = DimsEntry()


@dataclass(frozen=True)
class WindowEntry:
    """Which space has the width of the window."""

    front: Literal["volume", "straightened"] = "volume"


@dataclass(frozen=True)
class SessionDocument:
    """A whole session; `to_dict` and `from_dict` are its JSON.

    Attributes
    ----------
    sources : tuple of SourceEntry
    traces : tuple of TraceEntry
        At most one is active.
    slices : SliceEntry
    labels : tuple of LabelsEntry
        Each has a store of its own.
    points : tuple of PointsEntry
        Of the straightened space.
    marks : tuple of MarkEntry
    place : PlaceEntry
    volume, straightened : SpaceEntry
        How the two spaces are looked at.
    window : WindowEntry
    rules : dict
        From where on a slice is suspicious; empty: as usual.
    """

    sources: tuple[SourceEntry, ...] = ()
    traces: tuple[TraceEntry, ...] = ()
    slices: SliceEntry = SliceEntry()
    labels: tuple[LabelsEntry, ...] = ()
    points: tuple[PointsEntry, ...] = ()
    marks: tuple[MarkEntry, ...] = ()
    place: PlaceEntry = PlaceEntry()
    volume: SpaceEntry = SpaceEntry()
    straightened: SpaceEntry = SpaceEntry()
    window: WindowEntry = field(default=WindowEntry())
    rules: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sum(trace.active for trace in self.traces) > 1:
            raise UserError("several of its traces are the active one")
        stores = [entry.store.casefold() for entry in self.labels]
        if len(set(stores)) < len(stores):
            raise UserError("several of its labels have the same store")
        for entry in self.labels:
            if entry.trace is not None and not 0 <= entry.trace < len(self.traces):
                raise UserError(f"the trace of the labels {entry.name!r} is not there")


def to_dict(document: SessionDocument) -> dict[str, Any]:
    """Return a session as a JSON-able dict, without passwords and signatures of addresses.

    Raises
    ------
    UserError
        A field does not hold what it should; the message names it.
    """
    from napari_ouroboros import __version__
    from napari_ouroboros.volumes.stores.credentials import redact

    clean = [replace(source, url=redact(source.url)) for source in document.sources]
    try:
        fields = to_json(replace(document, sources=tuple(clean)))
    except UserError as error:
        raise UserError(f"the session cannot be written: {error}") from error
    return {"schema": SCHEMA, "version": __version__, **fields}


def from_dict(data: Any, name: str = "the session") -> SessionDocument:
    """Return the session of a dict; `name` is what messages call it.

    Fields that are missing take their defaults, unknown ones are passed over.

    Raises
    ------
    UserError
        It is no session, one of another schema, or damaged; the message names the field.
    """
    if not isinstance(data, dict) or "schema" not in data:
        raise UserError(f"{name} is not a session of napari-ouroboros (it has no schema)")
    if data["schema"] != SCHEMA:
        raise UserError(
            f"{name} has the schema {one_line(repr(data['schema']), 60)}; this version reads "
            f"{SCHEMA!r}: update napari-ouroboros"
        )
    try:
        return from_json(SessionDocument, data)
    except UserError as error:
        raise UserError(f"{name} is damaged: {error}") from error


def to_bytes(document: SessionDocument) -> bytes:
    """Return ``session.json``: the JSON of `to_dict` in UTF-8."""
    return json.dumps(to_dict(document), indent=1, allow_nan=False).encode()


def from_bytes(data: bytes, name: str = "the session") -> SessionDocument:
    """Return the session of a ``session.json``; the inverse of `to_bytes`.

    Raises
    ------
    UserError
        As `from_dict`, and for what is no JSON.
    """
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is damaged: its session.json is no JSON") from error
    return from_dict(parsed, name)
