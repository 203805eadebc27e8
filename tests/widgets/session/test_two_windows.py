"""Two windows with one session file: nobody's work is replaced without a question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_ouroboros.session import SavedElsewhere, abandoned, read_session


def note(window: Any, comment: str) -> None:
    window.scene.qa.set_comment(2, comment)
    window.settle()


def comment_in(file: Path) -> str:
    return read_session(file).marks[0].comment


@pytest.fixture
def two(window: Any, windows: Callable[[], Any], tmp_path: Path) -> tuple[Any, Any, Path]:
    """Two windows that have opened the same file."""
    file = tmp_path / "a.ouroboros"
    window.scene.qa.toggle_mark("bad", 2)
    window.settle()
    window.work.save(file)
    window.settle()
    other = windows()
    other.work.open(file)
    other.settle()
    assert other.failed == []
    return window, other, file


def test_the_last_one_does_not_win_silently(two: tuple[Any, Any, Path]) -> None:
    one, other, file = two
    note(one, "mine")
    one.work.save()
    one.settle()
    note(other, "yours")
    ended: list[bool] = []
    other.work.filing.save(after=ended.append)
    other.settle()
    (error,) = other.failed
    assert isinstance(error, SavedElsewhere)
    assert "a.ouroboros was saved by another window or program" in str(error)
    assert ended == [False]
    assert comment_in(file) == "mine"
    assert other.work.unsaved
    # Told to, it does; then it is the first one that has to ask.
    other.work.filing.save(overwrite=True, after=ended.append)
    other.settle()
    assert ended == [False, True]
    assert comment_in(file) == "yours"
    note(one, "mine again")
    asked: list[None] = []
    one.work.filing.save(after=ended.append, elsewhere=lambda: asked.append(None))
    one.settle()
    assert asked == [None]
    assert ended == [False, True]
    assert one.failed == []
    assert comment_in(file) == "yours"
    assert not one.work.filing.busy
    # Elsewhere it can be saved at once, and from then on there.
    one.work.save(file.with_name("b.ouroboros"))
    one.settle()
    note(one, "once more")
    one.work.save()
    one.settle()
    assert one.failed == []
    assert comment_in(file.with_name("b.ouroboros")) == "once more"


def test_ones_own_saves_and_a_file_that_is_gone_are_not_asked_about(
    two: tuple[Any, Any, Path],
) -> None:
    one, _, file = two
    for comment in ("a", "b", "c"):
        note(one, comment)
        one.work.save()
        one.settle()
        assert comment_in(file) == comment
    file.unlink()
    note(one, "d")
    one.work.save()
    one.settle()
    assert one.failed == []
    assert comment_in(file) == "d"


def test_it_is_known_after_a_crash(two: tuple[Any, Any, Path], windows: Callable[[], Any]) -> None:
    one, other, file = two
    note(other, "yours")
    other.close()  # a program closes it: its work stays in its folder
    note(one, "mine")
    one.work.save()
    one.settle()
    third = windows()
    third.work.filing.recover(abandoned()[0])
    third.settle()
    assert third.work.file == file
    third.work.save()
    third.settle()
    assert isinstance(third.failed[0], SavedElsewhere)
    assert comment_in(file) == "mine"
