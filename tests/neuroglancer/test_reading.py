"""Reading a state: files, layers, sources."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from viewer_states import points, state

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer import read_state


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{\n "layers": [\n  {"name": }\n ]\n}', "is not JSON: line 3, column 12"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"[1, 2]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b'{"a": 1}', "is not a Neuroglancer state: it has no list of layers"),
        (b'{"layers": 3}', "is not a Neuroglancer state: it has no list of layers"),
        (b'{"layers": [3]}', "layer 0 is not an object"),
        (b'{"layers": {"a": 3}}', "layer 0 is not an object"),
        (b'{"layers": [{"name": 3}]}', "the name of layer 0 is not text"),
        (b'{"layers": [{"name": "a", "source": 3}]}', "layer 'a': a source must be a URL"),
        (b'{"layers": [{"name": "a", "source": {}}]}', "layer 'a': a source must be a URL"),
        (b'{"layers": [{"name": "a", "source": "x://y"}]}', "layer 'a': 'x://' is no format"),
        (b'{"layers": [], "dimensions": [1]}', "dimensions must look like"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number that is too long"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:44]),
)
def test_bad_files(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        read_state(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value) or "layer 'a'" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for source in (tmp_path / "no.json", str(tmp_path / "no.json"), f"file://{tmp_path}/no.json"):
        with pytest.raises(UserError, match=rf"^there is no file {tmp_path}/no.json$"):
            read_state(source)
    with pytest.raises(UserError, match="is a folder; give the JSON file"):
        read_state(tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        read_state(tmp_path / ("n" * 300))
    with pytest.raises(UserError, match="cannot read"):
        read_state("a\0b")


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(state([])).encode())
    assert len(read_state(path).layers) == 2


def test_relative_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the state file's folder; from the working directory for a dict and a link."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    raw = state([], image="precomputed://file://../v")
    (there / "state.json").write_text(json.dumps(state([], image="file://./v")))
    wanted = f"precomputed://file://{tmp_path.as_posix()}"
    assert read_state("../there/state.json").volume_source().url == f"{wanted}/there/v"
    assert read_state(raw).volume_source().url == f"{wanted}/v"
    link = "https://h/#!" + json.dumps(raw)
    assert read_state(link).volume_source().url == f"{wanted}/v"


def layers_of(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"layers": list(entries)}


def test_layer_types() -> None:
    found = read_state(
        layers_of(
            {"name": "a", "type": "image", "source": "gs://b/a"},
            {"name": "b", "type": "segmentation", "source": "gs://b/b"},
            {"name": "c", "source": "gs://b/c"},
            {"name": "d", "source": "gs://b/d", "segments": ["1"]},
            {"name": "e", "annotations": []},
            {"name": "f", "type": "annotation"},
            {"name": "g", "type": "mesh", "source": "gs://b/g"},
            {"name": "h", "type": "new", "source": ""},
            {"name": "i", "type": "image", "source": ""},
        )
    )
    assert [layer.name for layer in found.image_layers] == ["a", "b", "c", "d", "i"]
    assert [layer.name for layer in found.annotation_layers] == ["e", "f"]
    assert found.layer("d").kind == "segmentation"
    with pytest.raises(UserError, match=r"^no layer 'x'; the layers are: 'a', 'b', 'c'"):
        found.layer("x")
    with pytest.raises(UserError, match="layer 'i' has no source that is a volume"):
        found.volume_source("i")


def test_the_volume_among_several_sources() -> None:
    mesh = "precomputed://gs://b/seg/mesh"
    for sources in (
        ["gs://b/seg", "precomputed://gs://b/m#type=mesh"],
        [mesh, "gs://b/seg"],
        [{"url": "gs://b/seg"}, {"url": "gs://b/other", "enableDefaultSubsources": False}],
        [
            {
                "url": "gs://b/seg",
                "enableDefaultSubsources": False,
                "subsources": {"default": True},
            },
            {"url": "gs://b/other", "subsources": {"default": False}},
            {"url": "gs://b/more", "subsources": {"default": {"enabled": False}, "mesh": True}},
        ],
        ["gs://b/seg", "precomputed://gs://b/segment_properties", "local://equivalences"],
        ["gs://b/seg", "precomputed://https://h/multires_meshes", "gs://b/skeletons_32"],
    ):
        found = read_state(layers_of({"name": "s", "type": "segmentation", "source": sources}))
        assert found.volume_source().url == "precomputed://gs://b/seg"
    only = read_state(layers_of({"name": "s", "type": "image", "source": mesh}))
    assert only.volume_source().url == mesh
    two = layers_of({"name": "s", "type": "image", "source": ["gs://b/a", "https://u:pw@h/b?k=v"]})
    with pytest.raises(UserError, match=r"layer 's' has several volumes") as caught:
        read_state(two).volume_source()
    assert "precomputed://gs://b/a, precomputed://https://h/b;" in str(caught.value)


def test_the_transform_of_the_chosen_source() -> None:
    transform = {"outputDimensions": {"x": [1, "nm"], "y": [2, "nm"], "z": [3, "nm"]}}
    sources = ["gs://b/mesh", {"url": "gs://b/seg", "transform": transform}]
    found = read_state(layers_of({"name": "s", "type": "segmentation", "source": sources}))
    chosen = found.volume_source().transform
    assert chosen is not None
    assert [d.nm for d in chosen.output] == [1, 2, 3]


def test_layers_of_one_name() -> None:
    twice = {"name": "s", "type": "image", "source": "gs://b/a"}
    with pytest.raises(UserError, match="2 image layers are called 's'"):
        read_state(layers_of(twice, twice)).volume_source("s")


def test_credentials_are_not_shown() -> None:
    raw = state(points([1, 2, 3]), image="precomputed://https://me:secret@h/p?key=secret")
    found = read_state(raw)
    volume = found.volume_source()
    assert "secret" in volume.url
    shown = repr(found) + repr(volume) + json.dumps(found.describe()) + volume.shown
    assert "secret" not in shown


def test_description() -> None:
    raw = state(points([1, 2, 3], [4, 5, 6]), points=[[1, 2, 3]])
    raw["layers"][1]["annotations"].append({"type": "line"})
    summary = read_state(raw).describe()
    assert json.loads(json.dumps(summary)) == {
        "origin": "the state",
        "dimensions": {"x": [8, "nm"], "y": [8, "nm"], "z": [40, "nm"]},
        "layers": [
            {"name": "em", "type": "image", "sources": ["precomputed://gs://b/p"]},
            {
                "name": "trace",
                "type": "annotation",
                "sources": ["local://annotations"],
                "annotations": {"point": 3, "line": 1},
            },
        ],
    }


def test_reading_imports_no_heavy_library(em_state: Path) -> None:
    code = (
        "import sys; from napari_ouroboros import read_state\n"
        f"read_state({str(em_state)!r}).trace(); "
        "heavy = {'cloudvolume', 'tensorstore', 'dask', 'numba', 'scipy', 'neuroglancer', "
        "'tifffile', 'napari', 'qtpy'} & set(sys.modules); print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
