"""Side-by-side runs against a port of the peer's algorithm; see README.md in this folder."""
