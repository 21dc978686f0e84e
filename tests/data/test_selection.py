"""The columns of a table that are data."""

from __future__ import annotations

import pytest

from jensen.core.errors import DataError, UsageError
from jensen.data import Selection

NAMES = ("id", "a", "b", "")


def test_lists_and_texts_are_alike():
    assert Selection.of("yes", "a, b", ["c"]) == Selection.of("yes", ("a", "b"), "c")
    assert Selection.of(None).is_default
    assert not Selection.of(drop="a").is_default


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"header": "perhaps"}, "auto, yes or no"),
        ({"columns": ""}, "names no column"),
        ({"columns": "a,a"}, "named twice"),
        ({"columns": "a,b", "drop": "b"}, "dropped too"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Selection.of(**options)


def test_columns_by_name_and_number():
    assert Selection.of(columns="b,a").chosen(NAMES, {0}, "x") == [2, 1]
    assert Selection.of(columns="4,id").chosen(NAMES, {0}, "x") == [3, 0]
    assert Selection.of(drop="a").chosen(NAMES, {0}, "x") == [2, 3]
    for options in ({"columns": "a,z"}, {"drop": "z"}):
        with pytest.raises(DataError, match=r"no column 'z'\. It has id, a, b, 4"):
            Selection.of(**options).chosen(NAMES, set(), "x")
    for name, meant in (("aeg", "age"), ("incom", "income"), ("AGE", "age")):
        with pytest.raises(DataError, match=rf"Did you mean '{meant}' for '{name}'\? It has"):
            Selection.of(drop=name).chosen(("age", "income"), set(), "x")
    with pytest.raises(DataError, match=r"'x21'\. It has"):  # another number is no slip
        Selection.of(drop="x21").chosen(("x12", "b"), set(), "x")
    with pytest.raises(DataError, match="several columns 'a'"):
        Selection.of(columns="a").chosen(("a", "a"), set(), "x")
    with pytest.raises(DataError, match="no column of data left"):
        Selection.of(drop="a,b").chosen(("a", "b"), set(), "x")


def test_later_data_need_not_hold_what_was_dropped():
    later = Selection.of(drop="z,a").afterwards()
    assert later.chosen(NAMES, {0}, "x") == [2, 3]
    assert Selection.of(columns="b,a").afterwards().chosen(("1", "2"), set(), "x", has_names=False) == [0, 1]
    with pytest.raises(DataError, match="no column 'b'"):
        Selection.of(columns="b").afterwards().chosen(("a", "c"), set(), "x")


def test_data_that_are_no_table():
    with pytest.raises(UsageError, match=r"--drop is for tables, and x\.npy is no table"):
        Selection.of(drop="a").refuse_for("x.npy", "no table")
    Selection.of(drop="a").afterwards().refuse_for("x.npy", "no table")
    Selection().refuse_for("x.npy", "no table")
