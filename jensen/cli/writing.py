"""Arrays to files: .npy, .npz, .csv, .png; what exists is not overwritten without --force."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..core.errors import RunExistsError, UsageError
from ..data import Schema
from ..storage.run_folder import write_atomic
from .output import print_json, print_lines

__all__ = ["Target", "columns", "tell", "whole"]

SUFFIXES = (".npy", ".npz", ".csv", ".png")
ROWS = 1000  # of text at a time


def columns(schema: Schema) -> list[str]:
    """Names of the features, as a table's header."""
    return list(schema.names or (f"x{i + 1}" for i in range(schema.size)))


def tell(target: Target, json: bool, words: str, record: dict[str, Any]) -> None:
    """Say where the result is: a line, or one JSON object; nothing where the result itself went to stdout."""
    if json:
        print_json({**record, "out": target.path})
    elif target.path is not None:
        print_lines([words])


def whole(x: np.ndarray, levels: int | None) -> np.ndarray:
    """Samples of whole numbers in the type that they are read as again; counts may rise above the data's levels."""
    rounded = np.rint(x)
    most = max(levels or 2, int(rounded.max(initial=0)) + 1)
    return rounded.astype(np.uint8 if most <= 256 else np.int32 if most <= 2**31 else np.int64)


@dataclass(frozen=True)
class Target:
    """Where an array goes, checked before any work.

    Attributes:
        path: the file; None is stdout.
    """

    path: Path | None

    @staticmethod
    def choose(out: str | None, default: Path, force: bool, pictures: bool, json: bool = False) -> Target:
        """The file that was asked for, or the default one inside the run, which is replaced freely.

        Raises:
            UsageError: the suffix is none of those that can be written, or the folder does not exist.
            RunExistsError: the file exists, and `force` was not given.
        """
        if out == "-" and json:
            raise UsageError("--out - and --json both want stdout", "Give --out a file.")
        if out == "-":
            return Target(None)
        path = default if out is None else Path(out)
        known = SUFFIXES if pictures else SUFFIXES[:-1]
        if path.suffix.lower() == ".png" and not pictures:
            raise UsageError(f"{path} would be a picture, and these are no images", f"Choose from {', '.join(known)}.")
        if path.suffix.lower() not in known:
            raise UsageError(
                f"--out {path} has no suffix that can be written", f"Choose from {', '.join(known)}, or -."
            )
        if path.is_dir() or (out is not None and path.exists() and not force):
            raise RunExistsError(f"{path} exists", "Give --out another name, or replace it with --force.")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", "Make it first, or give --out another name.")
        return Target(path)

    @property
    def is_picture(self) -> bool:
        return self.path is not None and self.path.suffix.lower() == ".png"

    def write(
        self,
        x: np.ndarray,
        names: Sequence[str],
        picture: Callable[[], bytes],
        labels: tuple[np.ndarray, Sequence[str] | None] | None = None,
        first: tuple[str, np.ndarray] | None = None,
        **others: np.ndarray,
    ) -> None:
        """Write [N, ...] in the format of the suffix.

        Args:
            x: what to write; under the name "x" in an .npz.
            names: of its features, for a header.
            picture: makes the bytes of a .png.
            labels: [N] and their classes' names: a last column of a .csv, "labels" of an .npz.
            first: a column of whole numbers [N] that stands before all others of a table, and its name.
            **others: further arrays of an .npz.
        """
        if self.path is None:
            _write_table(sys.stdout, x, names, labels, first)
            return
        suffix, content = self.path.suffix.lower(), io.BytesIO()
        if suffix == ".npy":
            np.save(content, x, allow_pickle=False)
        elif suffix == ".npz":
            kept = {"x": x, **others} | ({} if labels is None else {"labels": labels[0]})
            np.savez(content, allow_pickle=False, **kept)
        elif suffix == ".csv":
            text = io.StringIO()
            _write_table(text, x, names, labels, first)
            content.write(text.getvalue().encode())
        else:
            content.write(picture())
        write_atomic(self.path, content.getvalue())


def _rows(x: np.ndarray, labels: tuple[np.ndarray, Sequence[str] | None] | None) -> Iterator[list[str]]:
    flat = x.reshape(len(x), -1)
    for start in range(0, len(flat), ROWS):
        # as text, NumPy writes the fewest digits that give the same number back
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
    first: tuple[str, np.ndarray] | None,
) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    before = [] if first is None else [first[0]]
    writer.writerow([*before, *names, *([] if labels is None else ["label"])])
    rows = _rows(x, labels)
    writer.writerows(rows if first is None else ([str(n), *row] for n, row in zip(first[1], rows, strict=True)))
