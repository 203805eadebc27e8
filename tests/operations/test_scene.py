"""One scene, voxels of any shape: slices are the same in nm, and equal to a reference sampler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from numpy.typing import NDArray
from oracles import Helix, LiteralMap, linear_scene, resample

from napari_ouroboros import Notice, Straightening, Trace, open_volume, outside, straighten

Triple = tuple[int, int, int]
CENTRE = np.array([20_000.0, 12_000.0, 31_000.0])


def write_precomputed(
    folder: Path,
    volume: NDArray[Any],
    resolution: Triple,
    voxel_offset: Triple,
    chunk: Triple = (16, 32, 32),
) -> str:
    """Write zyx voxels as an unsharded raw precomputed volume, all in zyx here and xyz there."""
    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": str(folder)},
            "multiscale_metadata": {
                "type": "image", "data_type": str(volume.dtype), "num_channels": 1,
            },
            "scale_metadata": {
                "size": volume.shape[::-1],
                "resolution": resolution[::-1],
                "voxel_offset": voxel_offset[::-1],
                "chunk_size": chunk[::-1],
                "encoding": "raw",
            },
            "store_data_equal_to_fill_value": True,
            "create": True,
        }
    ).result()  # fmt: skip
    store.write(volume.transpose(2, 1, 0)[..., None]).result()
    return f"precomputed://file://{folder}"


def straightening(width: int = 31, height: int = 24, **options: Any) -> Straightening:
    """A helix around the centre; in voxel units of 40 x 8 x 8 it would be another curve."""
    points = Helix(400, 90).position(np.linspace(-2.5, 2.5, 30)) + CENTRE
    settings: dict[str, Any] = {"pitch_nm": 9, "spacing_nm": 11} | options
    return Straightening(Trace(points), width, height, **settings)


def box(resolution: Triple, margin_nm: float) -> tuple[Triple, Triple]:
    """Offset and shape of voxels that enclose the helix by a margin."""
    reach = np.array([2.5 * 90, 400, 400]) + margin_nm
    low = np.floor((CENTRE - reach) / resolution).astype(int)
    high = np.ceil((CENTRE + reach) / resolution).astype(int)
    a, b, c = low.tolist()
    p, q, r = (high - low).tolist()
    return (a, b, c), (p, q, r)


def positions(s: Straightening) -> NDArray[np.float64]:
    """Where every sample lies, from the frames by the literal map: (slices, rows, columns, 3)."""
    f = s.frames
    assert s.pitch_nm is not None
    assert s.spacing_nm is not None
    n, h, w = (int(a) for a in s.shape)
    literal = LiteralMap(f.c, f.N, f.B, f.T, (n, h, w), s.pitch_nm, s.spacing_nm, s.trace.closed)
    index = np.meshgrid(np.arange(n), np.arange(h), np.arange(w), indexing="ij")
    return literal.to_volume(np.stack(index, -1))


@pytest.mark.parametrize("resolution", [(8, 8, 8), (40, 8, 8), (16, 5, 30)], ids=str)
def test_a_linear_scene_does_not_know_its_voxels(resolution: Triple, tmp_path: Path) -> None:
    gradient = np.array([0.31, -0.17, 0.23])
    offset, shape = box(resolution, 250)
    scene = linear_scene(shape, resolution, offset, gradient, -float(gradient @ CENTRE))
    url = write_precomputed(tmp_path / "scene", scene.astype(np.float32), resolution, offset)
    s = straightening()
    found = straighten(open_volume(url), s, interpolation="linear").compute()
    assert found.shape == tuple(s.shape)
    expected = (positions(s) - CENTRE) @ gradient
    assert np.ptp(expected) > 200
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("resolution", [(8, 8, 8), (40, 8, 8)], ids=str)
def test_linear_slices_of_noise_are_the_reference_samplers(
    dtype: str, resolution: Triple, tmp_path: Path
) -> None:
    """The volume is smaller than the tube: edges are clamped inside and filled outside."""
    offset, shape = box(resolution, -60)
    rng = np.random.default_rng(1)
    top = 255 if dtype == "uint8" else 60_000
    noise = rng.integers(0, top, shape, endpoint=True).astype(dtype)
    url = write_precomputed(tmp_path / "noise", noise, resolution, offset)
    s, volume = straightening(), open_volume(url)
    with pytest.warns(Notice, match="outside the volume"):
        found = straighten(volume, s, interpolation="linear", fill=7).compute()
    assert found.dtype == np.dtype(dtype)
    x = positions(s)
    expected = resample(noise, resolution, offset, x, 1, fill=7)
    index = x / resolution - np.asarray(offset) - 0.5
    beyond = ((index < -0.5) | (index >= np.array(shape) - 0.5)).any(-1)
    assert 0.05 < beyond.mean() < 0.8
    np.testing.assert_array_equal(outside(volume, s, 0), beyond.sum((1, 2)))
    assert (found[beyond] == 7).all()
    off = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    if dtype == "float32":
        assert off.max() < 0.05
    else:
        # float32 weights may round the other way where the value is half a grey level
        assert off.max() <= 1
        assert (off > 0).mean() < (1e-3 if dtype == "uint8" else 0.02)


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64"])
@pytest.mark.parametrize("resolution", [(8, 8, 8), (40, 8, 8)], ids=str)
def test_nearest_slices_are_the_reference_samplers(
    dtype: str, resolution: Triple, tmp_path: Path
) -> None:
    offset, shape = box(resolution, -60)
    ids = np.random.default_rng(2).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
    url = write_precomputed(tmp_path / "ids", ids, resolution, offset)
    s = straightening()
    with pytest.warns(Notice, match="outside the volume"):
        found = straighten(open_volume(url), s, interpolation="nearest").compute()
    assert found.dtype == np.dtype(dtype)
    x = positions(s)
    expected = resample(ids, resolution, offset, x, 0)
    index = x / resolution - np.asarray(offset) - 0.5
    tie = np.abs(index + 0.5 - np.round(index + 0.5)).min(-1) < 1e-6  # on a face between voxels
    assert tie.mean() < 1e-3
    np.testing.assert_array_equal(found[~tie], expected[~tie])


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
@pytest.mark.parametrize("shape", [(10, 90, 90), (90, 10, 90), (90, 90, 10), (20, 20, 20)], ids=str)
def test_a_level_may_be_smaller_than_its_chunks(
    shape: Triple, interpolation: str, tmp_path: Path
) -> None:
    """As every coarse level of a pyramid is: 64^3 chunks hold fewer voxels than that."""
    noise = np.random.default_rng(4).integers(0, 255, shape, dtype=np.uint8)
    url = write_precomputed(tmp_path / "small", noise, (8, 8, 8), (-5, 3, 7), (64, 64, 64))
    middle = (np.array(shape) / 2 + (-5, 3, 7)) * 8
    s = Straightening(Trace(np.stack([middle - (30, 60, 70), middle + (25, 70, 60)])), 30, 30, 5, 6)
    with pytest.warns(Notice, match="outside the volume"):
        found = straighten(open_volume(url), s, interpolation=interpolation).compute()
    x = positions(s)
    expected = resample(noise, (8, 8, 8), (-5, 3, 7), x, int(interpolation == "linear"))
    off = np.abs(found.astype(int) - expected.astype(int))
    assert (expected > 0).mean() > 0.05
    assert (off > (interpolation == "linear")).mean() < 1e-3


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [(9, 7), (8, 6)], ids=str)
@pytest.mark.parametrize("axis", ["z", "x"])
def test_a_straight_trace_crops_voxel_for_voxel(
    axis: str, sign: int, size: tuple[int, int], tmp_path: Path
) -> None:
    offset, shape = (50, -30, 1000), (40, 44, 48)
    voxels = np.random.default_rng(3).integers(0, 2**16, shape, dtype=np.uint16)
    url = write_precomputed(tmp_path / "v", voxels, (8, 8, 8), offset)
    width, height = size
    middle = np.array([20, 22, 24])
    half = np.array([0.0, (height % 2 == 0) / 2, (width % 2 == 0) / 2])
    if axis == "x":  # columns along y, rows along z (+x) or against it (-x)
        half = np.array([(height % 2 == 0) / 2 * sign, (width % 2 == 0) / 2, 0])
    elif sign < 0:
        half[1] *= -1  # rows run against y
    along = np.array([10, 0, 0] if axis == "z" else [0, 0, 10]) * sign
    ends = (np.stack([middle + half - along, middle + half + along]) + offset + 0.5) * 8
    s = Straightening(Trace(ends), width, height, 8, 8)
    found = straighten(open_volume(url), s).compute()

    def rows(centre: int) -> slice:
        first = (height - 1) // 2 if sign > 0 else height // 2
        return slice(centre - first, centre - first + height)

    left = (width - 1) // 2
    if axis == "z":
        crop = voxels[10:31, rows(22), 24 - left : 24 - left + width]
    else:
        crop = voxels[rows(20), 22 - left : 22 - left + width, 14:35].transpose(2, 0, 1)
    expected = crop if sign > 0 else crop[::-1, ::-1]
    np.testing.assert_array_equal(found, expected)
