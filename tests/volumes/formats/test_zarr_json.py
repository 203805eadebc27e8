"""What the JSON of zarr arrays and OME-Zarr groups says, against the rules of the formats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracles.json_store import JsonStore, array2, array3, ome_axes, ome_group, scale, translation

from napari_ouroboros.errors import Notice, SourceError, UserError
from napari_ouroboros.volumes.formats.zarr import array_chunk_name, read_zarr
from napari_ouroboros.volumes.level import Level, VolumeInfo
from napari_ouroboros.volumes.stores.location import parse_location

URL = "zarr://https://host/image.zarr"


def read(
    files: dict[str, Any],
    resolution: tuple[float, float, float] | None = None,
    url: str = URL,
) -> VolumeInfo:
    return read_zarr(JsonStore(files), parse_location(url), resolution)


def refused(
    files: dict[str, Any], kind: type[Exception], says: str, url: str = URL, **options: Any
) -> str:
    with pytest.raises(kind) as caught:
        read(files, url=url, **options)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert "host/image.zarr" in message
    return message


def grids(info: VolumeInfo) -> list[tuple[Any, Any, Any]]:
    return [(level.shape, level.resolution, level.voxel_offset) for level in info.levels]


PLAIN = {2: (".zarray", array2), 3: ("zarr.json", array3)}


@pytest.mark.parametrize("version", [2, 3])
def test_plain_array(version: int) -> None:
    name, make = PLAIN[version]
    info = read({name: make((20, 31, 3))}, (40, 8, 8.5))
    (level,) = info.levels
    assert (level.shape, level.resolution, level.voxel_offset) == (
        (20, 31, 3),
        (40, 8, 8.5),
        (0, 0, 0),
    )
    # A chunk is never larger than the array.
    assert level.chunk == (4, 4, 3)
    assert level.key == ""
    assert level.encoding == {2: "zstd", 3: "gzip"}[version]
    assert not level.sharded
    assert level.array is not None
    assert level.array.driver == f"zarr{version}"
    assert level.array.axes == (None, 0, 1, 2)
    assert level.array.chunk == (4, 4, 4)
    assert (info.dtype, info.channels, info.kind) == (np.dtype("uint16"), 1, "image")
    assert array_chunk_name(level, (4, 7, 0)) == {2: "4.7.0", 3: "c/4/7/0"}[version]


@pytest.mark.parametrize("version", [2, 3])
def test_plain_array_without_resolution_asks_for_it(version: int) -> None:
    name, make = PLAIN[version]
    refused({name: make((20, 31, 3))}, UserError, "--resolution Z,Y,X")


@pytest.mark.parametrize("bad", [(1, 2), (1, 2, 0), (1, 2, float("nan")), (1, 2, "x"), 5])
def test_bad_resolutions(bad: Any) -> None:
    with pytest.raises(UserError, match="three numbers above 0"):
        read({".zarray": array2((5, 5, 5))}, bad)


def test_units_of_dimensions_give_the_resolution() -> None:
    for name, make in PLAIN.values():
        files = {name: make((5, 6, 7))}
        units = ["4e-2 um", "8nm", "0.5 micrometer"]
        if make is array3:
            files[name]["attributes"] = {"dimension_units": units}
        else:
            files[".zattrs"] = {"dimension_units": units}
        assert read(files).levels[0].resolution == (40, 8, 500)
        # What the user says wins.
        assert read(files, (1, 2, 3)).levels[0].resolution == (1, 2, 3)
    # Units that are no lengths say nothing.
    files[name]["attributes"] = {"dimension_units": ["s", "8nm", "8nm"]}
    refused(files, UserError, "--resolution")


@pytest.mark.parametrize(
    ("names", "axes", "fixed", "channels"),
    [
        (["z", "y", "x"], (None, 0, 1, 2), (), 1),
        (["x", "y", "z"], (None, 2, 1, 0), (), 1),
        (["y", "z", "x", "c"], (3, 1, 0, 2), (), 8),
        (["X", "channel", "Z", "Y"], (1, 2, 3, 0), (), 6),
        (["t", "z", "y", "x"], None, None, None),
        (["c", "z", "y", "x"], (0, 1, 2, 3), (), 5),
    ],
)
@pytest.mark.parametrize("version", [2, 3])
def test_names_of_dimensions(
    version: int, names: list[str], axes: Any, fixed: Any, channels: Any
) -> None:
    shape = (5, 6, 7, 8)[: len(names)]
    if version == 2:
        files = {".zarray": array2(shape), ".zattrs": {"_ARRAY_DIMENSIONS": names}}
    else:
        files = {"zarr.json": array3(shape, dimension_names=names)}
    if axes is None:
        with pytest.warns(Notice, match="5 time points"):
            info = read(files, (3, 2, 1))
        axes, fixed, channels = (None, 1, 2, 3), ((0, 0),), 1
    else:
        info = read(files, (3, 2, 1))
    (level,) = info.levels
    assert level.array is not None
    assert (level.array.axes, level.array.fixed) == (axes, fixed)
    assert level.shape == tuple(shape[axis] for axis in axes[1:])
    assert level.resolution == (3, 2, 1)
    assert info.channels == channels


@pytest.mark.parametrize(("rank", "axes"), [(3, (None, 0, 1, 2)), (4, (0, 1, 2, 3))])
def test_axes_without_names(rank: int, axes: Any) -> None:
    info = read({".zarray": array2((5, 6, 7, 8)[:rank])}, (1, 1, 1))
    assert info.levels[0].array is not None
    assert info.levels[0].array.axes == axes


def test_five_axes_are_time_channel_zyx() -> None:
    (level,) = read({".zarray": array2((1, 2, 6, 7, 8))}, (1, 1, 1)).levels
    assert level.array is not None
    assert (level.array.axes, level.array.fixed) == ((1, 2, 3, 4), ((0, 0),))
    assert array_chunk_name(level, (1, 0, 1)) == "0.0.1.0.1"


@pytest.mark.parametrize(
    ("shape", "names", "says"),
    [
        ((5, 6), ["y", "x"], "2D image"),
        ((5, 6), None, "2 axes"),
        ((5, 6, 7), ["t", "y", "x"], "2D image"),
        ((5, 6, 7, 8), ["a", "z", "y", "x"], "axis 'a' of length 5"),
        ((5, 6, 7, 8, 9), ["c", "channel", "z", "y", "x"], "2 channel axes"),
        ((2, 2, 2, 2, 2, 2), None, "6 axes"),
        ((), None, "empty array"),
        ((5, 0, 7), None, "empty"),
    ],
)
def test_what_is_no_volume(shape: tuple[int, ...], names: Any, says: str) -> None:
    files = {"zarr.json": array3(shape, dimension_names=names)}
    refused(files, SourceError, says, resolution=(1, 1, 1))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        *[(f"<{k}{n}", f"{'u' * (k == 'u')}int{8 * n}") for k in "ui" for n in (2, 4, 8)],
        *[("|u1", "uint8"), ("|i1", "int8"), ("<f4", "float32"), ("<f8", "float64")],
        *[(">u2", "uint16"), (">f4", "float32"), ("|b1", "uint8")],
    ],
)
def test_dtypes(dtype: str, expected: str) -> None:
    found = read({".zarray": array2((5, 5, 5), dtype=dtype)}, (1, 1, 1)).dtype
    assert found == np.dtype(expected)
    assert found.isnative
    if dtype[0] == "<":
        name = np.dtype(dtype).name
        assert read({"zarr.json": array3((5, 5, 5), data_type=name)}, (1, 1, 1)).dtype == expected


@pytest.mark.parametrize("dtype", ["<c8", "<f2", "|S5", "<M8[ns]", [["a", "<u1"]], None])
def test_dtypes_that_are_none_of_ours(dtype: Any) -> None:
    files = {".zarray": array2((5, 5, 5), dtype=dtype)}
    refused(files, SourceError, "voxels of type", resolution=(1, 1, 1))


SHARDS = {
    "name": "sharding_indexed",
    "configuration": {
        "chunk_shape": [2, 4, 8],
        "codecs": [
            {"name": "transpose", "configuration": {"order": [2, 1, 0]}},
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "blosc", "configuration": {"cname": "lz4"}},
        ],
        "index_codecs": [{"name": "bytes"}, {"name": "crc32c"}],
    },
}


def sharded(**others: Any) -> dict[str, Any]:
    grid = {"name": "regular", "configuration": {"chunk_shape": [8, 16, 16]}}
    return array3((30, 50, 70), chunk_grid=grid, codecs=[SHARDS], **others)


def test_shards() -> None:
    (level,) = read({"zarr.json": sharded()}, (1, 1, 1)).levels
    assert level.sharded
    assert level.chunk == (2, 4, 8)
    assert level.encoding == "blosc"
    # Chunk 9, 5, 3 begins at voxel 18, 20, 24, in shard 2, 1, 1.
    assert array_chunk_name(level, (9, 5, 3)) == "c/2/1/1"


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ({"name": "default"}, "c/1/2/0"),
        ({"name": "default", "configuration": {"separator": "."}}, "c.1.2.0"),
        ({"name": "v2"}, "1.2.0"),
        ({"name": "v2", "configuration": {"separator": "/"}}, "1/2/0"),
        ("default", "c/1/2/0"),
    ],
)
def test_chunk_names_of_version_3(encoding: Any, name: str) -> None:
    (level,) = read({"zarr.json": array3((9, 9, 9), chunk_key_encoding=encoding)}, (1, 1, 1)).levels
    assert array_chunk_name(level, (1, 2, 0)) == name


def test_chunk_names_of_version_2() -> None:
    for separator in "./":
        files = {".zarray": array2((9, 9, 9), dimension_separator=separator)}
        (level,) = read(files, (1, 1, 1)).levels
        assert array_chunk_name(level, (1, 2, 0)) == separator.join("120")
    with pytest.raises(ValueError, match="no array"):
        array_chunk_name(Level((1, 1, 1), (1, 1, 1)), (0, 0, 0))


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"compressor": {"id": "lz4"}}, UserError, "compressor 'lz4'"),
        ({"filters": [{"id": "delta"}]}, UserError, "filter 'delta'"),
        ({"chunks": [4, 4]}, SourceError, "chunks must be 3 numbers"),
        ({"chunks": [4, 0, 4]}, SourceError, "chunks must be whole numbers of 1 or more"),
        ({"shape": "big"}, SourceError, "shape must be"),
        ({"shape": [5, -1, 5]}, SourceError, "shape must be"),
        ({"zarr_format": 1}, SourceError, "zarr_format"),
        ({"dimension_separator": ":"}, SourceError, "dimension_separator"),
        ({"order": "K"}, SourceError, "order"),
        ({"compressor": "zstd"}, SourceError, "compressor must be an object"),
        ({"filters": 5}, SourceError, "filters must be"),
    ],
)
def test_wrong_zarray(change: dict[str, Any], kind: type[Exception], says: str) -> None:
    refused({".zarray": array2((5, 5, 5)) | change}, kind, says, resolution=(1, 1, 1))


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"codecs": [{"name": "bytes"}, {"name": "jpegxl"}]}, UserError, "codec 'jpegxl'"),
        ({"codecs": None}, SourceError, "codecs must be a list"),
        ({"codecs": [5]}, SourceError, "codecs must have a name"),
        ({"chunk_grid": {"name": "rectangular"}}, SourceError, "type 'rectangular'"),
        ({"chunk_grid": None}, SourceError, "chunk_grid"),
        ({"chunk_key_encoding": {"name": "fancy"}}, SourceError, "type 'fancy'"),
        ({"storage_transformers": [{}]}, SourceError, "storage transformers"),
        ({"node_type": "thing"}, SourceError, "neither a zarr 3 array nor a group"),
        ({"zarr_format": 2}, SourceError, "neither a zarr 3 array nor a group"),
        ({"attributes": [1]}, SourceError, "attributes"),
        ({"data_type": {"name": "numpy.datetime64"}}, SourceError, "voxels of type"),
    ],
)
def test_wrong_zarr_json(change: dict[str, Any], kind: type[Exception], says: str) -> None:
    refused({"zarr.json": array3((5, 5, 5)) | change}, kind, says, resolution=(1, 1, 1))


def test_both_versions_and_the_one_that_is_asked_for() -> None:
    files = {".zarray": array2((5, 5, 5)), "zarr.json": array3((6, 6, 6))}
    for scheme, size in (("zarr", 6), ("zarr2", 5), ("zarr3", 6)):
        url = f"{scheme}://https://host/image.zarr"
        assert read(files, (1, 1, 1), url).levels[0].shape == (size,) * 3
    refused(
        {".zarray": array2((5, 5, 5))},
        SourceError,
        "no zarr.json",
        "zarr3://https://host/image.zarr",
    )
    refused(
        {"zarr.json": array3((5, 5, 5))},
        SourceError,
        "no .zarray",
        "zarr2://https://host/image.zarr",
    )
    refused({}, SourceError, "there is no zarr.json, .zarray or .zattrs")


def test_a_bucket_that_refuses_what_it_does_not_have() -> None:
    refusal = SourceError("https://host/image.zarr/zarr.json was refused (403)")
    files = {"zarr.json": refusal, ".zarray": array2((5, 5, 5))}
    assert read(files, (1, 1, 1)).levels[0].shape == (5, 5, 5)
    # Nothing else there: then the refusal is what matters.
    refused({"zarr.json": refusal}, SourceError, "403")


# --- OME-Zarr ---


TWO = [
    ((20, 31, 33), [scale(40, 8, 8)]),
    ((20, 16, 17), [scale(40, 16, 16)]),
]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_without_translations_levels_share_their_corner(version: str) -> None:
    info = read(ome_group(TWO, version))
    assert grids(info) == [
        ((20, 31, 33), (40, 8, 8), (0, 0, 0)),
        ((20, 16, 17), (40, 16, 16), (0, 0, 0)),
    ]
    assert [level.key for level in info.levels] == ["0", "1"]
    assert (
        array_chunk_name(info.levels[1], (1, 2, 3))
        == {"0.4": "1/1.2.3", "0.5": "1/c/1/2/3"}[version]
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_translation_is_the_centre_of_voxel_0(version: str) -> None:
    levels = [
        ((20, 31, 33), [scale(40, 8, 8), translation(1020, 804, -12)]),
        # 2 x 2 means of the first: half a fine voxel further.
        ((20, 16, 17), [scale(40, 16, 16), translation(1020, 808, -8)]),
        # Every second voxel of the first: the same centre.
        ((20, 16, 17), [scale(40, 16, 16), translation(1020, 804, -12)]),
    ]
    info = read(ome_group(levels, version))
    assert [level.voxel_offset for level in info.levels] == [
        (25, 100, -2),
        (25, 50, -1),
        (25, 49.75, -1.25),
    ]
    low = [level.bounds_nm[0].tolist() for level in info.levels]
    assert low == [[1000, 800, -16], [1000, 800, -16], [1000, 796, -20]]


def test_transformations_of_the_image_come_after_those_of_the_level() -> None:
    files = ome_group(
        [
            ((9, 9, 9), [scale(1, 1, 1), translation(0, 1, 2)]),
            ((5, 5, 5), [scale(2, 2, 2), translation(0.5, 1.5, 2.5)]),
        ],
        coordinateTransformations=[scale(10, 4, 4), translation(100, 0, 50)],
    )
    info = read(files)
    # centre of voxel 0: own translation x common scale + common translation
    assert [level.to_nm((0, 0, 0)).tolist() for level in info.levels] == [
        [100, 4, 58],
        [105, 6, 60],
    ]
    assert [level.resolution for level in info.levels] == [(10, 4, 4), (20, 8, 8)]


def test_a_translation_after_a_translation_and_a_scale() -> None:
    steps = [
        scale(2, 2, 2),
        translation(1, 1, 1),
        scale(5, 5, 5),
        {"type": "identity"},
        translation(0, 0, 3),
    ]
    (level,) = read(ome_group([((9, 9, 9), steps)])).levels
    assert level.resolution == (10, 10, 10)
    assert level.to_nm((0, 0, 0)).tolist() == [5, 5, 8]


def test_one_translation_for_all_levels_is_the_finest_ones() -> None:
    files = ome_group(TWO, coordinateTransformations=[translation(1020, 804, 4)])
    info = read(files)
    assert [level.bounds_nm[0].tolist() for level in info.levels] == [[1000, 800, 0]] * 2


@pytest.mark.parametrize(
    ("unit", "nm"),
    [
        ("nanometer", 1),
        ("micrometer", 1000),
        ("millimeter", 10**6),
        ("angstrom", 0.1),
        ("meter", 10**9),
        ("micron", 1000),
        ("um", 1000),
        ("µm", 1000),
        ("nanometre", 1),
        ("nm", 1),
        ("Micrometers", 1000),
        ("picometer", 0.001),
    ],
)
def test_units(unit: str, nm: float) -> None:
    files = ome_group(
        [((9, 9, 9), [scale(0.04, 0.0081, 3), translation(0, 0, 1.5)])], axes=ome_axes("zyx", unit)
    )
    (level,) = read(files).levels
    np.testing.assert_allclose(level.resolution, (0.04 * nm, 0.0081 * nm, 3 * nm), rtol=1e-15)
    assert level.voxel_offset == (-0.5, -0.5, 0)


def test_decimal_numbers_stay_what_they_are() -> None:
    """0.0081 um are 8.1 nm, and 40 nm are the whole number 40."""
    files = ome_group(
        [((9, 9, 9), [scale(0.04, 0.0081, 0.0081)])], axes=ome_axes("zyx", "micrometer")
    )
    (level,) = read(files).levels
    assert level.resolution == (40, 8.1, 8.1)
    assert isinstance(level.resolution[0], int)


def test_without_a_unit_the_resolution_is_asked_for() -> None:
    files = ome_group(TWO, axes=ome_axes("zyx", None))
    message = refused(files, UserError, "without a unit (axes z, y, x)")
    assert message.endswith("--resolution 40,8,8 if those numbers are nm")
    info = read(files, (4, 4, 4))
    assert [level.resolution for level in info.levels] == [(4, 4, 4), (4, 8, 8)]


def test_a_unit_that_is_no_length() -> None:
    refused(
        ome_group(TWO, axes=ome_axes("zyx", "second")), UserError, "'second', which is no length"
    )
    mixed = ome_axes("zyx", None)
    mixed[1]["unit"] = "nanometer"
    refused(ome_group(TWO, axes=mixed), UserError, "(axes z, x)")


def test_the_resolution_given_scales_translations_too() -> None:
    levels = [
        ((9, 9, 9), [scale(40, 8, 8), translation(60, 4, 4)]),
        ((5, 5, 5), [scale(80, 16, 16), translation(80, 8, 8)]),
    ]
    info = read(ome_group(levels), (20, 4, 4))
    assert [level.voxel_offset for level in info.levels] == [(1, 0, 0), (0.5, 0, 0)]
    assert [level.resolution for level in info.levels] == [(20, 4, 4), (40, 8, 8)]


def test_levels_are_sorted() -> None:
    info = read(ome_group(TWO[::-1]))
    assert [level.key for level in info.levels] == ["1", "0"]


def test_axes_in_any_order_channel_and_time() -> None:
    levels = [((3, 33, 1, 31, 20), [scale(1, 8, 5, 9, 40), translation(0, 4, 0, 0, 0)])]
    info = read(ome_group(levels, axes=ome_axes("cxtyz")))
    (level,) = info.levels
    assert level.array is not None
    assert (level.array.axes, level.array.fixed) == ((0, 4, 3, 1), ((2, 0),))
    assert level.shape == (20, 31, 33)
    assert level.resolution == (40, 9, 8)
    assert level.voxel_offset == (-0.5, -0.5, 0)
    assert info.channels == 3


def test_several_time_points() -> None:
    files = ome_group([((7, 9, 9, 9), [scale(1, 1, 1, 1)])], axes=ome_axes("tzyx"))
    with pytest.warns(Notice, match="7 time points; the first one is read"):
        (level,) = read(files).levels
    assert level.array is not None
    assert level.array.fixed == ((0, 0),)


def test_other_names_in_space_are_taken_in_their_order() -> None:
    axes = [{"name": n, "type": "space", "unit": "nm"} for n in ("depth", "row", "column")]
    (level,) = read(ome_group([((5, 6, 7), [scale(3, 2, 1)])], axes=axes)).levels
    assert (level.shape, level.resolution) == ((5, 6, 7), (3, 2, 1))


def test_before_0_4_sizes_are_asked_for_and_factors_are_powers_of_two() -> None:
    shapes = [(50, 101, 101), (50, 51, 50), (50, 26, 25)]
    for axes in (["z", "y", "x"], None):  # 0.3; 0.1 and 0.2
        files = ome_group([(shape, None) for shape in shapes], "0.3", axes=axes)
        refused(files, UserError, "gives no voxel size")
        info = read(files, (40, 8, 8))
        assert [level.resolution for level in info.levels] == [
            (40, 8, 8),
            (40, 16, 16),
            (40, 32, 32),
        ]


def test_bioformats2raw_is_followed() -> None:
    for version, root in (
        ("0.4", {".zattrs": {"bioformats2raw.layout": 3}, ".zgroup": {}}),
        (
            "0.5",
            {
                "zarr.json": {
                    "zarr_format": 3,
                    "node_type": "group",
                    "attributes": {"ome": {"bioformats2raw.layout": 3}},
                }
            },
        ),
    ):
        files = root | ome_group(TWO, version, prefix="0/")
        assert [level.key for level in read(files).levels] == ["0/0", "0/1"]
        with pytest.warns(Notice, match="several images; the first one"):
            read(files | ome_group(TWO, version, prefix="1/"))
        refused(root, SourceError, "has no image '0'")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_are_segmentations(version: str) -> None:
    label = {"attributes": {"image-label": {"version": version}}}
    assert read(ome_group(TWO, version, **label)).kind == "segmentation"
    below = "zarr://https://host/image.zarr/labels/cells"
    assert read(ome_group(TWO, version), url=below).kind == "segmentation"
    assert read(ome_group(TWO, version)).kind == "image"
    floats = {"dtype": "<f4"} if version == "0.4" else {"data_type": "float32"}
    assert read(ome_group(TWO, version, array=floats, **label)).kind == "image"


def test_a_plain_array_below_labels_is_a_segmentation() -> None:
    url = "zarr://https://host/image.zarr/labels/cells"
    assert read({".zarray": array2((5, 5, 5))}, (1, 1, 1), url).kind == "segmentation"


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"plate": {}}, "is a plate of many images"),
        ({"well": {}}, "is a well of many images"),
        ({"labels": ["cells", "nuclei"]}, "several label images (cells, nuclei)"),
        ({}, "without OME-Zarr metadata"),
        ({"multiscales": {"datasets": []}}, "multiscales must be a list"),
        ({"multiscales": [{"datasets": []}]}, "list no datasets"),
        ({"multiscales": [{}]}, "datasets must be a list"),
        ({"multiscales": [{"datasets": [5]}]}, "dataset 0 is no JSON object"),
        ({"multiscales": [{"datasets": [{}]}]}, "path must be text"),
        (
            {"multiscales": [{"datasets": [{"path": "s0"}]}]},
            "no zarr array https://host/image.zarr/s0",
        ),
    ],
)
def test_wrong_groups(attributes: dict[str, Any], says: str) -> None:
    refused({".zgroup": {"zarr_format": 2}, ".zattrs": attributes}, SourceError, says)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([{"type": "rotation"}], "type 'rotation' is not supported"),
        ([scale(1, 1)], "scale must be 3 numbers"),
        ([scale(1, 0, 1)], "scale must be above 0"),
        ([scale(1, 1, 1), translation(0, 0)], "translation must be 3 numbers"),
        ([{"type": "scale", "path": "x"}], "scale must be 3 numbers"),
        ("scale", "coordinateTransformations must be a list"),
        ([None], "type None"),
    ],
)
def test_wrong_transformations(steps: Any, says: str) -> None:
    refused(ome_group([((5, 5, 5), steps)]), SourceError, says)


def test_levels_that_do_not_belong_together() -> None:
    files = ome_group(TWO)
    files["1/.zarray"]["dtype"] = "|u1"
    refused(files, SourceError, "dtype of https://host/image.zarr/1 is uint8, not uint16")
    files = ome_group(TWO)
    files["1/.zarray"] = array2((1, 20, 16, 17))
    refused(files, SourceError, "rank of https://host/image.zarr/1 is 4, not 3")
    both = [((2, 9, 9, 9), [scale(1, 1, 1, 1)]), ((3, 5, 5, 5), [scale(1, 2, 2, 2)])]
    refused(ome_group(both, axes=ome_axes("czyx")), SourceError, "3 channels, not 2")
    refused(ome_group(TWO, axes=ome_axes("czyx")), SourceError, "axes must be 3 entries")
    refused(ome_group(TWO, axes=[1, 2, 3]), SourceError, "an axis must have a name")


def test_several_images_in_one_group() -> None:
    files = ome_group(TWO)
    files[".zattrs"]["multiscales"] *= 2
    with pytest.warns(Notice, match="2 images; the first one"):
        assert len(read(files).levels) == 2


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_consolidated_metadata_alone(version: str) -> None:
    files = ome_group(TWO, version)
    if version == "0.4":
        only: dict[str, Any] = {".zmetadata": {"zarr_consolidated_format": 1, "metadata": files}}
    else:
        root = files.pop("zarr.json")
        inner = {name.removesuffix("/zarr.json"): json for name, json in files.items()}
        root["consolidated_metadata"] = {"kind": "inline", "metadata": inner}
        only = {"zarr.json": root}
    assert grids(read(only)) == grids(read(ome_group(TWO, version)))


def test_what_is_there_wins_over_consolidated_metadata() -> None:
    files = ome_group(TWO)
    stale = ome_group([((9, 9, 9), [scale(1, 1, 1)])])
    files[".zmetadata"] = {"metadata": stale}
    assert len(read(files).levels) == 2


def test_info_asks_for_few_files() -> None:
    store = JsonStore(ome_group(TWO, "0.5"))
    read_zarr(store, parse_location(URL.replace("zarr://", "zarr3://")))
    assert sorted(store.asked) == ["0/zarr.json", "1/zarr.json", "zarr.json"]
    store = JsonStore(ome_group(TWO))
    read_zarr(store, parse_location(URL))
    levels = [f"{i}/{name}" for i in (0, 1) for name in (".zarray", ".zattrs")]
    top = ["zarr.json", ".zarray", ".zattrs", ".zmetadata"]
    assert sorted(store.asked) == sorted(top + levels)
