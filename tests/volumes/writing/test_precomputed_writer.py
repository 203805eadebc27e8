from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_disk import anybodys_folder, as_nobody, small_disk

from napari_ouroboros.errors import Cancelled, DestinationError, UserError
from napari_ouroboros.volumes.writing.precomputed_writer import (
    DATA_TYPES,
    Box,
    PrecomputedWriter,
    is_our_precomputed,
    our_metadata,
)
from napari_ouroboros.volumes.writing.staging import StagedFolder

IDS = np.array([0, 1, 300, 70_000, 2**40, 2**64 - 1], np.uint64)


def cut(array: NDArray[Any], box: Box) -> NDArray[Any]:
    return array[tuple(slice(*ends) for ends in box)]


def write_all(path: Path, array: NDArray[Any], **options: Any) -> PrecomputedWriter:
    """Write a whole array unit by unit; options default to small anisotropic voxels."""
    place: dict[str, Any] = {
        "resolution": (40, 8, 8),
        "voxel_offset": (5, -3, 7),
        "kind": "segmentation",
        "dtype": array.dtype,
        **options,
    }
    with StagedFolder(path, True, is_our_precomputed) as folder:
        writer = PrecomputedWriter(folder, shape=array.shape[:3], **place)
        for box in writer.units():
            writer.write(box, cut(array, box))
        folder.commit()
    return writer


def by_cloud_volume(path: Path, mip: int = 0) -> NDArray[Any]:
    """(z, y, x, channel) as cloud-volume reads it."""
    from cloudvolume import CloudVolume

    volume = CloudVolume(f"file://{path}", mip=mip, fill_missing=True, progress=False)
    return np.asarray(volume[:]).transpose(2, 1, 0, 3)


def by_tensorstore(path: Path, scale: int = 0, **options: Any) -> NDArray[Any]:
    """(z, y, x, channel) as tensorstore reads it."""
    import tensorstore as ts

    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "scale_index": scale,
        **options,
    }
    return ts.open(spec).result().read().result().transpose(2, 1, 0, 3)


def scale_of(path: Path, index: int = 0) -> dict[str, Any]:
    return json.loads((path / "info").read_text())["scales"][index]


def random_labels(shape: Sequence[int], ids: NDArray[Any] = IDS) -> NDArray[Any]:
    return np.random.default_rng(1).choice(ids, size=shape)


# round trips, read by the two libraries of the field ------------------------------------------


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("dtype", DATA_TYPES)
@pytest.mark.parametrize("kind", ["image", "segmentation"])
def test_both_libraries_read_back_every_dtype(
    tmp_path: Path, dtype: str, kind: str, sharded: bool
) -> None:
    if kind == "segmentation" and dtype == "float32":
        kind = "image"  # float labels do not exist
    rng = np.random.default_rng(0)
    if dtype == "float32":
        array = rng.normal(size=(70, 65, 130)).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        array = rng.integers(limits.min, limits.max, (70, 65, 130), dtype, endpoint=True)
        array[:64, :64, :64] = 0
        array[65, 0, 0], array[65, 0, 1] = limits.min, limits.max
    write_all(tmp_path / "out", array, kind=kind, sharded=sharded)
    for read in (by_cloud_volume, by_tensorstore):
        back = read(tmp_path / "out")
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back[..., 0], array)


@pytest.mark.parametrize("sharded", [False, True])
def test_large_ids_come_back_bit_for_bit(tmp_path: Path, sharded: bool) -> None:
    labels = random_labels((67, 130, 66))
    writer = write_all(tmp_path / "out", labels, sharded=sharded)
    assert set(np.unique(labels)) == set(IDS)
    assert writer.encoding == "compressed_segmentation"
    np.testing.assert_array_equal(by_cloud_volume(tmp_path / "out")[..., 0], labels)
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "out")[..., 0], labels)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    chunk=st.tuples(*[st.sampled_from([4, 8, 16, 23])] * 3),
    offset=st.tuples(*[st.integers(-1000, 1000)] * 3),
    dtype=st.sampled_from(["uint8", "uint16", "uint32", "uint64"]),
    sharded=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_chunk_and_offset(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    chunk: tuple[int, int, int],
    offset: tuple[int, int, int],
    dtype: str,
    sharded: bool,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("any") / "out"
    rng = np.random.default_rng(seed)
    few = rng.integers(1, np.iinfo(dtype).max, 5, dtype, endpoint=True)
    # Boxes of one id, many of them 0, as labels are.
    coarse = rng.choice(np.concatenate([np.zeros(5, dtype), few]), [-(-n // 8) for n in shape])
    blown_up = coarse.repeat(8, 0).repeat(8, 1).repeat(8, 2)
    labels = np.ascontiguousarray(blown_up[: shape[0], : shape[1], : shape[2]])
    write_all(path, labels, chunk=chunk, voxel_offset=offset, sharded=sharded)
    assert scale_of(path)["voxel_offset"] == list(offset[::-1])
    np.testing.assert_array_equal(by_tensorstore(path)[..., 0], labels)


@pytest.mark.parametrize("sharded", [False, True])
def test_channels_are_the_last_axis(tmp_path: Path, sharded: bool) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 70, 30, 3), np.uint8)
    write_all(tmp_path / "out", image, kind="image", channels=3, sharded=sharded)
    np.testing.assert_array_equal(by_cloud_volume(tmp_path / "out"), image)
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "out"), image)


@pytest.mark.parametrize("sharded", [False, True])
def test_png_is_lossless(tmp_path: Path, sharded: bool) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 70, 30), np.uint8)
    write_all(tmp_path / "out", image, kind="image", encoding="png", sharded=sharded)
    assert scale_of(tmp_path / "out")["encoding"] == "png"
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "out")[..., 0], image)


def test_arrays_in_any_memory_order(tmp_path: Path) -> None:
    labels = random_labels((40, 50, 60))
    write_all(tmp_path / "out", np.asfortranarray(labels))
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "out")[..., 0], labels)


def test_folder_name_with_odd_characters(tmp_path: Path) -> None:
    path = tmp_path / "a b%20?#ü{x}"
    labels = random_labels((5, 6, 7))
    write_all(path, labels)
    np.testing.assert_array_equal(by_tensorstore(path)[..., 0], labels)


# what is on the disk -------------------------------------------------------------------------


def test_info_as_the_format_wants_it(tmp_path: Path) -> None:
    write_all(tmp_path / "out", random_labels((70, 20, 30)), extra_info={"recipe": "abc", "mip": 2})
    info = json.loads((tmp_path / "out" / "info").read_text())
    assert info == {
        "@type": "neuroglancer_multiscale_volume",
        "type": "segmentation",
        "data_type": "uint64",
        "num_channels": 1,
        "scales": [
            {
                "key": "8_8_40",
                "size": [30, 20, 70],
                "resolution": [8, 8, 40],
                "voxel_offset": [7, -3, 5],
                "chunk_sizes": [[64, 64, 64]],
                "encoding": "compressed_segmentation",
                "compressed_segmentation_block_size": [8, 8, 8],
            }
        ],
        "napari_ouroboros": {"recipe": "abc", "mip": 2},
    }
    # A whole number is written as one, or readers look for the key 8.0_8.0_40.0.
    assert ".0" not in (tmp_path / "out" / "info").read_text()
    assert our_metadata(tmp_path / "out") == {"recipe": "abc", "mip": 2}


@pytest.mark.parametrize(
    ("resolution", "key"),
    [
        ((40.0, 8.0, 8.0), "8_8_40"),
        ((40, 8.5, 8.25), "8.25_8.5_40"),
        ((np.float64(1e6), 4, 4), "4_4_1000000"),
    ],
)
def test_key_is_the_resolution(tmp_path: Path, resolution: Any, key: str) -> None:
    write_all(tmp_path / "out", random_labels((3, 4, 5)), resolution=resolution)
    assert scale_of(tmp_path / "out")["key"] == key
    assert (tmp_path / "out" / key).is_dir()


def test_key_may_be_given(tmp_path: Path) -> None:
    write_all(tmp_path / "out", random_labels((3, 4, 5)), key="mip0")
    assert (tmp_path / "out" / "mip0" / "7-12_-3-1_5-8").is_file()


def test_encoding_follows_from_kind_and_dtype(tmp_path: Path) -> None:
    wanted = {
        ("segmentation", "uint8"): "raw",
        ("segmentation", "uint16"): "raw",
        ("segmentation", "uint32"): "compressed_segmentation",
        ("segmentation", "uint64"): "compressed_segmentation",
        ("image", "uint32"): "raw",
        ("image", "uint64"): "raw",
        ("image", "float32"): "raw",
    }
    found = {
        (kind, dtype): write_all(tmp_path / "out", np.ones((2, 2, 2), dtype), kind=kind).encoding
        for kind, dtype in wanted
    }
    assert found == wanted


def chunk_names(path: Path) -> set[str]:
    return {file.name for file in (path / "8_8_40").iterdir()}


def test_empty_chunks_of_labels_are_not_written_and_read_as_zero(tmp_path: Path) -> None:
    labels = np.zeros((128, 64, 100), np.uint64)
    labels[64, 0, 64] = 9
    writer = write_all(tmp_path / "out", labels)
    assert writer.chunks_written == 1
    # Named by voxel_offset, the end clipped to the size; a plain object, no .gz.
    assert chunk_names(tmp_path / "out") == {"71-107_-3-61_69-133"}
    np.testing.assert_array_equal(by_cloud_volume(tmp_path / "out")[..., 0], labels)
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "out")[..., 0], labels)


def test_every_chunk_of_an_image_is_written(tmp_path: Path) -> None:
    image = np.zeros((128, 64, 100), np.uint8)
    writer = write_all(tmp_path / "out", image, kind="image")
    assert writer.chunks_written == 4
    assert len(chunk_names(tmp_path / "out")) == 4
    # A reader that takes a missing chunk for an error reads it whole.
    back = by_tensorstore(tmp_path / "out", fill_missing_data_reads=False)
    np.testing.assert_array_equal(back[..., 0], image)


def test_labels_without_any_id_are_a_volume_too(tmp_path: Path) -> None:
    labels = np.zeros((10, 10, 10), np.uint32)
    writer = write_all(tmp_path / "out", labels)
    assert writer.chunks_written == 0
    np.testing.assert_array_equal(by_cloud_volume(tmp_path / "out")[..., 0], labels)
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "out")[..., 0], labels)


def test_sharded_volume_is_few_files_gzipped_inside(tmp_path: Path) -> None:
    labels = np.kron(random_labels((8, 8, 8)), np.ones((16, 16, 16), np.uint64))
    plain = write_all(tmp_path / "plain", labels, chunk=(16, 16, 16))
    packed = write_all(tmp_path / "packed", labels, chunk=(16, 16, 16), sharded=True)
    assert (
        plain.chunks_written
        == packed.chunks_written
        == int(np.count_nonzero(labels[::16, ::16, ::16]))
    )
    assert chunk_names(tmp_path / "packed") == {"0.shard"}
    sharding = scale_of(tmp_path / "packed")["sharding"]
    assert sharding["data_encoding"] == "gzip"
    # Behind the shard's index lies the first chunk, and elsewhere the minishard's index: both
    # real gzip, not zlib, which nothing reads.
    shard = (tmp_path / "packed" / "8_8_40" / "0.shard").read_bytes()
    index_end = 16 << sharding["minishard_bits"]
    minishard = index_end + int.from_bytes(shard[:8], "little")
    assert shard[index_end : index_end + 2] == shard[minishard : minishard + 2] == b"\x1f\x8b"
    total = sum(f.stat().st_size for f in (tmp_path / "plain" / "8_8_40").iterdir())
    assert len(shard) < total / 2


def test_shards_are_boxes_of_at_most_128_mb_and_cover_the_volume(tmp_path: Path) -> None:
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        writer = PrecomputedWriter(
            folder,
            shape=(300, 700, 1100),
            resolution=(8, 8, 8),
            voxel_offset=(0, 0, 0),
            dtype="uint64",
            kind="segmentation",
            sharded=True,
        )
        assert writer.unit == (256, 256, 256)
        assert np.prod(writer.unit) * 8 <= 128 * 2**20
        covered = np.zeros((5, 11, 18), int)
        for box in writer.units():
            (z0, z1), (y0, y1), (x0, x1) = box
            covered[z0 // 64 : -(-z1 // 64), y0 // 64 : -(-y1 // 64), x0 // 64 : -(-x1 // 64)] += 1
        assert (covered == 1).all()
        # Each unit is one file, and no two units share one.
        files: set[str] = set()
        for number, (z, y, x) in enumerate(list(writer.units())[:3], 1):
            block = np.zeros((z[1] - z[0], y[1] - y[0], x[1] - x[0]), np.uint64)
            block[::70, ::70, ::70] = number
            writer.write((z, y, x), block)
            now = {f.name for f in (folder.path / "8_8_8").iterdir()}
            assert len(now - files) == 1
            files = now


@settings(max_examples=40, deadline=None)
@given(
    grid=st.tuples(*[st.integers(1, 40)] * 3),
    dtype=st.sampled_from(["uint8", "uint64"]),
    chunk=st.tuples(*[st.sampled_from([32, 64, 128])] * 3),
)
def test_a_shard_is_the_box_that_tensorstore_says(
    tmp_path_factory: pytest.TempPathFactory,
    grid: tuple[int, int, int],
    dtype: str,
    chunk: tuple[int, int, int],
) -> None:
    shape = [n * c for n, c in zip(grid, chunk, strict=True)]
    with StagedFolder(tmp_path_factory.mktemp("any") / "out", False, is_our_precomputed) as folder:
        writer = new_writer(folder, shape=shape, dtype=dtype, chunk=chunk, sharded=True)
        layout = writer._store.chunk_layout.write_chunk.shape
    assert layout is not None
    # An axis of which one shard holds everything has no limit there.
    for unit, said, n, c in zip(writer.unit, layout, shape, chunk, strict=False):
        assert unit == said or (unit >= n and said in (0, c << (n // c - 1).bit_length(), n))


def test_chunks_cover_the_volume_once(tmp_path: Path) -> None:
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        writer = PrecomputedWriter(
            folder,
            shape=(100, 65, 10),
            resolution=(8, 8, 8),
            voxel_offset=(0, 0, 0),
            dtype="uint8",
            kind="image",
        )
        assert list(writer.chunks()) == list(writer.units())
        assert list(writer.chunks()) == [
            ((0, 64), (0, 64), (0, 10)),
            ((0, 64), (64, 65), (0, 10)),
            ((64, 100), (0, 64), (0, 10)),
            ((64, 100), (64, 65), (0, 10)),
        ]


def test_coarser_scales_share_the_volume(tmp_path: Path) -> None:
    fine, coarse = random_labels((70, 66, 80)), random_labels((35, 33, 40))
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        first = PrecomputedWriter(
            folder,
            shape=fine.shape,
            resolution=(40, 8, 8),
            voxel_offset=(5, -3, 7),
            dtype="uint64",
            kind="segmentation",
        )
        second = first.coarser(shape=coarse.shape, resolution=(80, 16, 16), voxel_offset=(2, -2, 3))
        with pytest.raises(UserError, match="two scales have the same key 8_8_40"):
            first.coarser(shape=(1, 1, 1), resolution=(40, 8, 8), voxel_offset=(0, 0, 0))
        for box in second.units():
            second.write(box, cut(coarse, box))
        for box in first.units():
            first.write(box, cut(fine, box))
        folder.commit()
    for scale, array in enumerate([fine, coarse]):
        np.testing.assert_array_equal(by_cloud_volume(tmp_path / "out", scale)[..., 0], array)
        np.testing.assert_array_equal(by_tensorstore(tmp_path / "out", scale)[..., 0], array)
    assert scale_of(tmp_path / "out", 1)["voxel_offset"] == [3, -2, 2]


def test_the_chunks_of_a_shard_given_one_by_one(tmp_path: Path) -> None:
    """A shard of which only some chunks have labels, in the order in which they were made."""
    labels = np.zeros((64, 64, 64), np.uint64)
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        writer = new_writer(folder, shape=labels.shape, chunk=(16, 16, 16), sharded=True)
        assert writer.unit == labels.shape
        parts = []
        for number in (60, 3, 17, 40):
            box = list(writer.chunks())[number]
            labels[tuple(slice(*ends) for ends in box)] = random_labels((16, 16, 16))
            parts.append((box, cut(labels, box)))
        empty = next(iter(writer.chunks()))
        assert writer.write_unit([*parts, (empty, cut(labels, empty))]) == 4
        assert writer.chunks_written == 4
        np.testing.assert_array_equal(writer.read_back().read(((0, 64),) * 3), labels)
        folder.commit()
    assert len(list((tmp_path / "out" / "8_8_8").iterdir())) == 1
    np.testing.assert_array_equal(by_cloud_volume(tmp_path / "out")[..., 0], labels)
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "out")[..., 0], labels)


# our own encoder ------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 21)] * 3),
    dtype=st.sampled_from(["uint32", "uint64"]),
    ids=st.sampled_from([1, 2, 3, 4, 5, 16, 17, 256, 257, 10_000]),
    block=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_encoded_labels_are_decoded_by_the_libraries(
    shape: tuple[int, int, int], dtype: str, ids: int, block: int, seed: int
) -> None:
    """Any number of ids in a block, from one to one for every voxel."""
    import compressed_segmentation

    from napari_ouroboros.volumes.writing.cseg_kernel import encode

    rng = np.random.default_rng(seed)
    values = rng.integers(0, np.iinfo(dtype).max, ids, dtype, endpoint=True)
    values[0] = 0 if seed % 2 else np.iinfo(dtype).max
    labels = rng.choice(values, [n // block + 1 for n in shape])
    labels = labels.repeat(block, 0).repeat(block, 1).repeat(block, 2)
    labels = labels[tuple(slice(n) for n in shape)]
    back = compressed_segmentation.decompress(
        encode(labels), shape[::-1], dtype=dtype, block_size=(8, 8, 8), order="F"
    )
    np.testing.assert_array_equal(back.reshape(shape[::-1]).T, labels)


def test_one_id_after_the_other_shares_its_table() -> None:
    from napari_ouroboros.volumes.writing.cseg_kernel import encode

    # 512 blocks with two words each, the word before them, and the one id.
    assert len(encode(np.zeros((64, 64, 64), np.uint64))) == 4 * (1 + 1024 + 2)
    assert len(encode(np.full((64, 64, 64), 7, np.uint32))) == 4 * (1 + 1024 + 1)


def test_chunks_too_large_for_it_are_written_all_the_same(tmp_path: Path) -> None:
    labels = random_labels((128, 128, 66))
    write_all(tmp_path / "out", labels, chunk=(128, 128, 128))
    np.testing.assert_array_equal(by_cloud_volume(tmp_path / "out")[..., 0], labels)


# unfinished ones -----------------------------------------------------------------------------


def test_no_info_until_the_commit(tmp_path: Path) -> None:
    labels = random_labels((5, 5, 5))
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        writer = PrecomputedWriter(
            folder,
            shape=labels.shape,
            resolution=(8, 8, 8),
            voxel_offset=(0, 0, 0),
            dtype="uint64",
            kind="segmentation",
        )
        writer.write(((0, 5), (0, 5), (0, 5)), labels)
        assert sorted(f.name for f in folder.path.rglob("*")) == [
            "0-5_0-5_0-5",
            "8_8_8",
            "incomplete",
        ]
    assert list(tmp_path.iterdir()) == []


def test_only_our_volumes_may_be_overwritten(tmp_path: Path) -> None:
    """A source volume of somebody, given as the destination by mistake, stays."""
    theirs = tmp_path / "theirs"
    write_all(theirs, random_labels((5, 5, 5)))
    info = json.loads((theirs / "info").read_text())
    del info["napari_ouroboros"]
    (theirs / "info").write_text(json.dumps(info))
    assert not is_our_precomputed(theirs)
    with pytest.raises(UserError, match="is not a result of this program"):
        write_all(theirs, random_labels((9, 9, 9)))
    assert scale_of(theirs)["size"] == [5, 5, 5]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"napari_ouroboros": 1}', "\x00\xff"])
def test_odd_info_is_not_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "info").write_text(text)
    assert not is_our_precomputed(tmp_path)


def new_writer(folder: StagedFolder, **options: Any) -> PrecomputedWriter:
    place: dict[str, Any] = {
        "shape": (128, 128, 128),
        "resolution": (8, 8, 8),
        "voxel_offset": (0, 0, 0),
        "dtype": "uint64",
        "kind": "segmentation",
        **options,
    }
    return PrecomputedWriter(folder, **place)


def fill_up(path: Path, sharded: bool) -> None:
    with StagedFolder(path, True, is_our_precomputed) as folder:
        writer = new_writer(folder, dtype="uint8", kind="image", sharded=sharded)
        noise = np.random.default_rng(0).integers(0, 255, (128, 128, 128), np.uint8)
        for box in writer.units():
            writer.write(box, cut(noise, box))


@pytest.mark.parametrize("sharded", [False, True])
def test_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, sharded: bool) -> None:
    with small_disk(tmp_path / "disk") as disk:
        write_all(disk / "out", random_labels((4, 4, 4)))
        with pytest.raises(DestinationError) as error:
            fill_up(disk / "out", sharded)
        size = "2.1" if sharded else "0.3"
        assert str(error.value) == (
            f"no space left on the disk of {disk}, {size} MB needed; "
            "make room or choose another place"
        )
        assert [f.name for f in disk.iterdir()] == ["out"]
        assert by_tensorstore(disk / "out").shape == (4, 4, 4, 1)


def test_lost_permission_is_one_line() -> None:
    imports = """
        import psutil, numpy, tensorstore
        from napari_ouroboros.errors import DestinationError
        from napari_ouroboros.volumes.writing.precomputed_writer import *
        from napari_ouroboros.volumes.writing.staging import StagedFolder
        """
    code = """
        with StagedFolder(sys.argv[1], False, is_our_precomputed) as folder:
            writer = PrecomputedWriter(
                folder, shape=(5, 5, 5), resolution=(8, 8, 8), voxel_offset=(0, 0, 0),
                dtype="uint8", kind="image",
            )
            os.chmod(folder.path, 0o500)
            try:
                writer.write(((0, 5), (0, 5), (0, 5)), numpy.ones((5, 5, 5), "u1"))
            except DestinationError as error:
                print(error)
            os.chmod(folder.path, 0o700)
        """
    with anybodys_folder() as folder:
        folder.chmod(0o777)
        assert as_nobody(imports, code, folder / "out") == (
            f"no permission to write {folder}/out; choose another place or change its permissions"
        )
        assert list(folder.iterdir()) == []


def test_write_after_the_end_is_cancelled_and_brings_nothing_back(tmp_path: Path) -> None:
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        writer = new_writer(folder)
    with pytest.raises(Cancelled):
        writer.write(((0, 64), (0, 64), (0, 64)), np.ones((64, 64, 64), np.uint64))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sharded", [False, True])
def test_many_threads_write_at_once(tmp_path: Path, sharded: bool) -> None:
    labels = random_labels((64, 96, 128))
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        writer = new_writer(folder, shape=labels.shape, chunk=(16, 16, 16), sharded=sharded)
        boxes = list(writer.units())
        threads = [
            threading.Thread(
                target=lambda mine=boxes[i::6]: [writer.write(b, cut(labels, b)) for b in mine]
            )
            for i in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        folder.commit()
    assert writer.chunks_written == 4 * 6 * 8
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "out")[..., 0], labels)


# refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float64"}, "cannot hold float64; it can hold uint8, int8"),
        ({"dtype": "int64"}, "cannot hold int64"),
        ({"dtype": bool}, "cannot hold bool"),
        ({"shape": (0, 5, 5)}, "the shape of a precomputed volume must be whole numbers of at le"),
        ({"voxel_offset": (0.5, 0, 0)}, "the voxel offset .* must be whole numbers, not"),
        ({"resolution": (0, 8, 8)}, "a resolution is three lengths above 0 nm"),
        ({"resolution": (8, 8, float("nan"))}, "a resolution is three lengths above 0 nm"),
        ({"channels": 0}, "at least one channel"),
        ({"dtype": "uint8", "encoding": "compressed_segmentation"}, "no such precomputed volume"),
        ({"encoding": "zip"}, "no such precomputed volume is possible"),
    ],
)
def test_impossible_volumes(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        with pytest.raises(UserError, match=message) as error:
            new_writer(folder, **options)
    assert "\n" not in str(error.value)


def test_misfits_are_mistakes_of_the_caller(tmp_path: Path) -> None:
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        writer = new_writer(folder)
        block = np.ones((64, 64, 64), np.uint64)
        with pytest.raises(ValueError, match="not made of whole units"):
            writer.write(((0, 64), (0, 64), (1, 65)), block)
        with pytest.raises(ValueError, match="not made of whole units"):
            writer.write(((0, 63), (0, 64), (0, 64)), block[:63])
        with pytest.raises(ValueError, match="not made of whole units"):
            writer.write(((0, 64), (0, 64), (128, 192)), block)
        with pytest.raises(ValueError, match="for a box of"):
            writer.write(((0, 64), (0, 64), (0, 64)), block[:32])
        with pytest.raises(TypeError, match="int64 data for a volume of uint64"):
            writer.write(((0, 64), (0, 64), (0, 64)), block.astype(np.int64))
