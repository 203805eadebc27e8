"""What a command says: plans, reports, progress."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Plan, Progress


def print_plan(plan: Plan, options: argparse.Namespace, facts: dict[str, Any]) -> None:
    """What a job would do, for ``--dry-run``."""
    units = len(plan.units) + len(plan.later)
    numbers = {
        **facts,
        "units": units,
        "chunks_to_fetch": plan.chunks_to_fetch,
        "bytes_to_fetch": plan.bytes_to_fetch,
        "bytes_to_write": plan.bytes_to_write,
        "memory_bytes": plan.memory_bytes,
    }
    if options.json:
        print(json.dumps(numbers))
        return
    print(
        f"{plan.title}, not run: {units} units, {plan.chunks_to_fetch} chunks "
        f"({plan.bytes_to_fetch / 1e6:.1f} MB decoded) to fetch, up to "
        f"{plan.bytes_to_write / 1e6:.1f} MB to write, about {plan.memory_bytes / 1e6:.0f} MB of "
        "memory; " + ", ".join(f"{name} {value}" for name, value in facts.items())
    )


def print_report(report: Any, options: argparse.Namespace, text: str) -> None:
    """The text for people, or the report's fields as JSON."""
    if not options.json:
        print(text)
        return
    facts = {}
    for field in dataclasses.fields(report):
        value = getattr(report, field.name)
        if field.name != "straightening":
            facts[field.name] = str(value) if isinstance(value, Path) else value
    print(json.dumps(facts))


@contextlib.contextmanager
def bar(title: str, unit: str, options: argparse.Namespace) -> Iterator[Progress]:
    """A progress bar with a rate and an end on stderr; quiet where nobody looks."""
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, disable=options.json or None, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
