"""Long writes into label stores, noted while they last: what a killed one wrote is taken back.

Interpolating, or taking labels over, writes to many chunks one after the other. Before the first
write a snapshot is made (`LabelArray.snapshot_to`) and a note laid beside the document::

    ID/half-done-NAME.json      {"store": "labels/NAME", "before": "labels/3", "after": null}

It goes after the last write. Where it is found, the program died in between.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_ouroboros.errors import OuroborosError, UserError, one_line
from napari_ouroboros.session.files import write_whole
from napari_ouroboros.session.names import inside
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.writing.disk import destination_errors

_NAME = "half-done-{}.json"


def begin(
    folder: Path, array: LabelArray, before: LabelArray, after: LabelArray | None = None
) -> None:
    """Note that something long is going to be written into labels. Not in the GUI thread.

    Parameters
    ----------
    folder : Path
        The working folder. Labels that lie elsewhere are in no session, and not noted.
    array : LabelArray
        What is written into.
    before : LabelArray
        A snapshot of it. All is as there again if the program dies, ...
    after : LabelArray, optional
        ... or, where what is written is known beforehand, those voxels are that have it: others
        have been painted meanwhile.

    Raises
    ------
    DestinationError
        It cannot be noted.
    """
    if not array.path.is_relative_to(folder):
        return
    facts = {"store": array, "before": before, "after": after}
    for one in (before, after):
        if one is not None:
            one.flush()  # the power may fail, too
    names = {
        key: None if one is None else one.path.relative_to(folder).as_posix()
        for key, one in facts.items()
    }
    write_whole(_note(folder, array.path), json.dumps(names).encode())


def end(folder: Path, array: LabelArray) -> None:
    """All is written, or taken back; on a full disk, too."""
    note = _note(folder, array.path)
    with destination_errors(note):
        note.unlink(missing_ok=True)


@contextmanager
def steady(
    folder: Path, stores: Mapping[str, Path], new_store: Callable[[], Path]
) -> Iterator[dict[str, Path]]:
    """Return where label stores lie without what is half written: to be saved. In a worker.

    Those that something is being written into are copies, for the block, of what they were before;
    a copy takes next to no time and room.
    """
    with ExitStack() as copies:
        found = {}
        for name, store in stores.items():
            found[name] = store
            note = _note(folder, store)
            if note.exists():
                copy = new_store()
                copies.callback(shutil.rmtree, copy, ignore_errors=True)
                # It may be done by now, and the snapshot gone: then there is nothing half written.
                with suppress(OuroborosError):
                    LabelArray.open(_read(folder, note)[1]).snapshot_to(copy)
                    if note.exists():
                        found[name] = copy
        yield found


def take_back(folder: Path) -> tuple[list[str], list[str]]:
    """Take back what was half written when the program died. Not in the GUI thread.

    Returns
    -------
    list of str
        The label stores (`LabelsEntry.store`) that are as they were before.
    list of str
        Why others are not, one line each; they are looked at again the next time.
    """
    done, problems = [], []
    for note in sorted(folder.glob(_NAME.format("*"))):
        try:
            done.append(_take_back(folder, note))
        except OuroborosError as error:
            problems.append(f"what was half written could not be taken back: {one_line(error)}")
    return done, problems


def _take_back(folder: Path, note: Path) -> str:
    store, before, newer = _read(folder, note)
    array, older = LabelArray.open(store), LabelArray.open(before)
    for _ in array.exchange(None if newer is None else LabelArray.open(newer), older):
        pass
    end(folder, array)
    for path in (older.path, newer):
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
    return store.relative_to(folder).as_posix()


def _read(folder: Path, note: Path) -> tuple[Path, Path, Path | None]:
    """Read where the labels, the snapshot and what is written lie."""
    facts: Any
    try:
        facts = json.loads(note.read_bytes())
        store, before, after = (facts[key] for key in ("store", "before", "after"))
        newer = None if after is None else inside(folder, after)
        return inside(folder, store), inside(folder, before), newer
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{note} is damaged: {one_line(error)}") from error


def _note(folder: Path, store: Path) -> Path:
    return folder / _NAME.format(store.name)
