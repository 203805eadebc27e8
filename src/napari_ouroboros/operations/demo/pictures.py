"""Pictures of a straightened nerve and of labels that came home: PNG files with scale bars.

Composed in numpy, pixel by pixel, so that nothing is resampled but where a voxel is not square;
matplotlib only sets the type. No pyplot: nothing global is touched and no display is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
Labels = NDArray[Any]

# Okabe & Ito 2008: told apart with any colour vision.
PALETTE = np.array(
    [
        (86, 180, 233),
        (230, 159, 0),
        (0, 158, 115),
        (240, 228, 66),
        (204, 121, 167),
        (213, 94, 0),
        (0, 114, 178),
    ],
    np.uint8,
)
PAPER = np.array((17, 18, 20), np.uint8)
INK = "#e8e8e8"
MARGIN = 24
GAP = 8
LINE = 20  # height of a line of text, pixels
_DPI = 100


@dataclass
class Sheet:
    """A picture in the making: pixels, and the words and bars to be laid on them."""

    pixels: RGB
    texts: list[tuple[float, float, str, float, str]] = field(default_factory=list)
    bars: list[tuple[float, float, float]] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, size: float = 10, align: str = "left") -> None:
        """Write at pixel (x, y), y down, the text's middle line."""
        self.texts.append((x, y, text, size, align))

    def scale_bar(self, right: float, bottom: float, width: float, nm_per_pixel: float) -> None:
        """Draw a bar of a round length, up to a quarter of `width` pixels, ending at a corner."""
        length = round_length(0.25 * width * nm_per_pixel)
        bar = length / nm_per_pixel
        self.bars.append((right - bar, bottom, bar))
        self.text(right - bar / 2, bottom - 14, length_text(length), 10, "center")

    def save(self, path: str | Path) -> None:
        """Write the PNG."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
        from matplotlib.patheffects import withStroke

        height, width = self.pixels.shape[:2]
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        FigureCanvasAgg(figure)
        figure.figimage(self.pixels)
        halo = [withStroke(linewidth=2.5, foreground="#000000b0")]
        for x, y, text, size, align in self.texts:
            figure.text(
                x / width, 1 - y / height, text, size=size * 0.75, color=INK, ha=align,
                va="center", path_effects=halo, family="DejaVu Sans",
            )  # fmt: skip
        for x, y, length in self.bars:
            corner, extent = (x / width, 1 - y / height), (length / width, 4 / height)
            bar = Rectangle(corner, *extent, facecolor=INK, edgecolor="#000000", linewidth=0.6)
            bar.set_transform(figure.transFigure)
            figure.add_artist(bar)
        figure.savefig(path, dpi=_DPI, metadata={"Software": "napari-ouroboros"})


def montage(
    path: str | Path,
    slices: NDArray[np.uint8],
    pitch_nm: float,
    *,
    labels: Labels | None = None,
    captions: Sequence[str] = (),
    title: str = "",
    columns: int = 4,
    zoom: int = 2,
) -> None:
    """Draw slices side by side.

    Parameters
    ----------
    path : path
        PNG to write.
    slices : uint8 array (n, rows, columns)
    pitch_nm : float
        Size of a pixel.
    labels : integer array (n, rows, columns), optional
        Drawn in colour over the slices; 0 is clear.
    captions : sequence of str
        One per slice.
    columns, zoom : int
        Slices in a row, and screen pixels per pixel.
    """
    n, height, width = slices.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    h, w = height * zoom + LINE * bool(captions), width * zoom
    top = _top(title)
    size = (
        top + rows * (h + GAP) - GAP + MARGIN,
        2 * MARGIN + columns * (w + GAP) - GAP,
    )
    sheet = _sheet(size, title)
    for i, plane in enumerate(slices):
        y, x = top + (i // columns) * (h + GAP), MARGIN + (i % columns) * (w + GAP)
        rgb = colour(
            enlarge(plane, (zoom, zoom)),
            None if labels is None else enlarge(labels[i], (zoom, zoom), nearest=True),
        )
        sheet.pixels[y : y + height * zoom, x : x + w] = rgb
        if captions:
            sheet.text(x + w / 2, y + height * zoom + LINE / 2, captions[i], 9.5, "center")
    first_bottom = top + height * zoom
    sheet.scale_bar(MARGIN + w - 10, first_bottom - 12, w, pitch_nm / zoom)
    sheet.save(path)


def longitudinal(
    path: str | Path,
    sections: Sequence[tuple[str, NDArray[np.uint8], Labels | None]],
    pitch_nm: float,
    spacing_nm: float,
    *,
    title: str = "",
    zoom: float = 2.0,
) -> None:
    """Draw sections along the straightened nerve, the first slice at the left.

    Parameters
    ----------
    sections : sequence of (caption, uint8 array (slices, n), labels or None)
        Labels of the same shape as the section.
    pitch_nm, spacing_nm : float
        Size of a pixel across and along the nerve; the picture's pixels are square.
    zoom : float
        Screen pixels per pixel across.
    """
    scale = (zoom, zoom * spacing_nm / pitch_nm)
    drawn = [
        (
            caption,
            colour(
                enlarge(section.T, scale),
                None if labels is None else enlarge(labels.T, scale, nearest=True),
            ),
        )
        for caption, section, labels in sections
    ]
    top = _top(title)
    height = sum(rgb.shape[0] + LINE + GAP for _, rgb in drawn) - GAP
    width = max(rgb.shape[1] for _, rgb in drawn)
    sheet = _sheet((top + height + MARGIN, width + 2 * MARGIN), title)
    y = top
    for caption, rgb in drawn:
        sheet.text(MARGIN, y + LINE / 2, caption, 10)
        y += LINE
        h, w = rgb.shape[:2]
        sheet.pixels[y : y + h, MARGIN : MARGIN + w] = rgb
        y += h + GAP
    sheet.scale_bar(MARGIN + width - 10, y - GAP - 12, width / 2, pitch_nm / zoom)
    sheet.save(path)


def overlay(
    path: str | Path,
    plane: NDArray[np.uint8],
    labels: Labels,
    pixel_nm: tuple[float, float],
    *,
    names: Sequence[tuple[int, str]] = (),
    title: str = "",
    beside: bool = True,
    zoom: float = 1.0,
) -> None:
    """Draw labels in colour over a plane of the original volume.

    Parameters
    ----------
    plane : uint8 array (rows, columns)
    labels : integer array (rows, columns)
        0 is clear.
    pixel_nm : (float, float)
        Height and width of a voxel in the plane; the picture's pixels are square.
    names : sequence of (label, text)
        Legend.
    beside : bool
        Show the plane without labels at the left.
    zoom : float
        Screen pixels per finest voxel edge.
    """
    finest = min(pixel_nm)
    scale = (zoom * pixel_nm[0] / finest, zoom * pixel_nm[1] / finest)
    grey, drawn = enlarge(plane, scale), enlarge(labels, scale, nearest=True)
    panels = ([colour(grey, None)] if beside else []) + [colour(grey, drawn)]
    h, w = grey.shape
    top = _top(title)
    size = (top + h + MARGIN + LINE * bool(names), 2 * MARGIN + len(panels) * (w + GAP) - GAP)
    sheet = _sheet(size, title)
    for i, panel in enumerate(panels):
        x = MARGIN + i * (w + GAP)
        sheet.pixels[top : top + h, x : x + w] = panel
    sheet.scale_bar(MARGIN + w - 12, top + h - 14, w, finest / zoom)
    step = (size[1] - 2 * MARGIN) / max(len(names), 1)
    for i, (label, text) in enumerate(names):
        x, y = MARGIN + i * step, top + h + LINE
        sheet.pixels[int(y) - 6 : int(y) + 6, int(x) : int(x) + 12] = colour_of(label)
        sheet.text(x + 18, y, text, 10)
    sheet.save(path)


def colour_of(labels: Any) -> NDArray[np.uint8]:
    """Return the colour (..., 3) of labels 1, 2, 3, ...; they come round again after 7."""
    return PALETTE[(np.asarray(labels).astype(np.uint64) - np.uint64(1)) % np.uint64(len(PALETTE))]


def colour(grey: NDArray[np.uint8], labels: Labels | None, alpha: float = 0.32) -> RGB:
    """Grey (rows, columns) -> RGB, labels as a tint with a line along their edges."""
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    if labels is None:
        return rgb
    inside = labels != 0
    edge = np.zeros_like(inside)
    for axis in (0, 1):
        differ = np.diff(labels, axis=axis) != 0
        near = [slice(None), slice(None)]
        near[axis] = slice(None, -1)
        edge[tuple(near)] |= differ
        near[axis] = slice(1, None)
        edge[tuple(near)] |= differ
    edge &= inside
    strength = np.where(edge, 0.95, alpha)[inside][:, None]
    blend = (1 - strength) * rgb[inside] + strength * colour_of(labels[inside])
    rgb[inside] = np.rint(blend).astype(np.uint8)
    return rgb


def enlarge(plane: NDArray[Any], scale: tuple[float, float], nearest: bool = False) -> NDArray[Any]:
    """Resample (rows, columns) by `scale`, edge to edge: linear for grey, nearest for labels."""
    size = [max(1, round(n * s)) for n, s in zip(plane.shape, scale, strict=True)]
    positions = [
        np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
        for m, n in zip(size, plane.shape, strict=True)
    ]
    if nearest:
        rows, columns = (np.rint(p).astype(int) for p in positions)
        return plane[np.ix_(rows, columns)]
    out = plane.astype(np.float32)
    for axis, p in enumerate(positions):
        low = np.minimum(p.astype(int), max(out.shape[axis] - 2, 0))
        high = np.minimum(low + 1, out.shape[axis] - 1)
        part = (p - low).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None]
        out = np.take(out, low, axis) * (1 - part) + np.take(out, high, axis) * part
    return np.rint(out).astype(plane.dtype)


def round_length(most_nm: float) -> float:
    """Return the largest of 1, 2, 5 x 10^k nm that is at most `most_nm`."""
    power = 10.0 ** np.floor(np.log10(most_nm))
    return float(max(f * power for f in (1.0, 2.0, 5.0) if f * power <= most_nm * (1 + 1e-9)))


def length_text(nm: float) -> str:
    """Return a length in the unit that reads best."""
    for unit, size in (("mm", 1e6), ("µm", 1e3)):
        if nm >= size:
            return f"{nm / size:g} {unit}"
    return f"{nm:g} nm"


def _top(title: str) -> int:
    return MARGIN + (LINE + GAP if title else 0)


def _sheet(size: tuple[int, int], title: str) -> Sheet:
    sheet = Sheet(np.broadcast_to(PAPER, (*size, 3)).copy())
    if title:
        sheet.text(MARGIN, MARGIN + LINE / 2 - 4, title, 13)
    return sheet
