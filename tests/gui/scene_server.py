"""The demo nerve behind a slow web server, and the Neuroglancer link that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from local_server import LocalServer

from napari_ouroboros.volumes import Volume, open_volume

#: Seconds that every request waits before its answer.
LATENCY = 0.1


@dataclass(frozen=True)
class Served:
    """A running server with the demo nerve.

    server : LocalServer
    volume : Volume
        The same image opened from the disk: what is true of it.
    state : dict
        Neuroglancer's, with the server's addresses; its layers are em, truth and trace.
    """

    server: LocalServer
    volume: Volume
    state: dict[str, Any]

    @property
    def link(self) -> str:
        """What a person copies from the browser."""
        return "https://neuroglancer-demo.appspot.com/#!" + quote(json.dumps(self.state))

    def link_of(self, *layers: str) -> str:
        """The same with some of the layers only."""
        shown = [layer for layer in self.state["layers"] if layer["name"] in layers]
        state = {**self.state, "layers": shown}
        return "https://neuroglancer-demo.appspot.com/#!" + quote(json.dumps(state))

    @property
    def url(self) -> str:
        return f"precomputed://{self.server.url}/image"

    @property
    def points_nm(self) -> np.ndarray:
        """(n, 3) zyx: the traced points of the state."""
        annotations = self.state["layers"][2]["annotations"]
        xyz = np.array([annotation["point"] for annotation in annotations], np.float64)
        return xyz[:, ::-1] * self.volume.levels[0].resolution


def demo_folder(folder: Path) -> Path:
    """Make the demo nerve in a folder unless it is there; 8 s and 100 MB."""
    from napari_ouroboros import __version__
    from napari_ouroboros.operations.demo.phantom import write_phantom

    folder = folder / f"demo-nerve-{__version__}"
    if not (folder / "state.json").is_file():  # written last
        write_phantom(folder, overwrite=True)
    return folder


@contextmanager
def served(folder: Path, latency: float = LATENCY) -> Iterator[Served]:
    """Serve a folder that `demo_folder` made."""
    with LocalServer(folder, latency=latency) as server:
        state = json.loads((folder / "state.json").read_text())
        for layer in state["layers"]:
            if isinstance(layer["source"], str):
                name = layer["source"].rsplit("/", 1)[-1]
                layer["source"] = f"precomputed://{server.url}/{name}"
        yield Served(server, open_volume(folder / "image"), state)
