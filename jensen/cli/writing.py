"""Arrays to files: .npy, .npz, .csv, .png; existing files are not overwritten without --force."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from ..core.errors import RunExistsError, UsageError
from ..core.wording import plural
from ..data import UNKNOWN, Schema
from ..runs.evaluation import Part
from ..runs.row_values import identity_columns
from ..storage.files import write_atomic, write_json
from .output import notifier, print_json, print_lines, table_writer, text_bytes

__all__ = [
    "Target",
    "column_names",
    "keep_record",
    "keep_result",
    "print_target",
    "row_arrays",
    "row_columns",
    "to_integers",
]

SUFFIXES = (".npy", ".npz", ".csv", ".png")
RESERVED = ("x", "labels", "files")  # arrays of every .npz
ROWS = 1000  # rows that are formatted at a time
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # what a spreadsheet would run begins so, in full width too


def column_names(schema: Schema) -> list[str]:
    """Return the names of the features, for the header of a table."""
    return list(schema.names or (f"x{i + 1}" for i in range(schema.size)))


def row_columns(part: Part, taken: Iterable[str], repeat: int = 1) -> dict[str, np.ndarray]:
    """Return the columns that say which row of its source each row of a table is: its number, file and identifiers.

    Args:
        part: the rows.
        taken: names of other columns; an identifier of such a name has a number after it.
        repeat: the number of times that all rows follow each other.
    """
    last = () if part.labels is None else ("label",)  # the column after all others
    columns = identity_columns(part.numbers, part.files, part.identity, taken=(*taken, *last))
    return {name: np.tile(values, repeat) for name, values in columns.items()}


def row_arrays(part: Part, taken: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the same columns as arrays [N] of an .npz, where the files are "files" and text has a length."""
    columns = identity_columns(part.numbers, part.files, part.identity, taken=(*taken, *RESERVED))
    named = {"files" if name == "file" else name: values for name, values in columns.items()}
    return {name: values.astype(str) if values.dtype == object else values for name, values in named.items()}


def print_target(target: Target, json: bool, line: str, record: dict[str, Any]) -> None:
    """Print where a result was written, as a line or a JSON object; nothing if the result itself went to stdout."""
    if json:
        print_json({**record, "out": target.path})
    elif target.path is not None:
        print_lines([line])


def keep_result(write: Callable[[], Path], verb: str, run: str) -> Path | None:
    """Write a result into the run's folder, and return the path; None, with a note, where that cannot be written.

    The note is printed with --quiet too, since the result is on stdout only.

    Args:
        write: writes it, and returns the path.
        verb: the command, for the note.
        run: its folder.

    Raises:
        UsageError: of `write`, if no file was refused.
    """
    try:
        return write()
    except (UsageError, OSError) as error:
        if not isinstance(error, OSError) and not isinstance(error.__cause__, OSError):
            raise
        what = error.what if isinstance(error, UsageError) else f"{error.filename or run}: {error.strerror or error}"
        notifier(False)(f"the result is not kept: {what}; keep it elsewhere: jensen {verb} {run} --json > FILE")
        return None


def keep_record(path: Path, record: dict[str, Any], verb: str, notify: Callable[[str], None]) -> None:
    """Write a record into the run's folder, and say where, or why not."""

    def write() -> Path:
        write_json(path, record)
        return path

    if keep_result(write, verb, str(path.parent)) is not None:
        notify(f"kept in {path}")


def to_integers(x: np.ndarray, levels: int | None) -> np.ndarray:
    """Return samples of whole numbers in the integer type that data of their range are read as.

    Args:
        x: samples.
        levels: of the data; counts may exceed them.
    """
    rounded = np.rint(x)
    most = max(levels or 2, int(rounded.max(initial=0)) + 1)
    return rounded.astype(np.uint8 if most <= 256 else np.int32 if most <= 2**31 else np.int64)


@dataclass(frozen=True)
class Target:
    """The file that an array is written to, checked before any work.

    Attributes:
        path: of the file; None is stdout.
        safe: put an apostrophe before cells of a table that a spreadsheet would run.
        quiet: say nothing of such cells.
    """

    path: Path | None
    safe: bool = False
    quiet: bool = False

    @staticmethod
    def choose(
        out: str | None,
        default: Path,
        force: bool,
        pictures: bool,
        json: bool = False,
        safe: bool = False,
        quiet: bool = False,
    ) -> Target:
        """Return the file that was asked for, or the default one inside the run, which may be replaced.

        Raises:
            UsageError: the suffix is none of those that can be written, or the folder does not exist.
            RunExistsError: the file exists, and `force` is not given.
        """
        if out == "-" and json:
            raise UsageError("--out - and --json would both write to stdout", "Give --out a file.")
        if out == "-":
            return Target(None, safe, quiet)
        path = default if out is None else Path(out)
        suffixes = ", ".join(SUFFIXES if pictures else SUFFIXES[:-1])
        if path.suffix.lower() == ".png" and not pictures:
            raise UsageError(f"{path} would be a picture, and these data are no images", f"Choose from {suffixes}.")
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(
                f"--out must end in {suffixes}, or be -, got {path}", f"Choose from {suffixes}, or - for stdout."
            )
        if safe and path.suffix.lower() != ".csv":
            raise UsageError(f"--spreadsheet-safe is of a .csv, and {path} is none", "Name a .csv, or leave it out.")
        if path.is_dir() or (out is not None and path.exists() and not force):
            raise RunExistsError(f"{path} exists", "Give --out another name, or replace it with --force.")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", "Make it first, or give --out another name.")
        return Target(path, safe, quiet)

    def of(self, data: str | None, own: bool, force: bool) -> Target:
        """Return the default file for data: beside that of the run's own rows where they are others.

        Args:
            data: as they were named on the command line; None for the run's own rows.
            own: whether they are those that the run was trained on.
            force: replace the file.

        Raises:
            RunExistsError: there is one, which may be of other data of this name.
        """
        if data is None or own or self.path is None:
            return self
        stem = re.sub(r"[^\w.-]+", "_", Path(data).resolve().stem)[:100] or "data"
        path = self.path.with_name(f"{self.path.stem}-{stem}{self.path.suffix}")
        if path.is_dir() or (path.exists() and not force):
            raise RunExistsError(f"{path} exists", "Replace it with --force, or give another name: --out FILE.")
        return replace(self, path=path)

    @property
    def is_picture(self) -> bool:
        """True if the file is a .png."""
        return self.path is not None and self.path.suffix.lower() == ".png"

    def write(
        self,
        x: np.ndarray,
        names: Sequence[str],
        picture: Callable[[], bytes],
        labels: tuple[np.ndarray, Sequence[str] | None] | None = None,
        before: Mapping[str, np.ndarray] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Write [N, ...] in the format of the suffix.

        Args:
            x: the array; named "x" in an .npz.
            names: of its features, for a header.
            picture: returns the bytes of a .png.
            labels: [N] and the names of their classes: the last column of a .csv, "labels" in an .npz.
            before: columns of a table before all others: whole numbers or names [N].
            arrays: further arrays of an .npz, by their names.
        """
        if self.path is None:
            self._note(_write_table(table_writer(), x, names, labels, before or {}, self.safe))
            return
        suffix, content = self.path.suffix.lower(), io.BytesIO()
        if suffix == ".npy":
            np.save(content, x, allow_pickle=False)
        elif suffix == ".npz":
            known = {} if labels is None else {"labels": labels[0]}
            _write_arrays(content, {"x": x, **(arrays or {}), **known})
        elif suffix == ".csv":
            text = io.StringIO()
            self._note(_write_table(text, x, names, labels, before or {}, self.safe))
            content.write(text_bytes(text.getvalue()))
        else:
            content.write(picture())
        write_atomic(self.path, content.getvalue())

    def _note(self, formulas: _Formulas) -> None:
        """Say how many cells a spreadsheet would run."""
        if formulas.n:
            cells = f"{plural(formulas.n, 'cell')} of text that a spreadsheet would run (=, +, - or @ first)"
            repeated = len(formulas.texts) < formulas.n
            cells += f", {plural(len(formulas.texts), 'text')} repeated" if repeated else ""
            marked = "with an apostrophe before them"
            notifier(self.quiet)(
                f"{cells}{', ' + marked if self.safe else '; --spreadsheet-safe writes them ' + marked}"
            )

    def write_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays of these names as an .npz."""
        content = io.BytesIO()
        texts = {name: values.astype(str) if values.dtype == object else values for name, values in arrays.items()}
        _write_arrays(content, texts)
        if self.path is not None:
            write_atomic(self.path, content.getvalue())


def _write_arrays(stream: IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an .npz; np.savez would take those named as its arguments are, such as "file", for these."""
    with zipfile.ZipFile(stream, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)


class _Formulas:
    """The cells of text that a spreadsheet would run: their number and texts, with an apostrophe if wanted."""

    def __init__(self, safe: bool) -> None:
        self.safe = safe
        self.n = 0
        self.texts = set[str]()

    def cell(self, text: str) -> str:
        """Return the cell of a text."""
        if not text.startswith(FORMULA) or _is_number(text):
            return text
        self.n += 1
        self.texts.add(text)
        return f"'{text}" if self.safe else text


def _is_number(text: str) -> bool:
    """Return whether a text is a number, such as -1, which a spreadsheet does not run."""
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Stream(Protocol):
    """Takes the text of a table."""

    def write(self, text: str, /) -> int: ...


class _UnixLines:
    """Ends the rows of a writer by newlines alone.

    A writer that ends rows so itself leaves a carriage return within a cell without quotes, where readers end the row.
    """

    def __init__(self, stream: _Stream) -> None:
        self.stream = stream

    def write(self, row: str) -> int:
        """Write one row."""
        return self.stream.write(row.removesuffix("\r\n") + "\n")


def _rows(x: np.ndarray, labels: tuple[np.ndarray, Sequence[str] | None] | None) -> Iterator[list[str]]:
    """Yield the fields of each row, its label last."""
    flat = x.reshape(len(x), -1)
    for start in range(0, len(flat), ROWS):
        # NumPy writes the fewest digits that are read as the same number
        part = flat[start : start + ROWS].astype(str)
        part[part == "nan"] = ""  # a number that is not known
        for i, row in enumerate(part.tolist(), start):
            if labels is not None:
                number = int(labels[0][i])
                name = labels[1][number] if labels[1] and 0 <= number < len(labels[1]) else str(number)
                row.append("" if number == UNKNOWN else name)
            yield row


def _write_table(
    stream: _Stream,
    x: np.ndarray,
    names: Sequence[str],
    labels: tuple[np.ndarray, Sequence[str] | None] | None,
    before: Mapping[str, np.ndarray],
    safe: bool,
) -> _Formulas:
    """Write a table with a header as CSV, and return the cells that a spreadsheet would run."""
    writer, formulas = csv.writer(_UnixLines(stream), lineterminator="\r\n"), _Formulas(safe)
    writer.writerow(map(formulas.cell, [*before, *names, *([] if labels is None else ["label"])]))
    rows = _rows(x, labels)
    for i, row in enumerate(rows):
        if labels is not None:
            row[-1] = formulas.cell(row[-1])
        writer.writerow([*(formulas.cell(str(column[i])) for column in before.values()), *row])
    return formulas
