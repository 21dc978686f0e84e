"""Tables of text and of spreadsheets: cells keep their text, and those that are replaced are written like them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jensen.data import read
from jensen.data.columns import Column
from jensen.data.dialects import Dialect
from jensen.data.frames import Frame, TextCells
from jensen.data.output_tables import PlainTable, filled, plain_table, stored_levels
from jensen.data.table_building import output_table

TEXT = """\ufeffid;Größe;sex;Datum;note
A-1;1,50;F;31.01.2020;"two; fields"
A-2;;M;;"a ""quoted""
line"
A-3;1.234,75;;01.02.2020;NA
A-4;2,5;F;29.02.2020;
"""
COLUMNS = (
    Column("Größe", "positive", decimals=2, format="1.234,5"),
    Column("sex", "boolean", levels=("F", "M")),
    Column("Datum", "datetime", format="%d.%m.%Y"),
)


@pytest.fixture
def frame(tmp_path) -> Frame:
    (tmp_path / "people.csv").write_text(TEXT, encoding="utf-8")
    dataset = read(str(tmp_path / "people.csv"), typed=True, schema=COLUMNS)
    assert dataset.frame is not None
    return dataset.frame


def test_holes_are_filled_as_the_file_writes_numbers_and_dates(frame):
    x, where = np.array([[1234.5, 1.0, 86400.0]] * 4), np.zeros((4, 3), dtype=bool)
    where[1, [0, 2]] = where[2, 1] = True
    table = filled(plain_table(frame), frame, COLUMNS, x, where)
    assert table.names == ("id", "Größe", "sex", "Datum", "note")
    assert table.data["Größe"] == ["1,50", "1.234,50", "1.234,75", "2,5"]
    assert table.data["sex"] == ["F", "M", "M", "F"]
    assert table.data["Datum"] == ["31.01.2020", "02.01.1970", "01.02.2020", "29.02.2020"]
    assert table.data["note"] == ["two; fields", 'a "quoted"\nline', "NA", ""]
    assert plain_table(frame).data["Größe"] == ["1,50", "", "1.234,75", "2,5"]  # the frame is as it was


def test_columns_and_rows_are_added(frame):
    table = output_table(frame.rows(np.array([3, 0]))).repeated(2)
    table = table.inserted(0, "version", np.array([1, 1, 2, 2]))
    table = table.inserted(6, "p", np.array([0.1, np.nan, 1e-9, 0.25], np.float32))
    assert table.data["version"] == ["1", "1", "2", "2"]
    assert table.data["p"] == ["0,1", "", "1e-09", "0,25"]
    assert table.only([1]).data == {"id": ["A-4", "A-1", "A-4", "A-1"]}


def test_cells_of_a_spreadsheet_are_objects():
    n, name = Column("n", "count"), Column("s", "categorical", levels=("a", "b"))
    cells = [np.array([1, None, 3], object), np.array(["a", "b", None], object)]
    table = PlainTable(["n", "s"], cells, texts=False, formats=["0.00", "General"])
    new = table.replaced(0, n, np.array([0.0, 2.0, 0.0]), np.array([False, True, False]), {})
    new = new.replaced(1, name, np.array([0.0, 0.0, 1.0]), np.array([False, False, True]), {})
    assert new.data == {"n": [1, 2, 3], "s": ["a", "b", "b"]}
    assert new.inserted(1, "low", np.array([0.5, np.nan, 1.5])).formats == ("0.00", "General", "General")


def test_a_frame_without_a_header_has_none():
    table = output_table(
        Frame(("1", "2"), (TextCells.of(["a"]), TextCells.of(["b"])), "csv", "x.csv", dialect=Dialect())
    )
    assert isinstance(table, PlainTable)
    assert (table.has_header, table.names) == (False, ("1", "2"))


def test_names_that_are_filled_in_are_written_as_the_whole_file_writes_them(tmp_path):
    """In a table that stays in its file, a level has the spelling of its first cell, which may be in other rows."""
    arrow = pytest.importorskip("pyarrow")
    texts = arrow.array([" red", "blue", None, "red", None, "blue"])
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table({"c": texts}), tmp_path / "x.parquet")
    column = Column("c", "categorical", levels=("blue", "red"))
    frame = read(tmp_path / "x.parquet", typed=True, schema=(column,), stream=True).frame
    assert frame is not None
    levels = stored_levels(frame, [column])
    assert levels == {"c": {"red": " red", "blue": "blue"}}
    some, where = frame.rows(np.array([4, 5])), np.array([[True], [False]])
    table = filled(output_table(some), some, [column], np.array([[1.0], [0.0]]), where, levels)
    assert table.data["c"].to_pylist() == [" red", "blue"]
    assert stored_levels(replace(frame, columns=(frame.columns[0],)), [column]) == {}
