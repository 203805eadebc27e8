"""What makes numpy, and plugins that know nothing else, treat labels on disk as an array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

# Of these it does not matter how often a 0 is among the values, only whether there is one.
_ONE_ZERO_WILL_DO = frozenset(
    {"add", "maximum", "minimum", "logical_or", "logical_and", "bitwise_or", "bitwise_and"}
)
# Voxels that are held at a time besides the result.
_SLAB = 8_000_000


class NumpyLike(NDArrayOperatorsMixin):
    """Operators, ufuncs and functions of numpy over labels (slices, rows, columns) on disk.

    Results are numpy arrays, in memory. Voxel by voxel labels are read slab by slab, so that no
    more than the result is held; the functions of `_FUNCTIONS` read painted chunks only; every
    other function of numpy gets the whole array.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    # Equal is said voxel by voxel; as a key (of signals, in sets) an array is only itself.
    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def __setitem__(self, key: Any, value: Any) -> None:
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        raise NotImplementedError

    def painted_chunks(self) -> list[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
        """Boxes outside of which all is 0."""
        raise NotImplementedError

    # -- what an array has ----------------------------------------------------------------

    @property
    def ndim(self) -> int:
        """Number of axes: 3."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """What they would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def max(self) -> Any:
        """The largest id."""
        return np.maximum.reduce(self, axis=None)

    def min(self) -> Any:
        """The smallest id, 0 among them."""
        return np.minimum.reduce(self, axis=None)

    def any(self) -> bool:
        """Whether anything is painted."""
        return bool(self.painted_chunks())

    def copy(self) -> NDArray[Any]:
        """All of it in memory."""
        return self.__array__()

    def astype(self, dtype: DTypeLike, copy: bool = True) -> NDArray[Any]:
        """All of it in memory, as another dtype, slab by slab."""
        out = np.empty(self.shape, dtype)
        for k0, k1 in self._slabs():
            out[k0:k1] = self[k0:k1]
        return out

    # -- numpy's protocols ----------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Calculate with labels; ``labels += 1`` writes them."""
        if method == "__call__" and ufunc.signature is None and ufunc.nout == 1:
            return self._by_slab(ufunc, inputs, options)
        if method == "reduce" and inputs[0] is self and ufunc.__name__ in _ONE_ZERO_WILL_DO:
            dtype = options.pop("dtype", None)
            if options.pop("axis", 0) is None and not any(options.values()):
                return self._reduced(ufunc, dtype)
        whole = _whole(inputs)
        out = options.pop("out", None)
        found = getattr(ufunc, method)(*whole, **_whole(options))
        if out is None:
            return found
        for target, values in zip(out, found if isinstance(found, tuple) else [found], strict=True):
            target[...] = values
        return out if len(out) > 1 else out[0]

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, options: Any
    ) -> Any:
        """Functions of numpy: those that need not hold all labels do not."""
        own = _FUNCTIONS.get(function)
        if own is not None and args and args[0] is self:
            found = own(*args, **options)
            if found is not NotImplemented:
                return found
        return function(*_whole(args), **_whole(options))

    def _by_slab(self, ufunc: np.ufunc, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """A ufunc voxel by voxel; inputs are cut into slabs along with the labels."""
        (out,) = options.pop("out", (None,))
        ready = [x if isinstance(x, NumpyLike) else np.asarray(x) for x in inputs]
        # A scalar of Python takes its dtype from the labels, an array of one value does not.
        plain = [type(x) in (bool, int, float, complex) for x in inputs]
        shape = np.broadcast_shapes(*(x.shape for x in ready))
        if shape != self.shape or np.ndim(options.get("where", True)):
            found = ufunc(*_whole(inputs), **_whole(options))
            if out is None:
                return found
            out[...] = found
            return out
        result: Any = out
        for k0, k1 in self._slabs():
            parts = [
                x if bare else array[k0:k1] if array.ndim == 3 and array.shape[0] > 1 else array
                for x, array, bare in zip(inputs, ready, plain, strict=True)
            ]
            found = ufunc(*parts, **options)
            if result is None:
                result = np.empty(self.shape, found.dtype)
            result[k0:k1] = found
        return result

    def _reduced(self, ufunc: np.ufunc, dtype: DTypeLike | None) -> Any:
        parts = [ufunc.reduce(p, axis=None, dtype=dtype) for p in self._painted()]
        if sum(int(np.prod(np.diff(box))) for box in self.painted_chunks()) < self.size:
            parts.append(ufunc.reduce(np.zeros(1, self.dtype), axis=None, dtype=dtype))
        return ufunc.reduce(np.array(parts))

    def _slabs(self) -> Iterator[tuple[int, int]]:
        n, rows, columns = self.shape
        step = max(1, _SLAB // (rows * columns))
        for k in range(0, n, step):
            yield k, min(k + step, n)

    def _painted(self) -> Iterator[NDArray[Any]]:
        """The painted chunks, one after the other."""
        for (k0, k1), (r0, r1), (c0, c1) in self.painted_chunks():
            yield self[k0:k1, r0:r1, c0:c1]


def _whole(value: Any) -> Any:
    """The same with every label array in memory, wherever numpy's functions take arrays."""
    if isinstance(value, NumpyLike):
        return value.__array__()
    if isinstance(value, list | tuple):
        return type(value)(map(_whole, value))
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return value


def _unique(labels: NumpyLike, *args: Any, **options: Any) -> Any:
    counts = options.pop("return_counts", False)
    if args or options:
        return NotImplemented
    found: dict[int, int] = {}
    for part in labels._painted():
        for value, n in zip(*np.unique(part, return_counts=True), strict=True):
            found[int(value)] = found.get(int(value), 0) + int(n)
    if left := labels.size - sum(found.values()):
        found[0] = found.get(0, 0) + left
    values = np.array(sorted(found), labels.dtype)
    if not counts:
        return values
    return values, np.array([found[int(v)] for v in values], np.intp)


def _count_nonzero(labels: NumpyLike, *args: Any, **options: Any) -> Any:
    if args or options:
        return NotImplemented
    return sum(int(np.count_nonzero(part)) for part in labels._painted())


def _nonzero(labels: NumpyLike) -> Any:
    found = [
        [axis + edge[0] for axis, edge in zip(np.nonzero(labels[box]), corners, strict=True)]
        for corners in labels.painted_chunks()
        for box in [tuple(slice(*edge) for edge in corners)]
    ]
    if not found:
        return tuple(np.empty(0, np.intp) for _ in labels.shape)
    axes = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    order = np.lexsort(axes[::-1])
    return tuple(axis[order] for axis in axes)


def _like(make: Callable[..., Any]) -> Callable[..., Any]:
    def made(labels: NumpyLike, *args: Any, **options: Any) -> Any:
        # Of the prototype only shape and dtype count.
        return make(np.broadcast_to(np.zeros((), labels.dtype), labels.shape), *args, **options)

    return made


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.shape: lambda labels: labels.shape,
    np.ndim: lambda labels: labels.ndim,
    np.unique: _unique,
    np.count_nonzero: _count_nonzero,
    np.nonzero: _nonzero,
    np.zeros_like: _like(np.zeros_like),
    np.ones_like: _like(np.ones_like),
    np.empty_like: _like(np.empty_like),
    np.full_like: _like(np.full_like),
    np.result_type: lambda labels, *others: np.result_type(labels.dtype, *others),
}
