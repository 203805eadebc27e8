"""Features that stay with their points whatever happens to the rows of the layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The feature that numbers the points of a trace from 0.
ORDER = "order"


class FeaturesById:
    """Every row of features that a point ever had, by the id of the point: undo brings it back."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, Any]] = {}

    def keep(self, ids: NDArray[np.int64], features: Any) -> None:
        """Remember a layer's features (a pandas table); its rows are the points `ids`."""
        names = [name for name in features.columns if name != ORDER]
        if names and len(features) == len(ids):
            rows = features[names].to_dict("records")
            for id_, row in zip(ids.tolist(), rows, strict=True):
                self._rows[id_] = {str(name): value for name, value in row.items()}

    def table(self, ids: NDArray[np.int64], features: Any, restore: bool) -> Any:
        """The features that a layer with the points `ids` should have; None if it has them.

        `restore`: its rows were moved about, each point gets what it had.
        """
        wanted = np.arange(len(ids))
        right = ORDER in features and np.array_equal(features[ORDER].to_numpy(), wanted)
        names = [name for name in features.columns if name != ORDER]
        if right and not (restore and names):
            return None
        table = features.copy()
        table[ORDER] = wanted
        if restore:
            for name in names:
                values = table[name].tolist()
                for i, id_ in enumerate(ids.tolist()):
                    values[i] = self._rows.get(id_, {}).get(str(name), values[i])
                table[name] = np.array(values, dtype=table[name].to_numpy().dtype)
        return table
