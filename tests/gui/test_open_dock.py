"""The Open dock in the real window: slow, silent and failing servers, states, the demo."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from real_events import Person, wait_until
from small_scene import Scene, make_scene

from napari_ouroboros.neuroglancer import links
from napari_ouroboros.widgets.open import OpenDock, recent


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of recent sources of whoever runs the tests is not theirs to change."""
    monkeypatch.setattr(recent, "usual_file", lambda: tmp_path / "recent.json")


@pytest.fixture
def dock(make_napari_viewer_proxy: Callable[..., Any]) -> OpenDock:
    viewer = make_napari_viewer_proxy(show=True)
    made = OpenDock(viewer)
    viewer.window.add_dock_widget(made, name="Open a volume")
    return made


def remote(scene: Scene, server: LocalServer) -> str:
    """A link to the scene's state, its volumes on the server."""
    content = json.loads(scene.state.read_text())
    for layer, name in zip(content["layers"], ("em", "cells"), strict=False):
        layer["source"] = f"precomputed://{server.url}/{name}"
    return links.make_link(content)


def entered(dock: OpenDock, address: str) -> None:
    dock.address.text = address
    QTest.keyClick(dock.address.edit, Qt.Key.Key_Return)


def settled(dock: OpenDock, seconds: float = 30.0) -> None:
    wait_until(lambda: not dock.job.running, "the end of the job", seconds)


def test_a_link_opens_everything(
    dock: OpenDock, scene: Scene, http_server: Callable[..., LocalServer]
) -> None:
    server = http_server(scene.folder, latency=0.1)
    viewer = dock.scene.viewer
    assert dock.empty.isVisible()
    assert not dock.job.button.isEnabled()
    assert "address" in dock.job.button.toolTip()
    entered(dock, remote(scene, server))
    # Return gives the window back at once: nothing was fetched in the GUI thread.
    assert dock.job.running
    assert len(viewer.layers) == 0
    settled(dock)
    assert dock.banner.text == ""
    assert [layer.name for layer in viewer.layers] == ["em", "cells", "trace"]
    assert [layer.units for layer in viewer.layers] == [viewer.layers[0].units] * 3
    trace = dock.scene.traces.active
    assert trace is not None
    np.testing.assert_allclose(trace.state.points_nm, scene.points_nm, atol=1e-6)
    # The view is at the middle of the trace, in the middle of the canvas.
    middle = scene.points_nm[len(scene.points_nm) // 2]
    np.testing.assert_allclose(viewer.dims.point, middle, atol=5.0)
    np.testing.assert_allclose(viewer.scene.camera.center[1:], middle[1:], atol=1e-6)
    assert not dock.empty.isVisible()
    assert dock.address.combo.count() == 1


def test_what_is_not_ticked_is_not_opened(dock: OpenDock, scene: Scene) -> None:
    dock.address.text = str(scene.state)
    QTest.mouseClick(dock.look_button, Qt.MouseButton.LeftButton)
    settled(dock)
    assert len(dock.scene.viewer.layers) == 0
    assert dock.tree.isVisible()
    assert dock.tree.ticked() == [0, 1, 2]
    dock.tree.tick([1])
    QTest.mouseClick(dock.job.button, Qt.MouseButton.LeftButton)
    settled(dock)
    assert [layer.name for layer in dock.scene.viewer.layers] == ["cells"]
    # A trace without a volume, in another window's place, is refused in one line.
    dock.scene.viewer.layers.clear()
    dock.tree.tick([2])
    QTest.mouseClick(dock.job.button, Qt.MouseButton.LeftButton)
    settled(dock)
    assert "tick a volume, too" in dock.banner.text


def test_a_silent_server_can_be_cancelled_and_asked_again(
    dock: OpenDock, scene: Scene, http_server: Callable[..., LocalServer]
) -> None:
    server = http_server(scene.folder)
    server.fault("*", "silent")
    entered(dock, f"precomputed://{server.url}/em")
    wait_until(lambda: server.n_requests, "the first request")
    QTest.mouseClick(dock.job.cancel_button, Qt.MouseButton.LeftButton)
    assert not dock.job.running
    assert dock.job.status.text() == "Cancelled."
    # The thread that still waits holds nothing up.
    server.heal()
    QTest.mouseClick(dock.job.button, Qt.MouseButton.LeftButton)
    settled(dock)
    assert [layer.name for layer in dock.scene.viewer.layers] == ["em"]


def test_a_failing_server_and_retry(
    dock: OpenDock, scene: Scene, http_server: Callable[..., LocalServer]
) -> None:
    server = http_server(scene.folder)
    server.fault("*", 403)
    entered(dock, f"precomputed://me:s3cret@{server.url.removeprefix('http://')}/em")
    settled(dock)
    entered(dock, f"precomputed://{server.url}/em")
    settled(dock)
    assert "403" in dock.banner.text
    assert "Traceback" in dock.banner.details.toPlainText()
    assert "s3cret" not in dock.banner.details.toPlainText()
    server.heal()
    QTest.mouseClick(dock.banner.retry_button, Qt.MouseButton.LeftButton)
    settled(dock)
    assert dock.banner.text == ""
    assert [layer.name for layer in dock.scene.viewer.layers] == ["em"]


def test_a_plain_zarr_is_asked_about(dock: OpenDock, tmp_path: Path) -> None:
    import zarr

    data = np.arange(8 * 9 * 10, dtype=np.uint8).reshape(8, 9, 10)
    zarr.create_array(tmp_path / "plain.zarr", data=data, chunks=(4, 4, 4))
    entered(dock, str(tmp_path / "plain.zarr"))
    settled(dock)
    assert dock.voxel_size.isVisible()
    assert "Give the size of a voxel below" in dock.banner.text
    wait_until(lambda: not dock.size_edit.visibleRegion().isEmpty(), "the field to be seen")
    assert "--resolution" not in dock.banner.text
    QTest.keyClicks(dock.size_edit, "40, 8")
    QTest.keyClick(dock.size_edit, Qt.Key.Key_Return)
    assert "is no voxel size" in dock.banner.text
    QTest.keyClicks(dock.size_edit, ", 4 nm")
    QTest.keyClick(dock.size_edit, Qt.Key.Key_Return)
    settled(dock)
    assert dock.banner.text == ""
    (layer,) = dock.scene.viewer.layers
    np.testing.assert_allclose(layer.scale, (40, 8, 4))
    assert not dock.voxel_size.isVisible()


def test_a_folder_is_dropped(dock: OpenDock, scene: Scene) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(scene.folder / "em"))])
    event = QDropEvent(
        QPointF(QPoint(20, 20)),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    dock.dropEvent(event)
    assert event.isAccepted()
    settled(dock)
    assert [layer.name for layer in dock.scene.viewer.layers] == ["em"]
    # Of several none is opened as if it were all.
    data.setUrls([QUrl.fromLocalFile(str(scene.folder / name)) for name in ("em", "cells")])
    dock.dropEvent(event)
    assert not dock.job.running
    assert "2 files were dropped" in dock.banner.text


def test_recent_sources_are_one_key_away(dock: OpenDock, scene: Scene, person: Person) -> None:
    entered(dock, str(scene.folder / "em"))
    settled(dock)
    dock.address.text = ""
    person.focus(dock)
    person.click_on(dock.address.edit)
    person.key("Down")
    view = dock.address.combo.view()
    wait_until(view.isVisible, "the list of recent sources")
    QTest.keyClick(view, Qt.Key.Key_Down)
    QTest.keyClick(view, Qt.Key.Key_Return)
    wait_until(lambda: dock.address.text == str(scene.folder / "em"), "the address")
    settled(dock)
    assert len(dock.scene.viewer.layers) == 2


def test_leaving_the_field_opens_nothing_again(
    dock: OpenDock, scene: Scene, person: Person
) -> None:
    """Qt takes a field that is left with a text of its list for a choice in that list."""
    asked: list[str] = []
    dock.address.entered.connect(asked.append)
    address = str(scene.folder / "em")
    person.focus(dock)
    person.click_on(dock.address.edit)
    person.type(address)
    person.key("Return")
    wait_until(lambda: len(dock.scene.viewer.layers) == 1, "the volume")
    settled(dock)
    assert dock.address.combo.findText(address) >= 0
    assert dock.address.edit.hasFocus()
    person.key("Tab")
    wait_until(lambda: not dock.address.edit.hasFocus(), "the field to be left")
    assert asked == [address]
    # Return in the field opens once, whether the address is a recent one or not.
    person.click_on(dock.address.edit)
    person.key("Return")
    wait_until(lambda: len(dock.scene.viewer.layers) == 2, "the volume once more")
    settled(dock)
    assert asked == [address, address]


def test_every_control_has_a_name_and_says_what_it_does(dock: OpenDock) -> None:
    seen = [dock.address.edit]
    while (after := seen[-1].nextInFocusChain()) is not seen[0] and after not in seen:
        seen.append(after)
    buttons = (dock.address.file_button, dock.look_button, dock.tree, dock.job.button)
    order = [seen.index(widget) for widget in buttons]
    assert order == sorted(order)
    for widget in (dock.address.edit, dock.size_edit, dock.secrets.button, *buttons):
        assert widget.accessibleName()
        assert widget.toolTip()


def test_a_window_closed_at_work_leaves_nothing(
    make_napari_viewer_proxy: Callable[..., Any],
    scene: Scene,
    http_server: Callable[..., LocalServer],
) -> None:
    server = http_server(scene.folder)
    server.fault("*", "silent")
    viewer = make_napari_viewer_proxy(show=True)

    def begin() -> tuple[Any, weakref.ref[OpenDock]]:
        dock = OpenDock(viewer)
        docked = viewer.window.add_dock_widget(dock, name="Open a volume")
        entered(dock, f"precomputed://{server.url}/em")
        return docked, weakref.ref(dock)

    docked, dock = begin()
    wait_until(lambda: server.n_requests, "the first request")
    viewer.window.remove_dock_widget(docked)
    del docked
    server.close()  # the silence is over: what comes back is for nobody

    def gone() -> bool:
        gc.collect()
        return dock() is None

    wait_until(gone, "the end of the dock")
    assert len(viewer.layers) == 0
