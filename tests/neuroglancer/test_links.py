"""Links, and the JSON behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import neuroglancer
import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_server import LocalServer
from neuroglancer.url_state import json_to_url_safe
from viewer_states import local, points, state

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.neuroglancer import links, make_link, read_state

_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text
    | st.text("'\"\\_,&#%+!{}[]()*~? ä", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_states = st.dictionaries(_text, _json, max_size=4)


@given(_states)
def test_links_of_ours_come_back(raw: dict[str, Any]) -> None:
    link = make_link(raw)
    assert links.is_link(link)
    fragment = link.split("#!", 1)[1]
    assert not set("!'()*;,# \"") & set(fragment)
    assert links.read_link(link) == raw


@given(_states)
def test_every_spelling_holds_the_same_state(raw: dict[str, Any]) -> None:
    text = json.dumps(raw)
    for fragment in (
        "!" + quote(text, safe=""),
        "!+" + quote(text),
        "!" + quote(text, safe="~@#$&()*!+=:;,.?/'"),  # as the neuroglancer package writes it
    ):
        assert links.read_link("https://host/path?query#" + fragment) == raw
        assert links.read_link("#" + fragment) == raw


@given(_states)
def test_old_safe_json(raw: dict[str, Any]) -> None:
    """By hand: ' quotes, _ commas; Neuroglancer's own writer breaks on some strings."""

    def safe(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + "_".join(f"{safe(k)}:{safe(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + "_".join(safe(v) for v in value) + "]"
        if isinstance(value, str):
            return "'" + json.dumps(value)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
        return json.dumps(value)

    assert links.read_link("https://h/#!" + quote(safe(raw))) == raw
    assert json.loads(links.plain_json(safe(raw))) == raw


def _viewer_state() -> neuroglancer.ViewerState:
    viewer = neuroglancer.ViewerState()
    viewer.dimensions = neuroglancer.CoordinateSpace(
        names=["x", "y", "z"], units="nm", scales=[8, 8, 40]
    )
    viewer.layers["em, _it's"] = neuroglancer.ImageLayer(source="precomputed://gs://b/p")
    viewer.layers["trace"] = neuroglancer.AnnotationLayer(
        source=neuroglancer.LayerDataSource(
            url="local://annotations",
            transform=neuroglancer.CoordinateSpaceTransform(output_dimensions=viewer.dimensions),
        ),
        annotations=[
            neuroglancer.PointAnnotation(id="a_b", point=[1, 2, 3]),
            neuroglancer.PointAnnotation(id="c,'d'", point=[4, 5, 6.5]),
        ],
    )
    return viewer


def test_links_of_the_neuroglancer_package() -> None:
    viewer = _viewer_state()
    wanted = [[120, 16, 8], [260, 40, 32]]
    url = neuroglancer.to_url(viewer)
    text = json.dumps(viewer.to_json(), separators=(",", ":"))
    for link in (
        url,
        url[url.index("#") :],
        "https://host/v/#!" + json_to_url_safe(text),
        "https://host/v/#!" + quote(json_to_url_safe(text)),
        "https://host/v/#!+" + quote(text),
    ):
        found = read_state(link)
        assert [layer.name for layer in found.layers] == ["em, _it's", "trace"]
        assert found.trace().points_nm.tolist() == wanted


def test_the_neuroglancer_package_reads_our_links() -> None:
    raw = _viewer_state().to_json()
    back = neuroglancer.parse_url(make_link(raw, "https://host/viewer#old"))
    assert back.to_json() == raw


def test_json_text_and_dict_are_states_too() -> None:
    raw = state(points([0, 0, 0], [1, 1, 1]), source=local({"x": [1e-8, "m"]}))
    assert read_state(json.dumps(raw)).raw == raw
    assert read_state(raw).raw == raw


@pytest.mark.parametrize("mark", ["#!", "#!middleauth+", ""])
def test_a_link_to_a_json_on_a_server(
    mark: str, tmp_path: Path, http_server: Callable[..., LocalServer]
) -> None:
    (tmp_path / "v1").mkdir()
    raw = state(points([0, 0, 0], [1, 2, 3]), image="precomputed://file://./here")
    (tmp_path / "v1" / "my state.json").write_text(json.dumps(raw))
    url = http_server(tmp_path).url + "/v1/my%20state.json"
    prefix = "https://viewer.example/v/" if mark else ""
    found = read_state(prefix + mark + url)
    assert found.trace().points_nm.tolist() == [[0, 0, 0], [120, 16, 8]]
    assert found.volume_source().url == f"precomputed://file://{Path.cwd().as_posix()}/here"
    assert read_state(f"https://viewer.example/?json_url={quote(url, safe='')}").raw == raw


def test_a_link_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(state([], image="precomputed://file://./here")))
    found = read_state(f"https://viewer.example/#!file://{path}")
    assert found.volume_source().url == f"precomputed://file://{tmp_path.as_posix()}/here"


def test_buckets_are_read_over_https() -> None:
    assert links.http_url("gs://b/p/s.json") == "https://storage.googleapis.com/b/p/s.json"
    assert links.http_url("s3://b/p/s.json") == "https://b.s3.amazonaws.com/p/s.json"
    assert links.http_url("middleauth+https://h/1") == "https://h/1"


def test_servers_that_do_not_deliver(
    tmp_path: Path, http_server: Callable[..., LocalServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "TIMEOUT", 1.0)
    server = http_server(tmp_path)
    (tmp_path / "page").write_text("<!doctype html><html>")
    (tmp_path / "text").write_text("nothing")
    for name in ("silent", "refused"):
        (tmp_path / name).write_text("{}")
    server.fault("silent", "silent")
    server.fault("refused", 403)
    for name, error, says in (
        ("absent", SourceError, "there is no state at"),
        ("silent", SourceError, "did not answer within 1 s"),
        ("refused", SourceError, "403"),
        ("page", UserError, "is a web page, not a state"),
        ("text", UserError, "is not JSON: line 1, column 1"),
    ):
        with pytest.raises(error, match=says) as caught:
            read_state(f"#!{server.url}/{name}?token=secret")
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    with pytest.raises(SourceError, match="log in there with a browser"):
        read_state(f"#!middleauth+{server.url}/refused")


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("https://h/#!", "nothing follows '#!'"),
        ("https://h/#", "nothing follows '#!'"),
        ("#!", "nothing follows '#!'"),
        ("https://h/#section", "neither JSON nor a URL"),
        ("https://h/#!%FF%FE", "not UTF-8"),
        ("https://h/#!%7B%22layers%22:[1,}", r"the state in this link is not JSON: line 1, column"),
        ("https://h/#!{}", "no list of layers"),
        ("https://h", "names no file"),
    ],
)
def test_bad_links(link: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        read_state(link)
    assert "\n" not in str(caught.value)
