"""The demo nerve for napari's File > Open Sample: made once, then kept in the user's cache."""

from __future__ import annotations

from napari_ouroboros.layers import LayerData


def demo_nerve() -> list[LayerData]:
    """Return an image of a phantom nerve, the true labels of its fascicles, and its trace.

    In a window where the nerve has to be made first, the Open dock does that, with progress and
    Cancel.
    """
    from napari_ouroboros.widgets.open import demo_scene

    return demo_scene.demo_nerve()


def open_demo_scene() -> list[LayerData]:
    """Arrange all docks and open the nerve in them; return a layer that stands for it meanwhile.

    Raises
    ------
    UserError
        There is no window.
    """
    from napari_ouroboros.widgets.open import demo_scene

    return demo_scene.open_demo_scene()
