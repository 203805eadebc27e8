"""Results on their way to disk: staged, chunk by chunk; precomputed, OME-Zarr and TIFF."""
