"""The curves of a report as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.report import Plot


def draw(plot: Plot, folder: Path) -> Path:
    """Write ``performance-<name>.png``: medians, with the range of the runs as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for curve in plot.curves:
        x = [place for place, _ in curve.points]
        y = np.array([spread.median for _, spread in curve.points])
        bars = [
            y - [spread.low for _, spread in curve.points],
            [spread.high for _, spread in curve.points] - y,
        ]
        axes.errorbar(x, y, yerr=bars, marker="o", markersize=4, capsize=3, label=curve.label)
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
    if plot.logarithmic:
        axes.set(xscale="log", yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set(xlim=(0, None), ylim=(0, None))
    ticks = sorted({place for curve in plot.curves for place, _ in curve.points})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.minorticks_off()
    axes.grid(True, alpha=0.3)
    axes.legend()
    path = folder / f"performance-{plot.name}.png"
    figure.savefig(path, metadata={"Software": None})
    return path
