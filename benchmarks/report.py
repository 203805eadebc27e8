"""What a part of the benchmark found: tables, floors that must hold, and curves to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.clock import Spread


@dataclass(frozen=True)
class Floor:
    """A number that must be reached (or, with ``at_most``, not be exceeded)."""

    what: str
    measured: Spread
    limit: float
    unit: str = "x"
    at_most: bool = False
    digits: int = 1

    @property
    def met(self) -> bool:
        if self.at_most:
            return self.measured.median <= self.limit
        return self.measured.median >= self.limit

    def cells(self) -> tuple[str, str, str, str]:
        sign = "≤" if self.at_most else "≥"
        return (
            self.what,
            self.measured.text(self.digits, self.unit),
            f"{sign} {self.limit:g} {self.unit}",
            "yes" if self.met else "**NO**",
        )


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def text(self) -> str:
        """Columns under each other, for a terminal."""
        widths = [
            max(len(row[i]) for row in [self.head, *self.rows]) for i in range(len(self.head))
        ]
        return "\n".join(
            "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in [self.head, *self.rows]
        )


@dataclass(frozen=True)
class Curve:
    """A line of a plot."""

    label: str
    points: Sequence[tuple[float, Spread]]


@dataclass(frozen=True)
class Plot:
    name: str
    title: str
    x: str
    y: str
    curves: Sequence[Curve]
    logarithmic: bool = False


@dataclass(frozen=True)
class Section:
    """Everything about one part."""

    title: str
    prose: str
    tables: Sequence[Table]
    floors: Sequence[Floor] = ()
    plots: Sequence[Plot] = field(default=())

    def text(self) -> str:
        parts = [f"\n{self.title}\n{'-' * len(self.title)}", *(t.text() for t in self.tables)]
        return "\n".join([*parts, *([floor_table(self.floors).text()] if self.floors else [])])

    def markdown(self) -> str:
        parts = [f"## {self.title}", self.prose, *(table.markdown() for table in self.tables)]
        if self.floors:
            parts.append(floor_table(self.floors).markdown())
        parts += [f"![{plot.title}](images/performance-{plot.name}.png)" for plot in self.plots]
        return "\n\n".join(parts)


def floor_table(floors: Sequence[Floor]) -> Table:
    head = ("must hold", "median (lowest-highest)", "limit", "holds")
    return Table(head, [floor.cells() for floor in floors])
