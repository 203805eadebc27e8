"""The commands and their options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from napari_ouroboros import __version__
from napari_ouroboros.cli.manners import redacted
from napari_ouroboros.errors import one_line

# Options taken everywhere that have nothing to do with a command: its labels or its volume are
# read in another way, or nothing is read, kept or written.
_WITHOUT_EFFECT = {
    "demo": {"memory", "threads", "cache", "reader", "missing", "timeout"},
    "backproject": {"cache", "reader", "missing"},
    "check": {"overwrite"},
    "measure": {"cache", "reader", "missing"},
    "info": {"memory", "threads", "cache", "missing", "overwrite"},
}

# Options with three numbers, of which the first may be negative.
_TRIPLES = ("--up", "--labels-offset", "--labels-scale", "--resolution")


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = _Parser(
        prog="napari-ouroboros",
        description="Straighten long thin things out of very large volumes, and bring labels home.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the whole way on a phantom nerve, with pictures")
    demo.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        default="napari-ouroboros-demo",
        help="folder for all that is made (napari-ouroboros-demo)",
    )
    demo.add_argument("--headless", action="store_true", help="do not open a window")
    _everywhere(demo)

    straighten = commands.add_parser(
        "straighten", help="cut slices perpendicular to the trace of a Neuroglancer state"
    )
    straighten.add_argument("source", metavar="STATE", help="JSON file or link")
    straighten.add_argument(
        "-o", "--output", metavar="OUT", required=True, help=".tif, .zarr, or a precomputed folder"
    )
    _map_options(straighten)
    straighten.add_argument(
        "--interpolation",
        choices=["nearest", "linear", "cubic"],
        help="default linear; of labels always nearest",
    )
    straighten.add_argument("--fill", type=float, help="value outside the volume")
    straighten.add_argument("--slices", type=_range, metavar="A:B", help="only these slices")
    _everywhere(straighten)

    back = commands.add_parser("backproject", help="bring labels home into the volume")
    back.add_argument(
        "labels", metavar="LABELS", nargs="+", help=".tif, .npy, .zarr, N5 or precomputed"
    )
    back.add_argument(
        "--recipe",
        action="append",
        required=True,
        help="written by straighten; several LABELS need one each, in their order",
    )
    back.add_argument(
        "-o", "--output", metavar="DEST", required=True, help="precomputed folder, .zarr, or .tif"
    )
    back.add_argument("--mip", type=int, help="level to label; default the recipe's")
    back.add_argument("--keep", type=int, nargs="+", metavar="ID", help="only these labels")
    back.add_argument(
        "--labels-scale",
        type=_triple,
        metavar="Z,Y,X",
        help="labels of another size: theirs over the recipe's, as 1,0.5,0.5",
    )
    back.add_argument(
        "--labels-offset",
        type=_triple,
        metavar="Z,Y,X",
        help="labels of a part: its first slice, row and column",
    )
    back.add_argument(
        "--dtype",
        choices=["uint8", "uint16", "uint32", "uint64"],
        help="of the result; default the labels'",
    )
    back.add_argument(
        "--pyramid", action="store_true", help="the source's coarser levels, too, by majority"
    )
    back.add_argument(
        "--sharded", action="store_true", help="few large files instead of many small ones"
    )
    back.add_argument(
        "--conflicts", metavar="PATH", help="mask of voxels that several slices claim"
    )
    _everywhere(back)

    check = commands.add_parser(
        "check", help="straighten, backproject, compare: which promise holds"
    )
    check.add_argument("source", metavar="STATE|RECIPE", help="JSON file, or link of a state")
    _map_options(check)
    _everywhere(check)

    measure = commands.add_parser(
        "measure", help="lengths, areas and volumes of labels, per slice and as a whole"
    )
    measure.add_argument("labels", metavar="LABELS", help=".tif, .npy, .zarr, N5 or precomputed")
    measure.add_argument("--recipe", required=True, help="written by straighten")
    measure.add_argument(
        "-o", "--output", metavar="CSV", help="table with a line per label and slice"
    )
    measure.add_argument("--keep", type=int, nargs="+", metavar="ID", help="only these labels")
    _everywhere(measure)

    info = commands.add_parser("info", help="what a volume, a state or a recipe is")
    info.add_argument(
        "source",
        metavar="URL|STATE|RECIPE",
        help="a volume's folder or address, a state's JSON file or link, a recipe",
    )
    _resolution(info)
    _everywhere(info)
    return parser


def _map_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--image-layer",
        metavar="NAME",
        help="layer to straighten; not needed if it is the only one",
    )
    _resolution(parser)
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


def _resolution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resolution",
        type=_triple,
        metavar="Z,Y,X",
        help="nm of a voxel, for a zarr or N5 volume that does not say it",
    )


def _everywhere(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("everywhere")
    add = group.add_argument
    add("--memory", type=_positive, default=1024, metavar="MB", help="for decoded chunks (1024)")
    add("--threads", type=_positive, metavar="N", help="default one per processor")
    add(
        "--cache",
        type=_positive,
        metavar="MB",
        help="keep chunks from servers on disk, up to this size, for the next run",
    )
    add("--reader", choices=["cloud-volume", "tensorstore"], help="default: see info")
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


def joined(words: Sequence[str]) -> list[str]:
    """The words, ``--up -1,0,0`` as ``--up=-1,0,0``: argparse takes -1,0,0 for an option."""
    found: list[str] = []
    for word in words:
        if found and found[-1] in _TRIPLES and re.match(r"-[\d.]", word):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def without_effect(options: argparse.Namespace) -> list[str]:
    """Options that were given, and that this command does nothing with."""
    defaults = argparse.ArgumentParser()
    _everywhere(defaults)
    return [
        "--" + name.replace("_", "-")
        for name, value in vars(defaults.parse_args([])).items()
        if name in _WITHOUT_EFFECT.get(options.command, ()) and getattr(options, name) != value
    ]


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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line and exit code 2."""
        self.exit(2, f"{self.prog}: {redacted(one_line(message))} (--help lists the options)\n")
