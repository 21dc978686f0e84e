"""Shards, which are read as one: of text, and those of .npy and Parquet, whose rows stay in the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from .arrays import npy_header
from .dataset import Raw, check_dtype
from .file_rows import FileRows, JoinedRows, NpyRows, gathered
from .image_files import SUFFIXES as IMAGES
from .image_files import natural_key
from .selection import Selection

__all__ = ["ParquetRows", "are_texts", "open_npy", "open_shards", "shard_files"]

TEXTS = ((".csv", ".csv.gz"), (".tsv", ".tsv.gz"))
KINDS = ((".npy",), (".parquet",), *TEXTS)
WILD = "*?["  # characters of a pattern


def shard_files(source: Path) -> list[Path]:
    """Return the shards in a folder, or those that a pattern such as part-*.csv matches, in natural order.

    They are of one kind: .npy, or else Parquet, CSV or TSV. There are none in a folder that holds images or other
    folders.

    Raises:
        DataError: a pattern matches files of several kinds, or of none of these.
    """
    is_pattern = not source.exists() and any(c in source.name for c in WILD)
    if not is_pattern and not source.is_dir():
        return []
    listed = source.parent.glob(source.name) if is_pattern else source.iterdir()
    visible = sorted((p for p in listed if not p.name.startswith(".")), key=lambda p: natural_key(p.name))
    if not is_pattern and any(p.is_dir() or p.suffix.lower() in IMAGES for p in visible):
        return []
    kinds = ([p for p in visible if p.name.lower().endswith(suffixes)] for suffixes in KINDS)
    files = next(filter(None, kinds), [])
    if is_pattern and len(files) < len(visible):
        odd = next(p for p in visible if p not in files)
        what = f"{source} matches {odd}, which is no {'shard' if not files else files[0].suffix + ' file'}"
        raise DataError(what, "Give a pattern that matches shards of one kind: .npy, .parquet, .csv or .tsv.")
    return files


def are_texts(files: Sequence[Path]) -> bool:
    """Return whether shards are of text."""
    return bool(files) and any(files[0].name.lower().endswith(suffixes) for suffixes in TEXTS)


def open_npy(path: Path) -> NpyRows:
    """Return the rows of a .npy file.

    Raises:
        DataError: the file is damaged, does not hold numbers, or holds columns one after another.
    """
    with path.open("rb") as stream:
        dtype, shape, size = npy_header(stream, str(path), fits=False)
        offset = stream.tell()
    check_dtype(dtype, str(path))
    if path.stat().st_size < size:
        raise DataError(
            f"{path} is damaged (truncated: shape {shape} needs {size:,} bytes, got {path.stat().st_size:,})",
            "Write or download it again.",
        )
    if len(shape) > 1 and not np.load(path, mmap_mode="r", allow_pickle=False).flags.c_contiguous:
        raise DataError(
            f"{path} holds its columns one after another (Fortran order), so that rows cannot be read in pieces",
            "Save it in rows: np.save(FILE, np.ascontiguousarray(x)); or give --in-memory.",
        )
    return NpyRows(path, shape, dtype, offset)


class ParquetRows(FileRows):
    """The rows of a Parquet file of numbers, read by groups of rows; the last group read is kept.

    Args:
        path: of the file.
        table: the columns that are data.

    Raises:
        DataError: the file is damaged, a column does not hold numbers, or pyarrow is not installed.
    """

    def __init__(self, path: Path, table: Selection) -> None:
        self.path, arrow = path, _parquet(path)
        try:
            self.file: Any = arrow.ParquetFile(path)
            schema = self.file.schema_arrow
        except Exception as error:  # the library has errors of its own
            raise DataError(f"{path} is damaged ({error})", "Write or download it again.") from error
        self.names = tuple(schema.names[i] for i in table.chosen(schema.names, (), str(path)))
        kinds = [np.dtype(schema.field(name).type.to_pandas_dtype()) for name in self.names]
        for name, kind in zip(self.names, kinds, strict=True):
            check_dtype(kind, f"column {name!r} of {path}")
        self.dtype = np.result_type(*kinds)
        counts = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        self.starts = np.cumsum([0, *counts])
        self.shape = (int(self.starts[-1]), len(self.names))
        self.kept: tuple[int, np.ndarray] | None = None

    def take(self, index: np.ndarray) -> np.ndarray:
        return gathered(self.read, index, self.shape[1:], self.dtype)

    def read(self, start: int, stop: int) -> np.ndarray:
        first = max(int(np.searchsorted(self.starts, start, side="right")) - 1, 0)
        pieces = [np.empty((0, *self.shape[1:]), self.dtype)]
        for group in range(first, len(self.starts) - 1):
            begin = int(self.starts[group])
            if begin >= stop:
                break
            pieces.append(self._group(group)[max(start - begin, 0) : stop - begin])
        return np.concatenate(pieces)

    def _group(self, number: int) -> np.ndarray:
        kept = self.kept  # one reference, since another thread may replace it
        if kept is None or kept[0] != number:
            try:
                table = self.file.read_row_group(number, columns=list(self.names), use_threads=False)
            except Exception as error:  # the library has errors of its own
                raise DataError(f"{self.path} is damaged ({error})", "Write or download it again.") from error
            missing = next((name for name in self.names if table.column(name).null_count), None)
            if missing is not None:
                raise DataError(
                    f"column {missing!r} of {self.path} has missing entries, which rows in files cannot have",
                    "Fill them, or save the data as one .csv or .npy and give --in-memory.",
                )
            columns = [table.column(name).to_numpy() for name in self.names]
            self.kept = kept = (number, np.stack(columns, axis=1).astype(self.dtype, copy=False))
        return kept[1]


def _parquet(path: Path) -> Any:
    """Return the library that reads Parquet.

    Raises:
        DataError: it is not installed.
    """
    try:
        import pyarrow.parquet  # an optional library, of which no other file needs anything
    except ImportError as error:
        raise DataError(
            f"{path} is a Parquet file, and pyarrow, which reads these, is not installed",
            "Install it: pip install 'jensen[parquet]'; or save the table as .npy.",
        ) from error
    return pyarrow.parquet


def open_shards(files: list[Path], source: Path, table: Selection) -> Raw:
    """Return the content of one file, or of a folder of shards, whose rows stay in the files.

    Args:
        files: at least one, in order, all .npy or all Parquet.
        source: the file, or the folder.
        table: the columns that are data, of Parquet.

    Raises:
        DataError: a shard has another shape, type or other columns than the first.
    """
    rows = [open_npy(path) if path.suffix.lower() == ".npy" else ParquetRows(path, table) for path in files]
    first = rows[0]
    for path, part in zip(files, rows, strict=True):
        for what, own, other in (
            ("rows of the shape", part.shape[1:], first.shape[1:]),
            ("entries of the type", part.dtype, first.dtype),
            ("the columns", _names(part), _names(first)),
        ):
            if own != other:
                raise DataError(f"{path} has {what} {own}, and {files[0]} {other}", "Give shards of one kind.")
    notes = [] if len(files) == 1 else [f"{len(files):,} shards of {source} read as one data set, in natural order"]
    joined = first if len(rows) == 1 else JoinedRows(rows)
    return Raw(joined, names=_names(first), notes=notes, files=[str(source.resolve())])


def _names(rows: FileRows) -> tuple[str, ...] | None:
    return rows.names if isinstance(rows, ParquetRows) else None
