"""Recent sources, looks of layers, voxel sizes, places of secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer import links
from napari_ouroboros.widgets.open.look import Look, look_of
from napari_ouroboros.widgets.open.recent import RecentSources, title, without_secrets
from napari_ouroboros.widgets.open.secrets import places
from napari_ouroboros.widgets.open.voxel_size import parse_voxel_size


def test_recent_sources_are_kept_newest_first(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "recent.json"
    recent = RecentSources(file, most=3)
    assert recent.sources() == []
    for source in ("a", "b", "c", "b", "d"):
        recent.add(source)
    assert RecentSources(file, most=3).sources() == ["d", "b", "c"]
    assert RecentSources(file, most=1).sources() == ["d"]
    RecentSources(file, most=0).add("e")
    assert not file.exists()


def test_recent_sources_survive_a_broken_file(tmp_path: Path) -> None:
    file = tmp_path / "recent.json"
    for content in ("{", '{"a": 1}', '["ok", 3]'):
        file.write_text(content)
        assert RecentSources(file).sources() in ([], ["ok"])
        RecentSources(file).add("new")
        assert RecentSources(file).sources()[0] == "new"


def test_a_home_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recent = RecentSources(tmp_path / "file" / "recent.json")
    recent.add("a")
    assert recent.sources() == []


def test_no_secret_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "recent.json"
    recent = RecentSources(file)
    state = {
        "layers": [{"name": "em", "source": "precomputed://https://me:s3cret@h.org/v?sig=abcd"}]
    }
    recent.add("precomputed://https://me:s3cret@h.org/v")
    recent.add("https://h.org/v?X-Amz-Signature=abcd")
    recent.add(links.make_link(state))
    text = file.read_text()
    assert "s3cret" not in text
    assert "abcd" not in text
    assert len(recent.sources()) == 3
    # The link still opens: what is in it is where the volume is.
    opened = links.read_link(recent.sources()[0])
    assert isinstance(opened, dict)
    assert opened["layers"][0]["source"] == "precomputed://https://h.org/v"


def test_a_state_named_in_the_query_is_kept_by_its_own_address() -> None:
    link = "https://site.org/view?json_url=https://h.org/state.json"
    assert without_secrets(link) == "https://h.org/state.json"


def test_titles_are_short_and_tell_both_ends() -> None:
    assert title("gs://bucket/volume") == "gs://bucket/volume"
    long = title("precomputed://gs://a-bucket/" + "x" * 200 + "/image")
    assert len(long) <= 60
    assert long.startswith("precomputed://gs://a-bucket")
    assert long.endswith("/image")


@pytest.mark.parametrize(
    ("raw", "look"),
    [
        ({}, Look()),
        ({"visible": False}, Look(visible=False)),
        ({"archived": True}, Look(visible=False)),
        ({"selectedAlpha": 0.25}, Look(opacity=0.25)),
        ({"selectedAlpha": 7}, Look()),
        ({"selectedAlpha": True}, Look()),
        (
            {"shaderControls": {"normalized": {"range": [10, 200]}}},
            Look(contrast_limits=(10.0, 200.0)),
        ),
        ({"shaderControls": {"normalized": {"range": [200, 10]}}}, Look()),
        ({"shaderControls": {"n": {"range": [0, "x"]}}}, Look()),
        (
            {"shader": "#uicontrol invlerp n(range=[100, 2e3], clamp=true)\nvoid main(){}"},
            Look(contrast_limits=(100.0, 2000.0)),
        ),
        ({"shader": "void main() {}"}, Look()),
        ({"shader": "#uicontrol invlerp n(range=[--, 1])"}, Look()),
    ],
    ids=range(12),
)
def test_the_look_of_a_layer(raw: dict[str, Any], look: Look) -> None:
    assert look_of(raw) == look


@pytest.mark.parametrize(
    ("text", "zyx"),
    [
        ("40, 8, 4", (40, 8, 4)),
        ("40 8 4", (40, 8, 4)),
        ("40 8 4 nm", (40, 8, 4)),
        ("0.04, 0.008, 0.004 um", (40, 8, 4)),
        ("0.04 um, 8 nm, 4", (40, 8, 4)),
        ("[40; 8; 4]", (40, 8, 4)),
        ("40 x 8 x 4", (40, 8, 4)),
    ],
)
def test_voxel_sizes(text: str, zyx: tuple[float, ...]) -> None:
    assert parse_voxel_size(text) == pytest.approx(zyx)


@pytest.mark.parametrize("text", ["", "8", "8, 8", "8, 8, 8, 8", "8, 8, x", "8, 8, 0", "a b c"])
def test_wrong_voxel_sizes(text: str) -> None:
    with pytest.raises(UserError) as error:
        parse_voxel_size(text)
    assert "\n" not in str(error.value)


def test_places_of_secrets_are_named_and_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    # What may not be read is still there.
    (folder / "aws-secret.json").write_text("s3cret")
    (folder / "mine-google-secret.json").write_text("s3cret")
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(Path, "read_text", None)
    monkeypatch.setattr(Path, "read_bytes", None)
    monkeypatch.setattr("builtins.open", None)
    found = {(place.path.name, place.there) for place in places()}
    monkeypatch.undo()
    assert ("aws-secret.json", True) in found
    assert ("mine-google-secret.json", True) in found
    assert ("netrc", False) in found
    assert ("cave-secret.json", False) in found or ("cave-secret.json", True) in found
