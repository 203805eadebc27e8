"""Labels as they are given to a backprojection: opened, and the dtype that its result gets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from napari_ouroboros.errors import UserError

if TYPE_CHECKING:
    from napari_ouroboros.operations.gather import Gatherer
    from napari_ouroboros.volumes.labels.label_stack import LabelStack


def open_stack(files: ExitStack, labels: Any, cache_bytes: int, timeout: float) -> LabelStack:
    """Labels as a stack, which `files` closes; one that is open already stays its owner's."""
    from napari_ouroboros.volumes.labels.label_stack import LabelStack, open_labels

    if isinstance(labels, LabelStack):
        return labels
    return files.enter_context(open_labels(labels, cache_bytes=cache_bytes, timeout=timeout))


def result_dtype(gatherers: Sequence[Gatherer], dtype: DTypeLike | None) -> np.dtype[Any]:
    """The dtype that holds all labels, or the wider unsigned one that is asked for."""
    own = np.result_type(*(g.labels.dtype for g in gatherers))
    if dtype is None:
        return own
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise UserError(f"{dtype!r} is no dtype; use uint8, uint16, uint32 or uint64") from error
    if wanted.kind != "u" or wanted.itemsize < own.itemsize:
        raise UserError(
            f"the labels are {own}; the result may be {own} or a wider unsigned type, not {wanted}"
        )
    return wanted
