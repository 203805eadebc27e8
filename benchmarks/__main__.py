"""``python -m benchmarks``: run the parts, print what they found, say whether the floors hold."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"


def main() -> int:
    """Return 0 when every floor holds, 1 when one is missed."""
    from benchmarks.machine import load
    from benchmarks.parts import NAMES, Bench, part
    from benchmarks.report import Section
    from benchmarks.server import running_server

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*NAMES, []], help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="less of everything, under 2 minutes")
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/performance.md and its pictures"
    )
    options = parser.parse_args()
    if options.write_docs and (options.parts or options.quick):
        parser.error("--write-docs needs a full run: neither parts nor --quick")

    before, start = load(), time.monotonic()
    sections: list[Section] = []
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        for name in options.parts or NAMES:
            room = Path(folder) / name
            room.mkdir()
            bench = Bench(2 if options.quick else 7, options.quick, room, server)
            sections.append(part(name)(bench))
            print(sections[-1].text(), flush=True)
    missed = [floor for section in sections for floor in section.floors if not floor.met]
    print(f"\n{time.monotonic() - start:.0f} s; load before: {before}")
    for floor in missed:
        print("MISSED: " + ", ".join(floor.cells()[:3]))
    if options.write_docs:
        from benchmarks.docs import write_page

        write_page(DOCS, sections, before)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
