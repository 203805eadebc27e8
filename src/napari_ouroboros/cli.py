"""The operations from the shell: same names, same defaults as in Python."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shlex
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from napari_ouroboros import __version__
from napari_ouroboros.errors import Cancelled, Notice, OuroborosError, UserError, one_line

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.plan import Plan, Progress
    from napari_ouroboros.volumes import Volume

INTERRUPTED = 130
#: Seconds for opening a source, however long `--timeout` is.
OPEN_TIMEOUT = 20.0

_SETTLED_BY_A_RECIPE = {
    *("image_layer", "annotation_layer", "annotation_id", "width", "height", "pitch", "spacing"),
    *("closed", "tolerance", "adaptive", "up", "twist"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code.

    0 on success, 2 for what the user can mend, 1 for what they cannot, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    options.finished = None
    with _shell_manners(options.debug) as options.stop:
        try:
            options.command_line = shlex.join(["napari-ouroboros", *map(_redact, words)])
            options.run(options)
        except (KeyboardInterrupt, Cancelled):
            return _say_stopped(options)
        except BrokenPipeError:
            # The reader of our output has gone (| head): no error of ours.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:  # noqa: BLE001  # one line each, and with --debug all of it
            if options.stop.is_set():
                # An import that Ctrl-C cuts off raises whatever it likes.
                return _say_stopped(options)
            if options.debug:
                print(_redact(traceback.format_exc()), file=sys.stderr)
            print(f"napari-ouroboros: {_redact(_what_went_wrong(error))}", file=sys.stderr)
            return error.exit_code if isinstance(error, OuroborosError) else 1
    return 0


def _say_stopped(options: argparse.Namespace) -> int:
    left = f"{options.finished} is complete" if options.finished else "nothing unfinished was left"
    print(f"napari-ouroboros: stopped; {left}", file=sys.stderr)
    return INTERRUPTED


def _what_went_wrong(error: Exception) -> str:
    """One line that says so, and what to do."""
    if isinstance(error, OuroborosError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            f"there is not enough memory ({one_line(error) or 'out of memory'}); smaller or fewer "
            "slices need less, and so do a smaller --memory and fewer --threads"
        )
    return (
        f"this should not have happened: {type(error).__name__}: {one_line(error)} "
        "(--debug shows where)"
    )


# -- commands ---------------------------------------------------------------------------------


def _straighten(options: argparse.Namespace) -> None:
    import time

    from napari_ouroboros.operations.straighten_job import StraightenJob

    start = time.monotonic()
    volume, map_, mip, kind = _from_state(options)
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
        _print_plan(job.plan(), options, {"shape": job.shape, "mip": mip})
        return
    with _bar("straightening", "slab", options) as progress:
        report = job.run(progress, options.stop, start)
        options.finished = report.path
    settled = report.straightening
    _print_report(
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


def _backproject(options: argparse.Namespace) -> None:
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
        threads=options.threads,
        overwrite=options.overwrite,
        command=options.command_line,
    )
    if options.dry_run:
        _print_plan(job.plan(), options, {"mip": job.mip, "dtype": str(job.dtype)})
        return
    with _bar("backprojecting", "chunk", options) as progress:
        report = job.run(progress, options.stop)
        options.finished = report.path
    lines = [
        f"{report.path}: {report.voxels_labelled:,} voxels labelled of {report.voxels_in_tube:,} "
        f"in the tube, {report.dtype}, {report.chunks_written} of {report.chunks_touched} chunks "
        f"written ({report.seconds:.1f} s)"
    ]
    if report.voxels_contested:
        lines.append(
            f"{report.voxels_contested:,} voxels were claimed by several slices; the nearest "
            "centre line got them"
        )
    if report.voxels_between_traces:
        lines.append(f"{report.voxels_between_traces:,} voxels had labels of several traces")
    lines.append(f"open in Neuroglancer as precomputed://file://{report.path}")
    _print_report(report, options, "\n".join(lines))


def _check(options: argparse.Namespace) -> None:
    from napari_ouroboros.operations.outputs import is_recipe
    from napari_ouroboros.operations.round_trip import check

    if is_recipe(options.source):
        volume, map_, mip = _from_recipe(options)
    else:
        volume, map_, mip, _ = _from_state(options)
    with _bar("checking", "chunk", options) as progress:
        report = check(
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


def _info(options: argparse.Namespace) -> None:
    from napari_ouroboros.operations.info import as_text, describe

    facts = describe(options.source, **_limits(options))
    print(json.dumps(facts, default=str) if options.json else as_text(facts))


def _demo(options: argparse.Namespace) -> None:
    from napari_ouroboros.operations.demo import main as demo

    demo(
        options.output,
        headless=options.headless,
        overwrite=options.overwrite,
        as_json=options.json,
        dry_run=options.dry_run,
    )


# -- what commands share ----------------------------------------------------------------------


def _from_state(options: argparse.Namespace) -> tuple[Volume, Straightening, int, str]:
    """Volume, map and mip of a Neuroglancer state and the options."""
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.neuroglancer import read_state
    from napari_ouroboros.operations.outside_volume import best_mip
    from napari_ouroboros.volumes import open_volume

    state = read_state(options.source)
    source = state.volume_source(options.image_layer)
    volume = open_volume(source.url, **_limits(options))
    trace = state.trace(
        options.annotation_layer,
        options.annotation_id,
        options.image_layer,
        closed=options.closed,
        tolerance_nm=options.tolerance,
        resolution_nm=volume.levels[0].resolution,
    )
    map_ = Straightening(
        trace,
        options.width,
        options.height,
        options.pitch,
        options.spacing,
        options.adaptive,
        options.up,
        None if options.twist is None else _read_twist(options.twist),
    )
    if options.mip == "auto":
        mip = 0 if options.pitch is None else best_mip(volume, options.pitch)
    else:
        mip = options.mip or 0
    volume.mip(mip)
    return volume, map_, mip, source.kind


def _from_recipe(options: argparse.Namespace) -> tuple[Volume, Straightening, int]:
    """Volume, map and mip of a recipe."""
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.outputs import open_source

    without = _parser().parse_args(["check", options.source])
    for name, value in vars(without).items():
        if name in _SETTLED_BY_A_RECIPE and getattr(options, name) != value:
            raise UserError(
                f"--{name.replace('_', '-')} has no effect on a recipe, which settles it; leave it "
                "out, or check the state"
            )
    map_ = Straightening.load(options.source)
    volume = open_source(map_.source, Path(options.source), **_limits(options))
    mip = (map_.source or {}).get("mip", 0) if options.mip in (None, "auto") else options.mip
    return volume, map_, int(mip)


def _limits(options: argparse.Namespace) -> dict[str, float]:
    """Time limits of `open_volume`: who asks for a short one means opening, too."""
    return {"timeout": options.timeout, "open_timeout": min(options.timeout, OPEN_TIMEOUT)}


def _read_twist(path: str) -> list[tuple[float, float]]:
    """Keyframes of a text file: one `s_nm, degrees` per line, or JSON pairs."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"there is no twist file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read the twist file {path}: {one_line(reason)}") from error
    try:
        if text.lstrip().startswith("["):
            keys = [(float(s), float(angle)) for s, angle in json.loads(text)]
        else:
            rows = [line.split("#")[0].replace(",", " ").split() for line in text.splitlines()]
            keys = [(float(s), float(angle)) for s, angle in filter(None, rows)]
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} must have lines of two numbers, s in nm and degrees: {one_line(error)}"
        ) from error
    if not keys:
        raise UserError(f"{path} has no lines of two numbers, s in nm and degrees")
    return keys


def _print_plan(plan: Plan, options: argparse.Namespace, facts: dict[str, Any]) -> None:
    numbers = {
        **facts,
        "units": len(plan.units),
        "chunks_to_fetch": plan.chunks_to_fetch,
        "bytes_to_fetch": plan.bytes_to_fetch,
        "bytes_to_write": plan.bytes_to_write,
        "memory_bytes": plan.memory_bytes,
    }
    if options.json:
        print(json.dumps(numbers))
        return
    print(
        f"{plan.title}, not run: {len(plan.units)} write units, {plan.chunks_to_fetch} chunks "
        f"({plan.bytes_to_fetch / 1e6:.1f} MB decoded) to fetch, up to "
        f"{plan.bytes_to_write / 1e6:.1f} MB to write, about {plan.memory_bytes / 1e6:.0f} MB of "
        "memory; " + ", ".join(f"{name} {value}" for name, value in facts.items())
    )


def _print_report(report: Any, options: argparse.Namespace, text: str) -> None:
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
def _bar(title: str, unit: str, options: argparse.Namespace) -> Iterator[Progress]:
    """A progress bar with a rate and an end on stderr; quiet where nobody looks."""
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, disable=options.json or None, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


@contextlib.contextmanager
def _shell_manners(debug: bool) -> Iterator[threading.Event]:
    """Notices as plain lines, other libraries' warnings kept quiet, SIGTERM like Ctrl-C.

    The event is set by either signal: an exception alone is lost where a library calls back
    from C, as numba's compiler does.
    """
    stopped = threading.Event()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, Notice) or debug:
            print(f"note: {_redact(str(message))}", file=sys.stderr)

    def stop(number: int, frame: object) -> NoReturn:
        stopped.set()
        raise KeyboardInterrupt

    def lost(what: Any) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            report_lost(what)

    report_lost, sys.unraisablehook = sys.unraisablehook, lost
    before: dict[signal.Signals, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        warnings.showwarning = show
        try:
            # Elsewhere than in the main thread, whoever called main() handles signals.
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGTERM, signal.SIGINT):
                    before[number] = signal.signal(number, stop)
            yield stopped
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            sys.unraisablehook = report_lost


def _redact(text: str) -> str:
    from napari_ouroboros.volumes.credentials import redact

    return redact(text)


# -- the parser -------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line and exit code 2."""
        self.exit(2, f"{self.prog}: {_redact(one_line(message))} (--help lists the options)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="napari-ouroboros",
        description="Straighten long thin things out of very large volumes, and bring labels home.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the whole way on a phantom nerve, with pictures")
    demo.add_argument("-o", "--output", metavar="DIR", default="napari-ouroboros-demo")
    demo.add_argument("--headless", action="store_true", help="do not open a window")
    _everywhere(demo)
    demo.set_defaults(run=_demo)

    straighten = commands.add_parser(
        "straighten", help="cut slices perpendicular to the trace of a Neuroglancer state"
    )
    straighten.add_argument("source", metavar="STATE", help="JSON file or link")
    straighten.add_argument(
        "-o", "--output", metavar="OUT", required=True, help=".tif, or a precomputed folder"
    )
    _map_options(straighten)
    straighten.add_argument("--interpolation", choices=["nearest", "linear"])
    straighten.add_argument("--fill", type=float, help="value outside the volume")
    straighten.add_argument("--slices", type=_range, metavar="A:B", help="only these slices")
    _everywhere(straighten)
    straighten.set_defaults(run=_straighten)

    back = commands.add_parser("backproject", help="bring labels home into the volume")
    back.add_argument("labels", metavar="LABELS", nargs="+", help=".tif, .npy or precomputed")
    back.add_argument("--recipe", action="append", required=True, help="written by straighten")
    back.add_argument("-o", "--output", metavar="DEST", required=True, help="precomputed folder")
    back.add_argument("--mip", type=int, help="level to label; default the recipe's")
    back.add_argument("--keep", type=int, nargs="+", metavar="ID", help="only these labels")
    back.add_argument("--labels-scale", type=_triple, metavar="Z,Y,X")
    back.add_argument("--labels-offset", type=_triple, metavar="Z,Y,X")
    back.add_argument("--dtype", choices=["uint8", "uint16", "uint32", "uint64"])
    back.add_argument(
        "--conflicts", metavar="PATH", help="mask of voxels that several slices claim"
    )
    _everywhere(back)
    back.set_defaults(run=_backproject)

    check = commands.add_parser(
        "check", help="straighten, backproject, compare: which promise holds"
    )
    check.add_argument("source", metavar="STATE|RECIPE")
    _map_options(check)
    _everywhere(check)
    check.set_defaults(run=_check)

    info = commands.add_parser("info", help="what a volume, a state or a recipe is")
    info.add_argument("source", metavar="URL|STATE|RECIPE")
    _everywhere(info)
    info.set_defaults(run=_info)
    return parser


def _map_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--image-layer",
        metavar="NAME",
        help="layer to straighten; not needed if it is the only one",
    )
    add("--annotation-layer", metavar="NAME", help="layer with the trace")
    add("--annotation-id", metavar="ID", help="which polyline; 'points' for the single points")
    add("--width", type=int, default=100, help="pixels (100)")
    add("--height", type=int, default=100, help="pixels (100)")
    add("--mip", type=_mip, help="level to read (0; of a recipe its own), or auto")
    add("--pitch", type=float, metavar="NM", help="pixel size; default the level's finest voxel")
    add("--spacing", type=float, metavar="NM", help="distance between slices; default likewise")
    add("--closed", action="store_true", help="the trace returns to its first point")
    add(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="NM",
        help="how far the curve may leave points",
    )
    add(
        "--adaptive",
        type=float,
        metavar="RADIUS",
        help="slices closer in bends, up to this radius in nm",
    )
    add("--up", type=_triple, metavar="Z,Y,X", help="direction that appears upwards")
    add("--twist", metavar="FILE", help="lines of: s in nm, degrees")


def _everywhere(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("everywhere")
    add = group.add_argument
    add("--memory", type=_positive, default=1024, metavar="MB", help="for decoded chunks (1024)")
    add("--threads", type=_positive, metavar="N", help="default one per processor")
    add("--missing", choices=["fill", "error"], help="chunks that the store does not have")
    add(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="without a byte from a source (60)",
    )
    add("--overwrite", action="store_true", help="replace an earlier result")
    add("--dry-run", action="store_true", help="say what would be done")
    add("--json", action="store_true", help="the report as JSON on standard output")
    add("--debug", action="store_true", help="show tracebacks")


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 1 or more")
    return number


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds, over 0")
    return number


def _mip(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number or auto") from None


def _range(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return int(first), int(last)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be A:B, first and last + 1") from None


def _triple(text: str) -> tuple[float, float, float]:
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be three numbers Z,Y,X") from None
    return z, y, x


if __name__ == "__main__":
    sys.exit(main())
