"""Slices out of a volume over HTTP and from a disk, against the peer."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks import ours, peer
from benchmarks.clock import Runs, Spread, in_turns, measure
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from benchmarks.scene import CHUNK, Index, Scene, Tube
from napari_ouroboros import open_volume

LATENCY_MS = 40
#: Megasamples per processor second of the port of performance.md, by order.
PORT_RATES: dict[peer.Order, float] = {3: 1.7, 1: 7.5}
PORT_CHUNKS = 2.85
SLOWER_ALLOWED = 1.25
READERS = {"cloud-volume": (6, 3), "tensorstore": (12, 6)}
LOCAL_FLOOR = 6

_PROSE = """1500 slices of 100 x 100 along a helix in 1024^3 voxels of uint8, in chunks of 64^3 that
gzip shrinks by 1.13. Every request is answered 40 ms late by a server in another process. *Ours*
opens the volume, computes the map, slices, and writes a TIFF and its recipe; the *port* opens the
volume, downloads its boxes and samples rectangles it is given. Ratios are of wall time, each run
against the run of its own turn. The slices are compared: mean difference to the port's order 1 is
printed."""


def run(bench: Bench) -> Section:
    scene = Scene(1024)
    tube = Tube(scene, 500 if bench.quick else 1500)
    url = bench.server.url(scene)
    bench.server.reset(LATENCY_MS)
    map_ = ours.straightening(tube)
    rectangles = peer.Rectangles.of(map_, open_volume(url).levels[0])
    exact = exact_chunks(rectangles)
    out = bench.folder / "slices.tif"

    http = in_turns(
        {
            "port, order 3": partial(peer.slice_volume, url, rectangles, 3),
            "port, order 1": partial(peer.slice_volume, url, rectangles, 1),
            **{name: partial(ours.slice_volume, url, tube, out, name) for name in READERS},
        },
        bench.repeats,
    )
    local = _local(bench, scene, tube, rectangles)
    rates = {order: _port_rate(bench, url, rectangles, order) for order in PORT_RATES}
    chunks, chunk_floors = _chunks(bench, url, tube, rectangles, exact)

    floors = []
    for name, both in READERS.items():
        for order, floor in zip((3, 1), both, strict=True):
            faster = http[name].times_faster(http[f"port, order {order}"])
            floors.append(Floor(f"{name} against order {order}", faster, floor))
    floors.append(
        Floor("local .gz against order 3", local["ours"].times_faster(local["port"]), LOCAL_FLOOR)
    )
    floors += chunk_floors
    floors += [
        Floor(
            f"the port itself, order {order}", rate, PORT_RATES[order] / SLOWER_ALLOWED,
            "Msamples/CPU-s",
        )
        for order, rate in rates.items()
    ]  # fmt: skip
    return Section(
        "Slicing",
        _PROSE,
        [
            _times("over HTTP, 40 ms latency", http),
            _times("from a folder of .gz files", local),
            chunks,
            _against_the_figures(rates, rectangles, exact),
        ],
        floors,
    )


def exact_chunks(rectangles: peer.Rectangles) -> set[Index]:
    """The chunks that linear sampling reads, from every sample's position."""
    found: set[Index] = set()
    for slices in rectangles.groups():
        box = rectangles.box(slices)
        low = np.floor(rectangles.positions(slices, box)).astype(int).reshape(-1, 3) + box.low
        for corner in np.ndindex(2, 2, 2):
            x, y, z = ((low + corner) // CHUNK).T
            codes = np.unique((z * 4096 + y) * 4096 + x).tolist()
            found.update((code >> 24, code >> 12 & 4095, code & 4095) for code in codes)
    return found


def _local(bench: Bench, scene: Scene, tube: Tube, rectangles: peer.Rectangles) -> dict[str, Runs]:
    """The same tube from files."""
    needed = set().union(*(rectangles.box(s).chunks() for s in rectangles.groups()))
    folder = scene.write(bench.folder, needed)
    return in_turns(
        {
            "port": partial(peer.slice_volume, f"file://{folder}", rectangles, 3),
            "ours": partial(ours.slice_volume, folder, tube, bench.folder / "local.tif"),
        },
        bench.repeats,
    )


def _port_rate(bench: Bench, url: str, rectangles: peer.Rectangles, order: peer.Order) -> Spread:
    """Megasamples per processor second of the port's sampling, its grids included."""
    slices = next(rectangles.groups())
    box = rectangles.box(slices)
    block = peer.download(peer.open_source(url), box)

    def sample() -> Any:
        return peer.sample(block, rectangles.positions(slices, box), order)

    amount = sample().size / 1e6
    return Runs([measure(sample) for _ in range(bench.repeats)]).rate(amount)


def _chunks(
    bench: Bench, url: str, tube: Tube, rectangles: peer.Rectangles, exact: set[Index]
) -> tuple[Table, list[Floor]]:
    """What the server counted, once for each; and that the slices are the same."""
    import tifffile

    rows, floors = [], []
    for name in READERS:
        bench.server.reset(0)
        path = bench.folder / f"{name}.tif"
        ours.slice_volume(url, tube, path, name)
        counted = bench.server.chunk_requests()
        share, most = counted.total() / len(exact), max(counted.values())
        rows.append((name, str(len(counted)), f"{share:.2f}", str(most)))
        floors += [
            Floor(f"chunks fetched, {name}", Spread.of([share]), 1.1, "x exact", True, 2),
            Floor(f"most requests for one chunk, {name}", Spread.of([most]), 1, "", True, 0),
        ]
    bench.server.reset(0)
    theirs = peer.slice_volume(url, rectangles, 1).astype(float)
    counted = bench.server.chunk_requests()
    share = counted.total() / len(exact)
    rows.append(("port", str(len(counted)), f"{share:.2f}", str(max(counted.values()))))
    most_of_port = PORT_CHUNKS * SLOWER_ALLOWED
    same = float(np.abs(theirs - tifffile.imread(path)).mean())
    floors += [
        Floor("mean difference to the port", Spread.of([same]), 0.02, "grey levels", True, 4),
        Floor("the port's chunks", Spread.of([share]), most_of_port, "x exact", True, 2),
    ]
    head = (f"chunks (exact set: {len(exact)})", "different", "requests x exact", "most for one")
    return Table(head, rows), floors


def _times(title: str, runs: dict[str, Runs]) -> Table:
    rows = [(name, r.wall.text(2, "s"), r.cpu.text(2, "s")) for name, r in runs.items()]
    return Table((title, "wall", "CPU"), rows)


def _against_the_figures(
    rates: dict[peer.Order, Spread], rectangles: peer.Rectangles, exact: set[Index]
) -> Table:
    fetched = sum(len(rectangles.box(s).chunks()) for s in rectangles.groups())
    rows = [
        (f"order {order}, Msamples per CPU-second", f"{rate.median:.1f}", f"{PORT_RATES[order]}")
        for order, rate in rates.items()
    ]
    rows.append(("chunks of its boxes, x exact", f"{fetched / len(exact):.2f}", f"{PORT_CHUNKS}"))
    return Table(("the port", "here", "expected"), rows)
