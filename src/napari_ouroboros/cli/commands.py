"""What each command does with its options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_ouroboros.cli.printing import bar, print_plan, print_report
from napari_ouroboros.cli.scene import from_recipe, from_state, limits
from napari_ouroboros.errors import OuroborosError, UserError

if TYPE_CHECKING:
    from napari_ouroboros.operations import BackprojectReport


def straighten(options: argparse.Namespace) -> None:
    """Slices perpendicular to the trace of a state, into a file."""
    import time

    from napari_ouroboros.operations.straighten_job import StraightenJob

    start = time.monotonic()
    volume, map_, mip, kind = from_state(options)
    job = StraightenJob(
        options.output,
        volume,
        map_,
        mip,
        options.interpolation,
        slices=options.slices,
        fill=options.fill,
        missing=options.missing,
        kind=kind,
        memory=options.memory * 2**20,
        threads=options.threads,
        overwrite=options.overwrite,
        command=options.command_line,
    )
    if options.dry_run:
        print_plan(job.plan(), options, {"shape": job.shape, "mip": mip})
        return
    with bar("straightening", "slab", options) as progress:
        report = job.run(progress, options.stop, start)
        options.finished = report.path
    settled = report.straightening
    print_report(
        report,
        options,
        f"{report.path}: {' x '.join(map(str, report.shape))} {report.dtype}, pixels "
        f"{settled.pitch_nm:g} nm, {settled.spacing_nm:g} nm between slices "
        f"({report.seconds:.1f} s, {report.chunks_fetched} chunks"
        + (f", {report.chunks_missing} missing" if report.chunks_missing else "")
        + f")\nrecipe: {report.recipe}"
        + (f"\nleft of the curve: {settled.remainder_nm:.1f} nm" if settled.remainder_nm else "")
        + f"\n{settled.exactness(job.level.resolution).text}",
    )


def backproject(options: argparse.Namespace) -> None:
    """Labels home into the volume."""
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.backproject_job import BackprojectJob

    if len(options.labels) != len(options.recipe):
        raise UserError(
            f"{len(options.labels)} label volumes for {len(options.recipe)} recipes; "
            "give --recipe once for each"
        )
    maps = [Straightening.load(path) for path in options.recipe]
    single = len(maps) == 1
    job = BackprojectJob(
        options.labels[0] if single else options.labels,
        maps[0] if single else maps,
        options.output,
        mip=options.mip,
        keep=options.keep,
        labels_scale=options.labels_scale,
        labels_offset=options.labels_offset,
        dtype=options.dtype,
        conflicts=options.conflicts,
        pyramid=options.pyramid,
        sharded=options.sharded,
        memory=options.memory * 2**20,
        timeout=options.timeout,
        threads=options.threads,
        overwrite=options.overwrite,
        command=options.command_line,
    )
    if options.dry_run:
        print_plan(job.plan(), options, {"mip": job.mip, "dtype": str(job.dtype)})
        return
    with bar("backprojecting", "chunk", options) as progress:
        report = job.run(progress, options.stop)
        options.finished = report.path
    lines = [
        f"{report.path}: {report.voxels_labelled:,} voxels labelled of {report.voxels_in_tube:,} "
        f"in the tube, {report.dtype}, {report.chunks_written} of {report.chunks_touched} chunks "
        f"written ({report.seconds:.1f} s)"
    ]
    if report.voxels_contested:
        lines.append(
            f"{report.voxels_contested:,} voxels lie in more than one slice; each took the label "
            "of the slice whose centre line is nearest"
        )
    if report.voxels_between_traces:
        lines.append(f"{report.voxels_between_traces:,} voxels had labels of several traces")
    if report.coarser_mips:
        mips = ", ".join(map(str, report.coarser_mips))
        lines.append(f"coarser levels by majority: mip {mips}")
    if job.output == "tiff":
        lines.append(_where(report))
    else:
        form = "zarr" if job.output == "zarr" else "precomputed"
        lines.append(f"its address for napari and for states: {form}://file://{report.path}")
    print_report(report, options, "\n".join(lines))


def _where(report: BackprojectReport) -> str:
    """Which part of the volume a TIFF holds."""
    assert report.bounds is not None
    assert report.corner_nm is not None
    size = " x ".join(str(high - low) for low, high in report.bounds)
    first = ", ".join(str(low) for low, _ in report.bounds)
    corner = ", ".join(f"{c:g}" for c in report.corner_nm)
    return (
        f"it holds {size} voxels (zyx) of mip {report.mip}, from array index {first}; its corner "
        f"lies at {corner} nm"
    )


def check(options: argparse.Namespace) -> None:
    """Straighten, backproject, compare."""
    from napari_ouroboros.operations import round_trip
    from napari_ouroboros.operations.outputs import is_recipe

    if is_recipe(options.source):
        volume, map_, mip = from_recipe(options)
    else:
        volume, map_, mip, _ = from_state(options)
    if options.dry_run:
        plan = round_trip.plan_check(volume, map_, mip, options.memory * 2**20)
        print_plan(plan, options, {"mip": mip})
        return
    with bar("checking", "chunk", options) as progress:
        report = round_trip.check(
            volume,
            map_,
            mip,
            missing=options.missing,
            memory=options.memory * 2**20,
            threads=options.threads,
            progress=progress,
            cancel=options.stop,
        )
    facts = {
        "promised_volume_exact": report.promised.volume_exact,
        "promised_drawn_exact": report.promised.drawn_exact,
        "volume_agreement": report.volume_agreement,
        "drawn_agreement": report.drawn_agreement,
        "voxels": report.voxels,
        "voxels_changed": report.voxels_changed,
        "voxels_contested": report.voxels_contested,
        "samples": report.samples,
        "samples_changed": report.samples_changed,
        "max_kappa_w": report.folds.max_kappa_w,
        "largest_width": report.folds.largest_width,
        "kept_promises": report.kept_promises,
    }
    print(json.dumps(facts) if options.json else report.text)
    if not report.kept_promises:
        raise OuroborosError("the round trip is not what was promised: please report this")


def measure(options: argparse.Namespace) -> None:
    """Labels in nm, per slice and as a whole."""
    from pathlib import Path

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.measure_job import MeasureJob
    from napari_ouroboros.operations.outputs import check_free

    table = None if options.output is None else Path(options.output)
    if table is not None:
        if table.is_dir():
            raise UserError(f"{table} is a folder; give the table a name, such as labels.csv")
        check_free(table, options.overwrite)
    with MeasureJob(
        options.labels,
        Straightening.load(options.recipe),
        options.keep,
        memory=options.memory * 2**20,
        timeout=options.timeout,
        threads=options.threads,
    ) as job:
        if options.dry_run:
            print_plan(job.plan(), options, {"shape": job.straightening.shape})
            return
        with bar("measuring", "slab", options) as progress:
            report = job.run(progress, options.stop)
            if table is not None:
                report.write_csv(table)
                options.finished = table
    if options.json:
        print(json.dumps({"table": None if table is None else str(table), **report.facts()}))
        return
    print(report.text)
    if table is not None:
        print(f"{table}: {len(report.slices)} lines, one per label and slice")


def info(options: argparse.Namespace) -> None:
    """What a volume, a state or a recipe is."""
    from napari_ouroboros.operations.info import as_text, describe

    facts = describe(
        options.source,
        reader=options.reader,
        resolution=options.resolution,
        **limits(options),
    )
    print(json.dumps(facts, default=str) if options.json else as_text(facts))


def demo(options: argparse.Namespace) -> None:
    """The whole way on a phantom."""
    from napari_ouroboros.operations.demo.run import main as run_demo

    run_demo(
        options.output,
        headless=options.headless,
        overwrite=options.overwrite,
        as_json=options.json,
        dry_run=options.dry_run,
    )


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    command.__name__: command for command in (demo, straighten, backproject, check, measure, info)
}
