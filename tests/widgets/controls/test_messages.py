"""Errors as a user meets them."""

from __future__ import annotations

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.widgets.controls.messages import what_happened


def test_ours_say_what_to_do() -> None:
    line, details = what_happened(UserError("choose another mip"))
    assert line == "choose another mip"
    assert "UserError" in details


def test_others_are_faults_of_ours() -> None:
    try:
        _ = {}["x"]
    except KeyError as error:
        line, details = what_happened(error)
    assert line == "Unexpected error (KeyError: 'x'); please report the details."
    assert "test_messages.py" in details


def test_no_password_is_shown() -> None:
    url = "https://me:s3cret@127.0.0.1/volume?X-Signature=abcdef"
    for error in (SourceError(f"{url} refused"), RuntimeError(f"{url} broke\non two lines")):
        for text in what_happened(error):
            assert "s3cret" not in text
            assert "abcdef" not in text
            assert "127.0.0.1/volume" in text
        assert "\n" not in what_happened(error)[0]
