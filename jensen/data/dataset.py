"""Data sets, in memory or in files, with a schema inferred from their values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.memory import size_in_words
from ..core.wording import plural
from .column_statistics import ends
from .counts import MOST, are_counts
from .factors import Factors
from .file_rows import Array, ColumnRows, ConvertedRows, FileRows, flattened, piece_rows
from .frames import Frame
from .hashed_split import PartRows, RowNumbers
from .identity import taken
from .label_numbers import encode_labels
from .schema import Kind, Schema
from .selection import Fit

__all__ = [
    "Dataset",
    "Raw",
    "Source",
    "assemble",
    "check_dtype",
    "chunks",
    "digest_of",
    "writable_names",
]

MISSING_REMEDY = "Train a recipe for missing entries: --recipe miwae"
MOST_LEVELS = 65536  # integers with more values are read as reals
CHUNK = 2**22  # entries that are checked at a time, without a copy of the data


@dataclass(frozen=True)
class Source:
    """The source of data.

    Attributes:
        name: as the user typed it.
        files: absolute paths of the files that were read.
        sha256: of the shape, the type and the bytes of x as read.
        n: N, the number of data.
        resized: height and width that the images of a folder were resized to; None if they were not.
        fit: what became of proportions then, "crop" or "stretch".
    """

    name: str
    files: tuple[str, ...]
    sha256: str
    n: int
    resized: tuple[int, int] | None = None
    fit: Fit | None = None


@dataclass(frozen=True)
class Dataset:
    """Data in a compact type, in memory or in files.

    Attributes:
        x: [N, D], C-contiguous or in files: uint8 for binary data and integers of at most 256 levels, int32 for more,
            float32 for reals (float64 if the file has it). An image is flat, in the order height, width, channel.
            Missing entries hold 0.
        labels: [N] int64, or None.
        schema: the kind of the values and the shape of a datum.
        source: of the data.
        notes: for the user, on how the file was read.
        mask: [N, D] bool, True where observed; None if all entries are.
        factors: [N, F], the factors that the data were generated from, if known.
        identity: by name, columns [N] that say which row it is and are no data: identifiers, an index, names of cells
            or files, and columns that were dropped. Text is kept as text.
        frame: the table of mixed kinds as it was given, with all its columns; x is float64 then, see `Column`.
        reasons: by name, for the kinds of the columns of such a table, and for leaving others out.
        conditions: a table of several labels, of the same rows, where these were named (see `conditions`).
    """

    x: Array
    labels: np.ndarray | None
    schema: Schema
    source: Source
    notes: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    factors: Factors | None = None
    identity: dict[str, np.ndarray] = field(default_factory=dict)
    frame: Frame | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    conditions: Dataset | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def is_streamed(self) -> bool:
        """True if the rows stay in files while a model is trained."""
        return isinstance(self.x, FileRows) and not isinstance(self.x, ColumnRows)

    def rows(self, index: np.ndarray | RowNumbers) -> Dataset:
        """Return the rows of these numbers [M], as a data set; those of a part stay in files where all rows do."""
        if isinstance(index, RowNumbers) and isinstance(self.x, FileRows):
            x: Array = PartRows(self.x, index)
            if self.labels is None and not self.identity:
                return replace(self, x=x)  # without all numbers at once
        else:
            x = self.x.rows(index[:]) if isinstance(self.x, ColumnRows) else self.x[index[:]]
        index = index[:]
        labels, mask = (None if each is None else each[index] for each in (self.labels, self.mask))
        factors, identity = None if self.factors is None else self.factors.rows(index), taken(self.identity, index)
        frame = None if self.frame is None else self.frame.rows(index)
        own = None if self.conditions is None else self.conditions.rows(index)
        kept: Any = {"factors": factors, "identity": identity, "frame": frame, "conditions": own}
        return replace(self, x=x, labels=labels, mask=mask, **kept)


@dataclass
class Raw:
    """The content of a file, before it is checked and its schema inferred.

    Attributes:
        x: [N, ...] as in the file.
        labels: [N] of any type.
        names: column names.
        classes: names of the labels, if these are numbers already.
        notes: for the user.
        files: that were read.
        levels: number of values, if the file's format declares it.
        loose: True if the file has no integer type (text, MATLAB doubles): whole numbers up to 255 are integers.
        choices: names in the file that labels could have.
        factors: that the data were generated from, if known.
        identity: by name, columns [N] that say which row it is.
        resized, fit: height and width that images were resized to, and how, if they were.
    """

    x: Array
    labels: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    levels: int | None = None
    loose: bool = False
    choices: tuple[str, ...] = ()
    factors: Factors | None = None
    identity: dict[str, np.ndarray] = field(default_factory=dict)
    resized: tuple[int, int] | None = None
    fit: Fit | None = None


def chunks(x: Array) -> Iterator[tuple[int, np.ndarray]]:
    """Yield x in chunks of rows, each with the number of its first row."""
    step = piece_rows(x) if isinstance(x, FileRows) else max(CHUNK // max(1, x[:1].size), 1)
    for start in range(0, len(x), step):
        yield start, x[start : start + step]


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
    """Refuse an array that does not hold real numbers.

    Raises:
        DataError: naming its content.
    """
    if dtype.hasobject or dtype.kind not in "biuf":
        content = _REFUSED["O" if dtype.hasobject else dtype.kind]
        remedy = "Save it as one array of numbers: np.save(FILE, x.astype(float))."
        if dtype.kind == "V":
            remedy = "Make its fields columns: numpy.lib.recfunctions.structured_to_unstructured(x)."
        raise DataError(f"{where} holds {content}", remedy)


def _layout(x: Array, where: str) -> tuple[Array, tuple[int, ...], list[str]]:
    """Return x with channels last, the shape of a datum, and notes.

    Raises:
        DataError: the shape is not that of a table or of images.
    """
    if isinstance(x, FileRows):
        like, shape, notes = _layout(np.broadcast_to(np.zeros((), x.dtype), x.shape), where)
        return ConvertedRows(x, lambda part: _layout(part, where)[0][:], like.shape[1:], x.dtype), shape, notes
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


def _position(entry: tuple[int, int], names: tuple[str, ...] | None) -> str:
    """Return row and column of an entry in words."""
    row, column = entry
    return f"row {row}, column {names[column]!r}" if names else f"row {row}, column {column}"


def _count(x: Array, bad: Callable[[np.ndarray], np.ndarray]) -> tuple[int, tuple[int, int]]:
    """Return the number of entries for which `bad` is true, with row and column of the first."""
    count, first = 0, None
    for start, part in chunks(x):
        is_bad = bad(part.reshape(len(part), -1))
        count += int(is_bad.sum())
        if first is None and is_bad.any():
            row, column = np.argwhere(is_bad)[0]
            first = (start + int(row), int(column))
    return count, first or (0, 0)


def _observed(x: Array, ends: tuple[float, float], raw: Raw, missing: bool, where: str) -> np.ndarray | None:
    """Return a mask of the observed entries of x [N, ...] between these ends, None if all are.

    Raises:
        DataError: entries are infinite, or missing and `missing` is False, or none is observed.
    """
    if x.dtype.kind != "f" or np.isfinite(ends).all():
        return None
    count, first = _count(x, np.isinf)
    if count:
        raise DataError(
            f"{where} holds {plural(count, 'infinite entry')}, first in {_position(first, raw.names)} (from 0)",
            "Clean them or drop these rows; an entry that is missing is written as NaN, or left empty.",
        )
    if not missing:
        count, first = _count(x, np.isnan)
        raise DataError(
            f"{where} holds {plural(count, 'missing entry')} (NaN), first in {_position(first, raw.names)} (from 0)",
            f"{MISSING_REMEDY}; or fill them, or drop these rows.",
        )
    if isinstance(x, FileRows):
        raise DataError(
            f"{where} has missing entries, and rows that stay in their files cannot have any",
            "Read them into memory: --in-memory; or fill them, or drop these rows.",
        )
    mask = ~np.isnan(x)
    if not mask.any():
        raise DataError(f"{where} has no observed entry", "Give data with observed entries.")
    return mask


def _are_whole(x: Array) -> bool:
    """Return whether all numbers are whole."""
    return all(bool((part == np.floor(part)).all()) for _, part in chunks(x))


def _are_only(x: Array, a: int, b: int) -> bool:
    """Return whether no number but a and b occurs."""
    return all(bool(((part == a) | (part == b)).all()) for _, part in chunks(x))


def _infer_kind(
    x: Array, low: float, high: float, raw: Raw, mask: np.ndarray | None, known: Kind | None
) -> tuple[Kind, int | None, type]:
    """Return kind, levels and compact type of numbers from `low` to `high`, by the rules in `read`."""
    floating = x.dtype.kind == "f"
    if low >= 0 and high <= 1 and (not floating or _are_only(x, 0, 1)):
        return "binary", None, np.uint8
    untyped = floating or raw.loose
    if untyped and raw.loose and low >= 0 and high <= 255 and _are_whole(x):
        return "integers", int(high) + 1, np.uint8
    may_count = low >= 0 and 1 < high <= MOST and known in (None, "integers") and (untyped or high >= MOST_LEVELS)
    if may_count and _are_whole(x) and (known == "integers" or _are_counts(x, mask, raw.names)):
        return "integers", int(high) + 1, np.uint8 if high < 256 else np.int32
    if untyped:
        wide = x.dtype.itemsize >= 8 if floating else max(-low, high) > 2**24
        return "real", None, np.float64 if wide else np.float32
    levels = raw.levels or (256 if x.dtype.itemsize == 1 and x.dtype.kind == "u" and raw.x.ndim >= 3 else int(high) + 1)
    if low < 0 or levels > MOST_LEVELS:
        # float32 holds whole numbers exactly up to 2^24
        return "real", None, np.float64 if max(-low, high) > 2**24 else np.float32
    return "integers", levels, np.uint8 if levels <= 256 else np.int32


def _are_counts(x: Array, mask: np.ndarray | None, names: tuple[str, ...] | None) -> bool:
    """Return whether whole numbers [N, ...] are counts."""
    observed = repeat(None) if mask is None else (mask[start : start + len(part)] for start, part in chunks(x))
    return are_counts((part for _, part in chunks(x)), x.shape[1:], observed, names)


def digest_of(x: Array, mask: np.ndarray | None) -> str:
    """Return the SHA-256 of type, shape, bytes and mask."""
    digest = hashlib.sha256(f"{x.dtype.newbyteorder('<').str}{x.shape}".encode())
    for _, part in chunks(x) if isinstance(x, FileRows) else ((0, x),):
        digest.update(part.data.cast("B"))
    if mask is not None:
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


def _checked(raw: Raw, where: str) -> tuple[Array, tuple[int, ...], list[str]]:
    """Return x with channels last, the shape of a datum, and notes.

    Raises:
        DataError: x does not hold real numbers, is empty, or has an impossible shape.
    """
    check_dtype(raw.x.dtype, where)
    if raw.x.ndim == 1:
        raise DataError(f"{where} has one axis only ({len(raw.x)} numbers)", "Give one row per datum, [N, D].")
    if raw.x.size == 0:
        raise DataError(f"{where} is empty: its shape is {raw.x.shape}", "Give at least one row and one column.")
    x, shape, notes = _layout(raw.x, where)
    return x, shape, notes


def writable_names(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return names that UTF-8 can hold: half a character of UTF-16, as JSON may have it, is escaped."""
    return None if names is None else tuple(n.encode(errors="backslashreplace").decode() for n in names)


def assemble(raw: Raw, name: str, missing: bool = False, kind: Kind | None = None) -> Dataset:
    """Return the data set of the content of a file: checked, with its schema inferred, in a compact type.

    Args:
        raw: content of the file.
        name: of the source.
        missing: True if NaN is a missing entry; otherwise it is refused. The observed entries determine the kind; since
            no integer type can hold NaN, whole numbers with missing entries are integers, as those of a table are.
        kind: that the same data, or those of the training, were read as: reals stay reals.

    Raises:
        DataError: values are not finite real numbers, the shape is impossible, or there is not one label per row.
    """
    x, shape, notes = _checked(raw, name)
    low, high = ends(x)
    mask = _observed(x, (low, high), raw, missing, name)
    if mask is not None and isinstance(x, np.ndarray):
        x, raw = np.where(mask, x, 0), replace(raw, loose=True)
        notes.append(
            f"{plural(int((~mask).sum()), 'missing entry')} of {mask.size:,} ({(~mask).mean():.1%}):"
            " log p(x) is of the observed ones (--missing-model self: and which these are)"
        )
        observed = x[mask]  # the zeros of missing entries must not widen the range
        low, high = observed.min().item(), observed.max().item()
    kind, levels, dtype = _infer_kind(x, low, high, raw, mask, kind)
    if kind == "integers" and len(shape) == 3 and high == 255 and _are_only(x, 0, 255):
        notes.append("only the values 0 and 255 occur: --binarize threshold makes these images binary without loss")
    if kind == "real" and max(-low, high) <= 2.0**53 and _are_whole(x):
        notes.append("whole numbers read as reals, so that log p(x) is a density: an integer type from 0 gives a mass")
    labels, classes = None, raw.classes
    if raw.labels is not None:
        labels, names = encode_labels(raw.labels, name)
        classes = classes or names
        if len(labels) != len(x):
            raise DataError(
                f"{name} has {len(x):,} rows and {len(labels):,} labels", "Name the labels of these rows with --labels."
            )
    x = flattened(x, np.dtype(dtype))
    if isinstance(x, FileRows):
        notes.append(
            f"{size_in_words(x.nbytes)} of rows stay in their files, and are read and shuffled by blocks of neighbours"
            " (--in-memory reads all of them first)"
        )
    mask = None if mask is None else np.ascontiguousarray(mask).reshape(len(x), -1)
    source = Source(name, tuple(raw.files), digest_of(x, mask), len(x), raw.resized, raw.fit)
    schema = Schema(kind, shape, levels, writable_names(raw.names), writable_names(classes))
    identity = {name: values for name, values in raw.identity.items() if len(values) == len(x)}
    return Dataset(x, labels, schema, source, (*raw.notes, *notes), mask, raw.factors, identity)
