"""What the user chose on our page of napari's preferences. No Qt here.

napari keeps the values; each is read when it is used, so that a change needs no restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene.settings import SliceSettings

_PLUGIN = "napari-ouroboros"


@dataclass(frozen=True)
class Preferences:
    """The defaults here are those of the manifest.

    Attributes
    ----------
    width, height : int
        Pixels of a slice in a new window.
    memory_mb : int
        Decoded chunks in memory.
    disk_gb : float
        Chunks of remote volumes kept on disk; 0: none.
    recent : int
        How many sources are remembered.
    """

    width: int = 100
    height: int = 100
    memory_mb: int = 512
    disk_gb: float = 0.0
    recent: int = 12

    @property
    def cache_bytes(self) -> float | None:
        """The limit of the cache on disk for `open_volume`; None: no cache."""
        return self.disk_gb * 1e9 or None


def preferences() -> Preferences:
    """Return the values of the moment; the defaults where napari does not know the plugin."""
    from napari.settings import get_plugin_settings

    try:
        page = get_plugin_settings(_PLUGIN)
    except KeyError:  # used as a library, or disabled
        return Preferences()
    return Preferences(
        width=page.slices.width,
        height=page.slices.height,
        memory_mb=page.chunks.memory_mb,
        disk_gb=page.chunks.disk_gb,
        recent=page.open.recent,
    )


def slice_settings() -> SliceSettings:
    """Return settings for a new window."""
    from napari_ouroboros.widgets.scene.settings import SliceSettings

    chosen = preferences()
    return SliceSettings(width=chosen.width, height=chosen.height)


def apply_memory() -> None:
    """Let decoded chunks take as much memory as the user allows."""
    from napari_ouroboros.volumes.streaming import shared_chunks

    shared_chunks().limit_bytes = preferences().memory_mb * 1_000_000
