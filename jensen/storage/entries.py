"""The entries of a run folder: regular files and folders alone, so that nothing in a run leads out of it.

The folder itself may be a link, and lie below links. What is in it may come from a stranger: a link would be followed
out of the run when a file is written or a folder is moved, and a FIFO or a device would not end. Entries of other names
are the user's own: no command opens them, whatever they are.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from ..core.errors import CorruptRunError
from ..data.regular_files import refusal
from .run_folder import (
    CHECKPOINTS,
    EVALUATIONS,
    LOCK,
    MOVING,
    REPLACED,
    STATE,
    TEMPORARY,
    TENSORBOARD,
    TRACKERS,
    WRITTEN,
    is_written,
)

__all__ = ["check_entries", "make_folder", "refused"]

FOLDERS = (STATE, CHECKPOINTS, EVALUATIONS, TENSORBOARD, TRACKERS, REPLACED, MOVING)
NAMES = {*WRITTEN, *FOLDERS, LOCK}
FOREIGN = (TRACKERS, "wandb")  # a folder in which its package leaves links, and whose files no command opens


def refused(path: Path | str, reason: str) -> CorruptRunError:
    """Return the error of an entry that a run may not hold."""
    remedy = "Remove it, or put a copy of what it stands for in its place."
    return CorruptRunError(f"{path} cannot be used in a run: {reason}", remedy)


def _is_of_a_run(name: str) -> bool:
    """Return whether a run may hold an entry of this name, finished or not; some disks do not tell capitals apart."""
    plain = name.casefold()
    match = TEMPORARY.fullmatch(plain)
    whole = plain if match is None else match[1]
    return whole in NAMES or is_written(whole)


def check_entries(folder: Path, ours: Callable[[str], bool] = _is_of_a_run) -> None:
    """Check that what a command may open in a run folder is a regular file or a folder, before any of it is opened.

    Args:
        folder: the run's; one that does not exist holds nothing.
        ours: whether a command may open an entry of this name.

    Raises:
        CorruptRunError: naming the first entry that is a link, a FIFO, a socket or a device.
    """
    pending = [str(folder)]
    while pending:
        place = pending.pop()
        for name in _names(place):
            if place == str(folder) and not ours(name):
                continue
            path = os.path.join(place, name)
            try:
                status = os.lstat(path)
            except FileNotFoundError:  # another process has just removed it
                continue
            reason = refusal(status, folder=True)
            if reason is not None:
                raise refused(path, reason)
            of_ours = place != str(folder) or name.casefold() in FOLDERS
            if stat.S_ISDIR(status.st_mode) and of_ours and (os.path.basename(place), name) != FOREIGN:
                pending.append(path)


def _names(place: str) -> list[str]:
    try:
        return sorted(os.listdir(place))
    except (FileNotFoundError, NotADirectoryError):  # below a file there is nothing
        return []
    except OSError as error:
        raise CorruptRunError(f"{place} cannot be read ({error.strerror})", "Give yourself access to it.") from error


def make_folder(path: Path) -> bool:
    """Make a folder of a run, and return True; False where there is one.

    Raises:
        CorruptRunError: it is a link to a folder, or no folder.
        OSError: it cannot be made.
    """
    try:
        path.mkdir()
    except FileExistsError:
        reason = refusal(os.lstat(path), folder=True)
        if reason is not None:
            raise refused(path, reason) from None
        if not path.is_dir():
            raise
        return False
    return True
