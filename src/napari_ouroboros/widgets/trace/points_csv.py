"""Points of a trace as CSV: one point a line, columns named z, y, x in nm or in voxels."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import UserError, one_line

Float = NDArray[np.float64]

_UNITS = {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6}
_VOXELS = ("voxel", "voxels", "vx", "px", "pixel", "pixels")
#: A trace of more points than this is some other table.
_MOST = 1_000_000


def csv_text(points_nm: ArrayLike, resolution: ArrayLike) -> str:
    """Return points (n, 3) zyx nm as CSV: the number, z, y, x in nm, and in voxels.

    Voxels are those of Neuroglancer and of `resolution` (3,) zyx nm: whole numbers are corners.
    """
    points = np.asarray(points_nm, np.float64).reshape(-1, 3)
    voxels = points / np.asarray(resolution, np.float64)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["order", "z [nm]", "y [nm]", "x [nm]", "z [voxel]", "y [voxel]", "x [voxel]"])
    for i, (a, b) in enumerate(zip(points.tolist(), voxels.tolist(), strict=True)):
        writer.writerow([i, *map(repr, a), *(f"{v:.10g}" for v in b)])
    return out.getvalue()


def read_csv(path: str | Path, resolution: ArrayLike | None = None) -> Float:
    """Read points (n, 3), zyx nm, in the order of the lines, or of a column ``order``.

    The first line names the columns: z, y and x in any order, with their unit in brackets or
    after an underscore (``z [nm]``, ``x_um``, ``y (voxel)``); without a unit they are nm. Where
    there are both nm and voxels the lengths count. ``axis-0``, ``axis-1`` and ``axis-2`` are
    voxel centres z, y, x, as napari writes its points.

    Parameters
    ----------
    path : path
    resolution : (3,) zyx nm, optional
        Size of a voxel, for columns in voxels.

    Raises
    ------
    UserError
        What is wrong, in which line.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{file.name} is no text file: CSV is needed") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or one_line(error)}") from None
    return parse_csv(text, file.name, resolution)


def parse_csv(text: str, where: str, resolution: ArrayLike | None = None) -> Float:
    """Read the text of a CSV; see `read_csv`."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{where} is empty")
    delimiter = max(",;\t", key=lines[0].count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    columns: _Columns | None = None
    points: list[list[float]] = []
    order: list[float] = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        line = f"{where}, line {rows.line_num}"
        if columns is None:
            columns = _Columns(row, line)
            continue
        if len(points) >= _MOST:
            raise UserError(f"{where} has over {_MOST} lines; that is no trace")
        points.append(columns.point(row, line))
        if columns.order is not None:
            order.append(_number(row, columns.order, "order", line))
    assert columns is not None
    if not points:
        raise UserError(f"{where} names its columns, but has no points")
    found = np.array(points, np.float64)
    if order:
        found = found[np.argsort(order, kind="stable")]
    if columns.scale is not None:
        return found * columns.scale
    if resolution is None:
        raise UserError(f"{where} is in voxels: open the volume first, or give columns in nm")
    return (found + columns.offset) * np.asarray(resolution, np.float64)


class _Columns:
    """Which columns of a CSV hold z, y and x, and in which unit."""

    def __init__(self, header: list[str], line: str) -> None:
        named = [_name_and_unit(cell) for cell in header]
        self.order = next((i for i, (n, _) in enumerate(named) if n in ("order", "index")), None)
        self.offset = 0.0
        groups: dict[str, dict[str, int]] = {}
        for i, (name, unit) in enumerate(named):
            if name in ("z", "y", "x") and unit is not None:
                groups.setdefault(unit, {}).setdefault(name, i)
        full = [unit for unit, group in groups.items() if len(group) == 3]
        axes = {name: i for i, (name, _) in enumerate(named) if name.startswith("axis-")}
        if not full and {"axis-0", "axis-1", "axis-2"} <= set(axes):
            groups = {"voxel": {"zyx"[k]: axes[f"axis-{k}"] for k in range(3)}}
            full, self.offset = ["voxel"], 0.5
            # napari numbers its rows in a column "index", in their order.
        lengths = [unit for unit in full if unit in _UNITS]
        if not full:
            raise UserError(
                f"{line}: columns z, y and x of one unit are needed; it has "
                + one_line(", ".join(repr(cell.strip()) for cell in header), 120)
            )
        unit = lengths[0] if lengths else full[0]
        self.scale = _UNITS.get(unit)
        self.places = [groups[unit][axis] for axis in "zyx"]

    def point(self, row: list[str], line: str) -> list[float]:
        return [
            _number(row, i, axis, line)
            for i, axis in zip(self.places, ("z", "y", "x"), strict=True)
        ]


def _name_and_unit(cell: str) -> tuple[str, str | None]:
    """Split ``z [nm]``, ``z (nm)``, ``z_nm`` and ``z``; an unknown unit is None."""
    text = cell.strip().lower()
    if text.startswith("axis-") or text in ("order", "index"):
        return text, "voxel"
    name, unit = text[:1], text[1:].strip(" _[]()")
    if not unit:
        return name if text == name else text, "nm"
    if unit in _VOXELS:
        return name, "voxel"
    return name, unit if unit in _UNITS else None


def _number(row: list[str], index: int, name: str, line: str) -> float:
    if index >= len(row):
        raise UserError(f"{line}: there is no {name}; it has {len(row)} columns")
    try:
        value = float(row[index])
    except ValueError:
        raise UserError(f"{line}: {name} is no number: {one_line(row[index], 40)!r}") from None
    if not np.isfinite(value):
        raise UserError(f"{line}: {name} is not finite: {row[index].strip()}")
    return value
