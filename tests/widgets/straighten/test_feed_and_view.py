"""Planes for a window that never waits: order, staleness, exactness for all others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ouroboros import Straightening, Trace, open_volume, straighten
from napari_ouroboros.operations.preview import Preview
from napari_ouroboros.widgets.straighten.carry import carried
from napari_ouroboros.widgets.straighten.content import LiveContent, Want
from napari_ouroboros.widgets.straighten.feed import Feed, fitted
from napari_ouroboros.widgets.straighten.id_text import ids_of, text_of
from napari_ouroboros.widgets.straighten.view import StraightView
from napari_ouroboros.widgets.straighten.volume_3d import MOST_SAMPLES, steps_of

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")

POINTS = np.array([[5.0, 20, 20], [20, 30, 40], [40, 35, 30], [55, 30, 50]]) * 8


def map_of(shift: float = 0.0, width: int = 31) -> Straightening:
    return Straightening(Trace(POINTS + shift), width, 24, 6.0, 7.0)


@pytest.fixture
def far(loop: Any, folder: Path, http_server: Any) -> Any:
    """A feed of a volume behind a server that takes 150 ms for every answer."""
    server = http_server(folder / "em", latency=0.15)
    volume = open_volume(f"precomputed://{server.url}")
    preview = Preview(volume)
    feed = Feed(loop.deliver)
    yield feed, preview, server
    feed.close()
    preview.close()
    volume.close()


def test_coarse_then_sharp_and_nobody_waits(loop: Any, folder: Path, far: Any) -> None:
    feed, preview, _server = far
    content = LiveContent(preview, map_of(), 0)
    view = StraightView(feed, content)
    feed.show(content)
    seen = []
    feed.arrived.connect(lambda: seen.append((feed.shown.mip, feed.shown.data)))
    first = np.asarray(view[20, :, :])
    assert first.shape == (24, 31)
    assert not first.any()
    assert feed.is_stale
    loop.until(lambda: feed.idle)
    loop.turn()
    # On a busy machine the true slice may come first, and a coarser one is not shown after it.
    assert [mip for mip, _ in seen] in ([1, 0], [0])
    local = open_volume(folder / "em")
    for mip, data in seen:
        np.testing.assert_array_equal(data, straighten(local, map_of(), mip)[20].compute())
    np.testing.assert_array_equal(np.asarray(view[20, :, :]), seen[-1][1])
    assert not feed.is_stale


def test_results_of_before_are_dropped(loop: Any, far: Any, folder: Path) -> None:
    feed, preview, server = far
    old, new = LiveContent(preview, map_of(), 0), LiveContent(preview, map_of(40.0), 0)
    feed.show(old)
    feed.plane(old, 0, 20)
    loop.until(lambda: server.n_requests > 3)
    feed.show(new)
    feed.plane(new, 0, 20)
    loop.until(lambda: feed.idle)
    loop.turn()
    local = open_volume(folder / "em")
    whole = straighten(local, map_of(40.0)).compute()
    np.testing.assert_array_equal(feed.plane(new, 0, 20), whole[20])
    # The slice that was looked at in between is not taken for this one.
    feed.plane(new, 0, 60)
    feed.plane(new, 0, 20)
    loop.until(lambda: feed.idle)
    np.testing.assert_array_equal(feed.plane(new, 0, 20), whole[20])


def test_what_cannot_be_had_is_said_and_tried_again(loop: Any, far: Any) -> None:
    feed, preview, server = far
    server.fault("*_*", 403)
    content = LiveContent(preview, map_of(), 0)
    feed.show(content)
    feed.plane(content, 0, 5)
    loop.until(lambda: bool(feed.problem))
    assert "\n" not in feed.problem
    loop.until(lambda: feed.idle)  # no answer of before the repair is on its way
    loop.turn()
    server.heal()
    feed.retry()

    def sharp() -> bool:
        if feed.idle and feed.problem:
            feed.retry()  # what was on its way when the server was mended still fails
        return feed.shown is not None and feed.shown.is_sharp

    loop.until(sharp)
    assert feed.problem == ""


def test_all_others_get_the_truth(loop: Any, far: Any, folder: Path) -> None:
    feed, preview, _ = far
    content = LiveContent(preview, map_of(), 0)
    view = StraightView(feed, content)
    whole = straighten(open_volume(folder / "em"), map_of()).compute()
    np.testing.assert_array_equal(np.asarray(view), whole)
    found: dict[str, Any] = {}

    def elsewhere() -> None:
        found["plane"] = np.asarray(view[33, :, :])
        found["strip"] = np.asarray(view[:, 7, :])

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(30)
    np.testing.assert_array_equal(found["plane"], whole[33])
    np.testing.assert_array_equal(found["strip"], whole[:, 7])
    for key in (
        3, -1, slice(4, 30, 7), (slice(None), 3), (..., 5), (slice(50, 40, -3), slice(2, 9), 4),
        (2, 3, 4), slice(5, 5), [1, 4, 4], np.s_[10:12, ::5, [3, 1]],
    ):  # fmt: skip
        np.testing.assert_array_equal(view[key], whole[key], err_msg=str(key))
    with pytest.raises(IndexError):
        view[len(whole)]
    preview.close()  # the window has gone; whoever holds the array still reads it
    np.testing.assert_array_equal(view[3], whole[3])


def test_strips_across_the_other_axes(loop: Any, folder: Path) -> None:
    volume = open_volume(folder / "em")
    feed = Feed(loop.deliver)
    with Preview(volume) as preview:
        content = LiveContent(preview, map_of(), 0)
        feed.show(content)
        whole = straighten(volume, map_of()).compute()
        for axis, at in ((1, 7), (2, 30)):
            feed.plane(content, axis, at)
            loop.until(lambda: feed.idle)
            loop.turn()
            np.testing.assert_array_equal(feed.plane(content, axis, at), np.take(whole, at, axis))
        assert content.read_at_once(Want(1, 3)) is None
    feed.close()


def test_an_older_picture_fills_the_new_shape() -> None:
    data = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(fitted(data, (6, 8)), data.repeat(2, 0).repeat(2, 1))
    assert fitted(data, (3, 4)) is data
    assert fitted(data, (2, 2, 3)).shape == (2, 2, 3)


def test_the_place_in_the_tissue_is_kept() -> None:
    straight = np.array([[0.0, 0, 0], [0, 0, 300], [0, 0, 700], [0, 0, 1000]])
    old = Straightening(Trace(straight), 5, 5, 10.0, 10.0)
    longer = Straightening(Trace(np.vstack([[[0, 0, -200.0]], straight])), 5, 5, 10.0, 10.0)
    assert carried(old, longer, 40.0) == pytest.approx(60.0, abs=0.1)
    after = Straightening(Trace(np.vstack([straight, [[0, 0, 1500.0]]])), 5, 5, 10.0, 10.0)
    assert carried(old, after, 40.0) == pytest.approx(40.0, abs=0.1)
    turned = Straightening(Trace(straight[::-1]), 5, 5, 10.0, 10.0)
    assert carried(old, turned, 30.0) == pytest.approx(70.0, abs=0.1)
    assert carried(old, old, 12.5) == 12.5


def test_ids_as_people_write_them() -> None:
    assert ids_of(" 7, 300;8  9 ", np.dtype("u2")) == [7, 300, 8, 9]
    assert ids_of(text_of([2**64 - 1, 3]), np.dtype("u8")) == [2**64 - 1, 3]
    for bad in ("x", "-3", "0", "65536", "1.5"):
        with pytest.raises(ValueError, match="is no id"):
            ids_of(bad, np.dtype("u2"))


def test_the_whole_is_small_enough_in_3d() -> None:
    assert steps_of((300, 100, 100)) == (1, 1, 1)
    for shape in ((24_000, 200, 200), (500, 2000, 2000), (10, 10, 100_000)):
        steps = steps_of(shape)
        assert np.prod([-(-n // s) for n, s in zip(shape, steps, strict=True)]) <= MOST_SAMPLES
