from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_disk import small_disk

from napari_ouroboros.errors import Cancelled, DestinationError, SourceError, UserError
from napari_ouroboros.volumes.writing.staging import StagedFile
from napari_ouroboros.volumes.writing.tiff import OME_TYPES, PLAIN_TYPES, tiff_metadata, write_tiff

FACTS = {"frames_sha256": "ab" * 32, "command": 'straighten "a b" <é> & \\ 1', "mip": 2}


def values(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    array = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    array.flat[0], array.flat[-1] = limits.min, limits.max
    return array


def slabs_of(array: NDArray[Any], step: int = 2) -> Iterator[NDArray[Any]]:
    for k in range(0, len(array), step):
        yield array[k : k + step]


def write(path: Path, array: NDArray[Any], **options: Any) -> None:
    write_tiff(path, slabs_of(array), array.shape, array.dtype, 8.5, 40, FACTS, **options)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("dtype", OME_TYPES + PLAIN_TYPES)
def test_every_dtype_comes_back_with_its_facts(
    tmp_path: Path, dtype: str, name: str, compression: Any
) -> None:
    array = values((5, 20, 30), dtype)
    write(tmp_path / name, array, compression=compression)
    back = tifffile.imread(tmp_path / name)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert tiff_metadata(tmp_path / name) == FACTS
    with tifffile.TiffFile(tmp_path / name) as tif:
        assert len(tif.pages) == 5  # each slice is a page
        assert tif.is_ome == (dtype in OME_TYPES)
        assert tif.is_bigtiff == (dtype in PLAIN_TYPES)
        numerator, denominator = tif.pages[0].tags["XResolution"].value
        assert tif.pages[0].tags["ResolutionUnit"].value == 3  # pixels per centimetre
        assert numerator / denominator == pytest.approx(1e7 / 8.5, rel=1e-6)


def test_ome_says_how_large_a_pixel_is(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", values((5, 20, 30), "uint16"))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        pixels = ET.fromstring(tif.ome_metadata or "").find(".//{*}Pixels")
        assert tif.series[0].axes == "ZYX"
    assert pixels is not None
    found = {k: v for k, v in pixels.attrib.items() if k.startswith("PhysicalSize")}
    assert {k: v for k, v in found.items() if k.endswith("Unit")} == {
        f"PhysicalSize{axis}Unit": "nm" for axis in "XYZ"
    }
    assert [float(found[f"PhysicalSize{axis}"]) for axis in "XYZ"] == [8.5, 8.5, 40]
    assert [int(pixels.attrib[f"Size{axis}"]) for axis in "XYZCT"] == [30, 20, 5, 1, 1]


def test_plain_tiff_says_how_large_a_pixel_is(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", values((5, 20, 30), "uint64"))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        description = json.loads(tif.pages[0].description)
    assert description.pop("napari_ouroboros") == FACTS
    assert description == {"axes": "ZYX", "spacing": 40, "pitch": 8.5, "unit": "nm"}


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint64"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_channels_are_the_last_axis_of_one_page(
    tmp_path: Path, channels: int, dtype: str, compression: Any
) -> None:
    array = values((4, 20, 30, channels), dtype)
    write(tmp_path / "a.tif", array, compression=compression)
    back = tifffile.imread(tmp_path / "a.tif")
    np.testing.assert_array_equal(back.reshape(array.shape), array)
    assert back.shape == (array.shape if channels > 1 else array.shape[:3])
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert len(tif.pages) == 4


def test_bool_is_written_as_zero_and_one(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((5, 20, 30)) > 0.5
    write(tmp_path / "a.tif", array)
    back = tifffile.imread(tmp_path / "a.tif")
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, array.astype(np.uint8))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40)),
    dtype=st.sampled_from(OME_TYPES + PLAIN_TYPES),
    step=st.integers(1, 7),
    compression=st.sampled_from([None, "zlib"]),
    facts=st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none()),
)
def test_any_shape_and_facts(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    dtype: str,
    step: int,
    compression: Any,
    facts: dict[str, Any],
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.tif"
    array = values(shape, dtype)
    write_tiff(path, slabs_of(array, step), shape, dtype, 1.25, 0.3, facts, compression)
    np.testing.assert_array_equal(tifffile.imread(path).reshape(shape), array)
    assert tiff_metadata(path) == facts


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_stack_is_never_in_memory_as_a_whole(tmp_path: Path, compression: Any) -> None:
    n, rows = 300, 256
    slab = np.random.default_rng(0).integers(0, 255, (4, rows, rows), np.uint8)
    write(tmp_path / "warm.tif", slab, compression=compression)  # imports are not counted
    tracemalloc.start()
    stream = (slab.copy() for _ in range(n // 4))
    write_tiff(tmp_path / "a.tif", stream, (n, rows, rows), "uint8", 8, 8, compression=compression)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    whole = n * rows * rows
    assert peak < whole / 8, f"{peak / 1e6:.1f} MB for a stack of {whole / 1e6:.1f} MB"
    assert tifffile.imread(tmp_path / "a.tif", key=n - 1).tobytes() == slab[3].tobytes()


def test_large_stack_is_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_ouroboros.volumes.writing import tiff

    monkeypatch.setattr(tiff, "_BIG_BYTES", 5 * 20 * 30 * 2)
    write(tmp_path / "small.tif", values((5, 20, 30), "uint16"))
    write(tmp_path / "large.tif", values((6, 20, 30), "uint16"))
    with tifffile.TiffFile(tmp_path / "small.tif") as small:
        assert not small.is_bigtiff
    with tifffile.TiffFile(tmp_path / "large.tif") as large:
        assert large.is_bigtiff
        assert large.is_ome
    assert tiff_metadata(tmp_path / "large.tif") == FACTS


# failures ------------------------------------------------------------------------------------


def write_staged(path: Path, slabs: Iterator[NDArray[Any]], n: int, dtype: str = "uint8") -> None:
    with StagedFile(path, True) as file:
        write_tiff(file.path, slabs, (n, 200, 300), dtype, 8, 8)
        file.commit()


@pytest.mark.parametrize("dtype", ["uint8", "uint64"])
def test_full_disk_is_one_line_and_keeps_the_old_file(tmp_path: Path, dtype: str) -> None:
    with small_disk(tmp_path / "disk") as disk:
        (disk / "a.tif").write_bytes(b"old")
        with pytest.raises(DestinationError) as error:
            write_staged(
                disk / "a.tif", (np.ones((1, 200, 300), dtype) for _ in range(50)), 50, dtype
            )
        needed = 50 * 200 * 300 * np.dtype(dtype).itemsize / 1e6
        assert str(error.value) == (
            f"no space left on the disk of {disk}, {needed:.1f} MB needed; "
            "make room or choose another place"
        )
        assert {f.name: f.read_bytes() for f in disk.iterdir()} == {"a.tif": b"old"}


def test_disk_that_fills_with_the_last_bytes(tmp_path: Path) -> None:
    """What is still in a buffer when the file is closed must be on the disk, too."""
    with small_disk(tmp_path / "disk") as disk:
        (disk / "filler").write_bytes(bytes(1024**2 - 3 * 200 * 300 - 12 * 1024))
        n = 3
        write_staged(disk / "a.tif", (np.ones((1, 200, 300), np.uint8) for _ in range(n)), n)
        assert tifffile.imread(disk / "a.tif").sum() == n * 200 * 300
        (disk / "a.tif").unlink()
        (disk / "filler").write_bytes(bytes(1024**2 - 3 * 200 * 300 + 4096))
        with pytest.raises(DestinationError, match="no space left"):
            write_staged(disk / "a.tif", (np.ones((1, 200, 300), np.uint8) for _ in range(n)), n)
        assert [f.name for f in disk.iterdir()] == ["filler"]


@pytest.mark.parametrize(
    "error", [SourceError("chunk 1 is corrupt"), Cancelled(), OSError(5, "Input/output error")]
)
def test_error_of_the_source_is_not_blamed_on_the_disk(tmp_path: Path, error: Exception) -> None:
    def slabs() -> Iterator[NDArray[Any]]:
        yield np.ones((1, 200, 300), np.uint8)
        raise error

    with pytest.raises(type(error)) as caught:
        write_staged(tmp_path / "a.tif", slabs(), 5)
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("slabs", "message"),
    [
        ([(2, 200, 300)], "only 2 slices for a stack of 5"),
        ([(3, 200, 300), (3, 200, 300)], "more than 5 slices"),
        ([(5, 200, 300), (1, 200, 300)], "more than 5 slices"),
        ([(5, 200, 301)], "a slab of"),
    ],
)
def test_slabs_that_do_not_fit(tmp_path: Path, slabs: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_staged(tmp_path / "a.tif", (np.zeros(shape, np.uint8) for shape in slabs), 5)
    with pytest.raises(ValueError, match="a slab of"):
        write_staged(tmp_path / "a.tif", iter([np.zeros((5, 200, 300), np.int8)]), 5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_dtype_that_tiff_does_not_hold(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(UserError, match=f"a TIFF cannot hold {dtype}; it can hold uint8"):
        write(tmp_path / "a.tif", np.zeros((2, 3, 4), dtype))


# metadata of other people's files -------------------------------------------------------------


def test_foreign_files_have_no_facts(tmp_path: Path) -> None:
    array = values((5, 20, 30), "uint16")
    foreign: list[dict[str, Any]] = [
        {},
        {"metadata": None},
        {"imagej": True},
        {"ome": True},
        {"metadata": None, "description": "[1]"},
        {"metadata": None, "description": '{"napari_ouroboros": 3}'},
        # The peer's: lengths in um, annotation points in straightened coordinates.
        {"metadata": {"spacing": 0.04, "unit": "um", "annotation_points": [[1.5, 2.0, 0.0]]}},
    ]
    for options in foreign:
        tifffile.imwrite(tmp_path / "a.tif", array, **options)
        assert tiff_metadata(tmp_path / "a.tif") == {}, options


def test_no_tiff_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"GIF89a, or something")
    with pytest.raises(UserError, match=r"a\.tif is not a readable TIFF"):
        tiff_metadata(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"there is no file .*b\.tif"):
        tiff_metadata(tmp_path / "b.tif")
