"""A column says what its values are, refuses contradictions, and is written down and rebuilt."""

from __future__ import annotations

import pytest

from jensen.core.errors import CorruptRunError, UsageError
from jensen.data.columns import Column
from jensen.data.schema import Schema

COLUMNS = (
    Column("x", "real", decimals=2, missing=("-9",), family="student-t"),
    Column("share", "bounded", low=0, high=1, stored="float64"),
    Column("size", "ordinal", levels=("S", "M", "L")),
    Column("day", "datetime", format="%d.%m.%Y"),
)


def test_columns_are_rebuilt():
    assert [Column.from_dict(c.to_dict()) for c in COLUMNS] == list(COLUMNS)
    assert Column("n", "count").to_dict() == {"name": "n", "kind": "count"}
    schema = Schema("mixed", (4,), names=tuple(c.name for c in COLUMNS), columns=COLUMNS)
    assert Schema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"kind": "ordinal"}, "0 levels"),
        ({"kind": "real", "levels": ("a",)}, "1 levels"),
        ({"kind": "categorical", "levels": ("a", "a")}, "a level twice"),
        ({"kind": "bounded", "low": 0}, "with ends 0 and None"),
        ({"kind": "real", "low": 0, "high": 1}, "with ends 0 and 1"),
        ({"kind": "circular", "low": 1, "high": 1}, "the ends 1 and 1"),
        ({"kind": "bounded", "low": 0, "high": float("inf")}, "the ends 0 and inf"),
    ],
)
def test_a_contradiction_is_refused(arguments, says):
    with pytest.raises(UsageError, match=says):
        Column("x", **arguments)
    with pytest.raises(CorruptRunError, match=says):
        Column.from_dict({"name": "x", **arguments})


def test_damaged_columns_are_refused():
    for plain in ({"name": "x"}, {"name": "x", "kind": "real", "more": 1}, {"kind": "real"}):
        with pytest.raises(CorruptRunError, match="cannot be read"):
            Column.from_dict(plain)
