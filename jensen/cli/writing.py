"""Arrays to files: .npy, .npz, .csv, .png; existing files are not overwritten without --force."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..core.errors import RunExistsError, UsageError
from ..core.wording import plural
from ..data import Schema
from ..data.columns import Column
from ..data.file_rows import Array
from ..data.output_tables import OutputTable
from ..data.table_writing import (
    TABLE_SUFFIXES,
    TEXT_SUFFIXES,
    encoded_text,
    require_rows,
    require_writer,
    table_bytes,
    table_text,
)
from ..runs.evaluation import Part
from ..runs.row_values import identity_columns
from ..storage.files import write_atomic, write_json, written_in_pieces
from .arrays import member_of, write_members, write_rows
from .output import notifier, print_json, print_lines, table_writer, text_bytes
from .tables import Formulas, Piece, Table

__all__ = [
    "Piece",
    "Target",
    "column_names",
    "keep_record",
    "keep_result",
    "print_target",
    "row_arrays",
    "row_columns",
    "to_integers",
    "write_parts",
]

SUFFIXES = (".npy", ".npz", ".csv", ".png")
RESERVED = ("x", "labels", "files")  # arrays of every .npz


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
    columns = identity_columns(part.row_numbers, part.files, part.identity, taken=(*taken, *last))
    return {name: np.tile(values, repeat) for name, values in columns.items()}


def row_arrays(part: Part, taken: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the same columns as arrays [N] of an .npz, where the files are "files" and text has a length."""
    columns = identity_columns(part.row_numbers, part.files, part.identity, taken=(*taken, *RESERVED))
    named = {"files" if name == "file" else name: values for name, values in columns.items()}
    return {name: values.astype(str) if values.dtype == object else values for name, values in named.items()}


def write_parts(
    target: Target,
    part: Part,
    compute: Callable[[Part], Piece],
    names: Sequence[str],
    classes: Sequence[str] | None,
    arrays: Callable[[], Mapping[str, Array]],
) -> None:
    """Write what is computed of rows; of those that stay in their files, piece by piece.

    Args:
        target: the file; no picture.
        part: the rows.
        compute: of a part of them.
        names: of the features, for a header.
        classes: the names of the labels.
        arrays: returns further arrays of an .npz, by their names.
    """
    more = arrays() if target.is_archive else {}
    if part.is_streamed:
        known = {} if part.labels is None else {"labels": part.labels}
        target.write_pieces(map(compute, part.pieces()), len(part.rows), names, classes, {**more, **known})
        return
    whole = compute(part)
    labels = None if whole.labels is None else (whole.labels, classes)
    target.write(whole.x, names, bytes, labels, whole.before, more)


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
        tables: bool = False,
    ) -> Target:
        """Return the file that was asked for, or the default one inside the run, which may be replaced.

        Args:
            out: the file that was asked for.
            default: the file inside the run.
            force: replace what exists.
            pictures: whether a .png can be written.
            json: whether a JSON object goes to stdout.
            safe, quiet: see the class.
            tables: whether the result is a table of mixed columns, for which there are more formats.

        Raises:
            UsageError: the suffix is none of those that can be written, its library is not installed, or the folder
                does not exist.
            RunExistsError: the file exists, and `force` is not given.
        """
        if out == "-" and json:
            raise UsageError("--out - and --json would both write to stdout", "Give --out a file.")
        if out == "-":
            return Target(None, safe, quiet)
        path = default if out is None else Path(out)
        known = (*SUFFIXES, *(TABLE_SUFFIXES if tables else ()))
        suffixes = ", ".join(dict.fromkeys(s for s in known if pictures or s != ".png"))
        if path.suffix.lower() == ".png" and not pictures:
            raise UsageError(f"{path} would be a picture, and these data are no images", f"Choose from {suffixes}.")
        if path.suffix.lower() not in known:
            raise UsageError(
                f"--out must end in {suffixes}, or be -, got {path}", f"Choose from {suffixes}, or - for stdout."
            )
        if safe and path.suffix.lower() not in TEXT_SUFFIXES:
            raise UsageError(f"--spreadsheet-safe is of a .csv, and {path} is none", "Name a .csv, or leave it out.")
        if path.is_dir() or (out is not None and path.exists() and not force):
            raise RunExistsError(f"{path} exists", "Give --out another name, or replace it with --force.")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", "Make it first, or give --out another name.")
        require_writer(path.suffix.lower())
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

    def require_rows(self, n: int) -> None:
        """Refuse more rows than the file can have; see `jensen.data.table_writing.require_rows`.

        Raises:
            UsageError: it has fewer.
        """
        require_rows("" if self.path is None else self.path.suffix.lower(), n)

    @property
    def is_picture(self) -> bool:
        """True if the file is a .png."""
        return self.path is not None and self.path.suffix.lower() == ".png"

    @property
    def is_archive(self) -> bool:
        """True if the file is an .npz, of several arrays."""
        return self.path is not None and self.path.suffix.lower() == ".npz"

    @property
    def is_array(self) -> bool:
        """True if the file is an .npy or an .npz."""
        return self.path is not None and self.path.suffix.lower() in (".npy", ".npz")

    def write(
        self,
        x: np.ndarray,
        names: Sequence[str],
        picture: Callable[[], bytes],
        labels: tuple[np.ndarray, Sequence[str] | None] | None = None,
        before: Mapping[str, np.ndarray] | None = None,
        arrays: Mapping[str, Array] | None = None,
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
        known = {} if labels is None else {"labels": labels[0]}
        if self.is_picture and self.path is not None:
            write_atomic(self.path, picture())
            return
        whole, classes = Piece(x, None if labels is None else labels[0], before or {}), labels and labels[1]
        self.write_pieces([whole], len(x), names, classes, {**(arrays or {}), **known})

    def write_pieces(
        self,
        parts: Iterable[Piece],
        n: int,
        names: Sequence[str],
        classes: Sequence[str] | None = None,
        arrays: Mapping[str, Array | Iterator[np.ndarray]] | None = None,
    ) -> None:
        """Write rows [N, ...] as they come, to the bytes that `write` would write; no picture.

        Args:
            parts: of the rows, in order; all of one type.
            n: N, the rows of all of them.
            names: of the features, for a header.
            classes: the names of the labels.
            arrays: further arrays of an .npz, by their names, in memory, in files, or N rows some after another; labels
                are "labels".
        """
        if self.path is None:
            self._write_to(io.BytesIO(), parts, n, names, classes, {})
            return
        with written_in_pieces(self.path) as file:
            self._write_to(file, parts, n, names, classes, arrays or {})

    def _write_to(
        self,
        stream: IO[bytes],
        parts: Iterable[Piece],
        n: int,
        names: Sequence[str],
        classes: Sequence[str] | None,
        arrays: Mapping[str, Array | Iterator[np.ndarray]],
    ) -> None:
        """Write rows as an array, as arrays or as a table, by the suffix; a table to stdout where there is no file."""
        suffix = ".csv" if self.path is None else self.path.suffix.lower()
        if suffix == ".npy":
            write_rows(stream, (piece.x for piece in parts), n)
        elif suffix == ".npz":
            with zipfile.ZipFile(stream, "w") as archive:
                with member_of(archive, "x") as member:
                    write_rows(member, (piece.x for piece in parts), n)
                write_members(archive, arrays, n)
        else:
            table = None
            for piece in parts:
                text = io.StringIO() if self.path is not None else table_writer()
                table = table or Table(names, classes, piece, self.safe)
                table.write(text, piece)
                stream.write(text_bytes(text.getvalue()) if isinstance(text, io.StringIO) else b"")
            if table is not None:
                self.note(table.formulas)

    def note(self, formulas: Formulas) -> None:
        """Say how many cells a spreadsheet would run."""
        if formulas.n:
            cells = f"{plural(formulas.n, 'cell')} of text that a spreadsheet would run (=, +, - or @ first)"
            repeated = len(formulas.texts) < formulas.n
            cells += f", {plural(len(formulas.texts), 'text')} repeated" if repeated else ""
            marked = "with an apostrophe before them"
            notifier(self.quiet)(
                f"{cells}{', ' + marked if self.safe else '; --spreadsheet-safe writes them ' + marked}"
            )

    def write_table(self, table: OutputTable, columns: Sequence[Column]) -> None:
        """Write a table of mixed columns in the format of the suffix.

        Args:
            table: of results.
            columns: that are data.
        """
        suffix, formulas = ".csv" if self.path is None else self.path.suffix.lower(), Formulas(self.safe)
        if suffix in TEXT_SUFFIXES:
            text = table_text(table, suffix, formulas.cell)
            if self.path is None:
                table_writer().write(text)
            else:
                write_atomic(self.path, encoded_text(table, text, notifier(self.quiet)))
            self.note(formulas)
        elif self.path is not None:
            write_atomic(self.path, table_bytes(table, suffix, columns))

    def write_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays of these names as an .npz."""
        texts = {name: values.astype(str) if values.dtype == object else values for name, values in arrays.items()}
        if self.path is not None:
            with written_in_pieces(self.path) as file, zipfile.ZipFile(file, "w") as archive:
                write_members(archive, texts)
