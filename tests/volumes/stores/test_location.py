"""Every spelling of an address means the same folder; what is not supported is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.stores.location import parse_location

FORMATS = ["precomputed", "zarr", "zarr2", "zarr3", "n5"]


@pytest.mark.parametrize(
    "spelling",
    [
        "{}", "{}/", "file://{}", "file://localhost{}", "file://{}/", " {} ",
    ],
)  # fmt: skip
def test_folders_that_do_not_say_their_format(tmp_path: Path, spelling: str) -> None:
    folder = tmp_path / "a volume+1"
    folder.mkdir()
    location = parse_location(spelling.format(folder))
    assert location.local
    assert location.store == "file"
    assert location.format == "auto"
    assert location.base == str(folder)
    assert location.url == f"file://{folder}"
    assert parse_location(location.url) == location
    assert parse_location(folder) == location
    assert location.shown("info") == f"file://{folder}/info"


@pytest.mark.parametrize(
    "spelling",
    [
        "{}/info", "precomputed://file://{}", "precomputed://{}", "file://{}/info",
        "file://{}|neuroglancer-precomputed:", "{}|neuroglancer-precomputed:",
        "file://{}/|neuroglancer-precomputed:/", "precomputed://{}|neuroglancer-precomputed:",
    ],
)  # fmt: skip
def test_precomputed_folders(tmp_path: Path, spelling: str) -> None:
    folder = tmp_path / "a volume+1"
    folder.mkdir()
    (folder / "info").write_text("{}")
    location = parse_location(spelling.format(folder))
    assert location == parse_location(folder).with_format("precomputed")
    assert location.url == f"precomputed://file://{folder}"
    assert parse_location(location.url) == location


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("info", "precomputed"), ("zarr.json", "zarr3"), (".zarray", "zarr2"), (".zgroup", "zarr2"),
        (".zattrs", "zarr2"), ("attributes.json", "n5"),
    ],
)  # fmt: skip
def test_the_address_of_a_metadata_file_says_the_format(
    tmp_path: Path, name: str, format: str
) -> None:
    assert parse_location(tmp_path / name).base == str(tmp_path / name)  # no such file: a folder
    (tmp_path / name).touch()
    for place in (f"{tmp_path}", "https://h/a", "gs://b/a", "s3://b", "s3+https://h/b/a"):
        location = parse_location(f"{place}/{name}")
        assert location == parse_location(place).with_format(format)  # type: ignore[arg-type]


def test_an_escaped_folder(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert parse_location((tmp_path / "a b").as_uri()).base == str(tmp_path / "a b")
    (tmp_path / "a%20b").mkdir()  # what is there as it is written comes first
    assert parse_location((tmp_path / "a b").as_uri()).base == str(tmp_path / "a%20b")


def test_relative_folders_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert parse_location("x/../v").base == str(tmp_path / "v")
    assert parse_location(Path("v")).base == str(tmp_path / "v")
    assert parse_location("~/v").base == str(tmp_path / "v")


@pytest.mark.parametrize(
    "spelling",
    [
        "https://h.org/a/b", "https://h.org/a/b/", "HTTPS://H.org/a/b", "https://h.org/a/b#part",
    ],
)  # fmt: skip
def test_servers(spelling: str) -> None:
    location = parse_location(spelling)
    assert not location.local
    assert location.store == "http"
    assert location.base == "https://h.org/a/b"
    assert location.url == "https://h.org/a/b"
    assert location.child("s0/").shown(".zarray") == "https://h.org/a/b/s0/.zarray"


@pytest.mark.parametrize(
    "spelling",
    [
        "precomputed://https://h.org/a/b", "https://h.org/a/b/|neuroglancer-precomputed:",
        "https://h.org/a/b/info", "PRECOMPUTED://HTTPS://H.org/a/b",
        "https://h.org/a/|neuroglancer-precomputed:b/",
        "https://h.org/a/b|neuroglancer-precomputed:#type=skeleton",
    ],
)  # fmt: skip
def test_precomputed_on_servers(spelling: str) -> None:
    assert parse_location(spelling).url == "precomputed://https://h.org/a/b"


@pytest.mark.parametrize(
    ("spelling", "store", "url"),
    [
        ("gs://b/p", "gs", "gs://b/p"),
        ("gs://b/p/", "gs", "gs://b/p"),
        ("gs+xml://b/p", "gs", "gs://b/p"),
        ("gs://b", "gs", "gs://b"),
        ("precomputed://gs://b/p", "gs", "precomputed://gs://b/p"),
        ("gs://b/p|neuroglancer-precomputed:", "gs", "precomputed://gs://b/p"),
        ("gs://b/p/|zarr:", "gs", "zarr://gs://b/p"),
        ("gs://b/p.zarr/|zarr2:in/side/", "gs", "zarr2://gs://b/p.zarr/in/side"),
        ("s3://b/p|zarr3:", "s3", "zarr3://s3://b/p"),
        ("n5://s3://b/p", "s3", "n5://s3://b/p"),
        ("s3://b/p|n5:", "s3", "n5://s3://b/p"),
        ("s3+https://h:9/b/p", "s3", "s3+https://h:9/b/p"),
        ("s3+http://h/b/p|zarr2:", "s3", "zarr2://s3+http://h/b/p"),
        ("s3://https://h/b/p", "s3", "s3+https://h/b/p"),
        ("zarr://https://h/x?dimension_separator=/", "http", "zarr://https://h/x"),
        ("graphene://https://h/segmentation/table/t", "http", None),
        ("graphene://middleauth+https://h/segmentation/table/t", "http", None),
        ("precomputed://middleauth+https://h/p", "http", None),
    ],
)
def test_buckets_and_formats(spelling: str, store: str, url: str | None) -> None:
    location = parse_location(spelling)
    assert location.store == store
    assert location.url == (url or spelling)
    assert location.query == ""
    assert parse_location(location.url) == location


def test_a_cave_login_is_told_apart() -> None:
    location = parse_location("middleauth+https://h/p")
    assert location.middleauth
    assert location.base == "https://h/p"
    assert location.shown("info") == "middleauth+https://h/p/info"


@pytest.mark.parametrize(
    ("spelling", "timestamp"),
    [
        ("table/t", None),
        ("table/t/", None),
        ("table/t/info", None),
        ("1.0/t", None),
        ("api/v1/t", None),
        ("api/v1/table/t", None),
        ("table/t?timestamp=1700000000", 1_700_000_000),
        ("table/t/?timestamp=1700000000.5", 1_700_000_001),
        ("table/t?timestamp=2023-11-14T22:13:20Z", 1_700_000_000),
        ("table/t?timestamp=2023-11-14T23:13:20%2B01:00", 1_700_000_000),
        ("table/t?timestamp=2023-11-14T22:13:20", 1_700_000_000),
    ],
)
def test_graphene_tables(spelling: str, timestamp: int | None) -> None:
    location = parse_location(f"graphene://https://h/segmentation/{spelling}")
    url = "graphene://https://h/segmentation/table/t"
    assert location.url == (url if timestamp is None else f"{url}?timestamp={timestamp}")
    assert location.timestamp == timestamp
    assert parse_location(location.url) == location
    assert location.shown("info") == "https://h/segmentation/table/t/info"


@given(
    st.sampled_from(FORMATS),
    st.sampled_from(["gs://b", "s3://b", "https://h.org", "s3+https://h/b", "file://"]),
    st.text("abc0._-", min_size=1, max_size=8).filter(lambda name: name.strip(".")),
)
def test_the_old_and_the_new_spelling_agree(format_: str, store: str, name: str) -> None:
    step = {"precomputed": "neuroglancer-precomputed"}.get(format_, format_)
    old = parse_location(f"{format_}://{store}/{name}")
    assert old == parse_location(f"{store}/{name}|{step}:")
    assert old.format == format_
    assert parse_location(old.url) == old


def test_secrets_are_kept_and_not_shown() -> None:
    location = parse_location("https://ada:p%40ss@h.org:8443/a?sig=x%2Fy&t=1")
    assert location.user == ("ada", "p@ss")
    assert location.query == "sig=x%2Fy&t=1"
    assert location.url == "https://h.org:8443/a"
    assert "p@ss" not in repr(location)
    assert "sig" not in repr(location)


@pytest.mark.parametrize(
    ("url", "base", "query"),
    [
        ("http://h/my volume?a=b c", "http://h/my%20volume", "a=b%20c"),
        ("http://h/my%20volume?a=b%20c", "http://h/my%20volume", "a=b%20c"),
        ("http://h/Zürich/50%", "http://h/Z%C3%BCrich/50%", ""),
        ("http://bücher.org/x", "http://xn--bcher-kva.org/x", ""),
        ("s3+http://h/b/my volume", "s3+http://h/b/my%20volume", ""),
    ],
)
def test_what_no_request_can_hold_is_escaped(url: str, base: str, query: str) -> None:
    location = parse_location(url)
    assert (location.base, location.query) == (base, query)
    assert parse_location(location.url) == location if not query else location.url == base


def test_an_address_with_six_groups() -> None:
    assert parse_location("http://[::1]:80/v").base == "http://[::1]:80/v"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is empty"),
        ("graphene://https://h/x", "is no graphene segmentation"),
        ("graphene://gs://b/segmentation/table/x", "is no graphene segmentation"),
        ("graphene://https://h/s/table/x?timestamp=soon", "neither Unix seconds nor a date"),
        ("graphene://https://h/s/table/x?timestamp=1e300", "no moment in Unix seconds"),
        ("precomputed://graphene://https://h/x", "names more than one format"),
        ("precomputed://gs://b/x|zarr:", "names more than one format"),
        ("https://h/f.nii.gz|gzip:|nifti:", "gzip is not supported yet"),
        ("https://h/f.nii|nifti:", "NIfTI is not supported yet"),
        ("nifti://https://h/f.nii", "NIfTI is not supported yet"),
        ("boss://https://h/c/e/ch", "BOSS is not supported yet"),
        ("dvid://https://h/u/grayscale", "DVID is not supported yet"),
        ("brainmaps://1:project:volume", "BrainMaps is not supported yet"),
        ("deepzoom://https://h/x", "DeepZoom is not supported yet"),
        ("gs+ngauth+https://h/b/p", "ngauth logins are not supported"),
        ("gs://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3+https://h/", "names no bucket"),
        ("zarr://", "names no place"),
        ("|zarr:", "names no place"),
        ("ftp://h/x", "ftp:// is not known"),
        ("https:///x", "no valid host"),
        ("http://h:port/x", "no valid host"),
        ("http://[::1/x", "no valid host"),
        ("http://a..b/x", "no valid host"),
        (f"http://{'a' * 64}.org/x", "no valid host"),
        ("http://a b/x", "no valid host"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(url: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        parse_location(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "nifti://https://ada:pass@h/x?sig=hush",
        "nifti://https://ada:pa@pass@h/x",
        "https://ada:2@pass@h:port/x",
        "https://ada:x/pass@h/x",
        "https://ada:x?pass#@h/x",
        "s3+https://ada:pass@h/b/x",
        "s3+https://ada:pass@h",
        "gs://ada:pass@h/x",
    ],
)
def test_a_refusal_shows_no_password(url: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_location(url)
    assert "pass" not in str(caught.value)
    assert "hush" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_a_user_error(text: str) -> None:
    try:
        location = parse_location(text.replace("\0", ""))
    except UserError as error:
        message = str(error)
    else:
        assert location.base
        return
    assert "\n" not in message
