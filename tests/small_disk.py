"""Disks that are full, read-only or not ours: real ones, made for a test. Needs root."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """Mount a disk of `size` at `folder`, which is created."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def read_only_disk(folder: Path) -> Iterator[Path]:
    """Mount an empty disk on which nobody, root included, may write."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def anybodys_folder() -> Iterator[Path]:
    """Make a folder that every user of this machine may enter (pytest's are for one)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.path.realpath(name))
        folder.chmod(0o755)
        yield folder


def as_nobody(imports: str, code: str, *arguments: object) -> str:
    """Run `code` in a new interpreter as a user without any rights; return what it prints.

    `imports` run before the rights are given up: the interpreter itself may lie where only
    its owner may read.
    """
    lines = [
        "import os, sys",
        textwrap.dedent(imports),
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})",
        textwrap.dedent(code),
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
