"""The memory that there is, and how a need for more of it is put into words."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import UsageError

try:
    import resource
except ImportError:  # Windows, whose memory is not known
    resource = None

__all__ = ["available_memory", "require_memory", "size_in_words"]

PROC = Path("/proc")
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
UNKNOWN = 2**60  # bytes, where no limit can be found
SHARE = 0.9  # of what is available: the rest is for what cannot be estimated


def available_memory() -> int:
    """Return the bytes of main memory that this process may still take, by the system's and by its own limits."""
    limits = [_meminfo("MemAvailable")]
    limits += [int(text) for path in LIMITS if (text := _text(path).strip()).isdigit()]
    if resource is not None:
        page, most = resource.getpagesize(), resource.getrlimit(resource.RLIMIT_AS)[0]
        taken = _text(PROC / "self" / "statm").split()
        limits.append(os.sysconf("SC_PHYS_PAGES") * page)
        if most != resource.RLIM_INFINITY:
            limits.append(max(most - (int(taken[0]) * page if taken else 0), 0))
    return int(SHARE * min((limit for limit in limits if limit is not None), default=UNKNOWN))


def _meminfo(name: str) -> int | None:
    """Return an entry of /proc/meminfo in bytes; None where there is none."""
    lines = (line.split() for line in _text(PROC / "meminfo").splitlines())
    return next((1024 * int(words[1]) for words in lines if words and words[0] == f"{name}:"), None)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def require_memory(needed: float, what: str, remedy: str) -> None:
    """Refuse what needs more memory than there is, before any of it is asked for.

    Args:
        needed: bytes, estimated.
        what: the subject of the sentence, in the plural.
        remedy: what to give instead.

    Raises:
        UsageError: naming both sizes.

    Example:
        >>> require_memory(10**18, "10 rows", "Give fewer rows.")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        jensen.core.errors.UsageError: 10 rows need about 1,000 PB of memory, and ... are available. Give fewer rows.
    """
    there = available_memory()
    if needed > there:
        raise UsageError(
            f"{what} need about {size_in_words(needed)} of memory, and {size_in_words(there)} are available", remedy
        )


def size_in_words(size: float) -> str:
    """Return a number of bytes in decimal units, to two digits or three; 1,000 PB stand for all that is more.

    Example:
        >>> size_in_words(5_800_000_000), size_in_words(250_000), size_in_words(4 * 10**30)
        ('5.8 GB', '250 kB', '1,000 PB')
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000:
            return f"{size:.2g} {unit}" if size < 10 else f"{size:.0f} {unit}"
        size /= 1000
    return "1,000 PB"
