"""The page for users has every key, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from napari_ouroboros.widgets import keys


def test_the_page_has_every_key(repository: Path) -> None:
    page = (repository / "docs" / "how-to" / "trace-in-napari.md").read_text(encoding="utf-8")
    table = page.split("## Keys")[1].split("##")[0]
    shown = re.findall(r"^\| `(.+?)` \|", table, flags=re.MULTILINE)
    assert sorted(shown) == sorted(key.replace("Control", "Ctrl") for key in keys.TITLES)
