"""Commands as their users see them, and the folders that they leave."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import napari_ouroboros


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def notes(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("note: ")]

    @property
    def errors(self) -> list[str]:
        """Lines on stderr that are no notes."""
        return [line for line in self.err.splitlines() if not line.startswith("note: ")]

    def worked(self) -> Done:
        assert self.code == 0, self.err
        assert self.errors == []
        return self

    def failed(self, code: int, *parts: str) -> str:
        """Check for one clear line with these parts and nothing on stdout; return the line."""
        assert self.code == code, (self.code, self.err)
        assert self.out == ""
        assert len(self.errors) == 1, self.err
        (line,) = self.errors
        assert line.startswith("napari-ouroboros"), line
        assert "should not have happened" not in line
        assert "Traceback" not in self.err
        for part in parts:
            assert part in line, (part, line)
        return line


#: What the fixture `shell` is: ``shell("info", path)``.
Shell = Callable[..., Done]


def environment(**more: str) -> dict[str, str]:
    """For a process that imports the package from where this one has it."""
    source = str(Path(napari_ouroboros.__file__).parents[1])
    known = os.environ.get("PYTHONPATH")
    path = source if not known else os.pathsep.join([source, known])
    return {**os.environ, "PYTHONPATH": path, **more}


def command(*words: object) -> list[str]:
    """What starts the shell as a process."""
    return [sys.executable, "-m", "napari_ouroboros.cli", *map(str, words)]


def run_process(
    *words: object,
    start: Sequence[str] = (sys.executable, "-m", "napari_ouroboros.cli"),
    timeout: float = 60,
    **options: Any,
) -> Done:
    """Run a command as a process of its own; `start` is what comes before its words."""
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    settings.setdefault("env", environment())
    done = subprocess.run(
        [*start, *map(str, words)], text=True, timeout=timeout, check=False, **settings
    )
    return Done(done.returncode, done.stdout or "", done.stderr or "")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, hidden things too: contents of files, None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def read_tensorstore(folder: Path) -> NDArray[Any]:
    """Read all of a precomputed volume (z, y, x[, channel]) with tensorstore; no chunk is zero."""
    import tensorstore as ts

    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
    }
    array = ts.open(spec).result().read().result().transpose(2, 1, 0, 3)
    return np.asarray(array[..., 0] if array.shape[3] == 1 else array)
