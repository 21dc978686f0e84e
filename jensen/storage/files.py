"""Single files: written atomically, and read within limits, since they may be damaged or not of a run.

Regular files alone are opened, and none through a link, see `jensen.data.regular_files`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from ..core.errors import UsageError
from ..data.regular_files import Irregular, open_regular
from .commits import Content, check_free, flush_folder, pieces
from .entries import refused
from .seals import sealed

__all__ = [
    "JSON_LIMIT",
    "append",
    "content_of",
    "digest",
    "parsed",
    "read_limited",
    "write_atomic",
    "write_json",
    "written_in_pieces",
]

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
        with open(temporary, "xb") as file:  # never through a link
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


@contextlib.contextmanager
def written_in_pieces(path: Path) -> Iterator[IO[bytes]]:
    """A scope in which a file is written as its content comes; it has its name when all of it is there.

    Raises:
        UsageError: the disk is full or cannot be written; an earlier file is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        check_free(path.parent, 1)
        with open(temporary, "xb") as file:  # never through a link
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a read-only disk refuses this too
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError) or isinstance(error, UsageError):
            raise
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error})", "Free space, or give --out another folder."
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write a record as indented JSON with a digest of its own, atomically; see `jensen.storage.seals`.

    Raises:
        UsageError: the disk is full or cannot be written.
    """
    write_atomic(path, msgspec.json.format(msgspec.json.encode(sealed(content)), indent=2) + b"\n")


def content_of(path: Path) -> bytes:
    """Return the bytes of a file; none where there is no file.

    Raises:
        CorruptRunError: it is a link, or of another kind than a regular file, or cannot be read.
    """
    try:
        with open(open_regular(path), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise refused(path, str(error.strerror or error)) from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; that of no bytes where there is no file.

    Raises:
        CorruptRunError: it is not a regular file.
    """
    return hashlib.sha256(content_of(path)).hexdigest()


def append(path: Path, content: bytes) -> None:
    """Add bytes to the end of a file, all of them or none.

    Raises:
        UsageError: the disk is full or cannot be written.
        CorruptRunError: the file is a link, has another name by a hard link, or is not a regular one.
    """
    try:
        handle = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, alone=True)
        with open(handle, "ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                if file.write(content) != len(content):  # the disk is full
                    file.write(b"\0")  # raises the reason; if there is room again, the rest is still missing
                    raise OSError("only a part was written")
            except OSError:
                file.truncate(before)
                raise
    except Irregular as error:
        raise refused(path, str(error.strerror)) from error
    except OSError as error:
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
    with open(open_regular(path), "rb") as file:
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
