"""Labels from elsewhere copied into a store of ours, slab by slab. No Qt; for a worker."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.session import half_done

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.volumes.labels.label_array import LabelArray

# Slices that are held at a time: whole chunks of ours.
_SLAB = 32
_CACHE_BYTES = 64 * 2**20


def load_labels(
    path: str,
    recipe: str | None,
    new_store: Callable[[], Path],
    cancel: Cancel,
    progress: Progress,
) -> tuple[LabelArray, Straightening]:
    """Copy labels of a file, folder or URL into a new store.

    Parameters
    ----------
    path : str
        What `open_labels` takes.
    recipe : str, optional
        Default: the one that lies beside it.
    new_store : callable
        Returns the path of the store.

    Raises
    ------
    UserError
        No recipe, one that does not fit, or no labels.
    SourceError, DestinationError, Cancelled
        No store is left.
    """
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes.labels.label_stack import open_labels

    map_ = Straightening.load(recipe or recipe_beside(path))
    with open_labels(path, cache_bytes=_CACHE_BYTES) as stack:
        made_for = stack.metadata.get("frames_sha256")
        if made_for is not None and made_for != map_.recipe_hash:
            raise UserError(
                f"{path} was made with another recipe "
                f"({stack.metadata.get('recipe', 'unnamed')}); choose that one"
            )
        return copy_labels(stack, map_, path, new_store, cancel, progress), map_


def recipe_beside(path: str) -> Path:
    """The recipe that lies beside a result, as the command line writes it.

    Raises
    ------
    UserError
        There is none.
    """
    from napari_ouroboros.operations.outputs import local_path, recipe_path

    found = recipe_path(local_path(path))
    if not found.is_file():
        raise UserError(
            f"there is no {found.name} beside {path}; choose the recipe that it was made with"
        )
    return found


def copy_labels(
    labels: Any,
    map_: Straightening,
    name: str,
    new_store: Callable[[], Path],
    cancel: Cancel,
    progress: Progress,
) -> LabelArray:
    """Copy labels (a stack, or any array) of a map into a new store; errors as `load_labels`."""
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.volumes.labels.label_stack import LabelStack, open_labels

    stack = labels if isinstance(labels, LabelStack) else open_labels(labels)
    if stack.shape != map_.shape:
        raise UserError(
            f"{name} has {_text(stack.shape)} slices, rows and columns, its trace has "
            f"{_text(map_.shape)}: these labels belong to another recipe"
        )
    with new_array(new_store, LabelArray.create, stack.shape, stack.out_dtype) as array:
        write_all(stack, array, cancel, progress)
    return array


def write_all(stack: Any, array: LabelArray, cancel: Cancel, progress: Progress) -> None:
    """Write all slices; chunks that are as they should be are not written again."""
    n = array.shape[0]
    for k in range(0, n, _SLAB):
        if cancel.is_set():
            raise Cancelled("copying the labels was cancelled")
        _write_slab(array, k, stack.read(k, min(k + _SLAB, n)))
        progress(min(k + _SLAB, n), n)


def _write_slab(array: LabelArray, k: int, slab: Any) -> None:
    """Write slices from `k` on: one layer of chunks at a time, whoever paints meanwhile waits."""
    depth = array.chunks[0]
    for first in range(0, len(slab), depth):
        part = slab[first : first + depth]
        array[k + first : k + first + len(part)] = part


def write_over(
    data: Any,
    array: LabelArray,
    folder: Path,
    new_store: Callable[[], Path],
    cancel: Cancel,
    progress: Progress,
) -> LabelArray:
    """Write other labels over an array; what is painted in it meanwhile stays.

    They are copied first: what cannot be read, does not fit, or finds the disk full has changed
    nothing by then.

    Parameters
    ----------
    data : array, or whatever `open_labels` takes
    array : LabelArray
    folder : Path
        The working folder, which knows of it if the program dies.
    new_store : callable

    Returns
    -------
    LabelArray
        What the array was before.

    Raises
    ------
    UserError, SourceError, DestinationError, Cancelled
        The array is as it was, and as it has been painted since.
    """
    n = array.shape[0]

    def half_way(done: int, total: int) -> None:
        progress(n + done * n // total, 2 * n)

    with ExitStack() as stack:
        new = _alike(data, array, new_store, stack, cancel, lambda done, _: progress(done, 2 * n))
        held = array.snapshot_to(new_store())
        # After an error, what nobody has painted over since goes back.
        with half_done.noted(folder, array, held, new):
            _exchange(array, held, new, cancel, half_way)
    return held


def _alike(
    data: Any,
    array: LabelArray,
    new_store: Callable[[], Path],
    stack: ExitStack,
    cancel: Cancel,
    progress: Progress,
) -> LabelArray:
    """Labels in a new array just like another one, which `stack` removes."""
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.volumes.labels.label_stack import LabelStack, open_labels

    kind = (array.shape, array.chunks, array.dtype)
    path = new_store()
    stack.callback(shutil.rmtree, path, ignore_errors=True)
    if isinstance(data, LabelArray) and (data.shape, data.chunks, data.dtype) == kind:
        return data.snapshot_to(path)  # somebody may paint in it, and it must not be lost
    found = data if isinstance(data, LabelStack) else open_labels(data)
    if found.shape != array.shape:
        raise UserError(
            f"the new labels have {_text(found.shape)} slices, rows and columns, not "
            f"{_text(array.shape)}"
        )
    made = LabelArray.create(path, array.shape, array.dtype, chunks=array.chunks)
    write_all(found, made, cancel, progress)
    return made


def _exchange(
    array: LabelArray, old: LabelArray, new: LabelArray, cancel: Cancel, progress: Progress
) -> None:
    for done, total in array.exchange(old, new):
        progress(done, total)
        if cancel.is_set():
            raise Cancelled("taking over the labels was cancelled")


def merge_labels(
    arrays: list[Any], new_store: Callable[[], Path], cancel: Cancel, progress: Progress
) -> LabelArray:
    """Make one array of several of one shape, the lowest first: the upper ids count."""
    import numpy as np

    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.volumes.labels.label_stack import open_labels

    stacks = [open_labels(array) for array in arrays]
    wide = np.result_type(*(stack.out_dtype for stack in stacks))
    n = stacks[0].shape[0]
    with new_array(new_store, LabelArray.create, stacks[0].shape, wide) as merged:
        for k in range(0, n, _SLAB):
            if cancel.is_set():
                raise Cancelled("merging the labels was cancelled")
            slab = stacks[0].read(k, min(k + _SLAB, n)).astype(wide)
            for stack in stacks[1:]:
                upper = stack.read(k, min(k + _SLAB, n))
                slab = np.where(upper != 0, upper, slab).astype(wide, copy=False)
            merged[k : k + _SLAB] = slab
            progress(min(k + _SLAB, n), n)
    return merged


@contextmanager
def new_array(
    new_store: Callable[[], Path], create: Callable[..., LabelArray], *arguments: Any
) -> Iterator[LabelArray]:
    """An array in a new store, which is taken away again if the block raises."""
    path = new_store()
    array = create(path, *arguments)
    try:
        yield array
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{n:,}" for n in shape)
