"""Tests that open windows. They need a display, and say so instead of crashing in Qt."""

from __future__ import annotations

import os
import sys

import pytest


@pytest.fixture(scope="session", autouse=True)
def display() -> None:
    """Fail before Qt aborts the process."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        pytest.exit("tests/gui need a display; run: python tools/display.py -- pytest tests/gui", 1)
