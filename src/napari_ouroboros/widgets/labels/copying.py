"""Labels from elsewhere copied into a store of ours, slab by slab. No Qt; for a worker."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import Cancelled, UserError

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
    stack: Any, array: LabelArray, held: LabelArray, cancel: Cancel, progress: Progress
) -> None:
    """Write a stack over an array; an error, or cancel, leaves it as `held` has it."""
    if stack.shape != array.shape:
        raise UserError(
            f"the new labels have {_text(stack.shape)} slices, rows and columns, not "
            f"{_text(array.shape)}"
        )
    try:
        write_all(stack, array, cancel, progress)
    except BaseException:
        n = array.shape[0]
        for k in range(0, n, _SLAB):
            _write_slab(array, k, held.read(k, min(k + _SLAB, n)))
        shutil.rmtree(held.path, ignore_errors=True)
        raise


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
