"""One look at the real window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest
from real_events import wait_until

import napari_ouroboros
from napari_ouroboros.operations.demo.phantom import make_phantom, write_phantom
from napari_ouroboros.widgets.streaming import watch


def test_the_sample_is_seen(
    make_napari_viewer_proxy: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A small nerve where the sample keeps its own.
    folder = tmp_path / f"demo-nerve-{napari_ouroboros.__version__}"
    write_phantom(folder, make_phantom((60, 180, 150), (160.0, 80.0, 80.0), (41, 103, 77)))
    monkeypatch.setenv("NAPARI_OUROBOROS_CACHE", str(tmp_path))
    viewer = make_napari_viewer_proxy(show=True)
    manager = PluginManager.instance()
    if "napari-ouroboros" not in manager:
        manager.register(PluginManifest.from_distribution("napari-ouroboros"))
    viewer.open_sample("napari-ouroboros", "demo_nerve")
    assert [layer.name for layer in viewer.layers] == ["em", "truth", "trace"]
    wait_until(lambda: watch(viewer).settled, "all that is shown to be there")
    image = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    grey = np.ptp(image, axis=-1) < 8
    # Tissue: grey of many shades. The truth over it: colours.
    assert len(np.unique(image[grey])) > 50
    assert (~grey).mean() > 0.01
