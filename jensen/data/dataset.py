"""A data set in memory, and the judgement of what an array holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..core.errors import DataError
from .factors import Factors
from .schema import Kind, Schema

__all__ = [
    "LIMIT",
    "UNKNOWN",
    "Dataset",
    "Raw",
    "Source",
    "assemble",
    "check_dtype",
    "check_size",
    "chunks",
    "encode_labels",
]

UNKNOWN = -1  # the label of a row whose class is not known
LIMIT = 16 * 2**30  # bytes: a larger array is refused before it is allocated
MISSING_REMEDY = "Train a recipe that takes missing entries: --recipe miwae"
MOST_LEVELS = 65536  # more integer values than this are a measurement, not levels
CHUNK = 2**22  # entries looked at together, so that a check never needs a second copy of the data


@dataclass(frozen=True)
class Source:
    """Where data came from.

    Attributes:
        name: what the user typed.
        files: absolute paths of what was read.
        sha256: of the shape, the type and the bytes of x as read.
        n: N, the number of data.
    """

    name: str
    files: tuple[str, ...]
    sha256: str
    n: int


@dataclass(frozen=True)
class Dataset:
    """Data in memory, compactly.

    Attributes:
        x: [N, D], C-contiguous: uint8 for binary data and integers of at most 256 levels, int32 for more levels,
            float32 for reals (float64 where the file had it). An image is flat, in the order height, width, channel.
            An entry that is missing holds 0.
        labels: [N] int64, or None.
        schema: the kind of the values and the shape of a datum.
        source: where the data came from.
        notes: what the user should be told about how the file was read.
        mask: [N, D] bool, True where observed; None when everything is.
        factors: what the data were made from, [N, F] of them, where that is known.
    """

    x: np.ndarray
    labels: np.ndarray | None
    schema: Schema
    source: Source
    notes: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    factors: Factors | None = None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, index: np.ndarray) -> Dataset:
        """The rows [M] of these numbers, as a data set."""
        labels, mask = (None if each is None else each[index] for each in (self.labels, self.mask))
        factors = None if self.factors is None else self.factors.rows(index)
        return replace(self, x=self.x[index], labels=labels, mask=mask, factors=factors)


@dataclass
class Raw:
    """What a reader found in a file, before it is judged.

    Attributes:
        x: [N, ...] as in the file.
        labels: [N] of any type.
        names: column names.
        classes: names of the labels, where these are numbered already.
        notes: for the user.
        files: that were read.
        levels: how many values there are, where the file's format says so.
        loose: the file knows no integer type (text, MATLAB doubles): whole numbers up to 255 count as integers.
        choices: what else in the file could be named as labels.
        factors: what the data were made from, where that is known.
    """

    x: np.ndarray
    labels: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    levels: int | None = None
    loose: bool = False
    choices: tuple[str, ...] = ()
    factors: Factors | None = None


def chunks(x: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Runs of rows of x, each with the number of its first row."""
    step = max(1, CHUNK // max(1, x[0].size))
    for start in range(0, len(x), step):
        yield start, x[start : start + step]


def check_size(bytes_declared: int, where: str) -> None:
    """Refuse an array by the size that its header declares, before it is allocated."""
    if bytes_declared > LIMIT:
        raise DataError(
            f"{where} declares {bytes_declared / 2**30:,.1f} GiB of data, and at most {LIMIT // 2**30} GiB are read",
            "Give fewer rows or a smaller type.",
        )


NO_LABEL = ("", "na", "n/a", "nan", "null", "none", "?", "-")

_REFUSED = {
    "O": "Python objects, which are never unpickled",
    "c": "complex numbers",
    "U": "text",
    "S": "text",
    "M": "dates",
    "m": "time differences",
    "V": "a structured array",
}


def check_dtype(dtype: np.dtype, where: str) -> None:
    """Refuse an array that does not hold real numbers."""
    if dtype.hasobject or dtype.kind not in "biuf":
        held = _REFUSED["O" if dtype.hasobject else dtype.kind]
        raise DataError(f"{where} holds {held}", "Save it as one array of numbers: np.save(FILE, x.astype(float)).")


def _layout(x: np.ndarray, where: str) -> tuple[np.ndarray, tuple[int, ...], list[str]]:
    """One datum's shape, with channels last."""
    if x.ndim == 2:
        return x, x.shape[1:], []
    if x.ndim == 3:
        return x[..., None], (*x.shape[1:], 1), []
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3, 4):
        moved = x.transpose(0, 2, 3, 1)
        return moved, moved.shape[1:], [f"shape {x.shape} read as [N, C, H, W]; channels moved last"]
    if x.ndim == 4 and x.shape[3] in (1, 2, 3, 4):
        return x, x.shape[1:], []
    raise DataError(
        f"{where} has the shape {x.shape}, which is neither a table nor images",
        "Give [N, D], [N, H, W] or [N, H, W, C] with 1 to 4 channels.",
    )


def _place(bad: tuple[int, int], names: tuple[str, ...] | None) -> str:
    row, column = bad
    return f"row {row}, column {names[column]!r}" if names else f"row {row}, column {column}"


def _first(x: np.ndarray, bad: Callable[[np.ndarray], np.ndarray]) -> tuple[int, tuple[int, int]]:
    """How many entries are bad, and the row and column of the first."""
    count, first = 0, None
    for start, part in chunks(x):
        found = bad(part.reshape(len(part), -1))
        count += int(found.sum())
        if first is None and found.any():
            row, column = np.argwhere(found)[0]
            first = (start + int(row), int(column))
    return count, first or (0, 0)


def _observed(x: np.ndarray, raw: Raw, missing: bool, where: str) -> np.ndarray | None:
    """Where x [N, ...] is observed, as [N, ...] bool; None where everything is.

    Raises:
        DataError: entries are infinite; or missing, where that is not taken; or all of them are.
    """
    if x.dtype.kind != "f" or (np.isfinite(x.min()) and np.isfinite(x.max())):
        return None
    count, first = _first(x, np.isinf)
    if count:
        raise DataError(
            f"{where} holds {_entries(count, 'infinite')}, first in {_place(first, raw.names)} (from 0)",
            "Clean them or drop these rows; an entry that is missing is written as NaN, or left empty.",
        )
    if not missing:
        count, first = _first(x, np.isnan)
        raise DataError(
            f"{where} holds {_entries(count, 'missing')} (NaN), first in {_place(first, raw.names)} (from 0)",
            f"{MISSING_REMEDY}; or fill them, or drop these rows.",
        )
    mask = ~np.isnan(x)
    if not mask.any():
        raise DataError(f"{where} has no observed entry at all", "Give data of which something is known.")
    return mask


def _entries(n: int, what: str) -> str:
    return f"{n:,} {what} {'entry' if n == 1 else 'entries'}"


def _whole(x: np.ndarray) -> bool:
    return all(bool((part == np.floor(part)).all()) for _, part in chunks(x))


def _only(x: np.ndarray, a: int, b: int) -> bool:
    return all(bool(((part == a) | (part == b)).all()) for _, part in chunks(x))


def _judge(x: np.ndarray, low: float, high: float, raw: Raw) -> tuple[Kind, int | None, type]:
    """Kind, levels and compact type of numbers between `low` and `high`; see `read` for the rules."""
    floating = x.dtype.kind == "f"
    if low >= 0 and high <= 1 and (not floating or _only(x, 0, 1)):
        return "binary", None, np.uint8
    if floating or raw.loose:
        if raw.loose and low >= 0 and high <= 255 and _whole(x):
            return "integers", int(high) + 1, np.uint8
        wide = x.dtype.itemsize >= 8 if floating else max(-low, high) > 2**24
        return "real", None, np.float64 if wide else np.float32
    levels = raw.levels or (256 if x.dtype.itemsize == 1 and x.dtype.kind == "u" and raw.x.ndim >= 3 else int(high) + 1)
    if low < 0 or levels > MOST_LEVELS:
        # float32 holds whole numbers exactly up to 2^24
        return "real", None, np.float64 if max(-low, high) > 2**24 else np.float32
    return "integers", levels, np.uint8 if levels <= 256 else np.int32


def encode_labels(labels: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Labels as int64 [N]; text that is not whole numbers is numbered in sorted order, and its names returned.

    A label that is NaN, empty or NA is `UNKNOWN`, and so is -1.
    """
    labels = labels.reshape(-1)
    if labels.dtype.kind in "US":
        text = np.char.strip(labels.astype(str))
        blank = np.isin(np.char.lower(text), NO_LABEL)
        try:
            labels = np.where(blank, "nan", text).astype(np.float64)
        except ValueError:
            names, numbers = np.unique(text[~blank], return_inverse=True)
            found = np.full(len(text), UNKNOWN, dtype=np.int64)
            found[~blank] = numbers.reshape(-1)
            return found, tuple(str(n) for n in names)
    if labels.dtype.kind == "f":
        labels = np.where(np.isnan(labels), UNKNOWN, labels)
        bad = ~np.isfinite(labels)
        bad[~bad] = (labels[~bad] != np.floor(labels[~bad])) | (np.abs(labels[~bad]) > 2.0**53)
        if bad.any():
            raise DataError(
                f"label {labels[bad][0]} in {where} is not a whole number",
                "Labels are whole numbers or class names.",
            )
    elif labels.dtype.kind not in "biu":
        raise DataError(f"the labels in {where} have the type {labels.dtype}", "Labels are whole numbers or names.")
    return labels.astype(np.int64), None


def _digest(x: np.ndarray, mask: np.ndarray | None) -> str:
    digest = hashlib.sha256(f"{x.dtype.newbyteorder('<').str}{x.shape}".encode())
    digest.update(x.data.cast("B"))
    if mask is not None:
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


def _checked(raw: Raw, where: str) -> tuple[np.ndarray, tuple[int, ...], list[str]]:
    check_dtype(raw.x.dtype, where)
    if raw.x.ndim == 1:
        raise DataError(f"{where} has one axis only ({len(raw.x)} numbers)", "Give one row per datum, [N, D].")
    if raw.x.size == 0:
        raise DataError(f"{where} is empty: its shape is {raw.x.shape}", "Give at least one row and one column.")
    x, shape, notes = _layout(raw.x, where)
    return x, shape, notes


def assemble(raw: Raw, name: str, missing: bool = False) -> Dataset:
    """Judge what a reader found, and store it compactly.

    Args:
        raw: what was found.
        name: of the source.
        missing: whether NaN is an entry that is missing; else it is refused. The observed entries decide the kind, and
            since no integer type can hold NaN, whole numbers with holes count as integers as those of a table do.

    Raises:
        DataError: values are not finite real numbers, the shape is no data set's, or labels do not fit.
    """
    x, shape, notes = _checked(raw, name)
    mask = _observed(x, raw, missing, name)
    if mask is not None:
        x, raw = np.where(mask, x, 0), replace(raw, loose=True)
        notes.append(
            f"{_entries(int((~mask).sum()), 'missing')} of {mask.size:,} ({(~mask).mean():.1%}):"
            " log p(x) is of the observed ones"
        )
    # a zero in the place of what is missing must not widen the range
    low, high = (x.min().item(), x.max().item()) if mask is None else (x[mask].min().item(), x[mask].max().item())
    kind, levels, dtype = _judge(x, low, high, raw)
    if kind == "integers" and len(shape) == 3 and high == 255 and _only(x, 0, 255):
        notes.append("only the values 0 and 255 occur: --binarize threshold makes these images binary without loss")
    if kind == "real" and _whole(x):
        notes.append("whole numbers read as reals, so that log p(x) is a density: an integer type from 0 gives a mass")
    labels, classes = None, raw.classes
    if raw.labels is not None:
        labels, found = encode_labels(raw.labels, name)
        classes = classes or found
        if len(labels) != len(x):
            raise DataError(
                f"{name} has {len(x):,} rows and {len(labels):,} labels", "Name the labels of these rows with --labels."
            )
    x = np.ascontiguousarray(x, dtype=dtype).reshape(len(x), -1)
    mask = None if mask is None else np.ascontiguousarray(mask).reshape(len(x), -1)
    source = Source(name, tuple(raw.files), _digest(x, mask), len(x))
    schema = Schema(kind, shape, levels, raw.names, classes)
    return Dataset(x, labels, schema, source, (*raw.notes, *notes), mask, raw.factors)
