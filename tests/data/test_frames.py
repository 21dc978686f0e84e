"""Frames hold a table as it was given, and take its rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from jensen.core.errors import DataError
from jensen.data.frames import Frame, TextCells, TypedCells, unique_names
from jensen.data.typed_frames import frame_of


def test_texts_are_held_once_and_come_back():
    texts = ["b", "a", None, "b", "", "a"]
    cells = TextCells.of(texts)
    assert len(cells.texts) == 3
    assert cells.array().tolist() == texts
    assert cells.counts.tolist() == [2, 2, 1]
    assert cells.first(1) == 1
    assert cells.rows(np.array([5, 2, 0])).array().tolist() == ["a", None, "b"]


def test_typed_cells_are_named():
    cells = TypedCells(np.array([2.0, 1.5, 0.0, 2.0]), np.array([True, True, False, True]), "float64")
    assert cells.as_text().array().tolist() == ["2", "1.5", None, "2"]
    truths = TypedCells(np.array([True, False]), np.ones(2, bool), "bool")
    assert truths.as_text().array().tolist() == ["True", "False"]


def test_a_frame_names_its_places():
    frame = Frame(("a", "2"), (TextCells.of(["x"]), TextCells.of(["y"])), "csv", "t.csv", ("a", ""), np.array([7]))
    assert frame.place(0, 0) == "line 7, column 1 (a) of t.csv"
    assert frame.place(0, 1) == "line 7, column 2 of t.csv"
    held = Frame(("a",), (TextCells.of(["x"]),), "array", "the table")
    assert held.place(0, 0) == "row 0 (from 0), column 'a' of the table"
    with pytest.raises(DataError, match=r"no column 'z'.*It has a, 2"):
        frame.column("z")


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_rows_are_taken_of_the_table_too(make):
    frame = frame_of(make({"a": [1, 2, 3], "b": ["x", "y", "z"]}), "table")
    assert frame is not None
    some = frame.rows(np.array([2, 0]))
    assert some.column("a").array().tolist() == [3, 1]
    assert some.column("b").array().tolist() == ["z", "x"]
    held = some.origin["b"]
    assert (held.to_pylist() if make is pa.table else list(held)) == ["z", "x"]


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["a", "a", "a"], ["a", "a.1", "a.2"]),
        (["", "1", ""], ["1.1", "1", "3"]),
        (["a", "a.1", "a"], ["a", "a.1", "a.2"]),
        (["2", ""], ["2", "2.1"]),
    ],
)
def test_no_two_names_are_equal(names, own):
    assert list(unique_names(names)[0]) == own
