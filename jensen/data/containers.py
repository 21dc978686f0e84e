"""Data in memory: arrays, tensors, tables and data sets of other libraries.

None of these libraries is imported here: an object of pandas exists only if pandas has been imported.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError, UsageError
from .annotated import of_annotated
from .arrays import DATA_KEYS, LABEL_KEYS
from .conditions import absent_labels, apart, condition_columns, conditioned, label_names
from .dataset import Dataset, Raw, assemble, writable_names
from .frames import Frame
from .headers import leading_indices
from .identity import identifies, kept_as, left_out, suspected
from .label_numbers import encode_labels
from .mixed import mixed_dataset
from .selection import Selection
from .sizes import check_size, within_memory
from .typed_frames import frame_of, is_of

__all__ = ["from_memory", "is_in_memory", "labels_from_memory", "raw_of", "relabelled"]

REMEDY = "Give an array, a tensor, a DataFrame, an Arrow table, a torch Dataset of tensors, or a path."


def is_in_memory(data: Any) -> bool:
    """Return whether the data are an object in memory, not a name or a path."""
    return not isinstance(data, str | Path)


def from_memory(
    data: Any, labels: Any = None, name: str = "array", missing: bool = False, table: Selection | None = None
) -> Dataset:
    """Return the data set that a container in memory holds, judged as `read` judges files.

    Args:
        data: a NumPy array (a masked entry is missing), a torch tensor, a pandas or polars DataFrame, an Arrow table,
            an AnnData object, a SciPy sparse matrix, a torch `Dataset` of tensors or of (tensor, label) pairs, a
            `DataLoader` of one, nested lists of numbers, or a mapping of columns, or of x and y.
        labels: [N] in any of these forms, or the name of a column of a table; by default those of the container. Of
            several labels, a table of them, or their names: see `conditions`.
        name: what to call the data.
        missing: whether NaN (and null) is an entry that is missing; else it is refused.
        table: the columns that are data, by default all; one named `Unnamed: 0` that numbers the rows is none. By its
            `typed`, a DataFrame, an Arrow table, an array [N, D] or a mapping of columns is a table of mixed kinds.

    Raises:
        DataError: this is not a container of numbers, or a column does not hold numbers.
        UsageError: the labels are in a file, or in a column that the container does not have; or columns are chosen,
            and it has none.

    Example:
        >>> from_memory([[0.5, 1.5], [2.5, 0.0]]).schema.kind
        'real'
    """
    if isinstance(labels, Path):
        raise UsageError(f"the labels are in a file, {labels}, and the {name} in memory", "Give an array [N].")
    chosen, names = table or Selection(), _names_of(labels, data)
    own = frame_of(data, name) if names is not None else _labels_table(labels)
    if own is not None:
        names, rest = (own.names, chosen) if names is None else (names, apart(chosen, names))
        labelled = mixed_dataset(own, "the labels", condition_columns(chosen, names))
        return conditioned(from_memory(data, None, name, missing, rest), labelled, names, chosen.later)
    if table is not None and table.typed:
        dataset = _typed(data, labels, name, missing, table)
        if dataset is not None:
            return dataset
    with within_memory(f"the {name}"):
        raw = raw_of(data, labels if isinstance(labels, str) else None, name, table or Selection())
    if labels is not None and not isinstance(labels, str):
        raw.labels, raw.classes = labels_from_memory(labels), None
    elif isinstance(labels, str) and raw.labels is None:
        raise _no_labels(labels, name, raw.choices)
    with within_memory(f"the {name}"):
        return assemble(raw, name, missing, None if table is None else table.kind)


def _no_labels(labels: str, name: str, choices: Sequence[str]) -> UsageError:
    """Return the error of a column of labels that data in memory do not have."""
    error = absent_labels(labels, f"the {name}", choices)
    what = error.what if "twice" in error.what else f"the {name} has no column {labels!r} of labels"
    return UsageError(what, f"{error.remedy} Or give the labels themselves: an array [N].")


def _names_of(labels: Any, data: Any) -> tuple[str, ...] | None:
    """Return the names of several columns of labels; None of anything else, such as a label for each row."""
    as_many = isinstance(labels, list | tuple) and isinstance(data, Sized) and len(labels) == len(data)
    return None if as_many and not isinstance(data, Mapping) else label_names(labels)


def _labels_table(labels: Any) -> Frame | None:
    """Return a table of two columns of labels or more; None of anything else."""
    frame = None if labels is None or isinstance(labels, np.ndarray) else frame_of(labels, "labels")
    return None if frame is None or frame.header is None or len(frame.names) < 2 else frame


def _typed(data: Any, labels: Any, name: str, missing: bool, table: Selection) -> Dataset | None:
    """Return a table of mixed kinds; None where it is one of numbers without holes, and that is wanted.

    Raises:
        DataError: it is no table, or a column cannot be read.
    """
    if table.typed == "auto":
        try:
            return from_memory(data, labels, name, missing=False, table=replace(table, typed=False))
        except DataError:
            pass  # not of numbers alone, or with holes
    frame = frame_of(data, name)
    if frame is None:
        if table.typed == "auto":
            return None
        table.refuse_for(f"the {name}", "no table")
        raise DataError(f"the {name} is no table of columns, but a {type(data).__name__}", REMEDY)
    if isinstance(labels, str) and labels not in frame.names:
        raise _no_labels(labels, name, frame.names)
    given = None if labels is None or isinstance(labels, str) else labels_from_memory(labels)
    with within_memory(f"the {name}"):
        return mixed_dataset(frame, name, table, labels if isinstance(labels, str) else None, given)


def labels_from_memory(labels: Any) -> np.ndarray:
    """Return labels [N] in any container as an array.

    Raises:
        DataError: they are not one value per row.
    """
    if is_of(labels, "pandas", "Series") and str(labels.dtype) in ("category", "object", "str", "string"):
        labels = labels.astype(object).where(labels.notna(), "")
    values = np.asarray(_plain(labels))
    values = values.astype(str) if values.dtype.kind == "O" else values
    if values.ndim == 0 or values.size != max(values.shape, default=0):
        raise DataError(f"labels of shape {values.shape} are not one per row", "Give an array [N].")
    return values.reshape(-1)


def relabelled(dataset: Dataset, labels: Any) -> Dataset:
    """Return a data set with other labels [N].

    Raises:
        DataError: they are not one per row.
    """
    own = _labels_table(labels)
    if own is not None:
        return conditioned(dataset, mixed_dataset(own, "the labels", Selection(typed=True)), own.names)
    values, classes = encode_labels(labels_from_memory(labels), "the labels given")
    if len(values) != len(dataset):
        raise DataError(
            f"{dataset.source.name} has {len(dataset):,} rows, and {len(values):,} labels were given",
            "Give one label per row.",
        )
    return replace(dataset, labels=values, schema=replace(dataset.schema, classes=classes))


def raw_of(data: Any, label: str | None, name: str, table: Selection) -> Raw:
    """Return the rows of a container, with the labels in the column `label`.

    Raises:
        UsageError: columns are chosen, and it is not a table.
    """
    torch = sys.modules.get("torch")
    if is_of(data, "pandas", "DataFrame"):
        raw = _table({str(k): data.iloc[:, i] for i, k in enumerate(data.columns)}, label, name, table)
        return _with_index(raw, data.index)
    if is_of(data, "anndata", "AnnData"):
        return of_annotated(data, label, table, name)
    if is_of(data, "polars", "DataFrame"):
        return _table({c: data.get_column(c) for c in data.columns}, label, name, table)
    if is_of(data, "pyarrow", "Table", "RecordBatch"):
        return _table({str(c): data.column(i) for i, c in enumerate(data.schema.names)}, label, name, table)
    if torch is not None and isinstance(data, torch.utils.data.DataLoader):
        data = data.dataset
    if torch is not None and isinstance(data, torch.utils.data.Dataset):
        table.refuse_for(f"the {name}", "no table with names of columns")
        return _torch_dataset(data, name)
    if isinstance(data, Mapping):
        return _mapping(data, label, name, table)
    table.refuse_for(f"the {name}", "no table with names of columns")
    return Raw(_plain(data, name))


def _plain(data: Any, name: str = "array") -> np.ndarray:
    """Return a tensor, an array with masked entries, a sparse matrix, a series or nested lists as an array.

    Raises:
        DataError: NumPy cannot make an array of it.
    """
    if is_of(data, "torch", "Tensor"):
        data = data.detach().cpu()
        return (data.float() if str(data.dtype) in ("torch.bfloat16", "torch.float16") else data).numpy()
    if is_of(data, "scipy.sparse", "spmatrix", "sparray"):
        check_size(math.prod(data.shape) * data.dtype.itemsize, f"the sparse {name}")
        return np.asarray(data.toarray())
    if is_of(data, "polars", "Series") or is_of(data, "pyarrow", "Array", "ChunkedArray"):
        data = data.to_numpy() if is_of(data, "polars", "Series") else data.to_numpy(zero_copy_only=False)
    if isinstance(data, np.ma.MaskedArray):
        if not np.ma.is_masked(data):
            return np.asarray(data.data)
        return np.where(np.ma.getmaskarray(data), np.nan, np.asarray(data.data, np.float64))
    try:
        return np.asarray(data)
    except (ValueError, TypeError) as error:
        raise DataError(f"the {name} cannot be read as numbers ({error})", REMEDY) from error


def _column(values: Any, column: str) -> np.ndarray:
    """Return a column of numbers [N], NaN where it is null.

    Raises:
        DataError: it does not hold numbers.
    """
    if is_of(values, "pandas", "Series"):
        kind = values.dtype.kind if isinstance(values.dtype, np.dtype) else ""
        if kind not in "biuf" or not kind:
            values = values.to_numpy(dtype=np.float64, na_value=np.nan) if _numeric(values.dtype) else values.to_numpy()
    numbers = _plain(values)
    if numbers.dtype.kind not in "biuf":
        entries = numbers.reshape(-1)[:100].tolist()
        example = next((entry for entry in entries if not isinstance(entry, float | int)), numbers.dtype)
        raise DataError(
            f"column {column!r} holds {example!r}, which is not a number",
            "Drop it, or encode it as numbers; a column of class names can be the labels: labels=COLUMN.",
        )
    if numbers.ndim != 1:
        raise DataError(f"column {column!r} has the shape {numbers.shape}", "Give one number per row and column.")
    return numbers


def _numeric(dtype: Any) -> bool:
    """Return whether an extension type of pandas (Int64, Float32, boolean) holds numbers."""
    return getattr(dtype, "kind", "O") in "biuf"


def _table(columns: Mapping[str, Any], label: str | None, name: str, table: Selection) -> Raw:
    """Return the columns of a table side by side, in their common type, with the column `label` as labels.

    Raises:
        DataError: there is no column of data, or not the one that is asked for.
        UsageError: a header is asked for.
    """
    if table.header != "auto" and not table.later:
        raise UsageError("--header is for files of text", f"Leave it out: the {name} has names of columns.")
    names = writable_names(tuple(columns)) or ()
    columns = dict(zip(names, columns.values(), strict=True))
    if not set(names) - {label}:
        raise DataError(f"the {name} has no columns of data", REMEDY)
    indices = leading_indices(names, ([str(v) for v in _plain(columns[n]).reshape(-1).tolist()] for n in names))
    without = {i for i, n in enumerate(names) if i < indices or n == label}
    notes = [f"column {n!r} has no name of its own and numbers the rows: it is left out" for n in names[:indices]]
    identifiers = _identifiers(columns, without, table)
    places = table.chosen(names, without | set(identifiers), f"the {name}")
    chosen = {names[i]: columns[names[i]] for i in places if names[i] != label}
    if not chosen:
        raise DataError(f"the {name} has no columns of data", REMEDY)
    columns_read = {k: _column(v, k) for k, v in chosen.items()}
    first = next(iter(columns_read))
    odd = next((k for k, v in columns_read.items() if len(v) != len(columns_read[first])), None)
    if odd is not None:
        lengths = f"{len(columns_read[first]):,} and {len(columns_read[odd]):,}"
        raise DataError(f"columns {first!r} and {odd!r} have {lengths} rows", "Give columns of one length.")
    x = np.stack(list(columns_read.values()), 1)
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x
    labels = labels_from_memory(columns[label]) if label is not None and label in columns else None
    raw = Raw(x, labels, names=tuple(chosen), notes=notes, choices=names)
    dropped = {i for i, n in enumerate(names) if n in table.drop}
    beside = sorted((set(range(indices)) | dropped | set(identifiers)) - set(places))
    for index in beside:
        raw.identity[kept_as(names[index], index, raw.identity)] = _texts_or_numbers(columns[names[index]])
    if identifiers and not table.by_name and table.columns is None:
        notes.append(left_out([names[i] for i in identifiers]))
    if not table.later and table.columns is None:
        notes += suspected(tuple(chosen), x)
    notes += table.ignored(names, {*places, *beside, *without}, f"the {name}")
    return raw


def _identifiers(columns: Mapping[str, Any], without: set[int], table: Selection) -> list[int]:
    """Return the columns that identify rows, unless they are all there is."""
    named, few = {*(table.columns or table.known or ()), *table.drop}, table.by_name and table.later
    others = [(i, n) for i, n in enumerate(columns) if i not in without and n not in named]
    identifiers = [i for i, n in others if identifies(n, _plain(columns[n]), few)]
    left = set(range(len(columns))) - without - {i for i, n in enumerate(columns) if n in table.drop}
    return identifiers if left - set(identifiers) else []


def _texts_or_numbers(values: Any) -> np.ndarray:
    """Return a column that is no data as whole numbers, or else as text."""
    plain = _plain(values)
    return plain if plain.dtype.kind in "iu" else plain.astype(str)


def _with_index(raw: Raw, index: Any) -> Raw:
    """Return the content of a pandas DataFrame with its index beside the data, unless it only numbers the rows."""
    if type(index).__name__ != "RangeIndex" and len(index) == len(raw.x):
        name = kept_as(None if index.name is None else str(index.name), 0, raw.identity)
        raw.identity = {name: np.array([str(v) for v in index]), **raw.identity}
    return raw


def _mapping(data: Mapping[Any, Any], label: str | None, name: str, table: Selection) -> Raw:
    """Return x and y of a mapping with these keys, as of an .npz archive; of any other mapping, its columns.

    Raises:
        UsageError: columns are chosen, and there is an array x.
    """
    keys = {str(k): v for k, v in data.items()}
    x = next((k for k in DATA_KEYS if k in keys and np.ndim(keys[k]) > 1), None)
    if x is None:
        return _table(keys, label, name, table)
    table.refuse_for(f"the {name}", "no table with names of columns")
    y = label if label in keys else next((k for k in LABEL_KEYS if k in keys), None)
    return Raw(_plain(keys[x], name), None if y is None else labels_from_memory(keys[y]), choices=tuple(keys))


def _torch_dataset(data: Any, name: str) -> Raw:
    """Return the rows of a torch `Dataset` of tensors, or of tuples of a tensor and a label, one after another."""
    tensors: Any = getattr(data, "tensors", None)
    if isinstance(tensors, tuple) and tensors:  # a TensorDataset, which holds all rows in one tensor
        first, *others = tensors
        labelled = bool(others) and others[0].ndim == 1
        return Raw(_plain(first, name), _plain(others[0]) if labelled else None)
    try:
        items = list(data) if not _is_indexable(data) else [data[i] for i in range(len(data))]
    except (TypeError, NotImplementedError, IndexError, KeyError) as error:
        raise DataError(f"the {name} cannot be read row by row ({error})", REMEDY) from error
    if not items:
        raise DataError(f"the {name} has no rows", REMEDY)
    pairs: list[Any] = [item if isinstance(item, tuple | list) else (item,) for item in items]
    try:
        x = np.stack([_plain(pair[0], name) for pair in pairs])
        scalars = len(pairs[0]) > 1 and all(np.ndim(_plain(pair[1])) == 0 for pair in pairs)
    except (ValueError, IndexError) as error:
        raise DataError(f"the rows of the {name} are not of one shape ({error})", REMEDY) from error
    return Raw(x, np.asarray([_plain(pair[1]).item() for pair in pairs]) if scalars else None)


def _is_indexable(data: Any) -> bool:
    """Return whether the object has a length and rows by number."""
    return callable(getattr(type(data), "__len__", None)) and callable(getattr(type(data), "__getitem__", None))
