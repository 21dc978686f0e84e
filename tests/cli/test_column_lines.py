"""`jensen data` prints what is guessed of the columns of a table, and writes and takes a schema."""

from __future__ import annotations

import json

import pytest

ROWS = [f"P{i},{20 + i % 37},{'FM'[i % 2]},{['red', 'blue', 'green', ''][i % 4]},{i * 0.37 + 1:.2f}" for i in range(40)]
TABLE = "\n".join(["id,age,sex,color,size", *ROWS]) + "\n"


@pytest.fixture
def table(here):
    (here / "x.csv").write_text(TABLE)
    return "x.csv"


def test_columns_are_described(table, jensen):
    answer = jensen("data", table)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[:2] == ["x.csv: 40 rows of 4 columns", "columns of mixed kinds"]
    assert "  age    integer      whole numbers from 20 to 56" in lines
    assert "  sex    boolean      two different names; F (20), M (20)" in lines
    assert "  color  categorical  3 different names; blue (10), green (10), red (10); 25.0% missing" in lines
    assert "left out: id (text that differs in every row: it identifies rows, or is free text)" in lines
    assert lines[-1] == "next: jensen train x.csv"
    described = json.loads(jensen("data", table, "--json").out)
    assert [c["kind"] for c in described["columns"]] == ["integer", "boolean", "categorical", "positive"]
    assert list(described["left_out"]) == ["id"]


def test_a_schema_is_written_and_taken(table, jensen, here, refused):
    answer = jensen("data", table, "--schema-out", "s.toml")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == "next: jensen train x.csv --schema s.toml"
    text = (here / "s.toml").read_text()
    (here / "s.toml").write_text(text.replace('kind = "integer"', 'kind = "count"'))
    refused(["data", table, "--schema-out", "s.toml"], 2, "s.toml exists", "--force")
    assert 'kind = "count"' in (here / "s.toml").read_text()
    described = json.loads(jensen("data", table, "--schema", "s.toml", "--json").out)
    assert [c["kind"] for c in described["columns"]] == ["count", "boolean", "categorical", "positive"]
    assert jensen("data", table, "--schema-out", "s.toml", "--force").code == 0
    assert (here / "s.toml").read_text() == text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--schema-out", "s.txt"], 2, "must end in .toml"),
        (["--schema-out", "no/s.toml"], 2, "no folder no"),
        (["--schema", "none.toml"], 3, "no file none.toml of a schema"),
    ],
)
def test_options_of_a_schema_are_refused(words, code, says, table, refused):
    refused(["data", table, *words], code, says)


def test_an_odd_cell_is_refused_with_its_place(table, here, refused):
    (here / table).write_text(TABLE.replace("P7,27,", "P7,2x7,"))
    refused(["data", table], 3, "line 9, column 2 (age) of x.csv is '2x7'")
