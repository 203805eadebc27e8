"""Make the pictures of the demo in the docs again: ``python tools/pictures.py``.

Every picture is what the program writes, so that none shows what it does not do; those of the
window come from ``tools/screenshots.py``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


def demo() -> None:
    """The pictures that the demo leaves, in 256 colours."""
    from PIL import Image

    from napari_ouroboros.operations.demo.run import run_demo

    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder) / "demo", headless=True)
        for name in ("slices", "along", "home_z"):
            with Image.open(Path(folder) / "demo" / "pictures" / f"{name}.png") as picture:
                small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
                small.save(IMAGES / f"demo_{name}.png", optimize=True)


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    demo()
