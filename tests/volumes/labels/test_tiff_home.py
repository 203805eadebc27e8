"""Labels that went home into a TIFF, read back where they lie."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from painted import gone_home, grids_around, helix, part_of, ring
from streamed import in_a_thread, wait_until

from napari_ouroboros import backproject
from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.labels.tiff_home import TiffHome
from napari_ouroboros.volumes.streaming import ChunkLoader, DecodedChunks

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")


def written(folder: Path, dtype: str, make: Any = helix) -> tuple[Any, Any, Any, Path]:
    map_ = make()
    source = grids_around(map_, (3.0, 2.5, 2.0), 1)
    labels = np.zeros(map_.shape, dtype)
    labels[10:60, 5:20, 8:25] = np.iinfo(dtype).max
    labels[20:30, 8:12, 10:14] = 3
    truth, _ = gone_home(labels, map_, source, 0, folder / "truth")
    report = backproject(labels, map_, folder / "home.tif", source, 0)
    return truth, source, report, folder / "home.tif"


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("make", [helix, ring])
def test_every_chunk_lies_where_it_belongs(dtype: str, make: Any, tmp_path: Path) -> None:
    truth, source, report, path = written(tmp_path, dtype, make)
    home = TiffHome(path)
    level = home.mip(0)
    box = tuple(slice(a, b) for a, b in report.bounds)
    assert level.shape == truth[box].shape
    assert home.dtype == dtype
    corner = np.array([a for a, _ in report.bounds])
    np.testing.assert_array_equal(level.to_nm((0, 0, 0)), source.mip(0).to_nm(corner))
    found = np.zeros(level.shape, dtype)
    empty = 0
    for index, chunk in home.fetch_chunks(0, np.ndindex(*level.chunk_grid)):
        if chunk is None:
            empty += 1
            continue
        assert chunk.dtype == dtype
        part_of(found, level, index)[...] = chunk[0]
    np.testing.assert_array_equal(found, truth[box])
    assert found.any()
    home.close()


def test_it_streams_and_its_file_is_closed_when_nobody_looks(tmp_path: Path) -> None:
    truth, _, report, path = written(tmp_path, "uint64")
    home = TiffHome(path)
    assert copy.copy(home) is home
    loader = ChunkLoader(home, kept=DecodedChunks())
    wish = [(0, index) for index in np.ndindex(*home.mip(0).chunk_grid)]
    loader.want("me", wish)
    wait_until(lambda: loader.idle)
    box = tuple(slice(a, b) for a, b in report.bounds)
    expected = part_of(truth[box], home.mip(0), wish[0][1])
    chunk = loader.peek(*wish[0])
    np.testing.assert_array_equal(chunk[0] if expected.any() else 0 * expected, expected)
    assert loader.close(5)
    home.close()
    path.unlink()  # Windows would refuse if it were open
    with pytest.raises(UserError, match="there is no file"):
        in_a_thread(lambda: home.fetch_chunk(0, (0, 0, 0)))


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((64, 64), np.uint8), tile=(64, 64))
    with pytest.raises(UserError, match="does not say where"):
        TiffHome(tmp_path / "other.tif")
    (tmp_path / "no.tif").write_text("no")
    with pytest.raises(UserError, match="not a readable TIFF"):
        TiffHome(tmp_path / "no.tif")
    _, _, _, path = written(tmp_path, "uint8")
    home = TiffHome(path)
    with pytest.raises(UserError, match="no mip 1"):
        home.mip(1)
    with pytest.raises(IndexError):
        home.fetch_chunk(0, (99, 0, 0))
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        first = next(
            offset
            for page in tiff.pages
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
            if count
        )
    content[first : first + 12] = b"\xff" * 12
    path.write_bytes(bytes(content))
    with pytest.raises(SourceError, match="cannot read"):
        list(TiffHome(path).fetch_chunks(0, np.ndindex(*home.mip(0).chunk_grid)))
