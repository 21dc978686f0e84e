"""Files whose rows are written some after another hold what one table of all rows would."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from jensen.data.dataframes import ArrowTable
from jensen.data.table_writing import table_bytes
from jensen.data.written_pieces import ParquetPieces, table_pieces

PIECES = [pa.table({"n": [1, 2], "t": pa.nulls(2)}), pa.table({"n": [3], "t": ["x"]})]


def written(suffix: str, tables: list[pa.Table], more: list[pa.Table] | None = None) -> io.BytesIO:
    """A file of tables, and of others that waited in a file of their own."""
    stream, waiting = io.BytesIO(), io.BytesIO()
    writer = table_pieces(suffix, stream, (), io.BytesIO)
    for table in tables:
        writer.write(ArrowTable(table))
    if more:
        other = ParquetPieces(waiting, ())
        for table in more:
            other.write(ArrowTable(table))
        other.close()
        waiting.seek(0)
        writer.append(waiting)
    writer.close()
    return io.BytesIO(stream.getvalue())


def cells(suffix: str, file: io.BytesIO) -> list[tuple[Any, ...]]:
    """The rows of a file, its header first."""
    if suffix == ".xlsx":
        sheet = pytest.importorskip("openpyxl").load_workbook(file).worksheets[0]
        return [tuple(cell.value for cell in row) for row in sheet.iter_rows()]
    table = (pa.feather if suffix == ".feather" else pa.parquet).read_table(file)
    return [tuple(table.column_names), *(tuple(row.values()) for row in table.to_pylist())]


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".xlsx"])
def test_pieces_follow_one_another(suffix):
    rows = cells(suffix, written(suffix, PIECES, PIECES[1:]))
    assert rows == [("n", "t"), (1, None), (2, None), (3, "x"), (3, "x")]


def test_a_column_without_cells_in_the_first_piece_has_the_texts_of_later_ones():
    assert pa.parquet.read_table(written(".parquet", PIECES)).schema.field("t").type == pa.string()


@pytest.mark.parametrize("is_ordered", [False, True])
def test_a_feather_file_has_one_dictionary_of_the_names_of_all_pieces(is_ordered):
    kind = pa.dictionary(pa.int8(), pa.string(), is_ordered)
    names = [["b", "a", None], ["c", "b"], [None, "a"]]
    arrays = [
        pa.array(part, pa.string()).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())) for part in names
    ]
    levels = ["b", "a", "c", "never"]  # declared in this order, where they are ordered
    if is_ordered:
        indices = [[None if v is None else levels.index(v) for v in part] for part in names]
        arrays = [pa.DictionaryArray.from_arrays(pa.array(i, pa.int8()), levels, ordered=True) for i in indices]
    tables = [pa.table({"k": a.cast(kind)}).replace_schema_metadata({"own": "note"}) for a in arrays]
    cut = pa.feather.read_table(written(".feather", tables))
    whole = ArrowTable(pa.concat_tables(tables).unify_dictionaries())
    expected = pa.feather.read_table(io.BytesIO(table_bytes(whole, ".feather", ())))
    assert cut.schema.equals(expected.schema, check_metadata=True)
    assert cut.to_pylist() == expected.to_pylist()
    assert {tuple(chunk.dictionary.to_pylist()) for chunk in cut.column(0).chunks} == {
        tuple(levels if is_ordered else ["b", "a", "c"])
    }


def test_text_of_a_sheet_runs_nothing():
    openpyxl = pytest.importorskip("openpyxl")
    sheet = openpyxl.load_workbook(written(".xlsx", [pa.table({"t": ["=1+1"]})])).worksheets[0]
    assert (sheet["A2"].value, sheet["A2"].data_type) == ("=1+1", "s")


def test_no_pieces_make_no_file():
    stream = io.BytesIO()
    ParquetPieces(stream, ()).close()
    assert stream.getvalue() == b""
