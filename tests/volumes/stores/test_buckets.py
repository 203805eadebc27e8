"""Objects in gs:// and s3://: with credentials, without, and with wrong ones."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bucket_server import BucketServer
from oracles.precomputed import blobs, write_by_hand

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.stores.buckets import make_access
from napari_ouroboros.volumes.stores.fetch import Fetcher, make_fetcher
from napari_ouroboros.volumes.stores.location import parse_location

VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    *("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "GOOGLE_APPLICATION_CREDENTIALS"),
    *("STORAGE_EMULATOR_HOST", "CLOUDSDK_CONFIG", "CLOUD_VOLUME_DIR", "CLOUD_FILES_DIR"),
)


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any credentials; returns the folder where cloud-volume looks for them."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    folder = home / ".cloudvolume" / "secrets"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def server() -> Iterator[BucketServer]:
    with BucketServer() as running:
        yield running


def fetcher(url: str) -> Fetcher:
    return make_fetcher(parse_location(url), 10)


# --- Google -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def account(server: BucketServer, private_key: str) -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": "ada@p.iam.gserviceaccount.com",
        "token_uri": f"{server.url}/token",
    }


@pytest.fixture
def google(server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    server.objects["b", "a b/v+1%/info"] = (b'{"x": 1}', "")
    server.objects["b", "a b/v+1%/packed"] = (gzip.compress(b"voxels"), "gzip")
    return server


PLACE = "gs://b/a b/v+1%25"


def test_google_anonymously(google: BucketServer) -> None:
    google.public.add("b")
    reader = fetcher(PLACE)
    assert reader.get("info") == b'{"x": 1}'
    assert reader.get("info", (2, 4)) == b'x"'
    assert reader.get("info", (6, 99)) == b"1}"
    assert reader.get("info", (50, 60)) == b""
    assert reader.get("packed") == b"voxels"
    assert reader.get("nothing") is None
    reader.close()
    assert set(google.logins) == {""}


def test_the_server_speaks_as_google_does(google: BucketServer) -> None:
    """Google's own client reads the same from it; what is wrong here is wrong there."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    google.public.add("b")
    client = storage.Client(
        project="p",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": google.url},
    )
    blob = client.bucket("b").blob("a b/v+1%/info")
    assert blob.download_as_bytes(checksum=None) == b'{"x": 1}'
    ours = make_access(parse_location(PLACE)).url("info").removeprefix(google.url)
    # Not only the last one: the client asks about the bucket as well, when it likes.
    assert ours.partition("?")[0] in [path.partition("?")[0] for path, *_ in google.seen]
    client.close()


def test_no_google_credentials_are_said_to_be_missing(google: BucketServer) -> None:
    with pytest.raises(SourceError, match=r"^gs://b/a b/v\+1%25/info: .* no Google credentials"):
        fetcher(PLACE).get("info")
    assert len(google.seen) == 1


@pytest.mark.parametrize("where", ["secret", "bucket's secret", "variable", "gcloud"])
def test_google_logins(
    google: BucketServer,
    private_key: str,
    secrets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    text = json.dumps(account(google, private_key))
    if where == "secret":
        (secrets / "google-secret.json").write_text(text)
    elif where == "bucket's secret":
        (secrets / "google-secret.json").write_text('{"type": "none"}')
        (secrets / "b-google-secret.json").write_text(text)
    elif where == "variable":
        (tmp_path / "key.json").write_text(text)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    else:
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        (tmp_path / "application_default_credentials.json").write_text(text)
    reader = fetcher(PLACE)
    assert reader.get("info") == b'{"x": 1}'
    assert reader.get("packed") == b"voxels"
    reader.close()
    assert google.logins == ["Bearer t0ken-1"] * 2
    assert google.tokens_given == 1  # kept until it runs out


def test_a_token_is_renewed_before_it_runs_out(
    google: BucketServer, private_key: str, secrets: Path
) -> None:
    (secrets / "google-secret.json").write_text(json.dumps(account(google, private_key)))
    google.lifetime = 1  # less than the time before its end at which it is renewed
    reader = fetcher(PLACE)
    assert reader.get("info") == b'{"x": 1}'
    google.token = "t0ken-2"
    assert reader.get("info") == b'{"x": 1}'
    reader.close()
    assert google.logins == ["Bearer t0ken-1", "Bearer t0ken-2"]


@pytest.mark.parametrize("what", ["unreadable", "refused", "no exchange"])
def test_bad_google_logins(
    google: BucketServer, private_key: str, secrets: Path, what: str
) -> None:
    content: dict[str, Any] = account(google, private_key)
    if what == "unreadable":
        content["private_key"] = "hush"
    if what == "no exchange":
        content["token_uri"] = google.url + "/nowhere"
    (secrets / "google-secret.json").write_text(json.dumps(content))
    reader = fetcher(PLACE)
    if what == "refused":
        assert reader.get("info") is not None
        google.token = "another"
    with pytest.raises(SourceError) as caught:
        reader.get("info")
    message = str(caught.value)
    assert "\n" not in message
    assert "hush" not in message
    assert "BEGIN" not in message
    assert ("google-secret.json cannot be used" in message) == (what != "refused")
    reader.close()
    # A bucket for everybody is for those with bad credentials, too.
    google.public.add("b")
    reader = fetcher(PLACE)
    google.seen.clear()
    assert reader.get("info") == b'{"x": 1}'
    assert reader.get("packed") == b"voxels"
    reader.close()
    assert google.logins[-2:] == ["", ""] or what == "refused"


def test_a_volume_in_a_google_bucket(google: BucketServer, tmp_path: Path) -> None:
    array = blobs((1, 16, 16, 24), "uint16")
    folder = write_by_hand(tmp_path / "volume", [array])
    for file in folder.rglob("*"):
        if file.is_file():
            name = file.relative_to(folder).as_posix()
            google.objects["b", f"em/{name}"] = (file.read_bytes(), "")
    google.public.add("b")
    volume = open_volume("precomputed://gs://b/em")
    np.testing.assert_array_equal(volume.read(0, missing="error"), array[0])
    assert volume.url == "precomputed://gs://b/em"
    volume.close()


# --- S3 -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, dict[str, str]]]:
    """URL of an S3 that checks signatures, and the keys of somebody who may read everything."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    root = {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "aws_access_key_id": "root",
        "aws_secret_access_key": "root",
    }
    s3, iam = boto3.client("s3", **root), boto3.client("iam", **root)
    s3.create_bucket(Bucket="lab")
    s3.put_object(Bucket="lab", Key="a b/v+1%/info", Body=b'{"x": 1}')
    s3.put_object(
        Bucket="lab", Key="a b/v+1%/packed", Body=gzip.compress(b"voxels"), ContentEncoding="gzip"
    )
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.put_user_policy(
        UserName="ada",
        PolicyName="all",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    check_signatures_after(url, "0")
    yield url, {k: key[n] for k, n in (
        ("AWS_ACCESS_KEY_ID", "AccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey")
    )}  # fmt: skip
    check_signatures_after(url, "inf")  # as it was: this is a setting of the whole process
    s3.close()
    iam.close()
    server.stop()


def check_signatures_after(url: str, requests: str) -> None:
    headers = {"Content-Type": "text/plain"}
    order = urllib.request.Request(f"{url}/moto-api/reset-auth", requests.encode(), headers)
    urllib.request.urlopen(order).close()


S3_PLACE = "s3://lab/a b/v+1%25"


@pytest.mark.parametrize("where", ["secret", "bucket's secret", "variables", "profile"])
@pytest.mark.parametrize("spelling", ["s3", "s3+http"])
def test_s3_logins(
    moto: tuple[str, dict[str, str]],
    secrets: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    spelling: str,
) -> None:
    url, keys = moto
    if spelling == "s3":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        place = S3_PLACE
    else:
        place = S3_PLACE.replace("s3://", f"s3+{url}/")
    if where == "secret":
        (secrets / "aws-secret.json").write_text(json.dumps(keys))
    elif where == "bucket's secret":
        wrong = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
        (secrets / "aws-secret.json").write_text(json.dumps(wrong))
        (secrets / "lab-aws-secret.json").write_text(json.dumps(keys))
    elif where == "variables":
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
    else:
        monkeypatch.setenv("AWS_PROFILE", "lab")
        folder = secrets.parents[1] / ".aws"
        folder.mkdir()
        lines = [f"{name.lower()} = {value}" for name, value in keys.items()]
        (folder / "credentials").write_text("\n".join(["[lab]", *lines]))
    reader = fetcher(place)
    assert reader.get("info") == b'{"x": 1}'
    assert reader.get("info", (2, 4)) == b'x"'
    assert reader.get("packed") == b"voxels"
    assert reader.get("nothing") is None
    reader.close()


def test_wrong_s3_keys(
    moto: tuple[str, dict[str, str]], secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, keys = moto
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(SourceError, match=r"403 \(Forbidden\).*; no AWS credentials were found$"):
        fetcher(S3_PLACE).get("info")
    (secrets / "aws-secret.json").write_text(json.dumps({**keys, "AWS_SECRET_ACCESS_KEY": "wr0ng"}))
    with pytest.raises(SourceError, match=r"403 \(Forbidden\)") as caught:
        fetcher(S3_PLACE).get("info")
    assert "wr0ng" not in str(caught.value)
    assert keys["AWS_ACCESS_KEY_ID"] not in str(caught.value)
    (secrets / "aws-secret.json").write_text('{"AWS_ACCESS_KEY_ID": "hush"}')
    with pytest.raises(UserError, match=r"aws-secret\.json must be JSON with") as refused:
        fetcher(S3_PLACE)
    assert "hush" not in str(refused.value)


def test_a_line_break_in_a_key_shows_nothing_of_it(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "hush\n")
    with pytest.raises(SourceError, match=r"/info: .* characters that no request") as caught:
        fetcher(S3_PLACE).get("info")
    assert "hush" not in str(caught.value)


def test_a_profile_without_keys(
    server: BucketServer, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with pytest.raises(SourceError, match=r"/info; the AWS .* cannot be used: .*\(gone\)"):
        fetcher("s3://b/v").get("info")
    server.public.add("b")
    server.objects["b", "v/info"] = (b"{}", "")
    assert fetcher("s3://b/v").get("info") == b"{}"


def test_stale_keys_do_not_keep_one_from_a_public_bucket(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "old")
    server.public.add("b")
    server.objects["b", "v/info"] = (b"{}", "")
    reader = fetcher("s3://b/v")
    for _ in range(3):
        assert reader.get("info") == b"{}"
    reader.close()
    assert [bool(login) for login in server.logins] == [True, False, False, False]


def test_signatures_follow_the_bucket_to_its_region(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ada")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    server.region = "eu-central-1"
    server.objects["b", "v/info"] = (b"{}", "")
    reader = fetcher("s3://b/v")
    assert reader.get("info") == b"{}"
    assert reader.get("info") == b"{}"
    reader.close()
    assert len(server.seen) == 3
    assert "/us-east-1/s3/" in server.logins[0]
    assert "/eu-central-1/s3/" in server.logins[2]


@pytest.mark.parametrize(
    ("place", "region", "url"),
    [
        ("s3://b-1/p", "", "https://b-1.s3.amazonaws.com/p/a%20b"),
        ("s3://b-1", "", "https://b-1.s3.amazonaws.com/a%20b"),
        ("s3://b.c/p", "", "https://s3.amazonaws.com/b.c/p/a%20b"),
        ("s3://b-1/p", "eu-west-1", "https://b-1.s3.eu-west-1.amazonaws.com/p/a%20b"),
        ("s3://b.c/p", "cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn/b.c/p/a%20b"),
        ("s3+https://h:9/b/p", "", "https://h:9/b/p/a%20b"),
        ("s3+https://h/b", "eu-west-1", "https://h/b/a%20b"),
        (
            "gs://b/p/q",
            "",
            "https://storage.googleapis.com/download/storage/v1/b/b/o/p%2Fq%2Fa%20b?alt=media",
        ),
        (
            "gs://b/p?userProject=x",
            "",
            "https://storage.googleapis.com/download/storage/v1/b/b/o/p%2Fa%20b"
            "?alt=media&userProject=x",
        ),
        ("https://h/p?sig=%2F", "", "https://h/p/a%20b?sig=%2F"),
    ],
)
def test_addresses_of_objects(
    monkeypatch: pytest.MonkeyPatch, place: str, region: str, url: str
) -> None:
    if region:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ada")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    assert make_access(parse_location(place)).url("a b") == url


# --- CAVE ---------------------------------------------------------------------------------------


def test_a_cave_login(server: BucketServer, secrets: Path) -> None:
    place = f"middleauth+{server.url}/download/storage/v1/b/b/o"
    with pytest.raises(SourceError, match="wants the token of a CAVE login"):
        fetcher(place).get("info")
    (secrets / "cave-secret.json").write_text('{"token": "0ther"}')
    server.objects["b", "info"] = (b"{}", "")
    with pytest.raises(SourceError, match="does not accept the token") as caught:
        fetcher(place).get("info")
    assert "0ther" not in str(caught.value)
    server.token = "ab12"
    (secrets / "127.0.0.1-cave-secret.json").write_text('{"token": "ab12"}')
    assert fetcher(place).get("info") is not None
    (secrets / "127.0.0.1-cave-secret.json").write_text('{"token": "a\\nb"}')
    with pytest.raises(UserError, match='must be JSON with a "token"'):
        fetcher(place)


def test_without_credentials_no_cloud_library_is_imported(google: BucketServer) -> None:
    google.public.add("b")
    code = (
        "import sys\n"
        "from napari_ouroboros.volumes.stores.fetch import make_fetcher\n"
        "from napari_ouroboros.volumes.stores.location import parse_location\n"
        f"assert make_fetcher(parse_location({PLACE!r}), 9).get('info')\n"
        "make_fetcher(parse_location('s3://b/v'), 9)\n"
        "loaded = {n.split('.')[0] for n in sys.modules}\n"
        "print(sorted(loaded & {'google', 'botocore', 'boto3', 'cloudfiles', 'cloudvolume',"
        " 'urllib3', 'requests', 'imagecodecs'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
