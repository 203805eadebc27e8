"""``python -m napari_ouroboros.cli``."""

import sys

from napari_ouroboros.cli.run import main

if __name__ == "__main__":
    sys.exit(main())
