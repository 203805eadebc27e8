"""Strips as one picture: grey values through contrast and colours, labels over them. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.widgets.straighten.strip_feed import Strip

_STEPS = 256


def picture(strips: Sequence[Strip], width: int, height: int) -> NDArray[np.uint8]:
    """Return (height, width, 4) RGBA: slices from left to right, opaque.

    Parameters
    ----------
    strips : sequence of Strip
        The lowest first.
    width, height : int
        Pixels.
    """
    out = np.zeros((height, width, 3), np.float32)
    for strip in strips:
        if not strip.layer.visible:
            continue
        n = strip.map.shape[0]
        # The pixel's middle, as a slice, as a row of the strip.
        slices = (np.arange(width) + 0.5) * n / width
        along = np.minimum((slices / strip.step).astype(np.intp), len(strip.data) - 1)
        across_n = strip.data.shape[1]
        across = np.minimum(((np.arange(height) + 0.5) * across_n / height).astype(np.intp),
                            across_n - 1)  # fmt: skip
        part = np.swapaxes(strip.data[np.ix_(along, across)], 0, 1)
        colours = coloured(part, strip.layer)
        alpha = colours[..., 3:] * np.float32(strip.layer.opacity)
        out = colours[..., :3] * alpha + out * (1 - alpha)
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., :3] = np.clip(np.rint(out * 255), 0, 255)
    return rgba


def coloured(data: NDArray[Any], layer: Layer) -> NDArray[np.float32]:
    """Return (..., 4) RGBA of 0 to 1: values as napari shows them in a layer."""
    if data.ndim == 3:  # colours already
        rgb = data.astype(np.float32) / np.float32(255 if data.dtype == np.uint8 else 1)
        if rgb.shape[-1] == 4:
            return rgb
        return np.concatenate([rgb, np.ones((*rgb.shape[:-1], 1), np.float32)], axis=-1)
    if not hasattr(layer, "contrast_limits"):
        ids, where = np.unique(data, return_inverse=True)
        table = np.asarray(layer.colormap.map(ids), np.float32).reshape(-1, 4)
        return table[where.reshape(data.shape)]
    low, high = (float(x) for x in layer.contrast_limits)
    table = np.asarray(
        layer.colormap.map(np.linspace(0, 1, _STEPS) ** float(layer.gamma)), np.float32
    )
    share = np.clip((data.astype(np.float32) - low) / ((high - low) or 1.0), 0, 1)
    index = np.nan_to_num(share * (_STEPS - 1)).astype(np.intp)
    return np.asarray(table[index], np.float32)
