"""Every error the package raises on purpose.

One small tree. The message of each is a single paragraph that says what was expected, what was
found, where, and what to do; the command line prints exactly that paragraph and leaves with the
class's ``exit_code``. Anything else that escapes is a bug of ours and shows a traceback.
"""

from __future__ import annotations


class StvgError(Exception):
    """Base of all expected errors: the work could not be done.

    Attributes:
        exit_code: What the command line exits with, 1 (the work failed) or 2 (wrong usage).
    """

    exit_code = 1


class UsageError(StvgError, ValueError):
    """A caller asked for something that can never work: wrong option, empty query, bad value."""

    exit_code = 2


class VideoError(StvgError):
    """A video cannot be opened, holds no usable pictures, or ends before it should."""


class FormatError(StvgError):
    """A file is not in the format it claims: names file, line and field."""


class OutputError(StvgError):
    """A result cannot be written where it was asked for."""


class MissingExtraError(StvgError):
    """An optional dependency is absent or does not import; names the extra to install."""


class WeightsError(StvgError):
    """Model weights are not at hand, cannot be fetched, or fail their checksum."""
