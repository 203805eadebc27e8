"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.report import Table

_LIBRARIES = (
    "numpy", "scipy", "numba", "cloud-volume", "tensorstore", "imagecodecs", "tifffile",
)  # fmt: skip


def description() -> Table:
    """Processor, memory, system, and versions."""
    import psutil

    import napari_ouroboros

    rows = [
        ("processor", f"{_processor()}, {os.cpu_count()} logical processors"),
        ("memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("Python", platform.python_version()),
        ("napari-ouroboros", napari_ouroboros.__version__),
        *((name, _version(name)) for name in _LIBRARIES),
    ]
    return Table(("what", "which"), rows)


def load() -> str:
    """How busy others kept the machine in the last minute, before the run."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
