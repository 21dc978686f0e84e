"""Lock files: held by one process, through a lock of the system or else by their content.

Where the system has file locks (all but some network disks), they alone decide: a process that was killed holds
nothing, whatever file it has left. Elsewhere the content of the file decides: host and number of the process that holds
it, and when that process began, so that a later process with the same number is not mistaken for it. Whether a process
on another host is alive cannot be checked, and is assumed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..core.errors import RunExistsError
from ..data.regular_files import Irregular, open_regular
from .entries import refused
from .files import parsed

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["Holder", "acquire", "is_alive", "release"]

LIMIT = 4096  # bytes
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
TRIES = 100
RACE = 0.1  # seconds within which processes without locks may write at once


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock file.

    Attributes:
        host: the name of its machine; empty in files of early versions.
        pid: its number.
        began: when it began, by the system's own count; empty where the system does not report it.
    """

    host: str
    pid: int
    began: str

    def __str__(self) -> str:
        return f"process {self.pid}" + (f" on {self.host}" if self.host else "")


def _this_process() -> Holder:
    return Holder(socket.gethostname(), os.getpid(), _began(os.getpid()))


def _began(pid: int) -> str:
    """Return when a process began: the identity of the machine's last start, and the ticks since then."""
    with contextlib.suppress(OSError, IndexError):
        # the name of a process, which comes before, may be of any bytes
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii").split()
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text('ascii').strip()}:{fields[19]}"
    return ""


def _holder_in(content: bytes) -> Holder | None:
    """Return the holder that is recorded in a file; None if it cannot be read."""
    try:
        record = parsed(content)
        if type(record) is int:  # early versions wrote the number of the process alone
            return Holder("", record, "")
        return msgspec.convert(record, Holder)
    except msgspec.DecodeError:
        return None


def is_alive(holder: Holder) -> bool:
    """Return whether a process is still running, as far as this machine can know."""
    if holder.host not in ("", socket.gethostname()):
        return True
    if not 0 < holder.pid < 2**31:
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # a process of another user
    return not holder.began or holder.began == _began(holder.pid)


def acquire(path: Path) -> int:
    """Acquire a lock file, and return its handle for `release`.

    Raises:
        RunExistsError: another process holds it.
        CorruptRunError: it is a link, or of another kind than a regular file.
        OSError: it cannot be made.
    """
    for _ in range(TRIES):
        try:
            handle = open_regular(path, os.O_RDWR | os.O_CREAT, alone=True)
        except Irregular as error:
            raise refused(path, str(error.strerror)) from error
        try:
            locked = _lock(handle, path)
            if not locked:
                _check_holder(path, os.pread(handle, LIMIT, 0))
            if _is_at(handle, path):
                os.ftruncate(handle, 0)
                os.pwrite(handle, msgspec.json.encode(_this_process()), 0)
                if not locked:  # two processes may be here at once: the last to write holds it
                    time.sleep(RACE)
                    _check_holder(path, os.pread(handle, LIMIT, 0))
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its holder has just removed it, so that this file has no name
    raise RunExistsError(f"{path.parent} is repeatedly locked by other processes", "Give --out another name.")


def _lock(handle: int, path: Path) -> bool:
    """Acquire the system's lock of an open file; return False where the system has no such locks.

    Raises:
        RunExistsError: another process holds it.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _held(path, _holder_in(os.pread(handle, LIMIT, 0))) from None
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return False
        raise
    return True


def _check_holder(path: Path, content: bytes) -> None:
    """Refuse a file whose recorded holder is alive.

    Raises:
        RunExistsError: it is.
    """
    holder = _holder_in(content)
    if holder is not None and holder != _this_process() and is_alive(holder):
        raise _held(path, holder, f" If it does not run any more, delete {path}.")


def _held(path: Path, holder: Holder | None, more: str = "") -> RunExistsError:
    process = "" if holder is None else f" ({holder})"
    return RunExistsError(
        f"another training{process} is writing into {path.parent}", f"Wait for it, or give --out another name.{more}"
    )


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file is the one at that path."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def release(path: Path, handle: int) -> None:
    """Release a lock file: it is removed while it is still held, so that no process can acquire it in between."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    os.close(handle)
