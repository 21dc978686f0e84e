"""Single files: written atomically, and read within limits, since they may be damaged or not of a run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from ..core.errors import UsageError
from .commits import Content, check_free, flush_folder, pieces

__all__ = ["JSON_LIMIT", "append", "digest", "numpy_number", "parsed", "read_limited", "write_atomic", "write_json"]

JSON_LIMIT = 2**27  # bytes: a specification holds a few numbers per feature

T = TypeVar("T")


def write_atomic(path: Path, content: bytes | Content) -> None:
    """Write a file so that a reader has the old one or the new one, never a part of it.

    It is written under a temporary name, flushed and renamed, and its folder is flushed.

    Raises:
        UsageError: the disk is full or cannot be written; an earlier file is unchanged.
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
        with contextlib.suppress(OSError):  # a read-only disk refuses this too
            temporary.unlink(missing_ok=True)
        raise UsageError(
            f"{path} cannot be written: it cannot take {len(content):,} bytes ({error.strerror or error})",
            "Free space, or give --out another folder.",
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON, atomically.

    Raises:
        UsageError: the disk is full or cannot be written.
    """
    write_atomic(path, msgspec.json.format(msgspec.json.encode(content, enc_hook=numpy_number), indent=2) + b"\n")


def numpy_number(value: Any) -> Any:
    """Return a NumPy number, such as a seed out of an array, as Python's; to be used as `enc_hook`."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; that of no bytes where there is no file."""
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()


def append(path: Path, content: bytes) -> None:
    """Add bytes to the end of a file, all of them or none.

    Raises:
        UsageError: the disk is full or cannot be written.
    """
    before = None
    try:
        with open(path, "ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            if file.write(content) != len(content):  # the disk is full
                file.write(b"\0")  # raises the reason; if there is room again, the rest is still missing
                raise OSError("only a part was written")
    except OSError as error:
        if before is not None and path.stat().st_size > before:
            os.truncate(path, before)
        raise UsageError(
            f"{path} cannot take {len(content):,} more bytes ({error.strerror or error})",
            "Free space, or give --out another folder.",
        ) from error


def read_limited(path: Path, limit: int) -> bytes:
    """Return the bytes of a file, which may have at most so many.

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
    """Decode JSON as values of a type.

    Raises:
        msgspec.DecodeError: it is not JSON, is nested too deeply, or is of another type.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("not UTF-8") from error
