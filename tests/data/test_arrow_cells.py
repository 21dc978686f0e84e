"""Columns of Arrow: values and nulls of each type; text of more than 2 GiB, which places of four bytes cannot join."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from jensen.core.errors import DataError
from jensen.data import arrow_cells as module
from jensen.data.arrow_cells import arrow_cells
from jensen.data.frames import TextCells

TEXTS = [["red", None, "green"], ["green", "red"], []]


class Large:
    """A column in chunks, which joins as one of 2 GiB does: with wide places alone."""

    def __init__(self, column: pa.ChunkedArray, limit: int) -> None:
        self.column, self.limit, self.type = column, limit, column.type

    def __len__(self) -> int:
        return len(self.column)

    def cast(self, kind: pa.DataType) -> Large:
        return Large(self.column.cast(kind), self.limit)

    def combine_chunks(self) -> pa.Array:
        if self.type != pa.large_string() and self.column.nbytes > self.limit:
            raise pa.ArrowInvalid("offset overflow while concatenating arrays, consider casting to large_string")
        return self.column.combine_chunks()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_text_is_the_same_in_any_chunks_and_types(kind):
    column = pa.chunked_array([pa.array(chunk, kind) for chunk in TEXTS], kind)
    cells = arrow_cells(column, "colour", "x")
    assert cells.array().tolist() == ["red", None, "green", "green", "red"]
    assert cells.stored == str(kind)
    assert arrow_cells(column.combine_chunks(), "colour", "x").array().tolist() == cells.array().tolist()


def test_chunks_of_much_text_are_joined_with_wide_places():
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in TEXTS], pa.string())
    with pytest.raises(pa.ArrowInvalid, match="offset overflow"):
        Large(column, 10).combine_chunks()
    joined = module._joined(Large(column, 10), "colour", "x")
    assert (joined.type, joined.to_pylist()) == (pa.large_string(), ["red", None, "green", "green", "red"])


def test_what_cannot_be_joined_is_an_error_with_a_remedy():
    column = pa.chunked_array([pa.array([1, 2]), pa.array([3])])
    with pytest.raises(DataError, match="column 'n' of x cannot be read as one array") as refused:
        module._joined(Large(column, 10), "n", "x")
    assert "Drop it" in refused.value.remedy


@pytest.mark.parametrize("kind", [pa.binary(), pa.list_(pa.int64())], ids=str)
def test_bytes_and_lists_are_refused_before_they_are_joined(kind):
    values = [b"a"] if kind == pa.binary() else [[1]]
    with pytest.raises(DataError, match="nested or no text"):
        arrow_cells(pa.chunked_array([pa.array(values, kind)]), "c", "x")


ARRAYS = {
    "int8": pa.array([1, None, -3, 4, 5], pa.int8()),
    "uint64": pa.array([2**63, None, 0, 1, 2], pa.uint64()),
    "halffloat": pa.array(np.array([1.5, np.nan, 2.5, 0.0, 1.0], np.float16)),
    "float": pa.array([1.5, None, np.nan, 4.0, -0.0], pa.float32()),
    "double": pa.array([1.5, None, np.nan, 4.0, np.inf]),
    "decimal": pa.array([1, None, 3, 4, 5], pa.decimal128(10, 2)),
    "bool": pa.array([True, None, False, True, True]),
    "timestamp": pa.array([1, None, -3, 4, 5], pa.timestamp("ms", "UTC")),
    "date": pa.array([1, None, -3, 4, 5], pa.date32()),
    "duration": pa.array([1, None, -3, 4, 5], pa.duration("s")),
    "dictionary": pa.array(["b", None, "a", "b", "c"]).dictionary_encode(),
    "complete": pa.array([1, 2, 3, 4, 5]),
}


@pytest.mark.parametrize("name", list(ARRAYS))
@pytest.mark.parametrize("cut", [slice(0, 5), slice(1, 4), slice(3, 5), slice(2, 2)], ids=str)
def test_cells_are_those_of_the_values_at_any_offset(name, cut):
    part = ARRAYS[name][cut]
    cells = arrow_cells(part, "x", "table")
    expected = [v if isinstance(v, str) else None if v is None or v != v else v for v in part.to_pylist()]
    if isinstance(cells, TextCells):
        assert cells.array().tolist() == expected
        return
    assert cells.observed.tolist() == [v is not None for v in expected]
    assert (cells.values.dtype.kind == "M") == (name in ("timestamp", "date"))
    values = [v for v, ok in zip(cells.values.tolist(), cells.observed, strict=True) if ok]
    known = [v for v in expected if v is not None]
    if name == "duration":
        known = [v.total_seconds() for v in known]
    elif name == "timestamp":
        known = [v.replace(tzinfo=None) for v in known]
    elif name == "date":
        known = [datetime.combine(v, datetime.min.time()) for v in known]
    assert values == [float(v) if name == "decimal" else v for v in known]
