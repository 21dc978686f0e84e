"""Commits: several files that are written together or not at all, and whose damage is noticed when they are read.

A commit is a folder. It is written under a temporary name: each file, then a manifest of their sizes and SHA-256, all
flushed to the disk; then it is renamed, and its parent is flushed. The folder's name holds the manifest's own digest,
so that no bit of a commit can change unnoticed. A reader takes the newest one that is intact.

Source of the order of steps: Pillai et al., "All file systems are not created equal", 2014.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from ..core.errors import CorruptRunError, UsageError
from ..data.regular_files import open_regular
from .entries import make_folder

__all__ = [
    "Content",
    "Damage",
    "check_free",
    "commit",
    "commits",
    "flush_folder",
    "free_bytes",
    "newest",
    "pieces",
    "read_commit",
]

MANIFEST = "manifest.json"
NAME = re.compile(r"(\d{12})-([0-9a-f]{16})")
MANIFEST_LIMIT = 2**16  # bytes
KEPT = 2
UNFLUSHED = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP)  # Windows opens no folder
FULL = (errno.ENOSPC, errno.EDQUOT)


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """The size and SHA-256 of one file, as recorded in a manifest."""

    size: int
    sha256: str


@runtime_checkable
class Content(Protocol):
    """The bytes of a file in pieces, since they may be too many for the memory."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes | memoryview]: ...


class Damage(CorruptRunError):
    """A commit differs from what was written."""


def commit(parent: Path, files: Mapping[str, bytes | Content], keep: int = KEPT) -> Path:
    """Write files as the next commit of a folder, and remove the oldest beyond `keep`.

    Where the disk has no room for one more, all commits older than the newest intact one are removed first.

    Args:
        parent: the folder of commits.
        files: contents by name.
        keep: the number of commits to keep.

    Raises:
        UsageError: it cannot be written; the newest intact commit is unchanged.
        CorruptRunError: the folder is a link.
    """
    size = sum(map(len, files.values()))
    try:
        try:
            final = _write_commit(parent, files)
        except OSError as error:
            if error.errno not in FULL or not _remove_older(parent):
                raise
            final = _write_commit(parent, files)
    except OSError as error:
        raise UsageError(
            f"{parent} cannot take the {size:,} bytes of a training state ({error.strerror or error})",
            "Free space there; the states before it are intact.",
        ) from error
    _prune(parent, final, keep)
    return final


def _write_commit(parent: Path, files: Mapping[str, bytes | Content]) -> Path:
    """Write the next commit.

    Raises:
        OSError: it cannot be written; no part of it is left.
    """
    size = sum(map(len, files.values()))
    number = 1 + max((int(p.name[:12]) for p in commits(parent)), default=0)
    temporary = parent / f".{number:012}-{secrets.token_hex(8)}"
    try:
        if make_folder(parent):
            flush_folder(parent.parent)
        expected = _manifest({name: Entry(len(content), "0" * 64) for name, content in files.items()})
        check_free(parent, size + len(expected))
        temporary.mkdir()
        manifest = _manifest({name: _write(temporary / name, content) for name, content in files.items()})
        _write(temporary / MANIFEST, manifest)
        flush_folder(temporary)
        final = parent / f"{number:012}-{hashlib.sha256(manifest).hexdigest()[:16]}"
        os.rename(temporary, final)
        flush_folder(parent)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final


def _remove_older(parent: Path) -> bool:
    """Remove all commits older than the newest intact one; return whether there were any."""
    intact = next((path for path, files in newest(parent) if not isinstance(files, Damage)), None)
    older = [] if intact is None else [p for p in commits(parent) if p.name < intact.name]
    for path in older:
        shutil.rmtree(path, ignore_errors=True)
    return bool(older)


def _manifest(entries: Mapping[str, Entry]) -> bytes:
    return msgspec.json.encode(dict(sorted(entries.items())))


def _write(path: Path, content: bytes | Content) -> Entry:
    """Write a file, flush it to the disk, and return its entry."""
    size, sha256 = 0, hashlib.sha256()
    with open(path, "wb") as file:
        for piece in pieces(content):
            file.write(piece)
            sha256.update(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return Entry(size, sha256.hexdigest())


def pieces(content: bytes | Content) -> Iterable[bytes | memoryview]:
    """Return the pieces of a content, in order."""
    return (content,) if isinstance(content, bytes) else content


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the system can flush folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in UNFLUSHED:
            raise


def commits(parent: Path) -> list[Path]:
    """Return all commits under their final names, the newest first, intact or not."""
    if not parent.is_dir():
        return []
    return sorted((p for p in parent.iterdir() if NAME.fullmatch(p.name)), key=lambda p: p.name, reverse=True)


def _prune(parent: Path, latest: Path, keep: int) -> None:
    """Remove all but the last commits, and those that a killed process has left half-written."""
    older = [p for p in commits(parent) if p != latest]
    unfinished = [p for p in parent.iterdir() if p.name.startswith(".") and NAME.match(p.name[1:])]
    for path in (*older[max(keep - 1, 0) :], *unfinished):
        shutil.rmtree(path, ignore_errors=True)


def read_commit(path: Path) -> dict[str, bytes]:
    """Return the files of a commit by name, with every byte verified.

    Raises:
        Damage: one is missing, or has changed.
    """
    matched = NAME.fullmatch(path.name)
    if matched is None:
        raise Damage(f"{path} is not named as a training state", "Give it back its name.")
    manifest = _bytes(path / MANIFEST, MANIFEST_LIMIT)
    if hashlib.sha256(manifest).hexdigest()[:16] != matched[2]:
        raise Damage(f"{path / MANIFEST} has changed since it was written", "Restore it from a copy.")
    try:
        entries = msgspec.json.decode(manifest, type=dict[str, Entry])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Damage(f"{path / MANIFEST} is not a manifest ({error})", "Restore it from a copy.") from error
    files = {}
    for name, entry in entries.items():
        if Path(name).name != name:
            what = f"{path / MANIFEST} names {name!r}, which is not a file of the same folder"
            raise Damage(what, "Restore it from a copy.")
        content = _bytes(path / name, entry.size)
        if len(content) != entry.size:
            raise Damage(f"{path / name} has {len(content):,} bytes of {entry.size:,}", "Restore it from a copy.")
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise Damage(f"{path / name} has changed since it was written", "Restore it from a copy.")
        files[name] = content
    return files


def _bytes(path: Path, most: int) -> bytes:
    """Return the bytes of a file, which may have at most so many."""
    try:
        with open(open_regular(path), "rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > most:
                raise Damage(f"{path} has {size:,} bytes, more than {most:,}", "Restore it from a copy.")
            return file.read(most + 1)
    except OSError as error:
        raise Damage(f"{path} cannot be read ({error.strerror})", "Restore it from a copy.") from error


def newest(parent: Path) -> Iterator[tuple[Path, dict[str, bytes] | Damage]]:
    """Yield commits from the newest on, each with its files or its damage, up to the first that is intact."""
    for path in commits(parent):
        try:
            files = read_commit(path)
        except Damage as damage:
            yield path, damage
            continue
        yield path, files
        return


def free_bytes(folder: Path) -> int:
    """Return the bytes free where a folder is, or would be; `sys.maxsize` where the file system reports none."""
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    usage = shutil.disk_usage(place)
    return usage.free if usage.total else sys.maxsize


def check_free(folder: Path, size: int) -> None:
    """Check that a disk has room for so many bytes, before a byte is written.

    Raises:
        OSError: there are fewer bytes free.
    """
    if free_bytes(folder) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
