"""From an encoded chunk to voxels: which reader, its codecs, and what keeps decoded chunks."""
