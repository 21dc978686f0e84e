"""The memory that data will take, known from their headers, against what there is: checked before they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import DataError
from ..core.memory import available_memory, size_in_words

__all__ = ["ARRAY", "JSON", "TEXT", "check_size", "exceeds_memory", "within_memory"]

# how often their size data are held at once while they are read
ARRAY = 2  # as they are in the file, and in a compact type
TEXT = 6  # bytes, characters, lines, and numbers of eight bytes, of which a digit and a delimiter are one
JSON = 16  # and an object for each number
PREPARED = 3  # as read, the rows of each part, and these as the model sees them
SHARE = 0.5  # of the memory that is available, which data may take and be read at once
_FEWER = "Give fewer rows or columns, or a smaller type such as float32 or uint8"
_MACHINE = "or use a machine with more memory."


def check_size(size: int, where: str, remedy: str = _FEWER, times: float = ARRAY, verb: str = "declares") -> None:
    """Refuse data that do not fit into memory, before it is allocated.

    Args:
        size: bytes of the data.
        where: the name of the data.
        remedy: what to give instead, without a full stop.
        times: how often this number of bytes is held at once.
        verb: between name and size: what is in a header is not yet there.

    Raises:
        DataError: they need more than there is.
    """
    needed, there = times * size, available_memory()
    if needed > there:
        raise DataError(
            f"{where} {verb} {size_in_words(size)} of data, which take {size_in_words(needed)} of memory,"
            f" and {size_in_words(there)} are available",
            f"{remedy}, {_MACHINE}",
        )


def exceeds_memory(size: int) -> bool:
    """Return whether data of so many bytes are left in their files where nobody says otherwise.

    They are if three times their size, which they take when they are prepared, is more than half of the memory.
    """
    return PREPARED * size > SHARE * available_memory()


@contextmanager
def within_memory(where: str) -> Iterator[None]:
    """A scope in which data are read: memory that is refused for them is an error of the data.

    Raises:
        DataError: in the place of a MemoryError.
    """
    try:
        yield
    except MemoryError as error:
        what = f"{where} does not fit into memory, of which {size_in_words(available_memory())} are available"
        raise DataError(what, f"{_FEWER}, {_MACHINE}") from error
