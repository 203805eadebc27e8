"""Which layer lies above which is kept, in both spaces, and what is straightened is an edit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ouroboros.session import abandoned, read_session
from napari_ouroboros.widgets.spaces.helper_layer import add_quietly
from napari_ouroboros.widgets.straighten import is_straightened, live_preview_of
from napari_ouroboros.widgets.streaming import prepare_volume


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def to(viewer: Any, name: str, index: int) -> None:
    """Drag a layer in napari's list."""
    viewer.layers.move(names(viewer).index(name), index)


@pytest.fixture
def full(window: Any) -> Any:
    """Two volumes, two traces, two labels, points in the straightened space."""
    live_preview_of(window.scene)
    window.open("cells")
    window.scene.traces.new(window.small.points_nm[:2], "second")
    window.scene.traces.active = window.scene.traces.traces[0]
    window.settle()
    window.paint("axon")
    window.paint("nuclei")
    window.scene.straight.add_points(np.ones((2, 3)), name="spots", scale=(1, 1, 1))
    window.settle()
    return window


def restored(windows: Callable[[], Any], file: Path) -> Any:
    other = windows()
    live_preview_of(other.scene)
    other.work.open(file)
    other.settle()
    other.loop.until(lambda: live_preview_of(other.scene).idle, "the pictures")
    assert other.failed == []
    assert other.work.filing.problems == ()
    return other


def test_the_order_in_both_spaces_comes_back(
    full: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    viewer, straight = full.viewer, full.scene.straight
    assert sorted(names(viewer)) == ["axon", "cells", "em", "nerve", "nuclei", "second"]
    to(viewer, "second", 0)
    to(viewer, "nuclei", 1)
    to(viewer, "cells", 5)
    to(straight, "nuclei", 0)
    to(straight, "spots", 1)
    to(straight, "straightened em", 4)
    full.settle()
    full.work.save(tmp_path / "a.ouroboros")
    full.settle()
    other = restored(windows, tmp_path / "a.ouroboros")
    assert names(other.viewer) == names(viewer)
    assert names(other.scene.straight) == names(straight)
    assert not other.work.unsaved
    # Layers of others stay where they are, and what comes later does not change the order.
    add_quietly(other.viewer, type(other.viewer.add_points())([], name="theirs", ndim=3), 2)
    other.settle()
    assert names(other.viewer)[2] == "theirs"
    # The user's next order counts.
    to(other.viewer, "em", 0)
    other.open("cells").name = "more"
    other.settle()
    assert names(other.viewer)[0] == "em"


@pytest.mark.parametrize("space", ["volume", "straightened"])
def test_another_order_is_an_edit(full: Any, space: str, tmp_path: Path) -> None:
    full.work.save(tmp_path / "a.ouroboros")
    full.settle()
    assert not full.work.unsaved
    viewer = full.viewer if space == "volume" else full.scene.straight
    to(viewer, "nuclei", 0)
    assert full.work.unsaved


def test_what_is_not_straightened_is_an_edit_and_kept(
    full: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    file, scene = tmp_path / "a.ouroboros", full.scene
    cells = next(x for x in scene.volume_layers if x.name == "cells")
    for take_away in (
        lambda: live_preview_of(scene).choose(cells, False),
        # As good as that.
        lambda: scene.straight.layers.remove(live_preview_of(scene).straightened(cells)),
    ):
        live_preview_of(scene).choose(cells, True)
        full.work.save(file)
        full.settle()
        assert not full.work.unsaved
        take_away()
        assert full.work.unsaved
        full.work.save(file)
        full.settle()
        assert [source.straightened for source in read_session(file).sources] == [True, False]
    other = restored(windows, file)
    assert [is_straightened(other.scene, x) for x in other.scene.volume_layers] == [True, False]
    assert not other.work.unsaved


def test_it_is_kept_where_a_program_closes_the_window(full: Any) -> None:
    cells = next(x for x in full.scene.volume_layers if x.name == "cells")
    threading.Thread(target=full.work._autosave.flush, args=(10,)).start()
    full.loop.until(lambda: not full.work._autosave.pending, "the write")
    live_preview_of(full.scene).choose(cells, False)
    to(full.scene.straight, "spots", 0)
    to(full.viewer, "nuclei", 0)
    full.close()
    document = abandoned()[0].document()
    assert [source.straightened for source in document.sources] == [True, False]
    assert document.points[0].index_straightened == 0
    assert next(entry.index for entry in document.labels if entry.name == "nuclei") == 0


def test_one_source_that_fails_late_is_tried_again_alone(
    window: Any, windows: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens, but its layers cannot be made."""
    from napari_ouroboros.errors import SourceError

    window.open("cells")
    window.paint()
    window.work.save(tmp_path / "a.ouroboros")
    window.settle()
    tried: list[str] = []
    broken = True

    def prepare(volume: Any, name: str, *arguments: Any, **options: Any) -> Any:
        tried.append(name)
        if name == "cells" and broken:
            raise SourceError("the cells cannot be read")
        return prepare_volume(volume, name, *arguments, **options)

    monkeypatch.setattr("napari_ouroboros.widgets.streaming.prepare_volume", prepare)
    other = windows()
    other.work.open(tmp_path / "a.ouroboros")
    other.settle()
    assert other.failed == []
    assert other.work.filing.problems == ("cells cannot be opened: the cells cannot be read",)
    (em,) = other.scene.volume_layers
    (entry,) = other.scene.labels.entries
    tried.clear()
    broken = False
    other.work.filing.retry()
    other.settle()
    assert tried == ["cells"]
    assert other.work.filing.problems == ()
    assert [layer.name for layer in other.scene.volume_layers] == ["em", "cells"]
    assert other.scene.volume_layers[0] is em
    assert other.scene.labels.entries == [entry]
