"""Tables as CSV files: whole or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_ouroboros.errors import DestinationError, UserError, one_line


def write_table(
    path: str | os.PathLike[str], names: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write rows below their names; a file that is there already is replaced.

    Raises
    ------
    DestinationError
        It cannot be written; what was there before is untouched.
    """
    file = Path(path)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.incomplete")
    try:
        with open(temporary, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(names)
            writer.writerows(rows)
        os.replace(temporary, file)
    except OSError as error:
        raise DestinationError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_table(
    path: str | os.PathLike[str], needed: Sequence[str]
) -> list[tuple[int, dict[str, str]]]:
    """Return the number and the named cells of every line that is not empty.

    Raises
    ------
    UserError
        No such file, no text, or a column of `needed` is not there.
    """
    file = Path(path)
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            names = reader.fieldnames or []
            missing = [name for name in needed if name not in names]
            if missing:
                raise UserError(
                    f"{file.name} has no column {', '.join(missing)}; it needs {', '.join(needed)}"
                )
            return [(reader.line_num, _cells(row)) for row in reader]
    except FileNotFoundError as error:
        raise UserError(f"there is no file {file}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file.name} is no text file: CSV is needed") from error
    except csv.Error as error:
        raise UserError(f"{file.name} is no CSV: {one_line(error)}") from error
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}") from error


def number(value: float) -> str:
    """Ten digits of a number, nothing for NaN."""
    return "" if value != value else f"{value:.10g}"


def _cells(row: dict[str, str | None]) -> dict[str, str]:
    """A line that is too short has empty cells."""
    return {name: cell or "" for name, cell in row.items() if name is not None}
