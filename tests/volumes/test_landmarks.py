"""One bright voxel at a known nm is found at that nm, at every level of every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oracles.landmarks import BRIGHT, cases

from napari_ouroboros import Straightening, Trace, open_volume, straighten
from napari_ouroboros.layers import align, cut

CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_landmarks(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    places = case.places
    volume = open_volume(case.write(tmp_path / "volume", places), resolution=case.resolution)
    assert [level.shape for level in volume.levels] == [piece.shape for piece in case.levels]
    aligned = align(volume.levels)
    start = np.array(aligned.boxes)[..., 0]
    arrays = []
    for mip, (level, piece) in enumerate(zip(volume.levels, case.levels, strict=True)):
        array = volume.read(mip)
        array = array if array.ndim == 3 else array[..., -1]
        arrays.append(array)
        half = np.array(piece.size) / 2 + 1e-6
        held = [i for i, place in enumerate(places) if piece.holds(place)]
        assert len(held) >= 3
        for i in held:
            # Where the array and the level's grid have it.
            (found,) = np.argwhere(array == BRIGHT + i)
            nm = level.to_nm(found)
            np.testing.assert_allclose(nm, piece.centre(places[i]), rtol=0, atol=1e-6)
            assert (np.abs(nm - places[i]) <= half).all()
            # Where napari shows it: from the shapes alone, corners coinciding.
            if mip in aligned.mips:
                k = aligned.mips.index(mip)
                shown = cut(volume.dask(mip), aligned.boxes[k]).compute(scheduler="synchronous")
                shown = shown if shown.ndim == 3 else shown[..., -1]
                (found,) = np.argwhere(shown == BRIGHT + i)
                factor = np.array(aligned.shapes[0]) / aligned.shapes[k]
                in_finest = (found + 0.5) * factor - 0.5 + start[0]
                assert (np.abs(volume.levels[0].to_nm(in_finest) - places[i]) <= half).all()
    # Where the straightened volume has it: all of it, and nothing beside it.
    along = np.array((1.0, 0.3, -0.2))
    for mip, piece in enumerate(case.levels):
        place, pitch = places[0], piece.size[2] / 3
        points = place + np.outer((-1, 0, 1), along * piece.size[0])
        map_ = Straightening(Trace(points), width=25, height=25, pitch_nm=pitch, spacing_nm=pitch)
        samples = straighten(volume, map_, mip, interpolation="nearest")
        samples = samples.compute(scheduler="synchronous")
        samples = samples if samples.ndim == 3 else samples[..., -1]
        nm = map_.to_volume(np.argwhere(samples == BRIGHT).astype(float))
        centre = piece.centre(place)
        assert (np.abs(nm - centre) <= np.array(piece.size) / 2 + 1e-6).all()
        np.testing.assert_allclose(nm.mean(axis=0), centre, rtol=0, atol=pitch / 2)
        assert len(nm) * pitch**3 == pytest.approx(np.prod(piece.size), rel=0.1)
