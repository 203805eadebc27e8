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

from napari_ouroboros.errors import DestinationError, OuroborosError, UserError, one_line
from napari_ouroboros.session.files import write_whole
from napari_ouroboros.session.names import inside
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.writing.disk import destination_errors

_NAME = "half-done-{}.json"


class NotTakenBack(DestinationError):
    """Something was half written, and could not be taken back everywhere."""


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


@contextmanager
def noted(
    folder: Path, array: LabelArray, before: LabelArray, after: LabelArray | None = None
) -> Iterator[None]:
    """Write in the block what `begin` describes; what it raises leaves the array as it was.

    In a worker. `before` is kept for whoever may want it, except after an error.

    Raises
    ------
    DestinationError
        It could not be noted.
    NotTakenBack
        Nothing is noted any more, all the same: the next save is to have what is in the labels,
        and what is painted from now on is not to be taken back.
    """
    try:
        begin(folder, array, before, after)
        yield
        _end(folder, array.path)
    except BaseException as error:
        try:
            # As files that are there already: a full disk has room for it.
            for _ in array.exchange(after, before):
                pass
        except OuroborosError as why:
            raise NotTakenBack(
                f"what was written could not be taken back everywhere: {one_line(why)}"
            ) from error
        finally:
            with suppress(DestinationError):
                _end(folder, array.path)
            # Where the note cannot go, it means nothing without what it names.
            shutil.rmtree(before.path, ignore_errors=True)
        raise


def _end(folder: Path, store: Path) -> None:
    """All is written, or taken back; on a full disk, too."""
    note = _note(folder, store)
    with destination_errors(note):
        note.unlink(missing_ok=True)


@contextmanager
def steady(
    folder: Path, stores: Mapping[str, Path], new_store: Callable[[], Path]
) -> Iterator[tuple[dict[str, Path], set[str]]]:
    """Return where label stores lie without what is half written: to be saved. In a worker.

    All are copies, for the block, of this moment: a job may begin while they are saved. Those that
    something is being written into, which are also returned, are copies of what they were before.
    A copy takes next to no time and room; a store that there is no room for is itself returned.
    """
    with ExitStack() as copies:
        found, half = {}, set()
        for name, store in stores.items():
            found[name], is_half = _still(folder, store, new_store, copies)
            if is_half:
                half.add(name)
        yield found, half


def _still(
    folder: Path, store: Path, new_store: Callable[[], Path], copies: ExitStack
) -> tuple[Path, bool]:
    """Copy a store; return where the copy lies, and whether it is of what was before."""
    note = _note(folder, store)
    while True:
        noted = _bytes_of(note)
        copy = new_store()
        copies.callback(shutil.rmtree, copy, ignore_errors=True)
        try:
            source = store if noted is None else _read(folder, note)[1]
            LabelArray.open(source).snapshot_to(copy)
        except OuroborosError:
            copy = store
        # Else a job has begun or ended meanwhile.
        if _bytes_of(note) == noted:
            return copy, noted is not None and copy != store


def _bytes_of(note: Path) -> bytes | None:
    try:
        return note.read_bytes()
    except OSError:
        return None


def take_back(folder: Path) -> tuple[list[str], list[str]]:
    """Take back what was half written when the program died. Not in the GUI thread.

    Returns
    -------
    list of str
        The label stores (`LabelsEntry.store`) that are as they were before.
    list of str
        Why others are not, one line each. They stay as they are: what is painted in them from now
        on is not to be taken back the next time.
    """
    done, problems = [], []
    for note in sorted(folder.glob(_NAME.format("*"))):
        try:
            done.append(_take_back(folder, note))
        except OuroborosError as error:
            problems.append(f"what was half written could not be taken back: {one_line(error)}")
            with suppress(OSError):
                note.unlink()
    return done, problems


def _take_back(folder: Path, note: Path) -> str:
    store, before, newer = _read(folder, note)
    array, older = LabelArray.open(store), LabelArray.open(before)
    for _ in array.exchange(None if newer is None else LabelArray.open(newer), older):
        pass
    _end(folder, store)
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
