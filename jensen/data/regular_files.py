"""Opening of regular files alone: a FIFO would hang, a device never ends, and a link in a run leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["Irregular", "open_regular", "refusal"]

# none of these on Windows, which has no such files; a FIFO without a writer hangs unless it is opened without waiting
SAFELY = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Irregular(OSError):
    """A path that must be of a regular file is of something else."""

    def __str__(self) -> str:
        return str(self.strerror)


def refusal(status: os.stat_result, *, folder: bool = False, alone: bool = False) -> str | None:
    """Return the reason why an entry is refused, such as "it is a FIFO, not a regular file"; None if it is not.

    Args:
        status: of the entry itself, or of the open file.
        folder: a folder will do too.
        alone: refuse a file that has another name somewhere, by a hard link.
    """
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        return "it has another name, by a hard link" if alone and status.st_nlink > 1 else None
    if folder and kind == stat.S_IFDIR:
        return None
    return f"it is {KINDS.get(kind, 'of another kind')}, not a regular file"


def open_regular(path: Path, flags: int = os.O_RDONLY, *, follow: bool = False, alone: bool = False) -> int:
    """Open a regular file, without waiting, and return its descriptor; everything else is refused.

    Args:
        path: of the file.
        flags: of `os.open`; a file is made with the permissions that the user's mask leaves.
        follow: the last part of the path may be a link, as the user's own files may.
        alone: refuse a file that has another name, to be given where it is changed in place.

    Raises:
        Irregular: it is a link, a folder, a FIFO, a socket or a device.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | SAFELY | (0 if follow else NOFOLLOW), 0o666)
    except OSError as error:
        status = None if isinstance(error, FileNotFoundError) else _status(path, follow)
        reason = None if status is None else refusal(status)
        if reason is None:
            raise
        raise Irregular(error.errno, reason, str(path)) from error
    reason = refusal(os.fstat(descriptor), alone=alone)
    if reason is not None:
        os.close(descriptor)
        raise Irregular(errno.ELOOP, reason, str(path))
    return descriptor


def _status(path: Path, follow: bool) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow)
    except OSError:
        return None
