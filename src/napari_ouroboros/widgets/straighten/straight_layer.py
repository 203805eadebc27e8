"""One layer of the straightened space, made from one layer of the main viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ouroboros.widgets.straighten.links import AppearanceLink
from napari_ouroboros.widgets.straighten.view import StraightView
from napari_ouroboros.widgets.streaming import pyramid_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.layers import LayerData
    from napari_ouroboros.widgets.scene import Scene
    from napari_ouroboros.widgets.straighten.content import Content
    from napari_ouroboros.widgets.straighten.volume_feed import VolumeFeed

_DIMMED = 0.4
_AXES = ("slice", "row", "column")


def kind_of(layer: Layer) -> str:
    """Return "image" or "labels"."""
    from napari.layers import Labels

    return "labels" if isinstance(layer, Labels) else "image"


class StraightLayer:
    """A straightened layer and what ties it to its volume layer.

    Parameters
    ----------
    scene : Scene
        The layer is added to ``scene.straight``.
    volume_layer : Layer
    source : VolumeFeed

    Attributes
    ----------
    layer : Layer
        The straightened one.
    """

    def __init__(self, scene: Scene, volume_layer: Layer, source: VolumeFeed) -> None:
        self.volume_layer, self.source = volume_layer, source
        self._straight = scene.straight
        self._name = str(volume_layer.name)
        self._opacity: float | None = None
        content = source.feed.content
        assert content is not None
        pyramid = pyramid_of(volume_layer)
        assert pyramid is not None
        colours = bool(getattr(volume_layer, "rgb", False))
        self._channel = None if content.channels == 1 or colours else volume_layer.data[0].channel
        self._view = StraightView(source.feed, content, self._channel)
        self.layer = self._make(content, colours)
        self._link = AppearanceLink(volume_layer, self.layer)
        if self._straight.dims.ndisplay == 3:
            self._show_coarse(content)  # or napari would read all of the view
        self._straight.add_layer(self.layer)
        volume_layer.events.name.connect(self._renamed)

    def _make(self, content: Content, colours: bool) -> Layer:
        from napari.layers import Image, Labels

        given: dict[str, Any] = {
            "name": _straightened(self._name),
            "scale": content.scale_nm,
            "units": ("nm",) * 3,
            "axis_labels": _AXES,
            "metadata": self._metadata(content),
            "projection_mode": "none",
            "opacity": self.volume_layer.opacity,
            "blending": self.volume_layer.blending,
            "multiscale": False,
        }
        if kind_of(self.volume_layer) == "labels":
            return Labels(self._view, **given)
        if colours:
            return Image(self._view, rgb=True, **given)
        return Image(
            self._view, rgb=False, contrast_limits=self.volume_layer.contrast_limits, **given
        )

    @property
    def channel(self) -> int | None:
        """Which of several channels it shows; None: the only one, or all as colours."""
        return self._channel

    @property
    def view(self) -> StraightView:
        """The array that the layer shows."""
        return self._view

    def as_in_2d(self) -> LayerData:
        """What another layer that shows the same slices is made of, be this one coarse in 3D."""
        data, meta, kind = self.layer.as_layer_data_tuple()
        content = self.source.feed.content
        if content is not None and self._straight.dims.ndisplay == 3:
            data = StraightView(self.source.feed, content, self._channel)
            about = {**self.layer.metadata, **self._metadata(content)}
            meta = {**meta, "scale": content.scale_nm, "metadata": about}
        return data, meta, kind

    def show(self) -> None:
        """Show the feed's content; the picture of before stands in until the new one is there."""
        content = self.source.feed.content
        if content is None:
            return
        layer = self.layer
        if self._straight.dims.ndisplay == 3:
            self._show_coarse(content)
            return
        self.source.coarse.stop()
        layer.metadata = {**layer.metadata, **self._metadata(content)}
        if layer.data is self._view and content.shape == self._view.content.shape:
            self._view.content = content
            self.refresh()
        else:
            self._view = StraightView(self.source.feed, content, self._channel)
            layer.data = self._view
        if tuple(layer.scale) != tuple(content.scale_nm):
            layer.scale = content.scale_nm

    def _show_coarse(self, content: Content) -> None:
        """Three dimensions: an array in memory in place of the view, which would be far larger."""
        picture = self.source.coarse.show(content)
        data = picture.data if self._channel is None else picture.data[..., self._channel]
        self.note(steps=picture.steps)
        # napari looks at both, one after the other: the smaller extent first.
        self.layer.data = data
        if tuple(self.layer.scale) != picture.scale_nm:
            self.layer.scale = picture.scale_nm

    def refresh_3d(self) -> None:
        """Show more of the whole."""
        content = self.source.feed.content
        if content is not None and self._straight.dims.ndisplay == 3:
            self._show_coarse(content)

    def refresh(self) -> None:
        """Show what the feed has now."""
        if self._straight.dims.ndisplay == 3:
            return
        shown = self.source.feed.shown
        # A thumbnail for each step of a drag would cost more than the picture.
        done = shown is not None and shown.is_sharp and not self.source.feed.is_stale
        self.layer.refresh(extent=False, highlight=False, thumbnail=done)

    def dim(self, dim: bool) -> None:
        """Show that the picture is not of this moment, or that it is again."""
        if dim:
            self._opacity = float(self.layer.opacity)
            self.layer.opacity = _DIMMED * self._opacity
        elif self._opacity is not None:
            if abs(self.layer.opacity - _DIMMED * self._opacity) < 1e-6:
                self.layer.opacity = self._opacity  # else the user has chosen another
            self._opacity = None

    def note(self, **facts: Any) -> None:
        """Add facts to the layer's metadata."""
        ours = {**self.layer.metadata.get("napari-ouroboros", {}), **facts}
        self.layer.metadata = {**self.layer.metadata, "napari-ouroboros": ours}

    def close(self) -> None:
        """Untie it and take the layer away."""
        self.volume_layer.events.name.disconnect(self._renamed)
        self._link.close()
        if self.layer in self._straight.layers:
            self._straight.layers.remove(self.layer)

    def _renamed(self) -> None:
        """Follow the volume's name, unless the user gave the straightened layer another."""
        before, self._name = self._name, str(self.volume_layer.name)
        if self.layer.name == _straightened(before):
            self.layer.name = _straightened(self._name)

    def _metadata(self, content: Content) -> dict[str, Any]:
        about = {"url": self.source.volume.url, "mip": content.mips[0], **content.about}
        return {"napari-ouroboros": about}


def _straightened(name: str) -> str:
    return f"straightened {name}"
