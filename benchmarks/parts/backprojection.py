"""Labels home, against the peer's splat; counted over the voxels in the tube."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import ours, peer
from benchmarks.clock import Runs, Spread, in_turns
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from benchmarks.scene import CHUNK, Scene, Tube
from napari_ouroboros import Straightening, backproject, open_volume
from napari_ouroboros.geometry.touched import touched_chunks
from napari_ouroboros.operations.gather import Gatherer, LabelGrid

PORT_RATE = 1.9
SLOWER_ALLOWED = 1.25
FLOOR = 7

_PROSE = """Labels of 100 x 100 pixels a slice, uint32, in cells of 25 x 25 x 40 samples, go home
to the voxels they came from. Rates are megavoxels in the tube (holes that the splat leaves count
as done) per processor second. *Computing* compares the splat of all boxes with the gather of all
chunks; *whole job* also writes: ours a precomputed segmentation, the port its boxes as TIFF files
with zlib, as the peer does. *Wrong* is the share of voxels in the tube that do not get the label
of the nearest sample: holes, and labels that averaging invented. *Tuned by us* is the same splat
with float32 and flat indices, faster than the peer writes it, so that nobody need wonder."""


def run(bench: Bench) -> Section:
    scene = Scene(1024)
    tube = Tube(scene, 256 if bench.quick else 512)
    source = scene.write(bench.folder / "empty", [])
    map_ = ours.straightening(tube)
    labels = _cells(map_.shape)
    rectangles = peer.Rectangles.of(map_, open_volume(source).levels[0])
    gather = _gatherer(map_, labels, source)
    voxels = gather() / 1e6
    runs = in_turns(
        {
            "port, computing": partial(_splat, labels, rectangles),
            "port tuned by us, computing": partial(_splat, labels, rectangles, tuned=True),
            "ours, computing": gather,
            "port, whole job": partial(_splat, labels, rectangles, bench.folder),
            "ours, whole job": partial(_whole_job, labels, map_, source, bench.folder / "home"),
        },
        bench.repeats,
    )
    rows = [
        (name, r.rate(voxels).text(1), r.cpu.text(2, "s"), r.wall.text(2, "s"))
        for name, r in runs.items()
    ]
    floors = [
        Floor(f"{what}, per CPU-second", _faster(runs, what), FLOOR)
        for what in ("computing", "whole job")
    ]
    floors.append(
        Floor(
            "the port itself, computing", runs["port, computing"].rate(voxels),
            PORT_RATE / SLOWER_ALLOWED, "Mvoxel/CPU-s",
        )
    )  # fmt: skip
    own = f"{runs['port, computing'].rate(voxels).median:.1f}"
    return Section(
        "Backprojection",
        _PROSE,
        [
            Table((f"{voxels:.1f} Mvoxel", "Mvoxel per CPU-second", "CPU", "wall"), rows),
            _right_and_wrong(bench),
            Table(("the port", "here", "expected"), [("Mvoxel per CPU-second", own, "1.9")]),
        ],
        floors,
    )  # fmt: skip


def _cells(shape: tuple[int, int, int]) -> NDArray[np.uint32]:
    """A block of cells with ids that need 32 bits."""
    k, row, column = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return (70_001 + (k // 40) * 100 + (row // 25) * 10 + column // 25).astype(np.uint32)


def _gatherer(map_: Straightening, labels: NDArray[Any], source: Path) -> Callable[[], int]:
    """All of the gather and nothing else; the result is how many voxels lie in the tube."""
    level = open_volume(source).levels[0]
    chunk = (CHUNK,) * 3

    def gather() -> int:
        gatherer = Gatherer(map_, level, LabelGrid.of(labels, map_))
        blocks = (
            gatherer.block(touched.chunk, chunk, touched.segments, distances=False)
            for touched in touched_chunks(map_, level, chunk)
        )
        return sum(int(np.count_nonzero(block.claims)) for block in blocks)

    return gather


def _splat(
    labels: NDArray[Any],
    rectangles: peer.Rectangles,
    folder: Path | None = None,
    tuned: bool = False,
) -> None:
    import tifffile

    for number, (_, block) in enumerate(peer.backproject(labels, rectangles, tuned)):
        if folder is not None:
            tifffile.imwrite(folder / f"box-{number}.tif", block, compression="zlib")


def _whole_job(labels: NDArray[Any], map_: Straightening, source: Path, home: Path) -> None:
    backproject(labels, map_, home, like=open_volume(source), overwrite=True)


def _right_and_wrong(bench: Bench) -> Table:
    """The port at spacings of 1 and 3 voxels, against the map's own answer voxel by voxel."""
    scene = Scene(512)
    source = scene.write(bench.folder / "empty", [])
    level = open_volume(source).levels[0]
    rows = []
    for spacing in (1, 3):
        map_ = ours.straightening(Tube(scene, 120 * spacing), spacing=spacing)
        labels = _cells(map_.shape)
        rectangles = peer.Rectangles.of(map_, level)
        ((box, block),) = peer.backproject(labels, rectangles)
        axes = (np.arange(a, b) for a, b in zip(box.low, box.high, strict=True))
        x, y, z = np.meshgrid(*axes, indexing="ij")
        svu = map_.to_straightened(level.to_nm(np.stack([z, y, x], -1)))
        inside = np.isfinite(svu[..., 0])
        k, row, column = np.floor(svu[inside] + 0.5).astype(int).T
        truth, got = labels[k, row, column], block[inside]
        holes = float(np.mean(got == 0))
        invented = float(np.mean((got != 0) & ~np.isin(got, labels)))
        other = float(np.mean(got != truth)) - holes - invented
        rows.append(
            (f"{spacing} voxel", *(f"{100 * share:.1f} %" for share in (holes, invented, other)))
        )
    head = ("the port, slices apart by", "holes", "invented ids", "another id")
    return Table(head, rows)


def _faster(runs: dict[str, Runs], what: str) -> Spread:
    return runs[f"ours, {what}"].times_faster(runs[f"port, {what}"], cpu=True)
