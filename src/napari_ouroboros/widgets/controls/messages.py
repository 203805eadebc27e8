"""An exception as a user should meet it: one line, and details to copy. No Qt here."""

from __future__ import annotations

import traceback

from napari_ouroboros.errors import OuroborosError, one_line
from napari_ouroboros.volumes.stores.credentials import redact


def what_happened(error: BaseException) -> tuple[str, str]:
    """Return the line and the details of an error; no password or signature is in either.

    Errors of ours say what to do in their line; any other is a fault of ours, and its details
    are what we want to be sent.
    """
    details = redact("".join(traceback.format_exception(error)))
    if isinstance(error, OuroborosError):
        return redact(one_line(error)), details
    name = type(error).__name__
    said = one_line(error, 200)
    line = f"Unexpected error ({name}{': ' + said if said else ''}); please report the details."
    return redact(line), details
