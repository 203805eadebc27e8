"""How a volume lies in the global space of a state, and positions carried into its nm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.grid import corner_to_nm
from napari_ouroboros.neuroglancer.coordinates import Dimension, Transform, unsupported
from napari_ouroboros.volumes.formats.array_axes import SourceSpace

Array = NDArray[np.float64]


class Placement:
    """The place of a volume in the global space of a state.

    Parameters
    ----------
    transform : Transform or None
        Of the volume's source. None: the source's own, which is none for precomputed volumes:
        the volume's nm are the global ones, in the dimensions x, y and z.
    resolution : callable
        Returns the voxel size of the finest level, (3,) xyz nm. Called only where units are
        voxels, or the transform or the source states a voxel size of its own, and at most once.
    where : str
        Begins the error messages: ``layer 'x'``.
    space : SourceSpace
        How Neuroglancer counts the source's voxels.

    Raises
    ------
    UserError
        ``<where>: its transform is not supported yet (...)`` where it changes the rank, cannot
        be inverted, or uses units that are no lengths.

    Notes
    -----
    Neuroglancer's coordinates of a precomputed volume are its voxels counted from the origin
    of its own space, `voxel_offset` included, so that the finest level's resolution alone
    turns them into nm. Input dimensions in a transform give those voxels another size. Those of
    an OME-Zarr are counted from the centre of its first voxel.
    """

    def __init__(
        self,
        transform: Transform | None,
        resolution: Callable[[], ArrayLike],
        where: str,
        space: SourceSpace = SourceSpace(),  # noqa: B008 (frozen)
    ) -> None:
        self.where = where
        self._resolution = resolution
        self._space = space
        self._axes = space.spatial[::-1]
        if transform is None:
            transform = Transform(tuple(Dimension(name, 1.0, "") for name in space.names))
        # A matrix takes the place of the one that the source has by itself.
        self._shift = np.array(space.default_shift if transform.matrix is None else space.shift)
        if transform.matrix is not None and space.shift != space.default_shift:
            raise unsupported(
                where,
                "a matrix for an OME-Zarr with a translation, which Neuroglancer's "
                "versions read differently",
            )
        columns = np.array(self._columns(transform))
        rows = np.flatnonzero((transform.linear[:, columns] != 0).any(axis=1))
        if len(rows) != 3:
            raise unsupported(where, f"x, y and z go to {len(rows)} dimensions")
        others = np.setdiff1d(np.arange(transform.rank), columns)
        if transform.linear[np.ix_(rows, others)].any():
            raise unsupported(where, "it mixes x, y and z with other dimensions")
        self.output = tuple(transform.output[row] for row in rows)
        for dimension in self.output:
            if not dimension.is_global:
                raise unsupported(where, f"{dimension.name!r} is no global dimension")
            if not dimension.is_voxels and dimension.nm is None:
                raise unsupported(where, f"{dimension.name!r} is in {dimension.unit!r}, no length")
        self.input = None if transform.input is None else tuple(transform.input[c] for c in columns)
        for dimension in self.input or ():
            if not dimension.is_voxels and dimension.nm is None:
                raise unsupported(where, f"{dimension.name!r} is in {dimension.unit!r}, no length")
        self._linear = transform.linear[np.ix_(rows, columns)]
        self._translation = transform.translation[rows]
        # Units differ by axis only in the translation, so that the entries can be compared.
        if np.linalg.cond(self._linear) > 1e12:
            raise unsupported(where, "it cannot be inverted")

    def _columns(self, transform: Transform) -> list[int]:
        """Which inputs of `transform` are the volume's x, y and z."""
        rank = transform.rank if transform.source_rank is None else transform.source_rank
        own = self._space.names
        names = list(own) if transform.input is None else [d.name for d in transform.input]
        if rank < 3:
            raise unsupported(self.where, f"it has {rank} dimensions, the volume has {len(own)}")
        if not set(self._axes) <= set(names[:rank]):
            raise unsupported(
                self.where,
                f"its inputDimensions are {', '.join(names)} instead of {', '.join(own)}",
            )
        return [names.index(axis) for axis in self._axes]

    @property
    def names(self) -> tuple[str, ...]:
        """The three global dimensions that the volume lies in."""
        return tuple(dimension.name for dimension in self.output)

    @cached_property
    def resolution(self) -> Array:
        """Voxel size of the volume's finest level, (3,) xyz nm."""
        return np.asarray(self._resolution(), dtype=np.float64)

    def voxel_nm(self, name: str) -> float:
        """Return what one voxel measures along the global dimension `name`, in nm."""
        row = self._linear[self.names.index(name)]
        axes = np.flatnonzero(row)
        if len(axes) == 1 and np.count_nonzero(self._linear[:, axes[0]]) == 1:
            return float(self.resolution[axes[0]] / self._space.voxel[::-1][axes[0]])
        if (self.resolution == self.resolution[0]).all():
            return float(self.resolution[0])
        raise unsupported(self.where, f"a voxel along {name!r} has no single length")

    def length(self, dimension: Dimension, name: str, where: str) -> float:
        """Coordinate 1 of `dimension` in nm; voxels are those along the dimension `name`."""
        if dimension.is_voxels:
            return dimension.scale * self.voxel_nm(name)
        if dimension.nm is None:
            raise unsupported(where, f"{dimension.name!r} is in {dimension.unit!r}, no length")
        return dimension.nm

    def from_global(self, points_nm: Array) -> Array:
        """Global nm (n, 3), ordered as `names` -> nm of the volume (n, 3) zyx."""
        shift = np.array(
            [
                offset and offset * self.length(dimension, dimension.name, self.where)
                for offset, dimension in zip(self._translation, self.output, strict=True)
            ]
        )
        one_to_one = np.count_nonzero(self._linear) == 3
        if one_to_one:
            # Plain divisions: np.linalg.solve need not return 3 * 8 / 3 exactly.
            rows = np.argmax(self._linear != 0, axis=0)
            xyz = (points_nm - shift)[:, rows] / self._linear[rows, range(3)]
        else:
            xyz = np.linalg.solve(self._linear, (points_nm - shift).T).T
        sizes = self._input_sizes()
        if sizes is not None:
            xyz = np.where(sizes == self.resolution, xyz, xyz / sizes * self.resolution)
        if self._shift.any():
            xyz = xyz + self._shift[::-1] * self.resolution
        return xyz[:, ::-1]

    def _input_sizes(self) -> Array | None:
        """What the source's coordinates say that a voxel measures, (3,) xyz nm, if they do."""
        if self.input is not None:
            return np.array(
                [
                    d.scale * self.resolution[axis] / self._space.voxel[::-1][axis]
                    if d.nm is None
                    else d.nm
                    for axis, d in enumerate(self.input)
                ]
            )
        return None if self._space.voxel_nm is None else np.array(self._space.voxel_nm[::-1])

    def to_nm(self, positions: Array, transform: Transform, where: str) -> Array:
        """Carry positions of an annotation source into the volume.

        Parameters
        ----------
        positions : array (n, rank)
            In the input dimensions of `transform`, in their order.
        transform : Transform
            Of the annotation source; its input dimensions are its output dimensions unless
            stated, and their names do not matter.
        where : str
            Begins the error messages: ``layer 'trace'``.

        Returns
        -------
        array (n, 3)
            Zyx, nm of the volume.
        """
        names = [dimension.name for dimension in transform.output]
        missing = [name for name in self.names if name not in names]
        if missing:
            raise UserError(
                f"{where}: it has no dimension {missing[0]!r}, in which {self.where} lies; "
                f"it has {', '.join(names) or 'none'}"
            )
        columns = [
            self._global_nm(names.index(name), positions, transform, where) for name in self.names
        ]
        return self.from_global(np.stack(columns, axis=1))

    def _global_nm(self, row: int, positions: Array, transform: Transform, where: str) -> Array:
        """One coordinate (n,) of the global space in nm."""
        inputs = transform.output if transform.input is None else transform.input
        used = np.flatnonzero(transform.linear[row])
        if len(used) == 0:
            raise unsupported(where, f"nothing goes to {transform.output[row].name!r}")
        scales = [
            self.length(inputs[column], self._voxel_name(inputs, column, transform, where), where)
            for column in used.tolist()
        ]
        total = corner_to_nm(positions[:, used], scales) @ transform.linear[row, used]
        offset = transform.translation[row]
        if offset:
            output = transform.output[row]
            total = total + offset * self.length(output, output.name, where)
        return np.asarray(total)

    def _voxel_name(
        self, inputs: Sequence[Dimension], column: int, transform: Transform, where: str
    ) -> str:
        """Return the global dimension whose voxels the input `column` counts, if it does."""
        if not inputs[column].is_voxels:
            return ""
        rows = np.flatnonzero(transform.linear[:, column])
        name = transform.output[rows[0]].name
        if len(rows) != 1 or name not in self.names:
            raise unsupported(where, "voxels in a matrix that mixes dimensions")
        return name
