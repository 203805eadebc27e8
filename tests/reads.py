"""What is read of an array that napari shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def sizes_read(
    monkeypatch: pytest.MonkeyPatch, kind: type[Any], counts: Callable[[], bool] = lambda: True
) -> list[int]:
    """Return a list that gets the size of whatever is read of arrays of a kind from now on."""
    sizes: list[int] = []
    before = kind.__getitem__

    def counted(self: Any, key: Any) -> Any:
        found = before(self, key)
        if counts():
            sizes.append(int(np.size(found)))
        return found

    monkeypatch.setattr(kind, "__getitem__", counted)
    return sizes
