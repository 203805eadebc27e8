"""The parts of the benchmark: each has `run(bench)`, which returns a `Section`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.report import Section
from benchmarks.server import Server

#: In the order of the report; each is a module of this package.
NAMES = (
    "slicing", "backprojection", "kernels", "boxes", "lengths", "memory", "preview", "live", "home",
    "points", "startup",
)  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """What a part is given.

    repeats : how often things take turns after warming up
    quick : less of everything, for a look
    folder : an empty folder, removed at the end
    """

    repeats: int
    quick: bool
    folder: Path
    server: Server


def part(name: str) -> Callable[[Bench], Section]:
    run: Callable[[Bench], Section] = import_module(f"benchmarks.parts.{name}").run
    return run
