"""Labels whose files are broken: the rest of the session can be saved, and opens again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_ouroboros.session import abandoned, owning, read_session


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_the_rest_is_saved(
    damage: str, window: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    axon = window.paint("axon")
    window.paint("nuclei")
    window.loop.until(lambda: not window.work._autosave.pending, "the autosave")
    file = axon.array.path / "zarr.json"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"")  # as a power failure leaves it
    window.work.stop_writing()
    owning.release(window.work.working_folder.path)
    other = windows()
    other.work.filing.recover(abandoned()[0])
    other.settle()
    assert "'axon' cannot be shown" in other.work.filing.problems[0]
    other.work.save(tmp_path / "a.ouroboros")
    other.settle()
    assert other.failed == []
    assert other.said[-1].endswith("Without the labels 'axon': their files are broken.")
    assert [entry.name for entry in read_session(tmp_path / "a.ouroboros").labels] == ["nuclei"]
