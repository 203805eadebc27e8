"""The same tube, turned so that the box around it grows twelvefold: the cost must not."""

from __future__ import annotations

from functools import partial

from benchmarks import ours, peer
from benchmarks.clock import Runs, Spread, in_turns
from benchmarks.parts import Bench
from benchmarks.parts.slicing import exact_chunks
from benchmarks.report import Curve, Floor, Plot, Section, Table
from benchmarks.scene import Scene, Tube
from napari_ouroboros import open_volume

#: From nearly along z to nearly along the diagonal; chosen for boxes of 80 to 900 megavoxels.
TILTS = (0.13, 0.3, 0.6, 1.0)
FLAT = 1.2

_PROSE = """The same tube of 1500 slices of 100 x 100, a slim helix, lies more and more along the
diagonal of the volume, so that the box around it grows from 80 to 880 megavoxels. It passes 20
voxels beside the corners of chunks, so that no direction is a special one. Over HTTP without
latency, as processor time of ours and, in 3 runs, of the port (order 1), with its box per 128
slices."""


def run(bench: Bench) -> Section:
    scene = Scene(2048)
    url = bench.server.url(scene)
    bench.server.reset(0)
    tubes = [Tube(scene, 1500, 14, 600, tilt, shift=20) for tilt in TILTS]
    level = open_volume(url).levels[0]
    rectangles = [peer.Rectangles.of(ours.straightening(tube), level) for tube in tubes]
    out = bench.folder / "slices.tif"
    mine = in_turns(
        {str(i): partial(ours.slice_volume, url, tube, out) for i, tube in enumerate(tubes)},
        bench.repeats,
    )
    port = in_turns(
        {str(i): partial(peer.slice_volume, url, r, 1) for i, r in enumerate(rectangles)},
        min(bench.repeats, 3),
    )
    costs = {"ours": list(mine.values()), "port": list(port.values())}
    boxes = [rects.box(slice(None)) for rects in rectangles]
    sizes = [box.shape[0] * box.shape[1] * box.shape[2] / 1e6 for box in boxes]
    touched = [len(exact_chunks(rects)) for rects in rectangles]
    rows = [
        (f"{size:.0f}", str(chunks), one.cpu.text(2, "s"), other.cpu.text(2, "s"))
        for size, chunks, one, other in zip(
            sizes, touched, costs["ours"], costs["port"], strict=True
        )
    ]
    plot = Plot(
        "box", "Cost against the box around the tube", "box (megavoxels)", "CPU seconds",
        [
            Curve(label, [(round(s), r.cpu) for s, r in zip(sizes, costs[who], strict=True)])
            for who, label in (("port", "port of the peer, order 1"), ("ours", "napari-ouroboros"))
        ],
    )  # fmt: skip
    return Section(
        "The box around the tube",
        _PROSE,
        [Table(("box, megavoxels", "chunks touched", "ours, CPU", "port, CPU"), rows)],
        [Floor("dearest box against cheapest", _unevenness(costs["ours"]), FLAT, "x", True, 2)],
        [plot],
    )


def _unevenness(costs: list[Runs]) -> Spread:
    """The dearest box over the cheapest: of the medians, and in single turns."""
    medians = [runs.cpu.median for runs in costs]
    pairs = zip(*(runs.samples for runs in costs), strict=True)
    turns = [[sample.cpu for sample in turn] for turn in pairs]
    single = Spread.of([max(turn) / min(turn) for turn in turns])
    steady = max(medians) / min(medians)
    return Spread(steady, min(steady, single.low), single.high)
