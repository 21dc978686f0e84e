"""The folder of an export: written whole or not at all, and never over something else."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ..core.errors import RunExistsError, UsageError
from .commits import check_free, flush_folder

__all__ = ["RECORD", "check_export_target", "write_export"]

RECORD = "export.json"  # by which an export is known, and may be replaced


def check_export_target(folder: Path, force: bool) -> None:
    """Check that an export can be written here, before any work; only another export is replaced, with `force`.

    Raises:
        RunExistsError: there is something already.
        UsageError: the folder cannot be made.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RunExistsError(f"{folder} is a file", "Give the name of a folder.")
    parent = next(p for p in folder.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"{parent} cannot be written to", "Give a folder of your own.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / RECORD).is_file():
        raise RunExistsError(f"{folder} holds files that are not an export's", "Give another name.")
    others = sorted(p.name for p in folder.iterdir() if p.name not in _recorded(folder))
    if others:
        raise RunExistsError(
            f"{folder} holds {others[0]}, which is not of its export", "Move it, or give another name."
        )
    if not force:
        raise RunExistsError(f"{folder} holds an export already", "Give another name, or replace it with --force.")


def _recorded(folder: Path) -> set[str]:
    """Return the names of the files of an export, by its record; that of the record alone if it cannot be read."""
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=dict)
        return {RECORD, *map(str, record["files"])}
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return {RECORD}


def write_export(folder: Path, files: Mapping[str, bytes], record: Mapping[str, object], force: bool) -> None:
    """Write files and their record, with a SHA-256 of each, as a folder: under another name, which is changed last.

    Args:
        folder: its name.
        files: contents by name.
        record: of the export, JSON-serialisable.
        force: replace another export.

    Raises:
        RunExistsError: there is something already.
        UsageError: it cannot be written; an earlier export is unchanged.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    content = msgspec.json.format(msgspec.json.encode({**record, "files": digests}), indent=2) + b"\n"
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    check_export_target(folder, force)
    size = len(content) + sum(map(len, files.values()))
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        check_free(folder.absolute().parent, size)
        temporary.mkdir()
        for name, each in {**files, RECORD: content}.items():
            with open(temporary / name, "xb") as file:
                file.write(each)
                file.flush()
                os.fsync(file.fileno())
        flush_folder(temporary)
        _put(temporary, folder)
        flush_folder(folder.absolute().parent)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot take the {size:,} bytes of an export ({error.strerror or error})",
            "Free space, or give another folder.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, folder: Path) -> None:
    """Give a folder its name; an earlier one of that name waits aside until then."""
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    existed = folder.is_dir()
    if existed:
        os.rename(folder, aside)
    try:
        os.rename(temporary, folder)
    except OSError:
        if existed:
            os.rename(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
