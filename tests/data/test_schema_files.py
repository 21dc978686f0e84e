"""A schema in TOML overrides what is guessed; what is written of a data set reads it again."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import DataError, UsageError
from jensen.data import read
from jensen.data.frames import TextCells
from jensen.data.hints import check_hint, hinted
from jensen.data.schema_files import read_schema_file, schema_hints, schema_text
from jensen.runs.data_options import DataOptions

TABLE = """who,age,code,size,day,grade
A1,31,1,1.5,01/02/2021,B
A2,45,2,-9,02/02/2021,A
A3,28,1,2.5,03/02/2021,C
A4,60,3,7.25,04/02/2021,B
"""
SCHEMA = """
[columns.code]
kind = "categorical"
levels = [1, 2, 3, 4]

[columns.size]
kind = "bounded"
low = 0
high = 10
missing = [-9]
family = "logit-normal-mixture"

[columns.day]
kind = "datetime"
format = "%d/%m/%Y"

[columns.grade]
kind = "ordinal"
levels = ["C", "B", "A"]

[columns.who]
kind = "identifier"
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "x.csv").write_text(TABLE)
    (tmp_path / "s.toml").write_text(SCHEMA)
    return tmp_path / "x.csv"


def test_a_schema_overrides_guesses(table):
    dataset = read(table, schema=table.with_name("s.toml"))
    columns = {c.name: c for c in dataset.schema.columns}
    assert {n: c.kind for n, c in columns.items()} == {
        "age": "integer",
        "code": "categorical",
        "size": "bounded",
        "day": "datetime",
        "grade": "ordinal",
    }
    assert columns["code"].levels == ("1", "2", "3", "4")
    assert (columns["size"].decimals, columns["size"].family) == (2, "logit-normal-mixture")
    assert dataset.mask[:, 2].tolist() == [True, False, True, True]
    assert dataset.x[:, 4].tolist() == [1, 2, 0, 1]
    assert np.diff(dataset.x[:, 3]).tolist() == [86400] * 3
    assert dataset.identity["who"].tolist() == ["A1", "A2", "A3", "A4"]
    assert dataset.reasons["who"] == "the schema says identifier"


def test_a_dictionary_says_the_same(table):
    hints = read_schema_file(table.with_name("s.toml"))
    assert np.array_equal(read(table, schema=hints).x, read(table, schema=table.with_name("s.toml")).x)
    assert schema_hints({"age": "real"}) == {"age": {"kind": "real"}}
    assert read(table, schema={"age": "real"}).schema.columns[0].kind == "real"
    assert read(table, schema='{"age": "real"}').schema.columns[0].kind == "real"
    assert DataOptions(schema={"age": "real"}).table.hints == {"age": {"kind": "real"}}
    with pytest.raises(UsageError, match="is no JSON"):
        read(table, schema="{age")


def test_what_is_written_reads_the_same_numbers(table, tmp_path):
    first = read(table, schema=table.with_name("s.toml"))
    names = {c.name for c in first.schema.columns}
    left_out = {n: why for n, why in first.reasons.items() if n not in names}
    text = schema_text("x.csv", first.schema.columns, left_out, first.reasons)
    (tmp_path / "again.toml").write_text(text)
    again = read(table, schema=tmp_path / "again.toml")
    assert again.schema == first.schema
    assert np.array_equal(again.x, first.x)
    assert again.identity.keys() == first.identity.keys()


def test_odd_names_are_written_as_toml(tmp_path):
    (tmp_path / "x.csv").write_text('"a ""b"".c",\u00e4\\,"new\nline"\n1.5,x,y\n2.5,x,z\n3.5,w,z\n')
    first = read(tmp_path / "x.csv", typed=True)
    (tmp_path / "s.toml").write_text(schema_text("x\n.csv", first.schema.columns, {}, first.reasons), encoding="utf-8")
    assert read(tmp_path / "x.csv", schema=tmp_path / "s.toml").schema == first.schema


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ({"age": {"kinds": "real"}}, "has 'kinds'.*Entries are kind, levels"),
        ({"age": {"kind": "number"}}, "the kind 'number'.*Kinds are real"),
        ({"age": 3}, "is 3"),
        ({"columns": 3}, "columns = 3"),
        ({"age": {"kind": "ordinal", "levels": "ABC"}}, "levels = 'ABC'.*Give a list"),
        ({"age": {"kind": "bounded", "low": "0"}}, "low = '0'.*Give a number"),
        ({"age": {"kind": "bounded"}}, "with ends None and None"),
        ({"age": {"kind": "real", "levels": ["a"]}}, "has 1 levels"),
    ],
)
def test_an_impossible_schema_is_refused(table, plain, says):
    with pytest.raises(UsageError, match=says):
        read(table, schema=plain)


def test_files_and_columns_that_are_not_there(table, tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*none\.toml"):
        read(table, schema=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[columns\n")
    with pytest.raises(DataError, match="is no TOML"):
        read(table, schema=tmp_path / "bad.toml")
    with pytest.raises(DataError, match=r"no column 'ages'.*Did you mean 'age'"):
        read(table, schema={"ages": "real"})
    with pytest.raises(DataError, match=r"line 3, column 4 \(size\) of .* is -9, and the column is positive"):
        read(table, schema={"size": "positive"})
    with pytest.raises(UsageError, match="no list of columns"):
        read(table, schema=["age"])


def test_what_is_not_said_is_taken_from_the_cells():
    cells = TextCells.of(["1,5", "2,25", "x"])
    column = hinted("x", cells, {"missing": ["x"]}, str, None).column
    assert column is not None
    assert (column.kind, column.format, column.decimals, column.missing) == ("real", "1,5", 2, ("x",))
    assert hinted("x", TextCells.of(["10", "9"]), {"kind": "categorical"}, str, None).column.levels == ("9", "10")
    assert check_hint("x", {"levels": [1.0, True, "b"]})["levels"] == ("1", "True", "b")
