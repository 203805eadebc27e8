"""docs/performance.md, written by the benchmark itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import description
from benchmarks.plots import draw
from benchmarks.report import Section

_HEAD = """# Performance

This page is written by `python -m benchmarks --write-docs`; change the benchmark, not the page.
[benchmarks/README.md](../benchmarks/README.md) says how things are measured. Figures are medians,
with the lowest and the highest, of 7 runs where nothing else is said. What is compared takes turns
in one process, after each has run once to warm up. CPU is the user and system time of all threads
of the process.

*The port* is a plain port of what [Ouroboros](https://github.com/We-Gold/ouroboros) does, in
numpy, scipy and cloud-volume: boxes of 128 slices, downloaded whole, `map_coordinates`, and splat
to bring labels back. Its own rates stand beside those that are known for it from another machine,
so that a slow port cannot make us look fast."""


def write_page(folder: Path, sections: Sequence[Section], load: str) -> None:
    """Write the page and its pictures into the folder of the documents."""
    for section in sections:
        for plot in section.plots:
            draw(plot, folder / "images")
    parts = [
        _HEAD,
        "## The machine",
        description().markdown(),
        f"Load when it began: {load}.",
        *(section.markdown() for section in sections),
    ]
    (folder / "performance.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
