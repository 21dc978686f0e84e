"""Containers in memory give the data set that a file of the same numbers gives, or say what is not a number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from jensen.core.errors import DataError, UsageError
from jensen.data import Selection, from_memory, is_in_memory, relabelled
from jensen.data.containers import labels_from_memory

X = np.random.default_rng(0).normal(size=(7, 3))
NAMES = ["a", "b", "c"]
LABELS = np.array([0, 1, 0, 1, 2, 2, 0])


class Pairs(Dataset):
    """A map-style data set of (tensor, label) pairs."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.as_tensor(X[i]), int(LABELS[i])


CONTAINERS = {
    "array": X,
    "masked array without a mask": np.ma.masked_array(X),
    "lists": X.tolist(),
    "tensor": torch.as_tensor(X),
    "tensor with a gradient": torch.as_tensor(X).requires_grad_(),
    "pandas": pd.DataFrame(X, columns=NAMES),
    "pandas nullable": pd.DataFrame(X, columns=NAMES).convert_dtypes(),
    "polars": pl.DataFrame(X, schema=NAMES),
    "arrow": pa.table({name: X[:, i] for i, name in enumerate(NAMES)}),
    "columns": {name: X[:, i] for i, name in enumerate(NAMES)},
    "x and y": {"x": X, "y": LABELS},
    "tensor data set": TensorDataset(torch.as_tensor(X), torch.as_tensor(LABELS)),
    "pairs": Pairs(),
    "loader": DataLoader(Pairs(), batch_size=2, shuffle=True),
    "sparse": sp.csr_matrix(X),
    "sparse array": sp.coo_array(X),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_numbers_are_those_of_the_container(name):
    dataset = from_memory(CONTAINERS[name])
    assert np.array_equal(dataset.x, X)
    assert dataset.schema.kind == "real"
    assert dataset.source.n == 7
    if name in ("pandas", "pandas nullable", "polars", "arrow", "columns"):
        assert dataset.schema.names == tuple(NAMES)
    if name in ("x and y", "tensor data set", "pairs", "loader"):
        assert np.array_equal(dataset.labels, LABELS)
    assert dataset.source.sha256 == from_memory(X).source.sha256


def test_integers_stay_integers():
    counts = np.arange(12).reshape(6, 2)
    for container in (counts, pd.DataFrame(counts), pl.DataFrame(counts), torch.as_tensor(counts), counts.tolist()):
        schema = from_memory(container).schema
        assert (schema.kind, schema.levels) == ("integers", 12)
    assert from_memory(pd.DataFrame({"a": [True, False], "b": [False, False]})).schema.kind == "binary"


def test_images_keep_their_shape():
    assert from_memory(torch.zeros(3, 4, 5, dtype=torch.uint8)).schema.shape == (4, 5, 1)


HOLED = {
    "masked array": np.ma.masked_array(X, X > 1),
    "pandas": pd.DataFrame(np.where(X > 1, np.nan, X), columns=NAMES),
    "pandas nullable": pd.DataFrame(np.where(X > 1, np.nan, X), columns=NAMES).convert_dtypes(),
    "polars": pl.DataFrame(np.where(X > 1, np.nan, X), schema=NAMES).fill_nan(None),
    "arrow": pa.table({n: pa.array(np.where(X > 1, np.nan, X)[:, i], from_pandas=True) for i, n in enumerate(NAMES)}),
}


@pytest.mark.parametrize("name", HOLED)
def test_what_is_masked_or_null_is_missing(name):
    assert (X > 1).any()
    with pytest.raises(DataError, match="missing"):
        from_memory(HOLED[name])
    dataset = from_memory(HOLED[name], missing=True)
    assert np.array_equal(dataset.mask, X <= 1)


TEXT = {
    "pandas": pd.DataFrame({"a": [1.0, 2.0], "town": ["Rome", "Bonn"]}),
    "pandas categories": pd.DataFrame({"a": [1.0, 2.0], "town": pd.Categorical(["Rome", "Bonn"])}),
    "polars": pl.DataFrame({"a": [1.0, 2.0], "town": ["Rome", "Bonn"]}),
    "arrow": pa.table({"a": [1.0, 2.0], "town": ["Rome", "Bonn"]}),
}


@pytest.mark.parametrize("name", TEXT)
def test_a_column_of_text_is_named_and_can_be_the_labels(name):
    with pytest.raises(DataError, match=r"column 'town' holds .*labels=COLUMN"):
        from_memory(TEXT[name])
    dataset = from_memory(TEXT[name], labels="town")
    assert (dataset.schema.classes, dataset.labels.tolist()) == (("Bonn", "Rome"), [1, 0])
    assert dataset.schema.names == ("a",)
    with pytest.raises(UsageError, match="no column 'country'"):
        from_memory(TEXT[name][["a"]] if name != "arrow" else TEXT[name].select(["a"]), labels="country")


def test_labels_in_any_form():
    for labels in (LABELS, LABELS.tolist(), torch.as_tensor(LABELS), pd.Series(LABELS), pl.Series(LABELS)):
        assert np.array_equal(from_memory(X, labels).labels, LABELS)
    named = pd.Series(["x", None, "y", "x", "x", "y", "x"])
    assert from_memory(X, named).labels.tolist() == [0, -1, 1, 0, 0, 1, 0]
    assert relabelled(from_memory(X), ["u", "v"] * 3 + ["u"]).schema.classes == ("u", "v")
    with pytest.raises(DataError, match=r"7 rows.*2 labels"):
        relabelled(from_memory(X), [0, 1])
    with pytest.raises(DataError, match="not one per row"):
        labels_from_memory(np.zeros((2, 2)))


class Stream(torch.utils.data.IterableDataset):
    """A data set that can only be iterated."""

    def __iter__(self):
        yield from torch.as_tensor(X)


class Ragged(Dataset):
    """Rows of different lengths."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> torch.Tensor:
        if i > 1:
            raise IndexError
        return torch.zeros(i + 1)


def test_data_sets_of_torch():
    assert np.array_equal(from_memory(Stream()).x, X)
    with pytest.raises(DataError, match="not of one shape"):
        from_memory(Ragged())


@pytest.mark.parametrize("given", [object(), [["a", "b"]], [[1, 2], [3]], {"a": [object()]}, 3.0])
def test_what_is_no_container_of_numbers_is_refused(given):
    with pytest.raises(DataError) as refusal:
        from_memory(given)
    assert refusal.value.remedy


def test_paths_and_names_are_not_in_memory(tmp_path):
    assert not is_in_memory("digits")
    assert not is_in_memory(tmp_path)
    assert is_in_memory([1])


@pytest.mark.parametrize("name", ["pandas", "polars", "arrow", "columns"])
def test_columns_of_a_table_in_memory(name):
    chosen = from_memory(CONTAINERS[name], table=Selection.of(columns="c,a"))
    assert np.array_equal(chosen.x, X[:, [2, 0]])
    assert chosen.schema.names == ("c", "a")
    assert np.array_equal(from_memory(CONTAINERS[name], table=Selection.of(drop=["b"])).x, X[:, [0, 2]])
    with pytest.raises(DataError, match="no column 'z'"):
        from_memory(CONTAINERS[name], table=Selection.of(columns="z"))
    with pytest.raises(UsageError, match="--header"):
        from_memory(CONTAINERS[name], table=Selection.of("no"))


@pytest.mark.parametrize("name", ["array", "tensor", "x and y", "pairs", "sparse"])
def test_columns_of_what_is_no_table(name):
    with pytest.raises(UsageError, match="is for tables"):
        from_memory(CONTAINERS[name], table=Selection.of(columns="a"))


@pytest.mark.parametrize("index", [range(7), range(1, 8), [5, 3, 9, 0, 1, 2, 20]])
def test_an_index_in_a_frame_that_was_read_from_a_file(index):
    frame = pd.DataFrame(X, columns=NAMES)
    frame.insert(0, "Unnamed: 0", index)
    held = from_memory(frame)
    assert np.array_equal(held.x, X)
    assert "left out" in held.notes[0]
    assert from_memory(frame.assign(**{"Unnamed: 0": X[:, 0]})).x.shape == (7, 4)
