"""The ``*-slice-options.json`` of Ouroboros, for users who come from there."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Protocol

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.grid import corner_to_nm
from napari_ouroboros.geometry.trace import Trace
from napari_ouroboros.neuroglancer.annotations import choose
from napari_ouroboros.neuroglancer.json_text import read_json
from napari_ouroboros.neuroglancer.layers import pick
from napari_ouroboros.neuroglancer.links import is_link
from napari_ouroboros.neuroglancer.state import State

_WHAT = "an Ouroboros options file"
_READ = {
    "slice_width",
    "slice_height",
    "output_file_folder",
    "output_file_name",
    "neuroglancer_json",
    "neuroglancer_image_layer",
    "neuroglancer_annotation_layer",
    "slicing_params",
    "dist_between_slices",
    "annotation_mip_level",
    "output_mip_level",
    "connect_start_and_end",
}


class LevelLike(Protocol):
    """What is needed of a level of a volume: its voxel size."""

    @property
    def resolution(self) -> tuple[float, float, float]:
        """Zyx, nm."""


@dataclass(frozen=True)
class SliceOptions:
    """What an options file asks for; lengths there are voxels, here nm.

    Attributes
    ----------
    width, height : int
        Pixels of a slice.
    state : str
        Absolute path of the Neuroglancer state, or a link.
    image_layer, annotation_layer : str or None
        None: the only one.
    mip, annotation_mip : int
        Level that is read; level whose voxels the points count.
    dist_between_slices : float
        In units of the finest axis of `mip`.
    closed, adaptive : bool
    output : Path or None
        Default name of the result, absolute, without a suffix.
    ignored : tuple of str
        Entries of the file that have no meaning here.
    """

    width: int
    height: int
    state: str
    image_layer: str | None
    annotation_layer: str | None
    mip: int
    annotation_mip: int
    dist_between_slices: float
    closed: bool
    adaptive: bool
    output: Path | None
    ignored: tuple[str, ...]

    @property
    def ignored_line(self) -> str:
        """One line that lists what is ignored; empty if nothing is."""
        return f"ignored in the options file: {', '.join(self.ignored)}" if self.ignored else ""

    def pitch_nm(self, levels: Sequence[LevelLike]) -> float:
        """Pixel size: the finest axis of the level that is read."""
        return float(min(_level(levels, self.mip, "output_mip_level").resolution))

    def spacing_nm(self, levels: Sequence[LevelLike]) -> float:
        """Distance between slices."""
        return self.dist_between_slices * self.pitch_nm(levels)

    def adaptive_radius_nm(self, levels: Sequence[LevelLike]) -> float | None:
        """Half the diagonal of a slice if slices are spaced adaptively, else None."""
        if not self.adaptive:
            return None
        return 0.5 * math.hypot(self.width, self.height) * self.pitch_nm(levels)

    def trace(self, state: State, levels: Sequence[LevelLike]) -> Trace:
        """Return the trace: numbers of the points times the voxel size of `annotation_mip`.

        Unlike `State.trace`, the dimensions of the state play no part: Ouroboros looks at
        none.
        """
        layer = pick(
            state.annotation_layers,
            self.annotation_layer,
            "annotation layer",
            "neuroglancer_annotation_layer",
        )
        positions = choose(layer.annotations(3), None, layer.where)
        level = _level(levels, self.annotation_mip, "annotation_mip_level")
        return Trace(corner_to_nm(positions[:, ::-1], level.resolution), closed=self.closed)


def is_slice_options(raw: dict[str, Any]) -> bool:
    """Whether a JSON object looks like an options file rather than a state."""
    return "neuroglancer_json" in raw and "slice_width" in raw


def read_slice_options(path: str | os.PathLike[str]) -> SliceOptions:
    """Read an options file of Ouroboros.

    Paths in it are relative to the file; Windows spellings are understood anywhere. A path on
    a Windows drive that cannot be there is looked for by its name beside the file.

    Raises
    ------
    UserError
        No such file, broken JSON, entries that are missing or of the wrong kind.
    """
    file = Path(os.path.abspath(os.path.expanduser(path)))
    raw = read_json(file, _WHAT)
    reader = _Reader(raw, str(file))
    state = reader.text("neuroglancer_json")
    if state is None:
        raise reader.error("neuroglancer_json", "the path of a Neuroglancer state")
    slicing = raw.get("slicing_params")
    if slicing is not None and not isinstance(slicing, dict):
        raise reader.error("slicing_params", "an object")
    # Older versions have the distance on its own and know no adaptive slicing.
    old = slicing is None and "dist_between_slices" in raw
    inner = reader if old else _Reader(slicing or {}, f"{file}: slicing_params")
    name = reader.text("output_file_name")
    folder = _resolve(reader.text("output_file_folder") or ".", file.parent)
    unread = [key for key in raw if key not in _READ]
    if slicing is not None and "dist_between_slices" in raw:
        unread.append("dist_between_slices")
    unread += [
        f"slicing_params.{key}"
        for key in slicing or {}
        if key not in ("dist_between_slices", "use_adaptive_slicing")
    ]
    return SliceOptions(
        width=reader.integer("slice_width", at_least=1),
        height=reader.integer("slice_height", at_least=1),
        state=state if is_link(state) else str(_resolve(state, file.parent)),
        image_layer=reader.text("neuroglancer_image_layer"),
        annotation_layer=reader.text("neuroglancer_annotation_layer"),
        mip=reader.integer("output_mip_level", 0),
        annotation_mip=reader.integer("annotation_mip_level", 0),
        dist_between_slices=inner.length("dist_between_slices", 1.0),
        closed=reader.flag("connect_start_and_end", False),
        adaptive=False if old else inner.flag("use_adaptive_slicing", True),
        output=folder / name if name else None,
        ignored=tuple(unread),
    )


class _Reader:
    """Entries of a JSON object, checked."""

    def __init__(self, raw: dict[str, Any], where: str) -> None:
        self.raw = raw
        self.where = where

    def error(self, key: str, wanted: str) -> UserError:
        if key not in self.raw:
            return UserError(f"{self.where} is not {_WHAT}: it has no {key}")
        return UserError(f"{self.where}: {key} must be {wanted}; it is {self.raw[key]!r}")

    def text(self, key: str) -> str | None:
        value = self.raw.get(key)
        if value is not None and not isinstance(value, str):
            raise self.error(key, "text")
        return value or None

    def integer(self, key: str, default: int | None = None, at_least: int = 0) -> int:
        value = self.raw.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise self.error(key, f"a whole number of {at_least} or more")
        return value

    def length(self, key: str, default: float) -> float:
        value = self.raw.get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < math.inf:
            raise self.error(key, "a number above 0")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value


def _resolve(text: str, folder: Path) -> Path:
    """Absolute path of `text`, which may be spelled for Windows, relative to `folder`."""
    plain = Path(os.path.abspath(folder / os.path.expanduser(text)))
    windows = PureWindowsPath(text)
    if plain.exists() or os.name == "nt" or not ("\\" in text or windows.drive):
        return plain
    if windows.drive:
        return folder / windows.name
    return Path(os.path.abspath(folder / windows.as_posix()))


def _level(levels: Sequence[LevelLike], mip: int, key: str) -> LevelLike:
    if mip >= len(levels):
        raise UserError(f"{key} is {mip}, but the volume has the levels 0 to {len(levels) - 1}")
    return levels[mip]
