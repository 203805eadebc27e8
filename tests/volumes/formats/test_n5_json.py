"""What the JSON of N5 says, against the conventions of its writers; files are xyz, we are zyx."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracles.json_store import JsonStore, dataset5

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.formats.n5 import read_n5
from napari_ouroboros.volumes.formats.zarr import array_chunk_name
from napari_ouroboros.volumes.level import VolumeInfo
from napari_ouroboros.volumes.stores.location import parse_location

URL = "n5://https://host/image.n5"


def read(files: dict[str, Any], resolution: tuple[float, float, float] | None = None) -> VolumeInfo:
    return read_n5(
        JsonStore({f"{key}/attributes.json".lstrip("/"): json for key, json in files.items()}),
        parse_location(URL),
        resolution,
    )


def refused(files: dict[str, Any], kind: type[Exception], says: str, **options: Any) -> None:
    with pytest.raises(kind) as caught:
        read(files, **options)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert "host/image.n5" in message


def grids(info: VolumeInfo) -> list[tuple[Any, Any, Any]]:
    return [(level.shape, level.resolution, level.voxel_offset) for level in info.levels]


def nm(*sizes: float, unit: str = "nm") -> dict[str, Any]:
    return {"pixelResolution": {"unit": unit, "dimensions": list(sizes)}}


# xyz
LEVELS = {"s0": dataset5((101, 33, 20)), "s1": dataset5((51, 17, 20)), "s2": dataset5((26, 9, 10))}
FACTORS = [[1, 1, 1], [2, 2, 1], [4, 4, 2]]
EXPECTED = [
    ((20, 33, 101), (40, 8, 4), (0, 0, 0)),
    ((20, 17, 51), (40, 16, 8), (0, 0, 0)),
    ((10, 9, 26), (80, 32, 16), (0, 0, 0)),
]


def test_a_single_dataset() -> None:
    info = read({"": dataset5((101, 33, 3), resolution=[4, 8, 40])})
    (level,) = info.levels
    assert grids(info) == [((3, 33, 101), (40, 8, 4), (0, 0, 0))]
    assert level.chunk == (3, 4, 4)
    assert level.encoding == "gzip"
    assert level.array is not None
    assert (level.array.driver, level.array.axes, level.array.chunk) == (
        "n5",
        (None, 2, 1, 0),
        (4, 4, 4),
    )
    assert (info.dtype, info.channels, info.kind) == (np.dtype("uint16"), 1, "image")
    assert array_chunk_name(level, (0, 8, 25)) == "25/8/0"


def test_a_dataset_without_resolution_asks_for_it() -> None:
    refused({"": dataset5((9, 9, 9))}, UserError, "--resolution Z,Y,X")
    info = read({"": dataset5((9, 8, 7))}, (40, 8, 4))
    assert grids(info) == [((7, 8, 9), (40, 8, 4), (0, 0, 0))]


def test_the_factor_of_a_single_dataset_counts() -> None:
    json = dataset5((9, 8, 7), resolution=[4, 8, 40], downsamplingFactors=[2, 4, 1])
    assert read({"": json}).levels[0].resolution == (40, 32, 8)


@pytest.mark.parametrize("name", ["scales", "downsamplingFactors"])
def test_a_group_that_lists_its_levels(name: str) -> None:
    info = read({"": {name: FACTORS, **nm(4, 8, 40)}, **LEVELS})
    assert grids(info) == EXPECTED
    assert [level.key for level in info.levels] == ["s0", "s1", "s2"]
    assert array_chunk_name(info.levels[2], (1, 2, 3)) == "s2/3/2/1"


def test_listed_levels_that_are_not_there_end_the_pyramid() -> None:
    group = {"": {"scales": FACTORS, **nm(4, 8, 40)}}
    assert len(read(group | {"s0": LEVELS["s0"], "s1": LEVELS["s1"]}).levels) == 2
    refused(group, SourceError, "no dataset https://host/image.n5/s0")


def test_levels_that_say_their_own_factors() -> None:
    files = {
        key: {**json, "downsamplingFactors": factor}
        for (key, json), factor in zip(LEVELS.items(), FACTORS, strict=True)
    }
    files["s0"] |= nm(0.004, 0.008, 0.04, unit="um")
    assert grids(read(files)) == EXPECTED
    # n5-viewer repeats the resolution of the finest level in each; the group may have its own.
    files = {key: {**json, **nm(9, 9, 9)} for key, json in files.items()}
    assert grids(read({"": nm(4, 8, 40), **files})) == EXPECTED


def test_levels_without_factors_are_powers_of_two() -> None:
    assert grids(read({"": {"n5": "2.5.0", "resolution": [4, 8, 40]}, **LEVELS})) == EXPECTED


def test_units() -> None:
    one = {"scales": [[1, 1, 1]], "resolution": [0.004, 0.008, 0.04]}
    files = {"s0": LEVELS["s0"]}
    assert grids(read({"": {**one, "units": ["um"] * 3}, **files})) == EXPECTED[:1]
    assert grids(read({"": {**one, "units": "micrometer"}, **files})) == EXPECTED[:1]
    refused({"": {**one, "units": ["s"] * 3}, **files}, UserError, "no unit of length")
    refused({"": {**one, "units": ["um"]}, **files}, SourceError, "units must be")
    no_unit = {"pixelResolution": {"dimensions": [4, 8, 40]}}
    refused({"": no_unit, **files}, UserError, "--resolution")


def test_the_resolution_given_wins() -> None:
    info = read({"": {"scales": FACTORS, **nm(1, 1, 1)}, **LEVELS}, (40, 8, 4))
    assert grids(info) == EXPECTED
    info = read({"": {"scales": FACTORS}, **LEVELS}, (40, 8, 4))
    assert grids(info) == EXPECTED


def test_axes_in_another_order() -> None:
    json = dataset5((20, 33, 101), axes=["z", "y", "x"], resolution=[40, 8, 4])
    (level,) = read({"": json}).levels
    assert (level.shape, level.resolution) == ((20, 33, 101), (40, 8, 4))
    assert level.array is not None
    assert level.array.axes == (None, 0, 1, 2)


def test_channels() -> None:
    json = dataset5((101, 33, 20, 3), resolution=[4, 8, 40])
    info = read({"": json})
    assert info.channels == 3
    assert info.levels[0].array is not None
    assert info.levels[0].array.axes == (3, 2, 1, 0)
    assert read({"": json | {"resolution": [4, 8, 40, 1]}}).levels[0].resolution == (40, 8, 4)


def test_cosem_transforms_where_nothing_else_says_it() -> None:
    """COSEM's `translate` is the centre of voxel 0."""

    def dataset(path: str, size: list[float], translate: list[float]) -> dict[str, Any]:
        transform = {
            "axes": ["z", "y", "x"],
            "scale": size,
            "translate": translate,
            "units": ["nm"] * 3,
        }
        return {"path": path, "transform": transform}

    datasets = [dataset("s0", [40, 8, 4], [100, 0, 2]), dataset("s1", [40, 16, 8], [100, 4, 4])]
    files = {"": {"multiscales": [{"datasets": datasets}]}, "s0": LEVELS["s0"], "s1": LEVELS["s1"]}
    info = read(files)
    assert grids(info) == [
        ((20, 33, 101), (40, 8, 4), (2, -0.5, 0)),
        ((20, 17, 51), (40, 16, 8), (2, -0.25, 0)),
    ]
    assert [level.to_nm((0, 0, 0)).tolist() for level in info.levels] == [[100, 0, 2], [100, 4, 4]]
    # What Neuroglancer reads comes first, and then there is one corner, as there.
    files[""] |= {"scales": FACTORS, **nm(4, 8, 40)}
    assert grids(read(files)) == EXPECTED[:2]


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"dimensions": [5, 5]}, SourceError, "blockSize must be 2 numbers"),
        ({"dimensions": [5, 5], "blockSize": [5, 5]}, SourceError, "2 axes"),
        ({"dimensions": [5, 0, 5]}, SourceError, "dimensions must be whole numbers"),
        ({"dataType": "string"}, SourceError, "voxels of type 'string'"),
        ({"dataType": None}, SourceError, "dataType must be text"),
        ({"compression": {"type": "lz4"}}, UserError, "compression 'lz4'"),
        ({"compression": "gzip"}, SourceError, "compression must be an object"),
        ({"axes": ["x", "y"]}, SourceError, "axes must be 3 names"),
        ({"axes": ["x", "y", "t"]}, SourceError, "2D image"),
        ({"resolution": [1, 2]}, SourceError, "resolution must be 3 numbers"),
        ({"resolution": [1, -2, 1]}, SourceError, "resolution must be above 0"),
        ({"downsamplingFactors": [1, 0, 1]}, SourceError, "must be above 0"),
    ],
)
def test_wrong_attributes(change: dict[str, Any], kind: type[Exception], says: str) -> None:
    refused({"": dataset5((5, 5, 5), resolution=[1, 1, 1]) | change}, kind, says)


def test_old_n5() -> None:
    json = dataset5((5, 5, 5), compressionType="gzip", resolution=[1, 1, 1])
    del json["compression"]
    refused({"": json}, UserError, "N5 of version 1")


def test_nothing_there() -> None:
    refused({}, SourceError, "no attributes.json")
    refused({"": {"n5": "2.5.0"}}, SourceError, "group without levels s0, s1")
    levels = {"s0": LEVELS["s0"], "s1": dataset5((51, 17, 20), dataType="uint8")}
    refused({"": nm(1, 1, 1), **levels}, SourceError, "holds uint8 with 3 axes, not uint16")
