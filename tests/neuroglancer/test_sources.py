"""URLs of data sources in every spelling."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer.sources import parse_source


@pytest.mark.parametrize(
    ("url", "format_", "canonical"),
    [
        ("precomputed://gs://b/p", "precomputed", "precomputed://gs://b/p"),
        ("precomputed://gs://b/p/", "precomputed", "precomputed://gs://b/p"),
        ("gs://b/p|neuroglancer-precomputed:", "precomputed", "precomputed://gs://b/p"),
        ("gs://b/p/|neuroglancer-precomputed:", "precomputed", "precomputed://gs://b/p"),
        ("gs://b/p", "precomputed", "precomputed://gs://b/p"),
        ("precomputed://https://h/a b", "precomputed", "precomputed://https://h/a b"),
        ("https://h:8080/p", "precomputed", "precomputed://https://h:8080/p"),
        ("precomputed://s3://b/p", "precomputed", "precomputed://s3://b/p"),
        ("s3+https://e/b/p|zarr2:", "zarr2", "zarr2://s3+https://e/b/p"),
        ("zarr://gs://b/p.zarr", "zarr", "zarr://gs://b/p.zarr"),
        ("zarr2://s3://b/p", "zarr2", "zarr2://s3://b/p"),
        ("zarr3://https://h/p", "zarr3", "zarr3://https://h/p"),
        ("https://h/x.ome.zarr/", "zarr", "zarr://https://h/x.ome.zarr"),
        ("https://h/x.zarr|zarr3:sub/", "zarr3", "zarr3://https://h/x.zarr/sub"),
        ("https://h/x.zip|zip:in/side|zarr:", "zarr", "zarr://https://h/x.zip|zip:in/side"),
        ("n5://https://h/p", "n5", "n5://https://h/p"),
        ("https://h/p.n5", "n5", "n5://https://h/p.n5"),
        ("https://h/f.nii.gz|gzip:|nifti:", "nifti", "nifti://https://h/f.nii.gz|gzip:"),
        ("nifti://https://h/f.nii", "nifti", "nifti://https://h/f.nii"),
        ("https://h/f.nii.gz", "nifti", "nifti://https://h/f.nii.gz"),
        ("graphene://https://h/segmentation/table/t", "graphene", None),
        ("graphene://middleauth+https://h/table/t", "graphene", None),
        ("precomputed://middleauth+https://h/p", "precomputed", None),
        ("boss://https://api/c/e/ch", "boss", None),
        ("dvid://https://h/uuid/grayscale", "dvid", None),
        ("brainmaps://1:proj:volume", "brainmaps", None),
        ("python://volume/abc.def", "python", None),
        ("local://annotations", "local", None),
        ("PRECOMPUTED://GS://b/p", "precomputed", "precomputed://gs://b/p"),
    ],
)
def test_spellings(url: str, format_: str, canonical: str | None) -> None:
    source = parse_source(url)
    assert source.format == format_
    assert source.url == (url if canonical is None else canonical)


@pytest.mark.parametrize(
    "spelling",
    [
        "precomputed://file://./sub/volume",
        "precomputed://file://sub/volume",
        "file://sub/volume",
        "file://sub/volume/|neuroglancer-precomputed:",
        "sub/volume",
        "./sub/volume/",
        "sub/volume|neuroglancer-precomputed:",
        "precomputed://sub/volume",
        "sub/../sub/volume",
        "sub/volume/info",
    ],
)
def test_relative_paths_are_relative_to_the_folder(spelling: str, tmp_path: Path) -> None:
    volume = tmp_path / "sub" / "volume"
    volume.mkdir(parents=True)
    (volume / "info").write_text("{}")
    source = parse_source(spelling, tmp_path)
    assert source.url == f"precomputed://file://{volume.as_posix()}"


def test_relative_path_without_a_folder_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_source("file://v").store == f"file://{Path(os.getcwd()).as_posix()}/v"


def test_absolute_and_home_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    there = f"precomputed://file://{tmp_path.as_posix()}/v"
    for spelling in (
        f"precomputed://file://{tmp_path}/v",
        f"file://{tmp_path}/v",
        f"file://localhost{tmp_path}/v",
        f"{tmp_path}/v",
        "file://~/v",
        "~/v",
    ):
        assert parse_source(spelling, "/elsewhere").url == there


def test_escaped_paths_are_decoded_only_where_the_plain_one_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    assert parse_source(f"file://{tmp_path}/my%20data").name == "my data"
    (tmp_path / "my%20data").mkdir()
    assert parse_source(f"file://{tmp_path}/my%20data").name == "my%20data"


@pytest.mark.parametrize(
    ("file", "format_"),
    [
        ("info", "precomputed"),
        (".zarray", "zarr"),
        (".zgroup", "zarr"),
        (".zattrs", "zarr"),
        (".zmetadata", "zarr"),
        ("zarr.json", "zarr"),
        ("attributes.json", "n5"),
    ],
)
def test_a_local_folder_says_itself_what_it_is(file: str, format_: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("{}")
    assert parse_source(str(tmp_path)).format == format_


def test_parts_that_are_no_volume() -> None:
    assert parse_source("precomputed://gs://b/p#type=mesh").part == "mesh"
    assert parse_source("gs://b/p|neuroglancer-precomputed:#type=skeleton").part == "skeleton"
    assert not parse_source("precomputed://gs://b/p#type=mesh").may_hold_volume
    assert not parse_source("local://annotations").may_hold_volume
    assert parse_source("precomputed://gs://b/p").may_hold_volume


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("precomputed://", "empty"),
        ("file://", "no place"),
        ("gs://", "no place"),
        ("ftp://h/p", "'ftp://' is no format or store"),
        ("precomputed://ftp://h/p", "'ftp://'"),
        ("gs://b/p|tiff:", "'tiff' is no format"),
        ("zarr://", "empty"),
        ("precomputed://gs://b/p|zarr:", "more than one format"),
        ("gs://b/p|zarr:|n5:", "more than one format"),
    ],
)
def test_bad_urls(url: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        parse_source(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "precomputed://https://me:secret@h/p",
        "precomputed://https://me:se/secret@h/p",
        "precomputed://https://h/p?token=secret",
        "https://h/p?token=secret|zarr:",
    ],
)
def test_credentials_are_kept_and_never_shown(url: str) -> None:
    source = parse_source(url)
    assert "secret" in source.url
    assert "secret" not in source.shown + repr(source)


@pytest.mark.parametrize(
    "url", ["https://me:secret@h/p|nosuchformat:", "ftp://me:secret@h/p?secret"]
)
def test_credentials_are_not_in_errors(url: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_source(url)
    assert "secret" not in str(caught.value)


_names = st.text(st.sampled_from("abcXYZ019_-. %+é"), min_size=1, max_size=8).filter(
    lambda t: t.strip() == t and t.strip(".") and t != "info"
)


@given(
    scheme=st.sampled_from(["gs", "s3", "https", "http"]),
    parts=st.lists(_names, min_size=1, max_size=4),
    format_=st.sampled_from(["precomputed", "zarr", "zarr2", "zarr3", "n5", "graphene"]),
)
def test_both_spellings_are_one_and_the_canonical_one_stays(
    scheme: str, parts: list[str], format_: str
) -> None:
    store = f"{scheme}://host/" + "/".join(parts)
    old = parse_source(f"{format_}://{store}")
    step = "neuroglancer-precomputed" if format_ == "precomputed" else format_
    new = parse_source(f"{store}|{step}:")
    assert old == new
    assert old.url == f"{format_}://{store}"
    assert parse_source(old.url) == old
