"""Sampling alone: every chunk is in the pool already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Literal

from benchmarks import ours
from benchmarks.clock import in_turns
from benchmarks.parts import Bench
from benchmarks.report import Section, Table
from benchmarks.scene import Scene, Tube
from napari_ouroboros import open_volume
from napari_ouroboros.operations.boxes import slabs
from napari_ouroboros.operations.sampler import SliceSampler

Method = Literal["nearest", "linear", "cubic"]

_PROSE = """Megasamples of uint8 per processor second, one sampling thread, all chunks decoded
beforehand: finding the chunks, pinning them and the kernel. The prototypes reached 58 linear from
pages (66-77 from one dense block) and 225 nearest; the ceilings of linear sampling in C were 92
scalar and 265 with AVX2, on the machine where the port had 1.7 (order 3) and 7.5 (order 1)."""

_KNOWN: dict[Method, str] = {
    "nearest": "225 reached",
    "linear": "92 scalar, 265 AVX2",
    "cubic": "-",
}


def run(bench: Bench) -> Section:
    scene = Scene(1024)
    tube = Tube(scene, 500 if bench.quick else 1500)
    bench.server.reset(0)
    volume = open_volume(bench.server.url(scene))
    map_ = ours.straightening(tube)
    with ExitStack() as stack:
        runs: dict[str, Callable[[], None]] = {}
        for method in _KNOWN:
            sampler = SliceSampler(volume, map_, 0, method, threads=1)
            runs[method] = _drain(stack.enter_context(sampler))
        taken = in_turns(runs, bench.repeats)
    samples = tube.slices * map_.width * map_.height / 1e6
    rows = [
        (method, taken[method].rate(samples).text(1), ceiling) for method, ceiling in _KNOWN.items()
    ]
    head = ("interpolation", "Msamples per CPU-second", "known")
    return Section("Sampling kernels", _PROSE, [Table(head, rows)])


def _drain(sampler: SliceSampler) -> Callable[[], None]:
    boxes = slabs(sampler.straightening.shape)

    def run() -> None:
        slices: Iterator[object] = sampler.stream(boxes)
        for _ in slices:
            pass

    return run
