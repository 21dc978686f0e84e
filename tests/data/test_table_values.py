"""Numbers of columns as they are written, and as the objects of typed tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import numpy as np
import pytest

from jensen.data.cells import decode, encode
from jensen.data.columns import Column
from jensen.data.frames import TextCells
from jensen.data.table_values import as_written, objects, plain_array

X = np.random.default_rng(0).normal(0.0, 40.0, 500)
COLUMNS = [
    Column("real", "real", decimals=2),
    Column("comma", "real", decimals=1, format="1.234,5"),
    Column("positive", "positive", decimals=1),
    Column("bounded", "bounded", low=0, high=1, decimals=2),
    Column("integer", "integer"),
    Column("count", "count"),
    Column("grade", "ordinal", levels=("low", "middle", "high")),
    Column("day", "datetime", format="%d.%m.%Y"),
    Column("minute", "datetime", format="%Y-%m-%d %H:%M"),
    Column("hour", "circular", low=0, high=24, decimals=0),
    Column("month", "circular", low=1, high=13, decimals=0),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_what_is_written_is_read_as_the_same_number(column):
    """Whatever a model says, its number as written is a value of the column, which the text of a file holds exactly."""
    scale = 1e7 if column.kind == "datetime" else 1.0
    x = np.abs(X) if column.kind == "positive" else X * scale
    written = as_written([column], x[:, None])[:, 0]
    values, observed, unseen = encode(column, TextCells.of(decode(column, written).tolist()))
    assert observed.all()
    assert not unseen
    assert np.abs(values - written).max() < 1e-9 * scale
    assert (as_written([column], written[:, None])[:, 0] == written).all()


def test_rounding_stays_within_the_ends():
    columns = [Column("a", "positive", decimals=1), Column("b", "bounded", low=0, high=1, decimals=1)]
    assert as_written(columns, np.array([[0.01, 0.999], [3.14, 0.01]])).tolist() == [[0.1, 0.9], [3.1, 0.1]]
    narrow = Column("c", "bounded", low=0, high=0.1, decimals=1)  # no number of one decimal lies within
    assert as_written([narrow], np.array([[0.04]])).tolist() == [[0.04]]


def test_the_end_of_a_circle_is_its_beginning():
    hour = Column("hour", "circular", low=0, high=24, decimals=0)
    assert as_written([hour], np.array([[23.7], [24.2], [-0.8]]))[:, 0].tolist() == [0.0, 0.0, 23.0]


def test_objects_of_typed_tables():
    """The same instant, level or number, in each type that a table may hold."""
    moment = Column("t", "datetime")
    seconds = np.array([1e9])
    assert objects(moment, seconds, "time", {}) == [datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)]
    assert objects(moment, seconds, "date", {}) == [date(2001, 9, 9)]
    assert objects(Column("h", "circular", low=0, high=24, format="%H:%M"), np.array([6.5]), "clock", {}) == [
        time(6, 30)
    ]
    level = Column("l", "categorical", levels=("0", "1"))
    assert objects(level, np.array([1.0, 0.0]), "bool", {}) == [True, False]
    assert objects(level, np.array([1.0, 0.0]), "number", {"0": "known"}) == [1.0, "known"]
    assert objects(Column("n", "count"), np.array([2.0]), "text", {}) == ["2"]


def test_intervals_have_holes():
    times = plain_array(Column("t", "datetime"), np.array([0.0, 60.0]), np.array([False, True]))
    assert times.astype(str).tolist() == ["NaT", "1970-01-01T00:01:00.000000"]
