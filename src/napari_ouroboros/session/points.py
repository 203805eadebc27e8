"""Points of the straightened space as a session keeps them, with their features and their maps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError

Vector = tuple[float, float, float]
Row = tuple[float, float, float, float]
FeatureType = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64", "object", "category",
]  # fmt: skip


@dataclass(frozen=True)
class PointEntry:
    """One point.

    Attributes
    ----------
    at : (3,)
        In the data of its layer.
    recipe : int or None
        Index of the recipe that it was set along, in its layer's recipes; None: there was no
        trace yet.
    size, symbol, face, border
        As napari has them; the colours are red, green, blue, opacity.
    """

    at: Vector
    recipe: int | None = None
    size: float = 10.0
    symbol: str = "disc"
    face: Row = (1.0, 1.0, 1.0, 1.0)
    border: Row = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class FeatureEntry:
    """What is known of each point under one name.

    Whole numbers of any size, numbers (also those that are not finite) and truth come back as
    they were; of other things their text.
    """

    name: str
    type: FeatureType = "object"
    values: tuple[bool | int | float | str | None, ...] = ()

    def __post_init__(self) -> None:
        self.array()

    @classmethod
    def of(cls, name: str, dtype: str, values: Iterable[Any]) -> FeatureEntry:
        """Make it of Python's own values; `dtype` is how their type is called."""
        kind: Any = dtype if dtype in get_args(FeatureType) else "object"
        return cls(name, kind, tuple(_plain(value) for value in values))

    def array(self) -> NDArray[Any]:
        """Return the values; those of categories as objects.

        Raises
        ------
        UserError
            They are not of this type.
        """
        found = np.empty(len(self.values), object)
        found[:] = self.values
        if self.type in ("object", "category"):
            return found
        if self.type.startswith("float"):
            found[:] = [math.nan if value is None else value for value in self.values]
        try:
            # One by one from Python's own numbers: a float holds no id beyond 2^53.
            return np.array(found.tolist(), dtype=self.type)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"the feature {self.name!r} is no {self.type}: {error}") from error


@dataclass(frozen=True)
class PointsEntry:
    """A layer of points.

    Attributes
    ----------
    name : str
    points : tuple of PointEntry
    recipes : tuple of dict
        Of the traces that the points were set along (see `geometry.recipe`).
    scale : (3,)
        nm of the straightened space for one step in the layer's data.
    affine : (4, 4) or None
        What follows on the scale, where something does.
    features : tuple of FeatureEntry
        Each with a value for each point.
    visible, opacity
        As napari has them.
    index_straightened : int or None
        As that of a `SourceEntry`.
    """

    name: str
    points: tuple[PointEntry, ...] = ()
    recipes: tuple[dict[str, Any], ...] = ()
    scale: Vector = (1.0, 1.0, 1.0)
    affine: tuple[Row, Row, Row, Row] | None = None
    features: tuple[FeatureEntry, ...] = ()
    visible: bool = True
    opacity: float = 1.0
    index_straightened: int | None = None

    def __post_init__(self) -> None:
        for point in self.points:
            if point.recipe is not None and not 0 <= point.recipe < len(self.recipes):
                raise UserError(f"a recipe of the points {self.name!r} is not there")
        for feature in self.features:
            if len(feature.values) != len(self.points):
                raise UserError(
                    f"the feature {feature.name!r} has {len(feature.values)} values for "
                    f"{len(self.points)} points"
                )


def _plain(value: Any) -> bool | int | float | str | None:
    """What JSON holds exactly."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
