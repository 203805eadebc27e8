"""What must not be shown is not shown, and nothing else is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.stores.credentials import http_login, redact, secret_file


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:pw@h/x?sig=1|zarr:", "https://h/x|zarr:"),
        ("https://ada:p@w@h/x", "https://h/x"),
        ("https://ada:p/w@h/x", "https://h/x"),
        ("https://ada:p?w#@h/x", "https://h/x"),
        ("https://ada@h:8080/x", "https://h:8080/x"),
        ("precomputed://https://ada:pw@h/x is not there", "precomputed://https://h/x is not there"),
        ("https%3A%2F%2Fada%3Apw%40h%2Fx", "https%3A%2F%2Fh%2Fx"),
        ("nothing to hide", "nothing to hide"),
        ("https://h:8080/a@b/c", "https://h:8080/a@b/c"),
        ("https://[::1]:80/a@b", "https://[::1]:80/a@b"),
        ("https://h/x:y@z", "https://h/x:y@z"),
        ("file:///a:b/c@d", "file:///a:b/c@d"),
        ("s3+https://h:9/b/k@2", "s3+https://h:9/b/k@2"),
        ("write to ada@h.org", "write to ada@h.org"),
        ("<https://ada:pw@h/x?sig=1>", "<https://h/x>"),
        ("graphene://https://a:b@h/t?timestamp=17: no", "graphene://https://h/t?timestamp=17: no"),
        ("https://h/t?timestamp=17&sig=1", "https://h/t"),
        ("https://h/t?timestamp=17x", "https://h/t"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@given(st.text("ab1@:%!$&*~.-_", min_size=1, max_size=12), st.text("xyz/", max_size=8))
def test_no_password_is_shown(password: str, path: str) -> None:
    url = f"https://ada:{password}~pw@host.org/{path}"
    assert redact(url) == f"https://host.org/{path}"


def test_where_secrets_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("CLOUD_VOLUME_DIR", raising=False)
    monkeypatch.delenv("CLOUD_FILES_DIR", raising=False)
    assert secret_file("a.json", "b.json") is None
    expected = []
    for folder in (".neuroglancer", ".cloudfiles", ".cloudvolume"):
        path = tmp_path / folder / "secrets" / "b.json"
        path.parent.mkdir(parents=True)
        path.touch()
        expected.append(path)
        assert secret_file("a.json", "b.json") == path
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path / "elsewhere"))
    assert secret_file("a.json", "b.json") == expected[1]
    # The first name wins, wherever it is.
    (tmp_path / ".neuroglancer" / "secrets" / "a.json").touch()
    assert secret_file("a.json", "b.json") == tmp_path / ".neuroglancer" / "secrets" / "a.json"


def test_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert http_login("h.org") is None
    (tmp_path / "netrc").write_text("machine h.org login ada password pw\n")
    assert http_login("h.org") == ("ada", "pw")
    assert http_login("other.org") is None
    for nonsense in (b"nonsense pw\n", b"machine h.org login nonsense password \xff\n"):
        (tmp_path / "netrc").write_bytes(nonsense)
        with pytest.raises(UserError, match="cannot be read as a netrc file") as caught:
            http_login("h.org")
        assert "nonsense" not in str(caught.value)
