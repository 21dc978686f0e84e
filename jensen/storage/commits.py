"""Several files that are written together or not at all, and are what they were, or known to be damaged, when read.

A commit is a folder. It is written under a temporary name: each file, then a manifest of their sizes and SHA-256, all
flushed to the disk; then it is renamed, and its parent is flushed. The folder's name holds the manifest's own digest,
so that no bit of a commit can change unseen. A reader takes the newest that is whole.

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
    """What a manifest says of one file."""

    size: int
    sha256: str


@runtime_checkable
class Content(Protocol):
    """Bytes of a file, of which there may be too many to have at once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes | memoryview]: ...


class Damage(CorruptRunError):
    """A commit is not what was written."""


def commit(parent: Path, files: Mapping[str, bytes | Content], keep: int = KEPT) -> Path:
    """Write files as the next commit of a folder, and prune the oldest beyond `keep`.

    Where there is no room for one more beside those that are there, all that are older than the newest whole one go.

    Raises:
        UsageError: it cannot be written; the newest that is whole is as it was.
    """
    size = sum(map(len, files.values()))
    try:
        try:
            final = _committed(parent, files)
        except OSError as error:
            if error.errno not in FULL or not _thin(parent):
                raise
            final = _committed(parent, files)
    except OSError as error:
        raise UsageError(
            f"{parent} cannot take the {size:,} bytes of a checkpoint ({error.strerror or error})",
            "Free space there; what was kept before is intact.",
        ) from error
    _prune(parent, final, keep)
    return final


def _committed(parent: Path, files: Mapping[str, bytes | Content]) -> Path:
    """Write the next commit.

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    size = sum(map(len, files.values()))
    number = 1 + max((int(p.name[:12]) for p in commits(parent)), default=0)
    temporary = parent / f".{number:012}-{secrets.token_hex(8)}"
    try:
        if not parent.is_dir():
            parent.mkdir()
            flush_folder(parent.parent)
        check_free(parent, size + len(_manifest({name: Entry(len(x), "0" * 64) for name, x in files.items()})))
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


def _thin(parent: Path) -> bool:
    """Remove what is older than the newest whole commit; says whether there was any."""
    whole = next((path for path, files in newest(parent) if not isinstance(files, Damage)), None)
    older = [] if whole is None else [p for p in commits(parent) if p.name < whole.name]
    for path in older:
        shutil.rmtree(path, ignore_errors=True)
    return bool(older)


def _manifest(entries: Mapping[str, Entry]) -> bytes:
    return msgspec.json.encode(dict(sorted(entries.items())))


def _write(path: Path, content: bytes | Content) -> Entry:
    """Write a file, have it reach the disk, and say what is in it."""
    size, found = 0, hashlib.sha256()
    with open(path, "wb") as file:
        for piece in pieces(content):
            file.write(piece)
            found.update(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return Entry(size, found.hexdigest())


def pieces(content: bytes | Content) -> Iterable[bytes | memoryview]:
    """What is to be written, one after the other."""
    return (content,) if isinstance(content, bytes) else content


def flush_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk; where a system cannot do that for folders, nothing is done."""
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
    """All that are there under their final names, the newest first; nothing is said of what is in them."""
    if not parent.is_dir():
        return []
    return sorted((p for p in parent.iterdir() if NAME.fullmatch(p.name)), key=lambda p: p.name, reverse=True)


def _prune(parent: Path, made: Path, keep: int) -> None:
    """Remove what is older than the last few, and what a killed process has left half-written."""
    older = [p for p in commits(parent) if p != made]
    left = [p for p in parent.iterdir() if p.name.startswith(".") and NAME.match(p.name[1:])]
    for path in (*older[max(keep - 1, 0) :], *left):
        shutil.rmtree(path, ignore_errors=True)


def read_commit(path: Path) -> dict[str, bytes]:
    """The files of a commit by name, every byte as it was written.

    Raises:
        Damage: one is missing, or has changed.
    """
    matched = NAME.fullmatch(path.name)
    if matched is None:
        raise Damage(f"{path} is not named as a checkpoint is", "Give it back its name.")
    manifest = _bytes(path / MANIFEST, MANIFEST_LIMIT)
    if hashlib.sha256(manifest).hexdigest()[:16] != matched[2]:
        raise Damage(f"{path / MANIFEST} has changed since it was written", "Restore it from a copy.")
    try:
        entries = msgspec.json.decode(manifest, type=dict[str, Entry])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Damage(f"{path / MANIFEST} is no manifest ({error})", "Restore it from a copy.") from error
    found = {}
    for name, entry in entries.items():
        if Path(name).name != name:
            raise Damage(f"{path / MANIFEST} names {name!r}, which is no file beside it", "Restore it from a copy.")
        content = _bytes(path / name, entry.size)
        if len(content) != entry.size:
            raise Damage(f"{path / name} has {len(content):,} bytes of {entry.size:,}", "Restore it from a copy.")
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise Damage(f"{path / name} has changed since it was written", "Restore it from a copy.")
        found[name] = content
    return found


def _bytes(path: Path, most: int) -> bytes:
    """All bytes of a file that should have at most so many."""
    try:
        if (size := path.stat().st_size) > most:
            raise Damage(f"{path} has {size:,} bytes, more than {most:,}", "Restore it from a copy.")
        return path.read_bytes()
    except OSError as error:
        raise Damage(f"{path} cannot be read ({error.strerror})", "Restore it from a copy.") from error


def newest(parent: Path) -> Iterator[tuple[Path, dict[str, bytes] | Damage]]:
    """Commits from the newest on, each with its files or what is wrong with it, up to the first that is whole."""
    for path in commits(parent):
        try:
            files = read_commit(path)
        except Damage as damage:
            yield path, damage
            continue
        yield path, files
        return


def free_bytes(folder: Path) -> int:
    """Bytes free where a folder is, or would be; very many where the file system does not say."""
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    usage = shutil.disk_usage(place)
    return usage.free if usage.total else sys.maxsize


def check_free(folder: Path, size: int) -> None:
    """Fail as writing so many bytes would, before a byte is written.

    Raises:
        OSError: there are fewer bytes free.
    """
    if free_bytes(folder) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
