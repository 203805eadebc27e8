"""Run one command: its exit code, and one line for whatever goes wrong."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence

from napari_ouroboros.cli.commands import COMMANDS
from napari_ouroboros.cli.manners import redacted, shell_manners
from napari_ouroboros.cli.parser import joined, make_parser, without_effect
from napari_ouroboros.errors import Cancelled, Notice, OuroborosError, one_line

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code.

    0 on success, 2 for what the user can mend, 1 for what they cannot, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = make_parser().parse_args(joined(words))
    options.finished = None
    with shell_manners(options.debug) as options.stop:
        try:
            options.command_line = shlex.join(["napari-ouroboros", *map(redacted, words)])
            for option in without_effect(options):
                warnings.warn(f"{option} has no effect on {options.command}", Notice, stacklevel=1)
            COMMANDS[options.command](options)
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
                print(redacted(traceback.format_exc()), file=sys.stderr)
            print(f"napari-ouroboros: {redacted(_what_went_wrong(error))}", file=sys.stderr)
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
