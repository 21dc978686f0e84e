"""Tables as files: what comes back from a file that was written is what was written."""

from __future__ import annotations

import io
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from jensen.core.errors import UsageError
from jensen.data import read
from jensen.data.columns import Column
from jensen.data.dialects import Dialect
from jensen.data.output_tables import PlainTable
from jensen.data.table_building import as_arrow, as_objects, as_plain, output_table
from jensen.data.table_writing import require_rows, require_writer, table_bytes, table_suffix, table_text
from jensen.data.typed_frames import frame_of

ODD = ["plain", "a,b", 'say "x"', "two\nlines", "=1+1", " blank ", "", "é🎲", "00123"]
COLUMNS = (Column("n", "count"), Column("when", "datetime", format="%d.%m.%Y"), Column("r", "real", format="1,5"))


def texts(**columns: list[str]) -> PlainTable:
    return PlainTable(list(columns), [np.array(c, dtype=object) for c in columns.values()], texts=True)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_come_back_to_the_letter(delimiter, tmp_path):
    suffix = ".tsv" if delimiter == "\t" else ".csv"
    table = PlainTable(
        ["a, b", "x"],
        [np.array(ODD, object), np.array(["1"] * len(ODD), object)],
        True,
        True,
        Dialect("," if delimiter == "\t" else delimiter),
    )
    path = tmp_path / f"t{suffix}"
    path.write_bytes(table_text(table, suffix).encode())
    again = read(str(path), typed=True, columns="x").frame
    assert again is not None
    assert again.header == ("a, b", "x")
    assert again.columns[0].array().tolist() == ODD
    assert table_text(output_table(again), suffix).encode() == path.read_bytes()


def test_a_hook_sees_every_cell_and_the_header():
    marked = table_text(texts(a=["=1", "2"]), ".csv", lambda t: f"'{t}" if t.startswith("=") else t)
    assert marked == "a\n'=1\n2\n"


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_typed_files_keep_types_and_notes(suffix):
    data = pa.table({"a": pa.array([1, None], pa.int8()), "c": pa.array(["x", None]).dictionary_encode()})
    data = data.replace_schema_metadata({"own": "note"})
    frame = frame_of(data, "table")
    assert frame is not None
    stream = io.BytesIO(table_bytes(output_table(frame), suffix, ()))
    read_again = pyarrow.parquet.read_table if suffix == ".parquet" else pyarrow.feather.read_table
    again = read_again(stream)
    assert again.schema.equals(data.schema, check_metadata=True)
    assert again.to_pylist() == data.to_pylist()


def test_texts_get_the_types_of_their_columns():
    """From CSV to Parquet: by what is known of a column; others are numbers only if nothing is lost by that."""
    table = texts(
        n=["3", ""], when=["31.01.2020", "NA"], r=["1,5", "2,25"], zip=["00123", "99"], low=["1.5", ""], v=["1", "2"]
    )
    arrow = as_arrow(table, COLUMNS).data
    assert [str(t) for t in arrow.schema.types] == ["int64", "timestamp[us]", "double", "string", "double", "int64"]
    assert arrow.to_pylist()[0] == {"n": 3, "when": datetime(2020, 1, 31), "r": 1.5, "zip": "00123", "low": 1.5, "v": 1}
    assert arrow.to_pylist()[1] == {"n": None, "when": None, "r": 2.25, "zip": "99", "low": None, "v": 2}
    assert as_plain(as_arrow(table, COLUMNS), texts=True).data["when"] == ["2020-01-31 00:00:00", ""]


def test_a_spreadsheet_holds_values_and_runs_nothing():
    openpyxl = pytest.importorskip("openpyxl")
    table = texts(n=["3", ""], when=["31.01.2020", ""], r=["1,5", "2,25"], text=["=1+1", "x"])
    plain = as_objects(table, COLUMNS)
    plain = PlainTable(plain.header, plain.columns, False, formats=["0", "General", "0.00", "General"])
    stream = io.BytesIO(table_bytes(plain, ".xlsx", ()))
    sheet = openpyxl.load_workbook(stream).worksheets[0]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert rows == [["n", "when", "r", "text"], [3, datetime(2020, 1, 31), 1.5, "=1+1"], [None, None, 2.25, "x"]]
    assert sheet["D2"].data_type == "s"  # a formula would be "f"
    assert sheet["C3"].number_format == "0.00"


def test_the_format_of_the_source_is_kept():
    names = ("x.parquet", "x.FEATHER", "x.arrow", "x.xlsx", "x.tsv", "x.txt", "digits", None)
    assert [table_suffix(n) for n in names] == [
        ".parquet",
        ".feather",
        ".feather",
        ".xlsx",
        ".tsv",
        ".csv",
        ".csv",
        ".csv",
    ]


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    def refuse(name: str):
        raise ImportError(name)

    monkeypatch.setattr("jensen.data.dataframes.importlib.import_module", refuse)
    with pytest.raises(UsageError, match="openpyxl is not installed"):
        require_writer(".xlsx")
    require_writer(".csv")


def test_more_rows_than_a_sheet_has_are_refused():
    require_rows(".xlsx", 2**20 - 1)
    require_rows(".parquet", 2**20)
    with pytest.raises(UsageError, match=r"1,048,575 rows below its header, and the result has 1,048,576\. Give --out"):
        require_rows(".xlsx", 2**20)
