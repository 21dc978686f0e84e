"""Dates and times as people write them, and seconds since 1970-01-01 (UTC)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from .fields import category

__all__ = [
    "CLOCKS",
    "ISO",
    "are_times",
    "hours",
    "hours_text",
    "nearest_format",
    "seconds",
    "step_of",
    "time_format",
    "time_text",
]

ISO = "iso"  # the format of all that ISO 8601 allows, with zones
_DIRECTIVES = {
    "%Y": r"\d{4}",
    "%y": r"\d\d",
    "%f": r"\d{1,6}",
    "%b": r"[^\W\d]+\.?",
    "%B": r"[^\W\d]+",
    "%p": r"[AaPp][Mm]",
    **dict.fromkeys(("%m", "%d", "%H", "%I", "%M", "%S"), r"\d{1,2}"),
}
EPOCH = datetime(1970, 1, 1)
HEAD = 50  # texts by which the commonest format is chosen
_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d %b %Y", "%d %B %Y", "%d. %B %Y", "%b %d, %Y", "%B %d, %Y"),
    *("%b %d %Y", "%d-%b-%Y", "%d-%b-%y", "%d-%B-%Y", "%Y-%m", "%Y/%m", "%b %Y", "%B %Y", "%b-%y"),
)
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
_FORMATS = tuple(f"{day}{between}{clock}" for day in _DAYS for between in (" ", "T") for clock in CLOCKS)
_TWINS = {"%m/%d/%Y": "%d/%m/%Y", "%m/%d/%y": "%d/%m/%y", "%d-%m-%Y": "%m-%d-%Y"}  # the first is taken for both
_NUMPY = {"%Y-%m-%d", "%Y-%m", *(f"%Y-%m-%d{b}{c}" for b in " T" for c in ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f"))}


@cache
def _shape(form: str) -> re.Pattern[str]:
    """Return a pattern of the texts of a format: far faster to try than `strptime`, which keeps few formats in mind."""
    parts = re.split(r"(%.)", form)
    return re.compile("".join(_DIRECTIVES.get(part, re.escape(part)) for part in parts))


def are_times(texts: Sequence[str], form: str) -> bool:
    """Return whether all texts are of a format."""
    if not all(map(_shape(form).fullmatch, texts)):
        return False
    try:
        if form in _NUMPY:  # which is many times faster
            np.array([text.replace("T", " ") for text in texts], dtype="datetime64[us]")
            return True
        for text in texts:
            datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _is_iso(texts: Sequence[str]) -> bool:
    """Return whether all texts are ISO 8601, with a day or more."""
    try:
        return all(len(t) >= 8 and "-" in t and bool(datetime.fromisoformat(t)) for t in texts)
    except ValueError:
        return False


def time_format(texts: Sequence[str]) -> tuple[str, bool] | None:
    """Return the format of dates or times, and whether another one fits too; None if they are something else.

    Args:
        texts: different observed ones, stripped.

    Example:
        >>> time_format(["2020-01-31", "2021-12-01"]), time_format(["01/02/2020"]), time_format(["31/01/2020"])
        (('%Y-%m-%d', False), ('%m/%d/%Y', True), ('%d/%m/%Y', False))
    """
    head = texts[:3]
    if not texts or any(category(t) not in ("date", "time") for t in head):
        return None
    for form in (*CLOCKS, *_DAYS, *_FORMATS):
        if are_times(head, form) and are_times(texts, form):
            twin = _TWINS.get(form[:8])
            return form, twin is not None and are_times(texts, twin + form[8:])
    return (ISO, False) if _is_iso(texts) else None


def nearest_format(texts: Sequence[str]) -> tuple[str, np.ndarray]:
    """Return the format that most texts [U] have, and a mask of those that have it."""
    head = texts[:HEAD]
    form = max((*CLOCKS, *_DAYS, *_FORMATS, ISO), key=lambda f: sum(not np.isnan(_exact(t, f)) for t in head))
    return form, np.array([not np.isnan(_exact(t, form)) for t in texts])


def _exact(text: str, form: str) -> float:
    """Return the seconds since 1970 of a text of this very format, NaN of any other."""
    return _seconds(text, form) if form == ISO or are_times([text], form) else float("nan")


def seconds(texts: Sequence[str], form: str) -> np.ndarray:
    """Return the seconds since 1970-01-01 (UTC) of texts [U], NaN where one is not of this format.

    A time without a zone is taken as one of UTC.

    Example:
        >>> seconds(["1970-01-02", "soon"], "%Y-%m-%d").tolist()
        [86400.0, nan]
    """
    if form in _NUMPY:
        try:
            exact = np.array([t.strip().replace("T", " ") for t in texts], dtype="datetime64[us]")
            if are_times([t.strip() for t in texts[:3]], form):
                return exact.astype(np.int64) / 1e6
        except ValueError:
            pass  # one is no time: which, the slower way tells
    return np.array([_seconds(t.strip(), form) for t in texts], dtype=np.float64)


def _seconds(text: str, form: str) -> float:
    try:
        when = _time(text, form)
    except ValueError:
        return float("nan")
    if when.tzinfo is not None:
        when = when.astimezone(UTC).replace(tzinfo=None)
    return (when - EPOCH) / timedelta(seconds=1)


def _time(text: str, form: str) -> datetime:
    """Return the time in a text: of its format, or else in ISO 8601, which nothing can be taken for.

    Raises:
        ValueError: it is neither.
    """
    if form != ISO:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            pass
    return datetime.fromisoformat(text)


def time_text(value: float, form: str) -> str:
    """Return the text of a time in seconds, rounded to what the format shows.

    Example:
        >>> time_text(86400.0 * 1.7, "%Y-%m-%d"), time_text(59.6, "%Y-%m-%d %H:%M:%S"), time_text(0.0, "iso")
        ('1970-01-03', '1970-01-01 00:01:00', '1970-01-01T00:00:00+00:00')
    """
    step = step_of(form)
    when = EPOCH + timedelta(seconds=round(value / step) * step)
    if form == ISO:
        return when.replace(tzinfo=UTC).isoformat()
    text = when.strftime(form)
    return text if len(text) < 4 or "%Y" not in form or when.year >= 1000 else text.zfill(10)


def step_of(form: str) -> float:
    """Return the seconds that the last digit of a format stands for; of a month, those of a day."""
    if form == ISO or "%S" in form:
        return 1e-6 if "%f" in form else 1.0
    return 60.0 if "%M" in form else 86400.0


def hours(texts: Sequence[str], form: str) -> np.ndarray:
    """Return the hours since midnight of times of day [U], NaN where one is not of this format.

    Example:
        >>> hours(["06:30", "noon"], "%H:%M").tolist()
        [6.5, nan]
    """
    since = np.array([_seconds(f"1970-01-01 {t.strip()}", f"%Y-%m-%d {form}") for t in texts], dtype=np.float64)
    return since / 3600


def hours_text(value: float, form: str) -> str:
    """Return the text of a time of day in hours.

    Example:
        >>> hours_text(23.9999, "%H:%M")
        '00:00'
    """
    return time_text(value * 3600, f"%Y-%m-%d {form}")[11:]
