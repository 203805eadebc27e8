"""Pictures of the running window for the docs: what a person sees at each step of the story.

``python tools/display.py -- python tools/screenshots.py`` writes ``docs/images/window-*.png``,
1366 x 768, dark, and one light. The volume is the demo nerve, served as a slow server would.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
IMAGES = REPOSITORY / "docs" / "images"


def grab(name: str) -> None:
    """Write what the display shows now, in 256 colours."""
    from PIL import Image, ImageGrab

    picture = ImageGrab.grab(xdisplay=os.environ["DISPLAY"]).convert("RGB")
    # All hues there are, not only the grey ones of most pixels; then the nearest to each pixel.
    few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    few.save(IMAGES / f"window-{name}.png", optimize=True)


def tell(viewer: Any, served: Any, folder: Path) -> None:
    """Go through the story and take a picture after each step."""
    from labels_story import LabelsStory
    from real_events import Person

    story = LabelsStory(viewer, Person(), served)
    story.open_all_docks()
    grab("empty")
    story.open_by_link(served.link_of("em", "trace"))
    story.settled()
    grab("opened")
    n = len(story.truth()[0].frames)
    story.go_to_slice(n // 2)
    story.settled()
    story.check_cursor((0.5, 0.5))
    grab("traced")
    story.flip()
    story.settled()
    grab("flipped")
    story.flip()
    story.straighten_to(folder / "nerve.tif")
    story.settled()
    grab("straightened")
    label(story)
    story.person.click(story.middle_of_canvas)
    story.person.key("Control-Y")
    story.wait_for_3d()
    grab("in-3d")
    story.person.key("Control-Y")
    viewer.theme = "light"
    story.settled()
    grab("light")


def label(story: Any) -> None:
    """Paint two fascicles in a few slices, fill between them, and have all slices checked."""
    from napari_ouroboros.widgets.qa import QaDock

    story.new_labels()
    k = story.scene.place.slice_index
    story.flip()
    story.take_brush(24, 1)
    story.paint_slices(dict.fromkeys(range(k - 16, k + 17, 8), (57, 20)))
    story.entry.layer.selected_label = 2
    story.paint_slices(dict.fromkeys(range(k + 16, k - 17, -8), (24, 74)))
    story.flip()
    story.interpolate()
    story.go_to_slice(k)
    story.look_at_plane(k, (57, 20))
    grab("painted")
    dock = story.bring_to_front(QaDock)
    dock.path.quantity.setCurrentText("Diameter of the labels")
    story.go_to_slice(k + 30)
    story.settled()
    grab("qa")


def main() -> None:
    import napari
    from npe2 import PluginManager, PluginManifest
    from scene_server import demo_folder, served

    import napari_ouroboros

    manager = PluginManager.instance()
    if "napari-ouroboros" not in manager:
        manifest = Path(napari_ouroboros.__file__).with_name("napari.yaml")
        manager.register(PluginManifest.from_file(manifest))
    with tempfile.TemporaryDirectory() as folder:
        viewer = napari.Viewer(show_welcome_screen=False)
        viewer.theme = "dark"
        viewer.window._qt_window.setGeometry(0, 0, 1366, 768)
        with served(demo_folder(Path(folder))) as scene:
            tell(viewer, scene, Path(folder))
            viewer.close()


if __name__ == "__main__":
    sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "gui")]
    os.environ["NAPARI_OUROBOROS_RECOVERY"] = tempfile.mkdtemp()
    os.environ.setdefault("NAPARI_CONFIG", str(Path(tempfile.mkdtemp()) / "napari.yaml"))
    IMAGES.mkdir(parents=True, exist_ok=True)
    main()
