"""Texts that no file can be called, and what the system refuses: errors of the data, by their name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import DataError, JensenError

__all__ = ["check_path", "openable"]

SHOWN = 60  # characters of a text that is no path
WRONG = (errno.ENAMETOOLONG, errno.ELOOP)


def check_path(place: str) -> None:
    """Refuse a text that no file can be called: too long, with a NUL or half a character, or a link to itself.

    Raises:
        DataError: naming its beginning.
    """
    try:
        os.stat(place)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in WRONG:
            return  # whoever opens it says what is wrong
        shown = place if len(place) <= SHOWN else f"{place[:SHOWN]}..."
        why = error.strerror if isinstance(error, OSError) else error
        what = f"{shown!r} is not the name of a file ({why})"
        raise DataError(what, "Give a path, or the data themselves: an array or a table.") from error


@contextmanager
def openable(*places: str | None) -> Iterator[None]:
    """A scope in which files are read: a text that is no path is refused, and what the system refuses is named.

    Raises:
        DataError: in the place of an OSError.
    """
    for place in places:
        if place is not None:
            check_path(place)
    try:
        yield
    except OSError as error:
        if isinstance(error, JensenError):
            raise
        what = f"{error.filename or places[0]} cannot be read ({error.strerror or error})"
        raise DataError(what, "Check the path and its permissions.") from error
