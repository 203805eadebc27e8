"""What a volume and its straightened layer share while both are there: contrast and colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer

#: Shared attributes by the kind of layer; each has an event of its name.
_SHARED = {"image": ("contrast_limits", "gamma", "colormap"), "labels": ("colormap",)}


class AppearanceLink:
    """Keeps the appearance of two layers equal, whichever of them the user changes.

    Parameters
    ----------
    volume, straightened : Layer
        Of the same kind; the second takes the first's appearance at once.
    names : sequence of str, optional
        What they share, each with an event of its name; contrast and colours if not given.
    """

    def __init__(
        self, volume: Layer, straightened: Layer, names: Sequence[str] | None = None
    ) -> None:
        self._layers = (volume, straightened)
        self._copying = False
        self._names = tuple(_SHARED.get(str(volume._type_string), ()) if names is None else names)
        if getattr(volume, "rgb", False):
            self._names = ()
        for name in self._names:
            self._copy(name, volume, straightened)
            getattr(volume.events, name).connect(self._volume_changed)
            getattr(straightened.events, name).connect(self._straightened_changed)

    def close(self) -> None:
        """Each keeps what it has."""
        volume, straightened = self._layers
        for name in self._names:
            getattr(volume.events, name).disconnect(self._volume_changed)
            getattr(straightened.events, name).disconnect(self._straightened_changed)
        self._names = ()

    def _volume_changed(self, event: Any) -> None:
        self._copy(event.type, *self._layers)

    def _straightened_changed(self, event: Any) -> None:
        self._copy(event.type, *reversed(self._layers))

    def _copy(self, name: str, source: Layer, target: Layer) -> None:
        if self._copying or name not in self._names:
            return
        value = getattr(source, name)
        if value is getattr(target, name):
            return
        self._copying = True
        try:
            if name == "contrast_limits":
                # The slider's range first: limits beyond it would be cut.
                target.contrast_limits_range = source.contrast_limits_range
            setattr(target, name, value)
        finally:
            self._copying = False
