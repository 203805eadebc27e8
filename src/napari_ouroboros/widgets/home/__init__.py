"""The way home: labels shown live in the original, and written there."""

from __future__ import annotations
