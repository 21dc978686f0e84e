"""A file that one process holds: by a lock of the system, which ends with its holder, or else by what is written in it.

Where a system has locks of files (all but some network disks), they alone decide: a process that was killed holds
nothing, whatever it left behind. Elsewhere the file says who holds it: the host, the process, and when that process
began, so that another one with its number is not taken for it. A holder on another host cannot be asked, and is
believed.
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
from .files import parsed

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["Holder", "hold", "lives", "release"]

LIMIT = 4096  # bytes
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
TRIES = 100
SETTLED = 0.1  # seconds


@dataclass(frozen=True)
class Holder:
    """Who holds a file.

    Attributes:
        host: its machine's name; empty of a file by a version that did not write it.
        pid: its process.
        began: when that process did, as the system counts it; empty where it does not say.
    """

    host: str
    pid: int
    began: str

    def __str__(self) -> str:
        return f"process {self.pid}" + (f" on {self.host}" if self.host else "")


def _myself() -> Holder:
    return Holder(socket.gethostname(), os.getpid(), _began(os.getpid()))


def _began(pid: int) -> str:
    """When a process began, in ticks since its machine did, and which start of the machine that was."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{fields[19]}"
    return ""


def _written(content: bytes) -> Holder | None:
    """Who a file says holds it; None where it says nothing that can be read."""
    try:
        found = parsed(content)
        if type(found) is int:  # the number of the process alone, as it was written once
            return Holder("", found, "")
        return msgspec.convert(found, Holder)
    except msgspec.DecodeError:
        return None


def lives(holder: Holder) -> bool:
    """Whether a process is still there, as far as can be known from here."""
    if holder.host not in ("", socket.gethostname()):
        return True
    if not 0 < holder.pid < 2**31:
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's process
    return not holder.began or holder.began == _began(holder.pid)


def hold(path: Path) -> int:
    """Take a file; what is given back is for `release`.

    Raises:
        RunExistsError: another process holds it.
        OSError: it cannot be made.
    """
    for _ in range(TRIES):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            alone = _locked(handle, path)
            if not alone:
                _believed(path, os.pread(handle, LIMIT, 0))
            if _is_at(handle, path):
                os.ftruncate(handle, 0)
                os.pwrite(handle, msgspec.json.encode(_myself()), 0)
                if not alone:  # two may have come here at once: the last to write has it
                    time.sleep(SETTLED)
                    _believed(path, os.pread(handle, LIMIT, 0))
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its holder has just removed it: this is a file without a name
    raise RunExistsError(f"{path.parent} is taken again and again by others", "Give --out another name.")


def _locked(handle: int, path: Path) -> bool:
    """Whether the system has given the lock; False where it has none to give."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _refused(path, _written(os.pread(handle, LIMIT, 0))) from None
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return False
        raise
    return True


def _believed(path: Path, content: bytes) -> None:
    """Without locks, refuse a file whose holder lives."""
    holder = _written(content)
    if holder is not None and holder != _myself() and lives(holder):
        raise _refused(path, holder, f" If it does not run any more, delete {path}.")


def _refused(path: Path, holder: Holder | None, more: str = "") -> RunExistsError:
    who = "" if holder is None else f" ({holder})"
    return RunExistsError(
        f"another training{who} is writing into {path.parent}", f"Wait for it, or give --out another name.{more}"
    )


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def release(path: Path, handle: int) -> None:
    """Give a file back: it is removed while it is still held, so that nobody can take it in between."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    os.close(handle)
