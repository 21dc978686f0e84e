"""Cells become the numbers that their column says, and come back as they were written."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data.cells import decode, encode, present
from jensen.data.column_kinds import infer
from jensen.data.columns import Column
from jensen.data.frames import TextCells, TypedCells
from jensen.data.hints import hinted

LOW_HIGH = {"low": 0.0, "high": 10.0}
TEXTS = {  # column -> texts and their numbers, in the form in which they are written again
    Column("x", "real", decimals=2): (["1.50", "-2.25"], [1.5, -2.25]),
    Column("x", "positive", decimals=1, format="1,5"): (["1,5", "200,0"], [1.5, 200.0]),
    Column("x", "real", decimals=0, format="$1,234.5"): (["$1,500", "-$20"], [1500.0, -20.0]),
    Column("x", "bounded", decimals=1, **LOW_HIGH): (["0.1", "9.9"], [0.1, 9.9]),
    Column("x", "integer", decimals=0): (["-3", "12"], [-3.0, 12.0]),
    Column("x", "count", decimals=1): (["3.0", "0.0"], [3.0, 0.0]),
    Column("x", "ordinal", levels=("low", "mid", "high")): (["high", "low"], [2.0, 0.0]),
    Column("x", "categorical", levels=("b", "a")): (["a", "b"], [1.0, 0.0]),
    Column("x", "boolean", levels=("no", "yes")): (["yes", "no"], [1.0, 0.0]),
    Column("x", "datetime", format="%d.%m.%Y"): (["02.01.1970", "31.12.1969"], [86400.0, -86400.0]),
    Column("x", "circular", low=0.0, high=24.0, format="%H:%M"): (["06:30", "23:00"], [6.5, 23.0]),
    Column("x", "circular", low=1.0, high=13.0, decimals=0): (["1", "12"], [1.0, 12.0]),
}


@pytest.mark.parametrize("column", TEXTS, ids=lambda c: f"{c.kind} {c.format or ''}")
def test_texts_become_numbers_and_come_back(column):
    texts, numbers = TEXTS[column]
    values, observed, unseen = encode(column, TextCells.of([f" {texts[0]}", "NA", texts[1], "", None, texts[0]]))
    assert values.tolist() == [numbers[0], 0, numbers[1], 0, 0, numbers[0]]
    assert observed.tolist() == [True, False, True, False, False, True]
    assert unseen == {}
    assert decode(column, values[observed]).tolist() == [texts[0], texts[1], texts[0]]


WRONG = {
    "7..0": (Column("x", "real"), "one of numbers"),
    "x": (Column("x", "integer"), "one of whole numbers"),
    "1.5": (Column("x", "integer"), "all numbers are whole"),
    "-2": (Column("x", "integer", low=0), "all numbers are whole, from 0"),
    "-1": (Column("x", "count"), "whole, from 0"),
    "0": (Column("x", "positive"), "above 0"),
    "10": (Column("x", "bounded", **LOW_HIGH), "above 0 and below 10"),
    "2021-02-30": (Column("x", "datetime", format="%Y-%m-%d"), "written as %Y-%m-%d"),
    "inf": (Column("x", "real"), "one of numbers"),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_cell_that_is_no_value_is_refused_by_its_place(text):
    column, says = WRONG[text]
    good = {"datetime": "2021-02-01"}.get(column.kind, "3")
    with pytest.raises(DataError, match=rf"line 13 is '?{text}.*{says}"):
        encode(column, TextCells.of([good, "", good, text, text]), lambda row: f"line {row + 10}")


def test_unseen_levels_are_missing_and_counted():
    column = Column("x", "categorical", levels=("a", "b"))
    values, observed, unseen = encode(column, TextCells.of(["a", "c", "b", "c", "d"]))
    assert observed.tolist() == [True, False, True, False, False]
    assert values.tolist() == [0, 0, 1, 0, 0]
    assert unseen == {"c": 2, "d": 1}


@pytest.mark.parametrize(
    ("levels", "texts", "numbers"),
    [
        (("0", "1"), ["1.0", "0"], [1, 0]),
        (("1.0", "2.5"), ["1", "2.50"], [0, 1]),
        (("no", "yes"), ["TRUE", "f", "Yes"], [1, 0, 1]),
        (("False", "True"), ["1", "0"], [1, 0]),
        ((" a", " b"), ["b", " a"], [1, 0]),
    ],
)
def test_a_level_in_another_spelling_is_known(levels, texts, numbers):
    values, observed, _ = encode(Column("x", "boolean", levels=levels), TextCells.of(texts))
    assert observed.all()
    assert values.tolist() == numbers


def test_typed_cells_are_taken_as_they_are():
    known = np.array([True, False, True])
    whole = TypedCells(np.array([3, 99, 5]), known, "int64")
    for column in (Column("x", "integer"), Column("x", "real"), Column("x", "count")):
        values, observed, _ = encode(column, whole)
        assert values.tolist() == [3, 0, 5]
        assert observed.tolist() == known.tolist()
    values, _, unseen = encode(Column("x", "categorical", levels=("5", "3")), whole)
    assert (values.tolist(), unseen) == ([1, 0, 0], {})
    times = TypedCells(np.array(["1970-01-02", "NaT", "1970-01-01"], "datetime64[us]"), known, "datetime64[us]")
    assert encode(Column("x", "datetime"), times)[0].tolist() == [86400, 0, 0]
    with pytest.raises(DataError, match=r"row 0 .*of type datetime64\[us\], and the column is one of numbers"):
        encode(Column("x", "real"), times)
    with pytest.raises(DataError, match="infinite"):
        encode(Column("x", "real"), TypedCells(np.array([1.0, np.inf, 2.0]), np.ones(3, bool), "float64"))


def test_marks_of_missing_entries_belong_to_a_column():
    column = Column("x", "positive", missing=("-9", "unknown"))
    assert encode(column, TextCells.of(["1", "-9", "unknown"]))[1].tolist() == [True, False, False]
    numbers = TypedCells(np.array([1.0, -9.0]), np.ones(2, bool), "float64")
    assert encode(column, numbers)[1].tolist() == [True, False]
    assert present(TextCells.of(["-9", "?"])).tolist() == [True, False]


def test_numbers_on_a_circle_are_wrapped():
    angle = Column("x", "circular", low=0, high=360)
    assert encode(angle, TextCells.of(["360", "-90", "725"]))[0].tolist() == [0, 270, 5]


def test_numbers_with_zeros_before_them_are_written_so():
    """Months, and whatever a schema calls numbers: the width is guessed from the cells, and kept by the column."""
    texts = [f"{i % 12 + 1:02d}" for i in range(60)]
    month = infer("month", TextCells.of(texts)).column
    assert month is not None
    assert (month.kind, month.width) == ("circular", 2)
    assert Column.from_dict(month.to_dict()) == month
    assert decode(month, np.array([3.0, 11.0])).tolist() == ["03", "11"]
    grade = infer("grade", TextCells.of(["01", "02", "04"] * 20)).column
    assert grade is not None
    assert grade.levels == ("01", "02", "03", "04")  # 03 is possible, and does not occur
    code = hinted("code", TextCells.of(["00123", "20050"]), {"kind": "integer"}, str, None).column
    assert code is not None
    assert decode(code, np.array([7.0, 123456.0])).tolist() == ["00007", "123456"]
    assert decode(Column("n", "count"), np.array([7.0])).tolist() == ["7"]
