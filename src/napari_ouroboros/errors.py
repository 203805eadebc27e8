"""The errors and notices of the package: one line that says what is wrong and what to do.

Two kinds, because the shell has two exit codes: what the user can mend (2) and what they
cannot (1). Both also derive from the builtin a Python user would try to catch.
"""

from __future__ import annotations


class OuroborosError(Exception):
    """Base of every error that this package raises on purpose. ``str(error)`` is one line."""

    exit_code = 1


class UserError(OuroborosError, ValueError):
    """The input or the settings are wrong; the message says what to change."""

    exit_code = 2


class ResolutionNeeded(UserError):
    """A volume does not say how large its voxels are: whoever opens it must."""


class SourceError(OuroborosError, OSError):
    """A source did not deliver: refused, silent, or a chunk that cannot be decoded."""

    def __str__(self) -> str:
        # OSError formats its arguments as "[Errno ..]"; ours is always one ready line.
        return str(self.args[0]) if self.args else self.__class__.__name__


class DestinationError(OuroborosError, OSError):
    """A result could not be written: no space, no permission, a lost connection."""

    __str__ = SourceError.__str__


class Cancelled(OuroborosError):
    """The job was cancelled. Nothing that looks finished was left behind."""


class Notice(UserWarning):
    """Something the user should know that is no error: merged points, samples outside, ..."""


def one_line(text: object, limit: int = 300) -> str:
    """Return the text of an error of another library as one line of at most `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
