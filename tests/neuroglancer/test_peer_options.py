"""Options files of Ouroboros."""

from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from viewer_states import dims, points, state

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer import read_state
from napari_ouroboros.neuroglancer.peer_options import is_slice_options, read_slice_options

Level = namedtuple("Level", "resolution")
LEVELS = [Level((40, 8, 8)), Level((40, 16, 16)), Level((80, 32, 32))]

FULL = {
    "slice_width": 120,
    "slice_height": 50,
    "output_file_folder": "./output/",
    "output_file_name": "sample",
    "neuroglancer_json": "state.json",
    "neuroglancer_image_layer": "em",
    "neuroglancer_annotation_layer": "trace",
    "slicing_params": {
        "dist_between_slices": 1.5,
        "use_adaptive_slicing": True,
        "adaptive_slicing_ratio": 0.5,
    },
    "bounding_box_params": {"max_depth": 10, "target_slices_per_box": 128},
    "annotation_mip_level": 2,
    "output_mip_level": 1,
    "make_single_file": True,
    "connect_start_and_end": True,
    "flush_cache": False,
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "my-slice-options.json"
    raw = {key: value for key, value in {**FULL, **changes}.items() if value is not ...}
    path.write_text(json.dumps(raw))
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    options = read_slice_options(write(tmp_path))
    assert (options.width, options.height) == (120, 50)
    assert options.state == str(tmp_path / "state.json")
    assert (options.image_layer, options.annotation_layer) == ("em", "trace")
    assert options.output == tmp_path / "output" / "sample"
    assert options.closed
    assert options.pitch_nm(LEVELS) == 16
    assert options.spacing_nm(LEVELS) == 24
    assert options.adaptive_radius_nm(LEVELS) == 65 * 16  # 120, 50, 130: half of the diagonal
    assert options.ignored_line == (
        "ignored in the options file: bounding_box_params, make_single_file, flush_cache, "
        "slicing_params.adaptive_slicing_ratio"
    )
    # The dimensions of the state say 1 nm; its numbers are voxels of mip 2.
    rows = [[1, 2, 3], [4, 5, 6.5], [7, 7, 7]]
    raw = state(points(*rows), dimensions=dims(1, 1, 1))
    (tmp_path / "state.json").write_text(json.dumps(raw))
    trace = options.trace(read_state(options.state), LEVELS)
    assert trace.points_nm.tolist() == [[240, 64, 32], [520, 160, 128], [560, 224, 224]]
    assert trace.closed


def test_defaults_of_the_peer(tmp_path: Path) -> None:
    few = {key: ... for key in FULL if key not in ("slice_width", "slice_height")}
    options = read_slice_options(write(tmp_path, **{**few, "neuroglancer_json": "s.json"}))
    assert options.dist_between_slices == 1
    assert options.adaptive
    assert not options.closed
    assert (options.mip, options.annotation_mip) == (0, 0)
    assert (options.image_layer, options.annotation_layer) == (None, None)
    assert options.output is None
    assert options.ignored_line == ""


def test_older_files(tmp_path: Path) -> None:
    """The distance on its own, and no adaptive slicing."""
    path = write(tmp_path, slicing_params=..., dist_between_slices=3, neuroglancer_image_layer="")
    options = read_slice_options(path)
    assert options.dist_between_slices == 3
    assert not options.adaptive
    assert options.adaptive_radius_nm(LEVELS) is None
    assert options.image_layer is None


def test_windows_paths(tmp_path: Path) -> None:
    for spelling, wanted in (
        (r"sub\state.json", "sub/state.json"),
        (r".\sub\..\state.json", "state.json"),
        (r"C:\Users\me\state.json", "state.json"),
        ("D:/data/state.json", "state.json"),
        (r"\\server\share\state.json", "state.json"),
    ):
        path = write(tmp_path, neuroglancer_json=spelling, output_file_folder=r"out\here")
        options = read_slice_options(path)
        assert options.state == str(tmp_path / wanted)
        assert options.output == tmp_path / "out" / "here" / "sample"
    (tmp_path / r"a\b.json").write_text("{}")
    odd = read_slice_options(write(tmp_path, neuroglancer_json=r"a\b.json"))
    assert odd.state == str(tmp_path / r"a\b.json")


def test_links_stay_links(tmp_path: Path) -> None:
    link = "https://viewer.example/#!%7B%7D"
    assert read_slice_options(write(tmp_path, neuroglancer_json=link)).state == link


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"slice_width": ...}, "is not an Ouroboros options file: it has no slice_width"),
        ({"slice_width": 0}, "slice_width must be a whole number of 1 or more; it is 0"),
        ({"slice_height": 2.5}, "slice_height must be a whole number"),
        ({"slice_height": True}, "slice_height must be a whole number"),
        ({"neuroglancer_json": ...}, "it has no neuroglancer_json"),
        ({"neuroglancer_json": ""}, "neuroglancer_json must be the path"),
        ({"neuroglancer_json": 3}, "neuroglancer_json must be text; it is 3"),
        ({"output_mip_level": -1}, "output_mip_level must be a whole number of 0 or more"),
        ({"connect_start_and_end": "yes"}, "connect_start_and_end must be true or false"),
        ({"slicing_params": 3}, "slicing_params must be an object; it is 3"),
        ({"slicing_params": {"dist_between_slices": 0}}, "must be a number above 0; it is 0"),
        ({"slicing_params": {"use_adaptive_slicing": 1}}, "must be true or false; it is 1"),
    ],
)
def test_bad_files(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_slice_options(write(tmp_path, **changes))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        read_slice_options(tmp_path / "no.json")
    (tmp_path / "broken.json").write_text("{\n1}")
    with pytest.raises(UserError, match=r"broken.json is not JSON: line 2, column 1"):
        read_slice_options(tmp_path / "broken.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(UserError, match="so it is not an Ouroboros options file"):
        read_slice_options(tmp_path / "list.json")
    assert is_slice_options(FULL)
    assert not is_slice_options(state([]))


def test_levels_that_are_not_there(tmp_path: Path) -> None:
    options = read_slice_options(write(tmp_path, output_mip_level=3, annotation_mip_level=4))
    with pytest.raises(UserError, match="output_mip_level is 3, but the volume has the levels 0"):
        options.pitch_nm(LEVELS)
    with pytest.raises(UserError, match="annotation_mip_level is 4"):
        options.trace(read_state(state(points([1, 2, 3], [4, 5, 6]))), LEVELS)
