"""Recipes of version 0.1 still give their maps: hashes as that version wrote them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_ouroboros import Straightening, Trace

# Written out, so that no library's random numbers or functions have a part in it.
POINTS = [
    [1000, 2000, 3000], [1700, 2600, 3300], [2100, 3500, 3100], [2900, 3700, 2400],
    [3300, 3000, 1900], [3900, 2500, 2300], [4800, 2700, 2700], [5300, 3500, 2500],
]  # fmt: skip
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "far apart": ({}, {"spacing_nm": 900.0}),
    "closed": ({"closed": True}, {}),
    "chord, smoothed": ({"parametrisation": "chord", "tolerance_nm": 60.0}, {}),
    "closed, smoothed": ({"closed": True, "tolerance_nm": 60.0}, {}),
    "adaptive": ({}, {"adaptive_radius_nm": 300.0}),
    "up and twist": ({}, {"up": (1, 0.3, 0), "twist": [(0, 0), (2000, 40), (4000, -20)]}),
}
HASHES = {
    "plain": "f8ae26756a9b8d7a878a72206a65de8f508a115d895781770c6ef9191f86d94d",
    "far apart": "8a3e8378ce4488a57ed97a374d4f491121f87a50699c14e4bb5374289364da6d",
    "closed": "f130c4b967bb2b6cd057808692f093cd026434fbc1a4bdaa3dc8c5d178764156",
    "chord, smoothed": "35863947e61baa266dcf5849414b2d3ec1d39c11ab9330e37f7d20860af7a760",
    "closed, smoothed": "f9a5113a296677ec0a04ec0a9a84ef1dc33a7df1bca8edec6f9a54fd9c6f7b1b",
    "adaptive": "b62cd98785f208245eb751df38a9e78cfa37ff4b26bff4897e1e7174e6ccfe71",
    "up and twist": "d9117c37f0bd8be8b3397ebb654e3028e1d813c34a22e1c923a07b7467887da4",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_hash_of_version_0_1(name: str) -> None:
    trace, settings = SETTINGS[name]
    map_ = Straightening(
        Trace(np.array(POINTS, float), **trace), 120, 90, 8.0, **{"spacing_nm": 10.0, **settings}
    )
    assert map_.recipe_hash == HASHES[name]
