"""The colours of flags, the same in the plot and on the strip's ruler."""

from __future__ import annotations

#: Red, green, blue.
SUSPICIOUS = (240, 150, 40)
GOOD = (80, 180, 90)
BAD = (230, 70, 50)
SHOWN = (255, 210, 60)
