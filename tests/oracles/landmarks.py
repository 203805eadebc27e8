"""Bright voxels at known places, written into every format by other programs than ours.

Places are worked out here from the formats' own words, in nm, and never by the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BRIGHT, DARK = 200, 10
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Piece:
    """One level: zyx; `corner` is the outer corner of voxel 0 in nm."""

    shape: tuple[int, int, int]
    size: Triple
    corner: Triple

    def voxel(self, place: Triple) -> tuple[int, ...]:
        """The voxel that holds a place in nm."""
        low = (np.array(place) - self.corner) / self.size
        return tuple(np.floor(low).astype(int).tolist())

    def centre(self, place: Triple) -> NDArray[np.float64]:
        """Centre, in nm, of the voxel that holds `place`."""
        return np.array(self.corner) + (np.array(self.voxel(place)) + 0.5) * self.size

    def holds(self, place: Triple) -> bool:
        """Whether a place is in one of the voxels."""
        return all(0 <= i < n for i, n in zip(self.voxel(place), self.shape, strict=True))

    def array(self, places: list[Triple], dtype: str = "uint8") -> NDArray[Any]:
        """Dark, but for the voxels at the places: 200, 201, ..."""
        array = np.full(self.shape, DARK, dtype)
        for i, place in enumerate(places):
            if self.holds(place):
                array[self.voxel(place)] = BRIGHT + i
        return array


FACTORS = [(1, 1, 1), (1, 2, 2), (2, 4, 4)]
SIZE = (40.0, 8.0, 4.0)
SHAPE = (26, 51, 101)  # odd, and 101, 51, 26 along x


def pieces(corner: Triple = (0, 0, 0), strided: bool = False) -> list[Piece]:
    """Levels that share their outer corner, or, `strided`, the centre of their first voxel."""
    levels = []
    for factor in FACTORS:
        shape = tuple(-(-n // f) for n, f in zip(SHAPE, factor, strict=True))
        size = tuple(s * f for s, f in zip(SIZE, factor, strict=True))
        shift = tuple((s - t) / 2 * strided for s, t in zip(SIZE, size, strict=True))
        low = tuple(c + s for c, s in zip(corner, shift, strict=True))
        levels.append(Piece(shape, size, low))  # type: ignore[arg-type]
    return levels


def lattice(offset: tuple[int, int, int]) -> list[Piece]:
    """Levels of a precomputed volume: each begins at a whole number of its own voxels."""
    levels = []
    for factor in FACTORS:
        low = [o // f for o, f in zip(offset, factor, strict=True)]
        high = [-(-(o + n) // f) for o, n, f in zip(offset, SHAPE, factor, strict=True)]
        size = tuple(s * f for s, f in zip(SIZE, factor, strict=True))
        shape = tuple(b - a for a, b in zip(low, high, strict=True))
        corner = tuple(a * s for a, s in zip(low, size, strict=True))
        levels.append(Piece(shape, size, corner))  # type: ignore[arg-type]
    return levels


def precomputed(path: Path, levels: list[Piece], places: list[Triple], encoding: str) -> str:
    """By cloud-volume; sharded ones by tensorstore."""
    if encoding == "sharded":
        return _precomputed_sharded(path, levels, places)
    from cloudvolume import CloudVolume

    dtype = "uint32" if encoding == "compressed_segmentation" else "uint8"
    first = levels[0]
    info = CloudVolume.create_new_info(
        num_channels=1,
        layer_type="image" if encoding == "raw" else "segmentation",
        data_type=dtype,
        encoding=encoding,
        resolution=[int(s) for s in first.size[::-1]],
        voxel_offset=[int(c / s) for c, s in zip(first.corner, first.size, strict=True)][::-1],
        chunk_size=[16, 16, 16],
        volume_size=list(first.shape[::-1]),
    )
    scale = info["scales"][0]
    info["scales"] = [
        {
            **scale,
            "key": f"level{i}",
            "resolution": [int(s) for s in piece.size[::-1]],
            "size": list(piece.shape[::-1]),
            "voxel_offset": [int(c / s) for c, s in zip(piece.corner, piece.size, strict=True)][
                ::-1
            ],
        }
        for i, piece in enumerate(levels)
    ]
    writer = CloudVolume(f"file://{path}", info=info)
    writer.commit_info()
    for mip, piece in enumerate(levels):
        writer = CloudVolume(f"file://{path}", mip=mip, non_aligned_writes=True, progress=False)
        low = np.array([round(c / s) for c, s in zip(piece.corner, piece.size, strict=True)])
        (z, y, x), (z1, y1, x1) = low.tolist(), (low + piece.shape).tolist()
        writer[x:x1, y:y1, z:z1] = piece.array(places, dtype).T[..., None]
    return f"precomputed://file://{path}"


def _precomputed_sharded(path: Path, levels: list[Piece], places: list[Triple]) -> str:
    import tensorstore as ts

    for i, piece in enumerate(levels):
        store = ts.open(
            {
                "driver": "neuroglancer_precomputed",
                "kvstore": {"driver": "file", "path": f"{path}/"},
                "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
                "scale_metadata": {
                    "key": f"level{i}",
                    "size": list(piece.shape[::-1]),
                    "resolution": list(piece.size[::-1]),
                    "voxel_offset": [
                        round(c / s) for c, s in zip(piece.corner, piece.size, strict=True)
                    ][::-1],
                    "chunk_size": [16, 16, 16],
                    "encoding": "raw",
                    "sharding": {
                        "@type": "neuroglancer_uint64_sharded_v1",
                        "preshift_bits": 1,
                        "hash": "identity",
                        "minishard_bits": 2,
                        "shard_bits": 2,
                        "minishard_index_encoding": "gzip",
                        "data_encoding": "gzip",
                    },
                },
            },
            create=True,
        ).result()
        store[ts.d["channel"][0]].write(piece.array(places).T).result()
    return f"precomputed://file://{path}"


def plain_zarr(path: Path, piece: Piece, places: list[Triple], version: int, sharded: bool) -> str:
    """By zarr-python: an array, without any metadata of ours."""
    import zarr

    store = zarr.create_array(
        path,
        shape=piece.shape,
        dtype="uint8",
        zarr_format=version,  # type: ignore[arg-type]
        chunks=(8, 8, 8),
        shards=(16, 16, 32) if sharded else None,
    )
    store[:] = piece.array(places)
    return f"zarr://file://{path}"


def ome_zarr(
    path: Path,
    levels: list[Piece],
    places: list[Triple],
    version: str,
    *,
    translations: bool,
    sharded: bool = False,
    axes: str = "zyx",
    unit: tuple[str, float] = ("nanometer", 1.0),
) -> str:
    """Arrays by zarr-python; the OME metadata as the specification has them, in plain JSON."""
    import zarr

    v2 = version == "0.4"
    group = zarr.create_group(path, zarr_format=2 if v2 else 3)
    name, nm = unit
    kinds = {"t": "time", "c": "channel"}
    datasets = []
    for i, piece in enumerate(levels):
        by_axis: dict[str, tuple[int, float, float]] = {"t": (1, 1, 0), "c": (2, 1, 0)}
        for a, n, s, c in zip("zyx", piece.shape, piece.size, piece.corner, strict=True):
            by_axis[a] = (n, s / nm, (c + s / 2) / nm)  # a translation is a voxel's centre
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": [by_axis[a][1] for a in axes]}]
        if translations:
            steps.append({"type": "translation", "translation": [by_axis[a][2] for a in axes]})
        datasets.append({"path": f"level{i}", "coordinateTransformations": steps})
        store = group.create_array(
            f"level{i}",
            shape=[by_axis[a][0] for a in axes],
            dtype="uint8",
            chunks=[8 if a in "zyx" else 1 for a in axes],
            shards=[32 if a in "zyx" else 1 for a in axes] if sharded else None,
        )
        # zyx, then the axes in front, then all in the order of the file
        full = piece.array(places)[(None,) * (len(axes) - 3)]
        order = "".join(a for a in axes if a not in "zyx") + "zyx"
        full = np.broadcast_to(full, [by_axis[a][0] for a in order])
        store[:] = np.transpose(full, [order.index(a) for a in axes])
    image = {
        "axes": [
            {"name": a, "type": kinds[a]}
            if a in kinds
            else {"name": a, "type": "space", "unit": name}
            for a in axes
        ],
        "datasets": datasets,
        "name": "landmark",
    }
    if v2:
        (path / ".zattrs").write_text(json.dumps({"multiscales": [{**image, "version": "0.4"}]}))
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return f"zarr://file://{path}"


def n5(path: Path, levels: list[Piece], places: list[Triple]) -> str:
    """By tensorstore, with n5-viewer's attributes of the group."""
    import tensorstore as ts

    for i, piece in enumerate(levels):
        store = ts.open(
            {
                "driver": "n5",
                "kvstore": {"driver": "file", "path": f"{path}/s{i}/"},
                "metadata": {
                    "dimensions": list(piece.shape[::-1]),
                    "blockSize": [16, 8, 8],
                    "dataType": "uint8",
                    "compression": {"type": "gzip"},
                },
            },
            create=True,
        ).result()
        store.write(piece.array(places).T).result()
    factors = [list(reversed(factor)) for factor in FACTORS]
    attributes = {
        "scales": factors,
        "pixelResolution": {"unit": "nm", "dimensions": list(levels[0].size[::-1])},
    }
    (path / "attributes.json").write_text(json.dumps(attributes))
    return f"n5://file://{path}"


@dataclass(frozen=True)
class Case:
    """A volume to be written: `write(path, places)` returns its URL."""

    levels: list[Piece]
    write: Callable[[Path, list[Triple]], str]
    resolution: Triple | None = None

    @property
    def places(self) -> list[Triple]:
        """Near the middle, near faces of a voxel, in the first voxel and in the last, in nm."""
        finest = self.levels[0]
        voxels = [(12.5, 20.5, 50.5), (5.05, 33.9, 7.1), (25.3, 50.9, 100.2), (0.2, 0.4, 0.7)]
        z, y, x = (np.array(finest.corner) + np.array(voxels) * finest.size).T.tolist()
        return list(zip(z, y, x, strict=True))


def cases() -> dict[str, Case]:
    """Every format, with and without offsets."""
    found: dict[str, Case] = {}
    for encoding in ("raw", "compressed_segmentation", "sharded"):
        for name, offset in (("", (0, 0, 0)), ("_offset", (301, 7, 1003))):
            levels = lattice(offset)
            found[f"precomputed_{encoding}{name}"] = Case(
                levels, lambda p, at, ls=levels, e=encoding: precomputed(p, ls, at, e)
            )
    first = pieces()[:1]
    for version, sharded in ((2, False), (3, False), (3, True)):
        found[f"zarr{version}{'_sharded' * sharded}"] = Case(
            first,
            lambda p, at, v=version, s=sharded: plain_zarr(p, first[0], at, v, s),
            SIZE,
        )
    shared = pieces()
    moved, strided = pieces((12345.6, -777.7, 0.25)), pieces((4000, 80, -40), strided=True)
    for version in ("0.4", "0.5"):
        found[f"ome_{version}"] = Case(
            shared, lambda p, at, v=version: ome_zarr(p, shared, at, v, translations=False)
        )
        found[f"ome_{version}_moved"] = Case(
            moved, lambda p, at, v=version: ome_zarr(p, moved, at, v, translations=True)
        )
        found[f"ome_{version}_strided"] = Case(
            strided,
            lambda p, at, v=version: ome_zarr(
                p, strided, at, v, translations=True, axes="tczyx", unit=("micrometer", 1000.0)
            ),
        )
    found["ome_0.5_sharded"] = Case(
        moved,
        lambda p, at: ome_zarr(p, moved, at, "0.5", translations=True, sharded=True, axes="xyz"),
    )
    found["n5"] = Case(shared, lambda p, at: n5(p, shared, at))
    return found
