"""The operations from the shell: same names, same defaults as in Python."""

from napari_ouroboros.cli.run import main

__all__ = ["main"]
