"""Labels written to a file with their recipe beside it, so that they can be loaded again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import Cancelled, UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.plan import Cancel
    from napari_ouroboros.volumes.labels.label_array import LabelArray

_SLAB = 32


def save_labels(path: str, array: LabelArray, map_: Straightening, cancel: Cancel) -> list[str]:
    """Write labels as ``.tif`` or ``.zarr`` and their recipe; return both paths. For a worker.

    A TIFF that is there is replaced, whole or not at all; a folder is not.

    Raises
    ------
    UserError
        Another suffix; a folder that is there already.
    DestinationError
        No space, no permission.
    Cancelled
        Nothing was written.
    """
    from napari_ouroboros.operations.outputs import local_path, recipe_path
    from napari_ouroboros.volumes.writing.staging import StagedFile
    from napari_ouroboros.volumes.writing.tiff import write_tiff

    file = local_path(path)
    recipe = recipe_path(file)
    facts = {"frames_sha256": map_.recipe_hash, "recipe": recipe.name}
    if file.suffix.lower() in (".tif", ".tiff"):
        with StagedFile(file, overwrite=True) as staged:
            write_tiff(
                staged.path, _slabs(array, cancel), array.shape, array.dtype,
                map_.pitch_nm, map_.mean_spacing_nm, facts, compression="zlib",
            )  # fmt: skip
            staged.commit()
    elif file.suffix.lower() == ".zarr":
        array.snapshot_to(file, share=False)
    else:
        raise UserError(f"labels are saved as .tif or .zarr; give {Path(path).name} such a suffix")
    map_.save(recipe)
    return [str(file), str(recipe)]


def _slabs(array: LabelArray, cancel: Cancel) -> Iterator[NDArray[Any]]:
    n = array.shape[0]
    for k in range(0, n, _SLAB):
        if cancel.is_set():
            raise Cancelled("saving the labels was cancelled")
        yield array.read(k, min(k + _SLAB, n))
