"""Annotated matrices of cells and genes in the .h5ad files of anndata: counts with names, labels from `obs`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError, JensenError, UsageError
from ..core.memory import size_in_words
from .counts import MOST
from .dataframes import library
from .dataset import Raw, check_dtype
from .frames import unique_names
from .selection import Selection
from .sizes import check_size

__all__ = ["of_annotated", "opened", "read_annotated"]

LABELS = ("y", "Y", "labels", "target")  # columns of obs that are labels where none is named, as arrays of an .npz are
FEWER = "Choose genes with --columns"
NAMED = 12  # names of layers or columns that are listed


@contextmanager
def opened(path: Path, mode: str = "r", where: Path | None = None) -> Iterator[tuple[Any, Any]]:
    """A scope in which an .h5ad file is open: the file, and the module of anndata that reads its elements.

    Args:
        path: of the file.
        mode: "r", or "r+" to write too.
        where: the name of the file in messages, if it is another.

    Raises:
        UsageError: anndata is not installed.
        DataError: the file is damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that older versions of anndata wrote
        library("anndata")
        elements, h5py = library("anndata.io"), library("h5py")
        try:
            with h5py.File(path, mode) as file:
                yield file, elements
        except (JensenError, MemoryError):
            raise
        except Exception as error:  # a damaged file makes the libraries raise almost anything
            raise _damaged(where or path, str(error) or type(error).__name__) from error


def _damaged(path: Path, why: str) -> DataError:
    lines = why.splitlines() or [""]
    return DataError(
        f"{path} is damaged, or no AnnData file ({lines[0][:200]})",
        "Write or download it again; one that anndata before 0.7 wrote is read and written once by anndata.",
    )


def read_annotated(path: Path, wanted: str | None, options: Selection) -> Raw:
    """Read the matrix X of an .h5ad file, or a layer, as a dense array, with the names of its genes and cells.

    Whole numbers from 0 of any type are held in an integer type, since they are counts. Sparse matrices are dense only
    after genes were chosen.

    Args:
        path: of the file.
        wanted: a column of `obs` that holds labels.
        options: the layer, and the genes to read.

    Raises:
        DataError: the file is damaged, lacks the layer, or is too large.
        UsageError: anndata is not installed, or there is a header.
    """
    if options.header != "auto" and not options.later:
        raise UsageError("--header is for files of text", f"Leave it out: {path} has names of genes.")
    with opened(path) as (file, elements):
        for part in ("obs", "var"):
            if part not in file:
                raise _damaged(path, f"it has no {part}")
        obs, var = elements.read_elem(file["obs"]), elements.read_elem(file["var"])
        element, where = _element(file, options.layer, path)
        if _shape(element) != (len(obs), len(var)):
            raise _damaged(path, f"{len(obs)} cells and {len(var)} genes of a matrix of {_shape(element)}")
        matrix, layers = _read(element, elements, where), _layers(file)
    return _assembled(matrix, obs, var, wanted, options, _Words(str(path), where, layers))


def of_annotated(data: Any, wanted: str | None, options: Selection, name: str = "AnnData") -> Raw:
    """Read the matrix X of an AnnData object, or a layer, as `read_annotated` reads that of its file.

    Args:
        data: the object; one that is backed by a file is read into memory.
        wanted: a column of `obs` that holds labels.
        options: the layer, and the genes to read.
        name: of the data in messages.

    Raises:
        DataError: it lacks the layer, or holds no numbers.
        UsageError: there is a header.
    """
    if options.header != "auto" and not options.later:
        raise UsageError("--header is for files of text", f"Leave it out: the {name} has names of genes.")
    data = data.to_memory() if data.isbacked else data
    layers = sorted(str(layer) for layer in data.layers)
    _check_layer(options.layer, layers, name)
    matrix = data.X if options.layer is None else data.layers[options.layer]
    if matrix is None:
        raise _no_matrix(name, layers)
    where = f"X of the {name}" if options.layer is None else f"layer {options.layer!r} of the {name}"
    check_dtype(matrix.dtype, where)
    return _assembled(matrix, data.obs, data.var, wanted, options, _Words(f"the {name}", where, layers))


@dataclass(frozen=True)
class _Words:
    """The names of data in messages.

    Attributes:
        source: of all of it.
        matrix: of X, or of the layer.
        layers: their names.
    """

    source: str
    matrix: str
    layers: list[str]


def _assembled(matrix: Any, obs: Any, var: Any, wanted: str | None, options: Selection, words: _Words) -> Raw:
    """Return the genes of a matrix that are chosen, with names, cells and labels."""
    names, changed = unique_names([str(name) for name in var.index])
    kept = options.chosen(names, (), words.source)
    x, notes = _dense(matrix, kept, len(names), words.matrix)
    if x.dtype.kind == "f":
        notes += _fractional(x, words.matrix, [name for name in words.layers if name != options.layer])
    raw = Raw(x, names=tuple(names[i] for i in kept), notes=notes, choices=tuple(map(str, obs.columns)))
    raw.notes += options.ignored(names, kept, words.source)
    if changed:
        raw.notes.append(f"genes of {words.source} with the name of another are called {', '.join(changed[:NAMED])}")
    raw.identity = {"cell": np.array([str(name) for name in obs.index], dtype=str)}
    column = wanted if wanted is not None else next((name for name in LABELS if name in raw.choices), None)
    if column in raw.choices:
        raw.labels = _labels(obs[column])
        if wanted is None:
            raw.notes.append(f"labels taken from the column {column!r} of obs")
    return raw


def _layers(file: Any) -> list[str]:
    return sorted(file["layers"]) if "layers" in file else []


def _element(file: Any, layer: str | None, path: Path) -> tuple[Any, str]:
    """Return X or a layer as it is in the file, with its name in messages.

    Raises:
        DataError: there is none.
    """
    layers = _layers(file)
    _check_layer(layer, layers, path)
    if layer is not None:
        return file["layers"][layer], f"layer {layer!r} of {path}"
    held = file.get("X")
    if held is None or held.attrs.get("encoding-type") == "null":
        raise _no_matrix(path, layers)
    return held, f"X of {path}"


def _check_layer(layer: str | None, layers: list[str], where: str | Path) -> None:
    """Refuse a layer that is not there.

    Raises:
        DataError: naming those that are.
    """
    if layer is not None and layer not in layers:
        has = f"It has {', '.join(layers[:NAMED])}." if layers else "It has none: leave --layer out."
        raise DataError(f"{where} has no layer {layer!r}", has)


def _no_matrix(where: str | Path, layers: list[str]) -> DataError:
    listed = ", ".join(layers[:NAMED])
    remedy = f"Name a layer: --layer {layers[0]} (of {listed})." if layers else "Write it with a matrix."
    return DataError(f"{where} has no matrix X", remedy)


def _shape(element: Any) -> tuple[int, ...]:
    """Return the shape of a matrix in a file; sparse ones are groups that say it."""
    attributes = element.attrs
    shape = element.shape if _is_dense(element) else attributes.get("shape", attributes.get("h5sparse_shape"))
    return tuple(int(n) for n in shape)


def _is_dense(element: Any) -> bool:
    return isinstance(element, library("h5py").Dataset)


def _read(element: Any, elements: Any, where: str) -> Any:
    """Return a matrix, dense or sparse, as it is in the file.

    Raises:
        DataError: it is no matrix of numbers, or does not fit into memory.
    """
    stored = [element] if _is_dense(element) else [element[name] for name in ("data", "indices", "indptr")]
    check_dtype(stored[0].dtype, where)
    check_size(sum(math.prod(part.shape) * part.dtype.itemsize for part in stored), where, FEWER)
    matrix = elements.read_elem(element)
    if len(stored) > 1:
        matrix.check_format(full_check=True)  # else a damaged index would be written outside the array
    return matrix


def _dense(matrix: Any, kept: list[int], width: int, where: str) -> tuple[np.ndarray, list[str]]:
    """Return columns of a matrix as a dense array in a compact type, with notes.

    Raises:
        DataError: the array does not fit into memory.
    """
    from scipy import sparse  # imported for such files only

    is_sparse = sparse.issparse(matrix)
    if len(kept) < width or kept != list(range(width)):
        matrix = matrix[:, kept]
    dtype = _compact(matrix.data if is_sparse else matrix)
    if not is_sparse:
        return np.ascontiguousarray(matrix.astype(dtype, copy=False)), []
    size = math.prod(matrix.shape) * dtype.itemsize
    check_size(size, f"the sparse {where}", FEWER, verb="holds, when it is dense,")
    x = np.asarray(matrix.astype(dtype).toarray())
    return x, [f"a sparse matrix ({matrix.format}) read as a dense array of {size_in_words(size)}"]


def _compact(values: np.ndarray) -> np.dtype:
    """Return an integer type for whole numbers from 0, and the type of all others."""
    if not values.size or values.dtype.kind not in "iuf":
        return values.dtype
    low, high = values.min(), values.max()  # NaN where there is one
    if not (low >= 0 and high <= MOST) or (values.dtype.kind == "f" and not bool((values == np.floor(values)).all())):
        return values.dtype
    return np.dtype(np.uint8 if high < 256 else np.int32)


def _fractional(x: np.ndarray, where: str, layers: list[str]) -> list[str]:
    """Return a note on numbers that are no counts, with the layers that may hold these."""
    what = "negative" if (x < 0).any() else "fractional" if np.isfinite(x).all() else "missing or fractional"
    others = f"; other layers: {', '.join(layers[:NAMED])} (--layer {layers[0]})" if layers else ""
    return [f"{where} holds {what} numbers, which are no counts, and is read as reals{others}"]


def _labels(column: Any) -> np.ndarray:
    """Return labels [N]; those of a categorical column or of text as text, empty where one is missing."""
    values = column.to_numpy()
    if column.dtype.name != "category" and values.dtype.kind in "biuf":
        return values
    return np.array(["" if gone else str(value) for value, gone in zip(values, column.isna(), strict=True)], dtype=str)
