"""Every spelling of an address means the same folder; what is not supported is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.location import parse_location


@pytest.mark.parametrize(
    "spelling",
    [
        "{}", "{}/", "{}/info", "file://{}", "precomputed://file://{}", "precomputed://{}",
        "file://localhost{}", "file://{}|neuroglancer-precomputed:", "{}|neuroglancer-precomputed:",
        "file://{}/|neuroglancer-precomputed:/", " {} ",
    ],
)  # fmt: skip
def test_folders(tmp_path: Path, spelling: str) -> None:
    folder = tmp_path / "a volume+1"
    folder.mkdir()
    (folder / "info").write_text("{}")
    location = parse_location(spelling.format(folder))
    assert location.local
    assert location.base == str(folder)
    assert location.url == f"precomputed://file://{folder}"
    assert parse_location(location.url) == location
    assert parse_location(folder) == location
    assert location.shown("info") == f"file://{folder}/info"


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
        "https://h.org/a/b", "https://h.org/a/b/", "precomputed://https://h.org/a/b",
        "https://h.org/a/b/|neuroglancer-precomputed:", "https://h.org/a/b/info",
        "PRECOMPUTED://HTTPS://H.org/a/b", "https://h.org/a/b#fragment",
    ],
)  # fmt: skip
def test_servers(spelling: str) -> None:
    location = parse_location(spelling)
    assert not location.local
    assert location.base == "https://h.org/a/b"
    assert location.url == "precomputed://https://h.org/a/b"


def test_secrets_are_kept_and_not_shown() -> None:
    location = parse_location("https://ada:p%40ss@h.org:8443/a?sig=x%2Fy&t=1")
    assert location.user == ("ada", "p@ss")
    assert location.query == "sig=x%2Fy&t=1"
    assert location.url == "precomputed://https://h.org:8443/a"
    assert "p@ss" not in repr(location)
    assert "sig" not in repr(location)


def test_an_address_with_six_groups() -> None:
    assert parse_location("http://[::1]:80/v").base == "http://[::1]:80/v"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is empty"),
        ("graphene://https://h/x", "graphene is not supported yet"),
        ("precomputed://graphene://https://h/x", "graphene is not supported yet"),
        ("zarr://https://h/x", "zarr is not supported yet"),
        ("zarr3://s3://h/x", "zarr is not supported yet"),
        ("https://h/x|zarr2:", "zarr is not supported yet"),
        ("n5://https://h/x", "N5 is not supported yet"),
        ("https://h/f.nii.gz|gzip:|nifti:", "gzip is not supported yet"),
        ("gs://bucket/x", r"Google buckets \(gs://\) are not supported yet"),
        ("precomputed://s3://bucket/x", r"S3 buckets \(s3://\) are not supported yet"),
        ("gs://bucket/x|neuroglancer-precomputed:", "Google buckets"),
        ("ftp://h/x", "ftp:// is not known"),
        ("https:///x", "no valid host"),
        ("http://h:port/x", "no valid host"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(url: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        parse_location(url)
    assert "\n" not in str(caught.value)


def test_a_refusal_shows_no_password() -> None:
    with pytest.raises(UserError) as caught:
        parse_location("zarr://https://ada:pass@h/x?sig=secret")
    assert "pass" not in str(caught.value)
    assert "secret" not in str(caught.value)


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
