"""How Neuroglancer counts the voxels of a volume, from the volume's own JSON."""

from __future__ import annotations

from napari_ouroboros.volumes.formats.array_axes import SourceSpace

#: Formats of arrays, whose JSON says how Neuroglancer counts; the others are as precomputed.
ARRAYS = ("zarr", "zarr2", "zarr3", "n5")
#: Seconds for reading the JSON, as for opening a volume.
_TIMEOUT = 20.0


def source_space(url: str, format_: str) -> SourceSpace:
    """Return how Neuroglancer counts the voxels of the volume at `url`.

    Parameters
    ----------
    url : str
        Fit for `open_volume`.
    format_ : str
        Of a `Source`. Only of zarr and N5 anything is read.

    Raises
    ------
    UserError, SourceError
        It cannot be read.
    """
    if format_ not in ARRAYS:
        return SourceSpace()
    from napari_ouroboros.volumes.formats.n5 import n5_space
    from napari_ouroboros.volumes.formats.zarr import zarr_space
    from napari_ouroboros.volumes.opening import MetadataFetcher
    from napari_ouroboros.volumes.stores.deadline import call
    from napari_ouroboros.volumes.stores.fetch import make_fetcher
    from napari_ouroboros.volumes.stores.location import parse_location

    location = parse_location(url)
    read = n5_space if format_ == "n5" else zarr_space

    def run() -> SourceSpace:
        fetcher = MetadataFetcher(make_fetcher(location, _TIMEOUT), pages=False)
        try:
            return read(fetcher, location)
        finally:
            fetcher.close()

    return call(run, _TIMEOUT, location.shown(""))
