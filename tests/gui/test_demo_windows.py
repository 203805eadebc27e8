"""The windows that the demo opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest
from real_events import wait_until

from napari_ouroboros.operations.demo.phantom import Phantom, make_phantom
from napari_ouroboros.operations.demo.report import DemoReport
from napari_ouroboros.operations.demo.run import run_demo
from napari_ouroboros.widgets import demo_windows
from napari_ouroboros.widgets.streaming import watch


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom((90, 200, 180), (30.0, 20.0, 20.0), (7, 301, 1000), radius_nm=760.0)


@pytest.fixture(scope="module")
def report(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> DemoReport:
    return run_demo(
        tmp_path_factory.mktemp("demo"), headless=True, phantom=phantom, tell=lambda text: None
    )


@pytest.fixture(autouse=True)
def plugin(make_napari_viewer_proxy: Callable[..., Any]) -> None:
    manager = PluginManager.instance()
    if "napari-ouroboros" not in manager:
        manager.register(PluginManifest.from_distribution("napari-ouroboros"))


def colours(viewer: Any) -> float:
    """Share of the canvas that is not grey."""
    image = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    return float((np.ptp(image, axis=-1) > 8).mean())


def test_volume_with_its_layers_in_place(
    make_napari_viewer_proxy: Callable[..., Any], report: DemoReport, phantom: Phantom
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    demo_windows.show_volume(viewer, report.result)
    wait_until(lambda: watch(viewer).settled, "all that is shown to be there")
    assert [layer.name for layer in viewer.layers] == ["em", "truth", "labels", "trace"]
    assert [layer.visible for layer in viewer.layers] == [True, False, True, True]
    # A point of the trace, and what the layers hold there, in world coordinates.
    middle = phantom.points_nm[len(phantom.points_nm) // 2]
    np.testing.assert_allclose(
        viewer.layers["trace"].data_to_world(viewer.layers["trace"].data[8]), middle, atol=1e-6
    )
    np.testing.assert_allclose(viewer.dims.point, middle, atol=20)
    # The voxel of the first fascicle that is nearest to it, seen in each of the segmentations.
    voxels = phantom.grid.to_nm(np.argwhere(phantom.fascicles == 1))
    where = voxels[np.argmin(np.linalg.norm(voxels - middle, axis=1))]
    for name, value in (("truth", int(phantom.ids[0])), ("labels", report.rows[0].label)):
        layer = viewer.layers[name]
        index = tuple(np.rint(layer.world_to_data(where)).astype(int))
        # A block is waited for; a voxel alone would be what is at hand.
        block = layer.data[0][tuple(slice(i, i + 2) for i in index)]
        assert np.asarray(block)[0, 0, 0] == value
    assert colours(viewer) > 0.01


def test_straightened_with_its_labels(
    make_napari_viewer_proxy: Callable[..., Any], report: DemoReport
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    demo_windows.show_straightened(viewer, report.recipe, report.straightened, report.labels)
    assert [layer.name for layer in viewer.layers] == ["straightened", "fascicles found"]
    for layer in viewer.layers:
        assert layer.data.shape == report.slices
        np.testing.assert_allclose(layer.scale, [20, 20, 20])
    assert viewer.dims.current_step[0] == report.slices[0] // 2
    assert colours(viewer) > 0.05


def test_as_a_program(
    make_napari_viewer_proxy: Callable[..., Any],
    report: DemoReport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import napari

    viewers: list[Any] = []

    def viewer() -> Any:
        viewers.append(make_napari_viewer_proxy())
        return viewers[-1]

    runs: list[int] = []
    monkeypatch.setattr(napari, "Viewer", viewer)
    monkeypatch.setattr(napari, "run", lambda: runs.append(len(viewers)))
    files: tuple[Path, ...] = (report.result, report.recipe, report.straightened, report.labels)
    demo_windows.main([str(path) for path in files])
    assert runs == [2]
    assert {len(each.layers) for each in viewers} == {2, 4}
