"""From a name or a path to a data set in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError, UsageError
from .agreement import conform, describe
from .annotated import read_annotated
from .arrays import read_idx, read_mat, read_npy, read_npz, read_safetensors, read_sparse
from .conditions import absent_labels, apart, condition_columns, conditioned, label_names
from .dataset import Dataset, Raw, Source, assemble
from .file_rows import FileRows
from .formats import file_format, is_image
from .frames import StoredColumns
from .json_tables import read_json
from .mixed import mixed_dataset
from .paths import openable
from .schema import Kind
from .selection import Described, Fit, Header, Selection, Typed
from .shards import are_texts, open_shards, shard_files
from .sizes import check_size, exceeds_memory, within_memory
from .table_files import is_table_file, read_frame
from .tables import read_column, read_table
from .text_shards import read_raw_shards

__all__ = ["EMBEDDED", "Dataset", "Source", "conform", "describe", "from_array", "read", "read_beside", "read_test"]


def _digits() -> Raw:
    """Return the 8x8 digits of Alpaydin and Kaynak (1998), from scikit-learn."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    x = bunch.images.astype(np.uint8)[..., None]
    return Raw(x, bunch.target, classes=tuple(str(n) for n in bunch.target_names), levels=17)


def _sprites() -> Raw:
    """Return images generated from known factors, labelled by shape."""
    from .sprites import LEVELS, SHAPES, sprites

    x, factors = sprites()
    return Raw(x[..., None], factors.values[:, 0], classes=SHAPES, levels=LEVELS, factors=factors)


EMBEDDED = {"digits": _digits, "sprites": _sprites}  # data sets that have a name instead of a path


def _split_key(source: str) -> tuple[Path, str | None]:
    """Split FILE.npz:KEY into path and key."""
    parts = re.fullmatch(r"(.+\.(?:npz|mat|safetensors)):([^/\\]+)", source, flags=re.IGNORECASE)
    return (Path(parts[1]), parts[2]) if parts and not Path(source).exists() else (Path(source), None)


def _read_file(
    path: Path, key: str | None, labels: str | None, missing: bool = False, table: Selection | None = None
) -> Raw:
    """Return the content of a file, in any format.

    Raises:
        DataError: the file is damaged, or has no such key.
        UsageError: columns are chosen, and it is not a table.
    """
    kind = file_format(path, key)
    if key is not None and kind not in ("npz", "mat", "safetensors"):
        raise DataError(f"{path} holds one array, and no {key!r}", f"Leave the key out: {path}")
    if table is not None and kind not in ("text", "json", "h5ad"):
        table.refuse_for(str(path), "no table")
    if kind == "npy" and _stays(path.stat().st_size, table):
        raw = open_shards([path], path, table or Selection())
        raw.files.clear()
    elif kind == "npy":
        raw = read_npy(path)
    elif kind == "npz":
        raw = read_npz(path, key, labels)
    elif kind == "mat":
        raw = read_mat(path, key, labels)
    elif kind == "sparse":
        raw = read_sparse(path)
    elif kind == "safetensors":
        raw = read_safetensors(path, key, labels)
    elif kind == "h5ad":
        raw = read_annotated(path, labels, table or Selection())
    elif kind == "json":
        raw = read_json(path, labels, table or Selection())
    elif kind == "text":
        raw = read_table(path, labels, missing, table)
    else:
        raw = read_idx(path, pair=labels is None)
    raw.files.insert(0, str(path.resolve()))
    return raw


def _read_raw(
    source: str, labels: str | None, size: tuple[int, int] | None, missing: bool, table: Selection, strict: bool
) -> Raw:
    """Return the content of a source, before it is checked.

    Raises:
        DataError: it is damaged.
        UsageError: a size is given, and the source is not a folder; or columns, and it is not a table.
    """
    if source in EMBEDDED:
        table.refuse_for(source, "no table")
        table.refuse_size(size, f"{source} has its own size")
        return EMBEDDED[source]()
    path, key = _split_key(source)
    shards = shard_files(path) or ([path] if path.suffix.lower() == ".parquet" and path.is_file() else [])
    if shards:
        table.refuse_size(size, f"{source} holds none")
        return _read_shards(shards, path, labels, missing, table)
    if _is_of_images(path):
        from .images import read_folder  # Pillow is imported for images only

        table.refuse_for(source, "a folder of images")
        return read_folder(path, size, strict, not table.later, lambda n: _stays(n, table), table.resize or "crop")
    table.refuse_size(size, f"{source} is not a folder")
    return _read_file(path, key, labels, missing, table)


def _stays(size: int, table: Selection | None) -> bool:
    """Return whether data of so many bytes stay in their files: as was said, or by their size."""
    wanted = None if table is None else table.stream
    return exceeds_memory(size) if wanted is None else wanted


def _read_shards(files: list[Path], source: Path, labels: str | None, missing: bool, table: Selection) -> Raw:
    """Return the content of shards, or of a Parquet file.

    Raises:
        DataError: they do not go together, or are damaged.
        UsageError: columns are chosen, and they are arrays.
    """
    if are_texts(files):
        return read_raw_shards(files, source, labels, missing, table)
    if files[0].suffix.lower() == ".npy":
        table.refuse_for(str(source), "no table")
    raw = open_shards(files, source, table)
    size = raw.x.nbytes
    if not _stays(size, table):
        check_size(size, str(source))
        raw.x = raw.x[:]
    return raw


def _read_labels(labels: str, raw: Raw, source: str) -> tuple[np.ndarray, str]:
    """Return labels from a file of their own, and its path.

    Raises:
        DataError: there is no such file, or it does not hold one label per row.
    """
    path, key = _split_key(labels)
    if not path.is_file():
        raise absent_labels(labels, source, raw.choices)
    if file_format(path) == "text":
        return read_column(path, len(raw.x)), str(path.resolve())
    values = _read_file(path, key, "").x[:]  # an empty name: no labels of labels
    if values.ndim == 0 or values.size != max(values.shape):
        raise DataError(f"the labels in {labels} have the shape {values.shape}", "Labels are one number per row, [N].")
    return values, str(path.resolve())


def read(
    source: str | Path,
    *,
    labels: str | Path | None = None,
    size: Sequence[int] | None = None,
    missing: bool = False,
    header: Header = "auto",
    columns: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None,
    known: Sequence[str] | None = None,
    kind: Kind | None = None,
    strict: bool | None = None,
    stream: bool | None = None,
    typed: Typed = False,
    schema: Described | None = None,
    layer: str | None = None,
    resize: Fit | None = None,
) -> Dataset:
    """Read a data set, and infer its schema.

    Values of 0 and 1 alone are binary. Whole numbers from 0 of an integer type are integers of max + 1 levels (of 256,
    if 8-bit images), and so are those up to 255 in a CSV or a MATLAB matrix, which have no types, and counts of any
    type (see `counts`). All others are real.

    Args:
        source: `digits` (the 8x8 digits of scikit-learn; ./digits is a path), `sprites` (16x16 images generated here,
            with their factors), or the path of a .npy, .npz (also FILE.npz:KEY, or of a sparse matrix), .safetensors,
            IDX (plain or .gz), MATLAB v5 .mat, .h5ad, JSON, Parquet or CSV file (plain or .gz), of a folder of shards
            (.npy or Parquet files, read as one), or of a folder of images.
        labels: a column or an array of the source, or a file of labels; by default those that the source names so.
        size: height and width that images in a folder are resized to; by default those of different sizes become
            squares of 32 pixels, or of fewer where most are smaller.
        missing: True if NaN, and in a table a field that is empty or NA, is a missing entry (`Dataset.mask`); otherwise
            it is refused. Infinite entries are always refused.
        header: "yes" if the first line of a table holds names, "no" if it is a row of data, "auto" to judge it.
        columns: names (or numbers from 1) of the columns of a table to read, in order: a list, or a text; None for all.
        drop: names or numbers of columns to leave out.
        known: names of the columns that were read when a model was trained on these data.
        kind: of the values, as they were read then: counts that were read as reals stay such.
        strict: True to refuse a folder with a broken image, instead of skipping it with a note.
        stream: True to leave rows of .npy files, shards and images in files (slices of `Dataset.x` read them), False
            to read them now; by default they stay if three times their size is over half of the available memory.
        typed: True to read a table as one of mixed kinds (numbers, names, times; missing cells), "auto" where it is one
            or has missing cells, False as one of numbers. CSV, Parquet, Feather, Arrow and Excel files are such tables.
        schema: what is known of the columns of such a table: a TOML file, a dictionary by name, or exactly these.
        layer: of an .h5ad file, in place of its X.
        resize: "crop" (by default) keeps the centre of images of other proportions, "stretch" all of each, distorted.

    Raises:
        DataError: the file is missing, damaged or not what its name says, does not hold finite numbers, or lacks a
            column that is named.
        UsageError: `size` is given, and the source is not a folder; or columns, and it is not a table.

    Example:
        >>> digits = read("digits")
        >>> digits.x.shape, digits.schema.kind, digits.schema.levels
        ((1797, 64), 'integers', 17)
    """
    table = Selection.of(header, columns, drop, known, kind, stream, typed, schema, layer, resize)
    return _read(source, labels, size, missing, table, bool(strict))


def _read(
    source: str | Path,
    labels: str | Path | None,
    size: Sequence[int] | None,
    missing: bool,
    table: Selection,
    strict: bool = False,
) -> Dataset:
    """Read a data set; see `read`. Several columns of labels, A,B, become a table beside it."""
    names = None if labels is None else label_names(str(labels))
    if names is None or os.path.isfile(str(labels)):  # which answers for any text
        return _read_labelled(source, labels, size, missing, table, strict)
    try:
        own = _read_labelled(source, None, None, True, condition_columns(table, names))
    except DataError as error:
        try:  # one column may have such a name
            return _read_labelled(source, labels, size, missing, table, strict)
        except DataError:
            raise error from None
    dataset = _read_labelled(source, None, size, missing, apart(table, names), strict)
    return conditioned(dataset, own, names, table.later)


def _read_labelled(
    source: str | Path,
    labels: str | Path | None,
    size: Sequence[int] | None,
    missing: bool,
    table: Selection,
    strict: bool = False,
) -> Dataset:
    """Read a data set with labels of one column, or without."""
    name, wanted = str(source), None if labels is None else str(labels)
    if size is not None and min(size) < 1:
        raise UsageError(
            f"--size must be at least 1 pixel in both directions, got {size[0]},{size[1]}",
            "Give height,width: --size 32,32",
        )
    if table.layer is not None and not table.later and Path(name).suffix.lower() != ".h5ad":
        raise UsageError(f"--layer is for .h5ad files, and {name} is none", "Leave --layer out.")
    if not name:
        raise DataError("no data are named", "Give a path, or `digits` or `sprites`.")
    with within_memory(name), openable(name, wanted):
        pixels = None if size is None else (int(size[0]), int(size[1]))
        if table.typed:
            typed = _read_typed(name, wanted, pixels, missing, table, strict)
            if typed is not None:
                return typed
        raw = _read_raw(name, wanted, pixels, missing, table, strict)
        has_own = name in EMBEDDED or (Path(name).is_dir() and not are_texts(shard_files(Path(name))))
        if wanted is not None and (raw.labels is None or has_own):
            raw.labels, file = _read_labels(wanted, raw, name)
            raw.files.append(file)
            raw.classes = None
        if table.stream and not isinstance(raw.x, FileRows) and not table.later:
            raise UsageError(
                f"--stream is for .npy and Parquet files, folders of them, and folders of images, and {name} is none",
                "Save the data as .npy, or leave --stream out.",
            )
        if table.kind is not None and not (table.known or table.later):
            raw.names = None  # which an earlier version did not read
        return assemble(raw, name, missing, table.kind)


def _read_typed(
    name: str, labels: str | None, size: tuple[int, int] | None, missing: bool, table: Selection, strict: bool
) -> Dataset | None:
    """Return a table of mixed kinds; None where it is none, and one is not demanded.

    Raises:
        DataError: it is damaged, or a cell is no value of its column.
        UsageError: it is no table.
    """
    path, _ = _split_key(name)
    if table.typed == "auto":
        is_there = path.exists() or bool(shard_files(path))
        if name in EMBEDDED or not is_there or is_image(path) or not is_table_file(path):
            return None
        try:
            return _read_labelled(name, labels, size, False, replace(table, typed=False), strict)
        except DataError:
            pass  # not of numbers alone, or with holes
    elif name in EMBEDDED or (path.is_dir() and not is_table_file(path)):
        raise UsageError(f"{name} is no table with columns of their own kinds", "Give CSV, Parquet, Feather or Excel.")
    table.refuse_size(size, f"{name} is a table")
    frame, notes = read_frame(path, table)
    if table.stream and not table.later and not isinstance(frame.columns, StoredColumns):
        raise UsageError(
            f"--stream is for tables of numbers without holes, and for Parquet files, and {name} is none",
            "Leave --stream out: it is read whole.",
        )
    files, values, label = [str(path.resolve())], None, labels if labels in frame.names else None
    if labels is not None and label is None:
        values, file = _read_labels(labels, Raw(np.empty((len(frame), 1)), choices=frame.names), name)
        files.append(file)
    return mixed_dataset(frame, name, table, label, values, notes, files)


def read_beside(
    source: str | Path,
    labels: str | Path | None = None,
    size: Sequence[int] | None = None,
    missing: bool = False,
    table: Selection | None = None,
) -> Dataset:
    """Read a second data set, with labels from the same column or array as in the first, if there is one.

    Args:
        source: as for `read`.
        labels: as given for the first data set; a file of labels is of that one alone.
        size: height and width that images are resized to.
        missing: as for `read`.
        table: header and columns, as given for the first data set; a column that was dropped need not be there.

    Raises:
        DataError, UsageError: as for `read`.
    """
    size, table = size if _is_of_images(Path(source)) else None, _later(table)
    if labels is not None and not Path(labels).is_file():
        try:
            return _read(source, labels, size, missing, table)
        except DataError:
            pass  # if only the column is absent, the next call succeeds
    return _read(source, None, size, missing, table)


def _is_of_images(path: Path) -> bool:
    """Return whether this is an image, or a folder, which may hold some."""
    return path.is_dir() or (path.is_file() and is_image(path))


def _later(table: Selection | None) -> Selection:
    """Return the selection of columns for data that are read after others."""
    return (table or Selection()).afterwards(None if table is None else table.known)


def read_test(
    source: str | Path,
    labels: str | Path | None = None,
    own: str | Path | None = None,
    size: Sequence[int] | None = None,
    missing: bool = False,
    table: Selection | None = None,
) -> Dataset:
    """Read test rows, with labels of their `own` if these are named, otherwise as `read_beside` does.

    Raises:
        DataError, UsageError: as for `read`.
    """
    if own is None:
        return read_beside(source, labels, size, missing, table)
    return _read(source, own, size if _is_of_images(Path(source)) else None, missing, _later(table))


def from_array(x: np.ndarray, labels: np.ndarray | None = None, name: str = "array", missing: bool = False) -> Dataset:
    """Return the data set of an array [N, D], [N, H, W] or [N, H, W, C], with a schema inferred as by `read`.

    Raises:
        DataError: as for `read`.

    Example:
        >>> from_array(np.array([[0.5, 1.5], [2.5, 0.0]])).schema
        Schema(kind='real', shape=(2,), levels=None, names=None, classes=None, columns=None)
    """
    return assemble(Raw(np.asarray(x), None if labels is None else np.asarray(labels)), name, missing)
