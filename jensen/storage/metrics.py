"""The lines of metrics.jsonl: each has a digest of itself and of the line before it.

Hence a line that was changed, moved or removed is noticed, unless it was the last. A crash may leave a last line that
was written in part, without its end: that one is left out. Lines of earlier versions, which come first, have no digest
of their own; the first one with a digest covers those before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ..core.errors import CorruptRunError
from .files import content_of, parsed
from .seals import DIGEST, BrokenSeal, opened_seal, seal_of, sealed

__all__ = ["chained", "lines_in", "lines_of"]

Number = float | None


class _Measures(msgspec.Struct):
    objective: Number
    bound: Number
    rate: Number
    distortion: Number


class _Epoch(msgspec.Struct, tag_field="event", tag="epoch"):
    epoch: int
    step: int
    train: _Measures
    valid: _Measures | None
    learning_rate: Number
    beta: Number
    data_per_second: Number
    seconds: float
    is_best: bool
    spikes: int | None = None


class _Recovered(msgspec.Struct, tag_field="event", tag="recovered"):
    epoch: int
    step: int
    bad_step: int
    count: int
    factor: float
    what: str


class _Stopped(msgspec.Struct, tag_field="event", tag="stopped"):
    reason: str
    epoch: int
    kept_epoch: int
    seconds: float


def chained(lines: Iterable[dict[str, Any]], before: str = "") -> tuple[bytes, str]:
    """Return the bytes of lines that follow one with this digest, and the digest of the last of them."""
    content = b""
    for line in lines:
        record = sealed(line, before)
        before = record[DIGEST]
        content += msgspec.json.encode(record) + b"\n"
    return content, before


def lines_in(content: bytes, path: Path) -> Iterator[tuple[dict[str, Any], str, int]]:
    """Yield each line with its digest, and the number of bytes up to its end; one that was written in part is left out.

    An objective that was not finite is NaN.

    Args:
        content: of the file.
        path: of it, for error messages.

    Raises:
        CorruptRunError: a line is damaged, or is not the one that was written there.
    """
    before, covered, end = "", False, 0
    *whole, rest = content.split(b"\n")
    rest = rest.rstrip(b"\0")  # which a crash of the machine may leave
    for number, text in enumerate((*whole, rest) if rest.strip() else whole, start=1):
        try:
            record = parsed(text, dict[str, Any])
            line = opened_seal(record, demanded=covered or "format" in record, before=before)
            msgspec.convert(line, _Epoch | _Recovered | _Stopped)
            before = seal_of(record, before)
        except (msgspec.DecodeError, BrokenSeal) as error:
            if number > len(whole) and _is_cut(text, error):
                return
            raise CorruptRunError(
                f"line {number} of {path} is damaged ({error})",
                f"Restore it from a copy; jensen resume {path.parent} does if the training is to go on.",
            ) from error
        covered = covered or DIGEST in record
        end += len(text) + (number <= len(whole))
        yield _plain(line), before, end


def _is_cut(text: bytes, error: Exception) -> bool:
    """Return whether a last line was written in part; not if the byte at its end, or another, is not what it was."""
    if not isinstance(error, msgspec.DecodeError) or isinstance(error, msgspec.ValidationError):
        return False
    with suppress(msgspec.DecodeError):
        parsed(text[:-1])
        return False
    return True


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    for measures in (line.get("train"), line.get("valid")):
        if isinstance(measures, dict) and measures["objective"] is None:
            measures["objective"] = math.nan
    return {k: v for k, v in line.items() if k != "format"}


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of metrics.jsonl, see `lines_in`; none where there is no file.

    Raises:
        CorruptRunError: a line is damaged.
    """
    for line, _, _ in lines_in(content_of(path), path):
        yield line
