"""Arrays to files: .npy, .npz, .csv, .png; existing files are not overwritten without --force."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..core.errors import RunExistsError, UsageError
from ..data import Schema
from ..runs.evaluation import Part
from ..storage.files import write_atomic, write_json
from .output import notifier, print_json, print_lines

__all__ = [
    "Target",
    "column_names",
    "file_array",
    "file_column",
    "keep_record",
    "keep_result",
    "print_target",
    "to_integers",
]

SUFFIXES = (".npy", ".npz", ".csv", ".png")
ROWS = 1000  # rows that are formatted at a time


def column_names(schema: Schema) -> list[str]:
    """Return the names of the features, for the header of a table."""
    return list(schema.names or (f"x{i + 1}" for i in range(schema.size)))


def file_column(part: Part) -> dict[str, np.ndarray]:
    """Return the column of a table that names the file of each row; none of data without a file per row."""
    return {} if part.files is None else {"file": part.files}


def file_array(part: Part) -> dict[str, np.ndarray]:
    """Return the array of an .npz that names the file of each row; none of data without a file per row."""
    return {} if part.files is None else {"files": part.files}


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
    """

    path: Path | None

    @staticmethod
    def choose(out: str | None, default: Path, force: bool, pictures: bool, json: bool = False) -> Target:
        """Return the file that was asked for, or the default one inside the run, which may be replaced.

        Raises:
            UsageError: the suffix is none of those that can be written, or the folder does not exist.
            RunExistsError: the file exists, and `force` is not given.
        """
        if out == "-" and json:
            raise UsageError("--out - and --json would both write to stdout", "Give --out a file.")
        if out == "-":
            return Target(None)
        path = default if out is None else Path(out)
        suffixes = ", ".join(SUFFIXES if pictures else SUFFIXES[:-1])
        if path.suffix.lower() == ".png" and not pictures:
            raise UsageError(f"{path} would be a picture, and these data are no images", f"Choose from {suffixes}.")
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(
                f"--out must end in {suffixes}, or be -, got {path}", f"Choose from {suffixes}, or - for stdout."
            )
        if path.is_dir() or (out is not None and path.exists() and not force):
            raise RunExistsError(f"{path} exists", "Give --out another name, or replace it with --force.")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", "Make it first, or give --out another name.")
        return Target(path)

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
        **others: np.ndarray,
    ) -> None:
        """Write [N, ...] in the format of the suffix.

        Args:
            x: the array; named "x" in an .npz.
            names: of its features, for a header.
            picture: returns the bytes of a .png.
            labels: [N] and the names of their classes: the last column of a .csv, "labels" in an .npz.
            before: columns of a table before all others: whole numbers or names [N].
            **others: further arrays of an .npz.
        """
        if self.path is None:
            _write_table(sys.stdout, x, names, labels, before or {})
            return
        suffix, content = self.path.suffix.lower(), io.BytesIO()
        if suffix == ".npy":
            np.save(content, x, allow_pickle=False)
        elif suffix == ".npz":
            arrays = {"x": x, **others} | ({} if labels is None else {"labels": labels[0]})
            np.savez(content, allow_pickle=False, **arrays)
        elif suffix == ".csv":
            text = io.StringIO()
            _write_table(text, x, names, labels, before or {})
            content.write(text.getvalue().encode())
        else:
            content.write(picture())
        write_atomic(self.path, content.getvalue())


def _rows(x: np.ndarray, labels: tuple[np.ndarray, Sequence[str] | None] | None) -> Iterator[list[str]]:
    """Yield the fields of each row, its label last."""
    flat = x.reshape(len(x), -1)
    for start in range(0, len(flat), ROWS):
        # NumPy writes the fewest digits that are read as the same number
        part = flat[start : start + ROWS].astype(str).tolist()
        for i, row in enumerate(part, start):
            if labels is not None:
                number = int(labels[0][i])
                row.append(labels[1][number] if labels[1] and 0 <= number < len(labels[1]) else str(number))
            yield row


def _write_table(
    stream: TextIO,
    x: np.ndarray,
    names: Sequence[str],
    labels: tuple[np.ndarray, Sequence[str] | None] | None,
    before: Mapping[str, np.ndarray],
) -> None:
    """Write a table with a header as CSV."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*before, *names, *([] if labels is None else ["label"])])
    rows = _rows(x, labels)
    for i, row in enumerate(rows):
        writer.writerow([*(str(column[i]) for column in before.values()), *row])
