"""What a longer tube costs, with one thread and with two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks import ours, peer
from benchmarks.clock import Spread, in_turns
from benchmarks.parts import Bench
from benchmarks.report import Curve, Plot, Section, Table
from benchmarks.scene import Scene, Tube
from napari_ouroboros import open_volume

_PROSE = """Helices of more and more slices of 100 x 100 over HTTP with 40 ms latency, wall time.
Threads are those that sample; others fetch. The port (order 1) is measured where that takes no
minutes. Medians of 3 runs."""

_PORT_UP_TO = 1500


def run(bench: Bench) -> Section:
    scene = Scene(2048)
    url = bench.server.url(scene)
    bench.server.reset(40)
    lengths = (128, 500) if bench.quick else (128, 500, 1500, 6000, 24_000)
    level = open_volume(url).levels[0]
    out = bench.folder / "slices.tif"
    labels = {
        "port": "port of the peer, order 1",
        "1": "napari-ouroboros, one thread",
        "2": "napari-ouroboros, two threads",
    }
    rows = []
    points: dict[str, list[tuple[float, Spread]]] = {key: [] for key in labels}
    for length in lengths:
        tube = Tube(scene, length, radius=400, rise=150)
        runs: dict[str, Callable[[], object]] = {
            n: partial(ours.slice_volume, url, tube, out, threads=int(n)) for n in ("1", "2")
        }
        if length <= _PORT_UP_TO:
            rectangles = peer.Rectangles.of(ours.straightening(tube), level)
            runs["port"] = partial(peer.slice_volume, url, rectangles, 1)
        taken = in_turns(runs, min(bench.repeats, 3))
        shown = (taken[key].wall.text(2, "s") if key in taken else "-" for key in labels)
        rows.append((str(length), *shown))
        for key, one in taken.items():
            points[key].append((length, one.wall))
    curves = [Curve(label, points[key]) for key, label in labels.items()]
    table = Table(("slices", *labels.values()), rows)
    plot = Plot("length", "Cost against length", "slices", "wall seconds", curves, True)
    return Section("Length and threads", _PROSE, [table], [], [plot])
