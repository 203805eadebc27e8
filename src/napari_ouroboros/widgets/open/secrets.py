"""Where names, passwords and keys are looked for, and what of it is there. Never their content."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from napari_ouroboros.volumes.stores.credentials import secret_folders

#: Names of files in the folders of secrets, as cloud-volume has them.
_FILES = (
    ("Google Cloud", "google-secret.json"),
    ("Amazon S3", "aws-secret.json"),
    ("web servers", "http-secret.json"),
    ("CAVE", "cave-secret.json"),
)


@dataclass(frozen=True)
class Place:
    """One file that would be used.

    Attributes
    ----------
    what : str
        What it is for.
    path : Path
    there : bool
    """

    what: str
    path: Path
    there: bool


def places() -> list[Place]:
    """Return where credentials are looked for: the files that are there, else the first place."""
    found = []
    for what, name in _FILES:
        candidates = [folder / name for folder in secret_folders()]
        # Buckets and hosts of their own: "my-bucket-google-secret.json".
        own = [
            path
            for folder in secret_folders()
            for path in sorted(folder.glob(f"*-{name}"))
            if os.path.isfile(path)
        ]
        there = [path for path in candidates if os.path.isfile(path)] + own
        found += [Place(what, path, True) for path in there] or [Place(what, candidates[0], False)]
    home = Path.home()
    for what, variable, usual in (
        ("web servers", "NETRC", home / ".netrc"),
        ("Amazon S3", "AWS_SHARED_CREDENTIALS_FILE", home / ".aws" / "credentials"),
        (
            "Google Cloud",
            "GOOGLE_APPLICATION_CREDENTIALS",
            home / ".config" / "gcloud" / "application_default_credentials.json",
        ),
    ):
        path = Path(os.environ.get(variable) or usual)
        found.append(Place(what, path, os.path.isfile(path)))
    return found
