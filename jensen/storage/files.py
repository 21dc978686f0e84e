"""Single files: written whole or not at all, and read within limits, since anybody may have written or damaged them."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..core.errors import UsageError
from .commits import Content, check_free, flush_folder, pieces

__all__ = ["JSON_LIMIT", "append", "parsed", "read_limited", "write_atomic"]

JSON_LIMIT = 2**27  # bytes: a specification holds a few numbers per feature

T = TypeVar("T")


def write_atomic(path: Path, content: bytes | Content) -> None:
    """Write a file so that a reader finds the old one or the new one, whole: temporary name, fsync, rename, and
    fsync of the folder.

    Raises:
        UsageError: the disk is full or cannot be written; what was there before is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        check_free(path.parent, len(content))
        with open(temporary, "wb") as file:
            for piece in pieces(content):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # a disk that is read-only refuses this too
            temporary.unlink(missing_ok=True)
        raise UsageError(
            f"{path} cannot be written: it cannot take {len(content):,} bytes ({error.strerror or error})",
            "Free space, or give --out another folder.",
        ) from error


def append(path: Path, content: bytes) -> None:
    """Add bytes to the end of a file, all of them or none.

    Raises:
        UsageError: the disk is full or cannot be written.
    """
    before = None
    try:
        with open(path, "ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            if file.write(content) != len(content):  # what a disk that fills up takes
                file.write(b"\0")  # raises what is the matter; if it no longer is, the rest is still missing
                raise OSError("it took a part of them only")
    except OSError as error:
        if before is not None and path.stat().st_size > before:
            os.truncate(path, before)
        raise UsageError(
            f"{path} cannot take {len(content):,} more bytes ({error.strerror or error})",
            "Free space, or give --out another folder.",
        ) from error


def read_limited(path: Path, limit: int) -> bytes:
    """The bytes of a file that has at most so many.

    Raises:
        OSError: it cannot be read.
        ValueError: it has more.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > limit else file.read(limit + 1)
    if max(size, len(content)) > limit:
        raise ValueError(f"{size:,} bytes, more than {limit:,}")
    return content


def parsed(content: bytes, kind: type[T] | Any = Any) -> T:
    """JSON as values of a type.

    Raises:
        msgspec.DecodeError: it is none, is nested too deeply, or is of another type.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("not UTF-8") from error
