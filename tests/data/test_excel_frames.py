"""Excel workbooks are read with the types of their cells, or refused with the row of the sheet."""

from __future__ import annotations

from datetime import datetime, time

import pytest

from jensen.core.errors import DataError
from jensen.data import read

openpyxl = pytest.importorskip("openpyxl")
FIFTH = (datetime(2021, 1, 5) - datetime(1970, 1, 1)).total_seconds()
ROWS = [
    ["color", "size", "n", "day", "at", "yes"],
    *(
        [["red", "blue"][i % 2], None if i == 3 else i + 0.5, i * 3, datetime(2021, 1, 1 + i), time(i, 30), i % 3 == 0]
        for i in range(12)
    ),
]


def workbook(tmp_path, rows, sheets=("data",)):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(tmp_path / "x.xlsx")
    return tmp_path / "x.xlsx"


def test_cells_have_their_types(tmp_path):
    dataset = read(workbook(tmp_path, ROWS), typed=True)
    kinds = {c.name: c.kind for c in dataset.schema.columns}
    assert kinds == {
        "color": "boolean",
        "size": "positive",
        "n": "integer",
        "day": "datetime",
        "at": "circular",
        "yes": "boolean",
    }
    assert dataset.x[4].tolist() == [
        1,
        4.5,
        12,
        FIFTH,
        4.5,
        0,
    ]
    assert dataset.mask[:, 1].tolist() == [i != 3 for i in range(12)]
    assert dataset.frame.source_kind == "xlsx"


def test_blank_rows_no_header_and_other_sheets(tmp_path):
    body = [[None, None], ["red", 1.5], ["blue", 2.5], [None, None], ["red", 4.5]]
    dataset = read(workbook(tmp_path, body, ("first", "second")), typed=True)
    assert dataset.schema.names == ("1", "2")
    assert dataset.frame.lines.tolist() == [2, 3, 5]
    assert any("2 sheets: the first, 'first', is read" in n for n in dataset.notes)


def test_an_error_names_its_row_in_the_sheet(tmp_path):
    rows = [["size"], *([i + 0.5] for i in range(20)), ["7..5"]]
    with pytest.raises(DataError, match=r"line 22, column 1 \(size\) of .*x\.xlsx is '7\.\.5'"):
        read(workbook(tmp_path, rows), typed=True)
    (tmp_path / "x.xlsx").write_bytes((tmp_path / "x.xlsx").read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "x.xlsx", typed=True)
    with pytest.raises(DataError, match="no rows"):
        read(workbook(tmp_path, []), typed=True)
