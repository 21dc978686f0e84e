"""The record of a group of runs, group.json: its members, what each has of its own, and how far each has come."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec

from ..core.errors import RunExistsError, UsageError
from .entries import check_entries
from .files import write_json
from .run_folder import GROUP, LOCK, SPEC, SUMMARY, SUMMARY_TABLE, TEMPORARY, is_group
from .schemas import read_record

__all__ = ["GroupRecord", "MemberRecord", "State", "check_group_target", "read_group", "write_group"]

State = Literal["waiting", "training", "finished", "interrupted", "failed"]
REMEDY = "Its members are ordinary runs in folders of their own: use these."


class MemberRecord(TypedDict):
    """A member: its folder within the group, its options, and its state; `error` says why it failed."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[\w+][\w.+-]*\Z", max_length=255)]
    setting: str
    options: dict[str, Any]
    state: State
    error: str | None


class GroupRecord(TypedDict):
    """The contents of group.json.

    `command` are the arguments of `train` that all members share, `data` among them: null for data in memory. `how` is
    how they are trained: together in one program, or in turn, with the reason.
    """

    command: dict[str, Any]
    members: list[MemberRecord]
    how: str


def read_group(folder: Path) -> GroupRecord:
    """Return the record of a group.

    Raises:
        CorruptRunError: it is damaged.
    """
    check_entries(folder, lambda name: name in (GROUP, LOCK))
    return read_record(folder / GROUP, GroupRecord, REMEDY)  # pyright: ignore[reportReturnType]


def write_group(folder: Path, record: GroupRecord) -> None:
    """Write the record of a group.

    Raises:
        UsageError: the disk is full or cannot be written.
    """
    write_json(folder / GROUP, record)


def check_group_target(folder: Path, force: bool) -> None:
    """Check that a group can be written here, before any work; nothing is overwritten without `force`.

    Raises:
        RunExistsError: there is something already.
        UsageError: the folder cannot be made or written.
        CorruptRunError: it holds a link where a group has a file.
    """
    if folder.exists() and not folder.is_dir():
        raise RunExistsError(f"{folder} is a file", "Give --out the name of a folder.")
    if (folder / SPEC).exists():
        raise RunExistsError(f"{folder} holds a run, beside which a group cannot be", "Give --out another name.")
    check_entries(folder, lambda name: name in (GROUP, LOCK, SUMMARY, SUMMARY_TABLE))
    if is_group(folder):
        if not force:
            remedy = f"Go on with it: jensen resume {folder}; or give --out another name, or --force."
            raise RunExistsError(f"{folder} holds a group of runs already", remedy)
    elif folder.is_dir() and not all(path.name == LOCK or _is_unfinished(path) for path in folder.iterdir()):
        raise RunExistsError(f"{folder} holds files that are not a group's", "Give --out another name.")
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{place} cannot be written to", "Give --out a folder of your own.")


def _is_unfinished(path: Path) -> bool:
    """Return whether a file is one of a group's that was written in part."""
    match = TEMPORARY.fullmatch(path.name)
    return match is not None and match[1] in (GROUP, SUMMARY, SUMMARY_TABLE)
