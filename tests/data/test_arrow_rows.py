"""Rows of Arrow tables: those that Arrow itself takes, also where a column has more text than one array holds."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.data import arrow_rows
from jensen.data.arrow_rows import taken, taken_rows

pa = pytest.importorskip("pyarrow")
TEXTS = pa.chunked_array([["one", None, "three"], ["four"], [], ["five", "six" * 9]], pa.string())
INDEX = np.array([5, 0, 0, 3, 1])


@pytest.mark.parametrize("most", [1, 40, 2**30])
def test_rows_are_those_of_arrow_in_chunks_of_little_text(most, monkeypatch):
    monkeypatch.setattr(arrow_rows, "MOST_TEXT", most)
    rows = taken(TEXTS, INDEX)
    assert (rows.type, rows.to_pylist()) == (TEXTS.type, TEXTS.take(INDEX).to_pylist())
    assert all(chunk.nbytes <= most or len(chunk) == 1 for chunk in rows.chunks)
    assert taken(TEXTS, INDEX[:0]).to_pylist() == []


def test_more_text_than_an_array_holds_is_taken(monkeypatch):
    """Arrow refuses to join it, as a column that takes no rows before its places are wide."""

    class Much:
        type, nbytes = pa.string(), 2**31

        @staticmethod
        def cast(kind):
            assert kind == pa.large_string()
            return TEXTS.cast(kind)

        @staticmethod
        def take(index):
            raise pa.ArrowInvalid("offset overflow while concatenating arrays")

    assert taken(Much(), INDEX).to_pylist() == TEXTS.take(INDEX).to_pylist()


def test_rows_of_a_table_keep_names_and_types(monkeypatch):
    monkeypatch.setattr(arrow_rows, "MOST_TEXT", 1)
    table = pa.table([TEXTS, pa.chunked_array([range(6)])], names=["a", "a"]).replace_schema_metadata({"own": "note"})
    rows = taken_rows(table, INDEX)
    assert rows.schema.equals(table.schema, check_metadata=True)
    assert rows.column(1).to_pylist() == INDEX.tolist()
    assert rows.column(0).to_pylist() == TEXTS.take(INDEX).to_pylist()
