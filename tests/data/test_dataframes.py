"""Results in the types of pandas, polars and Arrow: replaced cells have the type of their column, others stay."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from jensen.data.cells import encode
from jensen.data.columns import Column
from jensen.data.dataframes import available
from jensen.data.mixed import mixed_dataset
from jensen.data.output_tables import filled
from jensen.data.selection import Selection
from jensen.data.table_building import output_table, table_of
from jensen.data.table_values import as_written
from jensen.data.typed_frames import frame_of

FIRST, LAST = datetime(2020, 1, 31, 12, 30, 15), datetime(2021, 6, 1)
# name -> the column, two observed cells around a missing one, and what 1.0 (day 1 of times) is there
PANDAS = {
    "Int64": (Column("Int64", "count"), pd.array([3, None, 5], "Int64"), 1),
    "float32": (Column("float32", "real"), np.array([0.5, np.nan, 1.5], np.float32), 1.0),
    "holes": (Column("holes", "integer"), np.array([3.0, np.nan, 5.0]), 1.0),
    "str": (Column("str", "categorical", levels=("F", "M")), pd.array(["F", None, "M"], "str"), "M"),
    "object": (Column("object", "categorical", levels=("F", "M")), np.array(["F", None, "M"], object), "M"),
    "category": (
        Column("category", "ordinal", levels=("low", "high")),
        pd.Categorical(["low", None, "high"], ["low", "middle", "high"], ordered=True),
        "high",
    ),
    "numbered": (Column("numbered", "categorical", levels=("10", "20")), pd.Categorical([10, None, 20], [20, 10]), 20),
    "boolean": (Column("boolean", "boolean", levels=("False", "True")), pd.array([False, None, True], "boolean"), True),
    "moment": (
        Column("moment", "datetime"),
        pd.to_datetime([FIRST, None, LAST]).astype("datetime64[ns]"),
        "1970-01-02",
    ),
    "zoned": (
        Column("zoned", "datetime"),
        pd.to_datetime([FIRST, None, LAST]).tz_localize("Asia/Tokyo"),
        pd.Timestamp("1970-01-02", tz="UTC"),
    ),
    "arrow": (Column("arrow", "count"), pd.array([3, None, 5], "int64[pyarrow]"), 1),
    "dates": (Column("dates", "datetime"), np.array([FIRST.date(), None, LAST.date()], object), date(1970, 1, 2)),
    "spans": (Column("spans", "real"), pd.to_timedelta([2.5, None, 3.0], unit="s"), pd.Timedelta(1, "s")),
    "months": (
        Column("months", "datetime"),
        pd.PeriodIndex(["2020-01", None, "2021-06"], freq="M"),
        pd.Period("1970-01"),
    ),
    "decimals": (Column("decimals", "real", decimals=2), np.array([Decimal("0.50"), None, 1], object), Decimal("1.00")),
}


def replaced(data, columns: list[Column], x: float, rows: list[int]):
    """The table with this number (of days, for times) in some rows of these columns."""
    frame = frame_of(data, "table")
    assert frame is not None
    values = np.array([[86400.0 * x if c.kind == "datetime" else x for c in columns]] * len(frame))
    where = np.zeros(values.shape, dtype=bool)
    where[rows] = True
    return filled(output_table(frame), frame, columns, values, where).data


def test_every_type_of_pandas():
    data = pd.DataFrame({name: values for name, (_, values, _) in PANDAS.items()}, index=["a", "b", "a"])
    data["kept"] = [Decimal("1.10"), Decimal("2.20"), Decimal("3.30")]
    before = data.copy()
    result = replaced(data, [column for column, _, _ in PANDAS.values()], 1.0, [1])
    assert (result.dtypes == data.dtypes).all()
    assert result.index.tolist() == ["a", "b", "a"]
    pd.testing.assert_frame_equal(result.iloc[[0, 2]], data.iloc[[0, 2]])
    for name, (_, _, value) in PANDAS.items():
        cell = result[name].iloc[1]
        assert cell == (pd.Timestamp(value) if name == "moment" else value), name
    pd.testing.assert_frame_equal(data, before)  # the user's own


def test_a_level_that_the_categories_lack_is_added():
    data = pd.DataFrame({"c": pd.Categorical(["a", None])})
    result = replaced(data, [Column("c", "categorical", levels=("a", "b"))], 1.0, [1])
    assert result["c"].tolist() == ["a", "b"]
    assert result["c"].cat.categories.tolist() == ["a", "b"]


def test_a_level_is_written_as_it_is_elsewhere_in_the_column():
    """The run knows 1 and 2, and this table spells them 1.0 and 2.0."""
    data = pd.DataFrame({"c": ["1.0", "2.0", None]})
    assert replaced(data, [Column("c", "categorical", levels=("1", "2"))], 1.0, [2])["c"].tolist() == [
        "1.0",
        "2.0",
        "2.0",
    ]


POLARS = {
    "i": (Column("i", "count"), pl.Series([3, None, 5], dtype=pl.Int16), 1),
    "f": (Column("f", "real"), pl.Series([0.5, None, 1.5], dtype=pl.Float32), 1.0),
    "s": (Column("s", "categorical", levels=("F", "M")), pl.Series(["F", None, "M"]), "M"),
    "c": (Column("c", "categorical", levels=("F", "M")), pl.Series(["F", None, "M"], dtype=pl.Categorical), "M"),
    "e": (Column("e", "ordinal", levels=("F", "M")), pl.Series(["F", None, "M"], dtype=pl.Enum(["F", "X", "M"])), "M"),
    "b": (Column("b", "boolean", levels=("False", "True")), pl.Series([False, None, True]), True),
    "d": (Column("d", "datetime"), pl.Series([FIRST.date(), None, LAST.date()]), date(1970, 1, 2)),
    "t": (Column("t", "datetime"), pl.Series([FIRST, None, LAST], dtype=pl.Datetime("ms")), datetime(1970, 1, 2)),
    "z": (
        Column("z", "datetime"),
        pl.Series([FIRST, None, LAST]).dt.replace_time_zone("Asia/Tokyo"),
        datetime(1970, 1, 2, tzinfo=UTC),
    ),
}


def test_every_type_of_polars():
    data = pl.DataFrame({name: values for name, (_, values, _) in POLARS.items()})
    result = replaced(data, [column for column, _, _ in POLARS.values()], 1.0, [1])
    assert result.schema == data.schema
    assert result[[0, 2]].equals(data[[0, 2]])
    assert result.row(1) == tuple(value for _, _, value in POLARS.values())
    assert data["i"].null_count() == 1


ARROW = {
    "i": (Column("i", "count"), pa.array([3, None, 5], pa.int16()), 1),
    "f": (Column("f", "real"), pa.array([0.5, None, 1.5], pa.float32()), 1.0),
    "n": (
        Column("n", "real"),
        pa.array([Decimal("0.50"), None, Decimal("1.50")], pa.decimal128(5, 2)),
        Decimal("1.00"),
    ),
    "s": (Column("s", "categorical", levels=("F", "M")), pa.array(["F", None, "M"], pa.large_string()), "M"),
    "c": (
        Column("c", "categorical", levels=("F", "M")),
        pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int8()), pa.array(["M", "F"]), ordered=True),
        "M",
    ),
    "b": (Column("b", "boolean", levels=("False", "True")), pa.array([False, None, True]), True),
    "d": (Column("d", "datetime"), pa.array([FIRST.date(), None, LAST.date()]), date(1970, 1, 2)),
    "t": (Column("t", "datetime"), pa.array([FIRST, None, LAST], pa.timestamp("ms")), datetime(1970, 1, 2)),
    "z": (
        Column("z", "datetime"),
        pa.array([FIRST, None, LAST], pa.timestamp("us", "Asia/Tokyo")),
        datetime(1970, 1, 2, tzinfo=UTC),
    ),
}


def test_every_type_of_arrow():
    data = pa.table({name: values for name, (_, values, _) in ARROW.items()}).replace_schema_metadata({"own": "note"})
    result = replaced(data, [column for column, _, _ in ARROW.values()], 1.0, [1])
    assert result.schema.equals(data.schema, check_metadata=True)
    assert result.take([0, 2]).to_pylist() == data.take([0, 2]).to_pylist()
    assert tuple(result.to_pylist()[1].values()) == tuple(value for _, _, value in ARROW.values())


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_columns_and_rows_are_added(make):
    """Numbers with holes, texts with holes, and all rows twice; the rest keeps its order."""
    frame = frame_of(make({"a": [1, 2], "b": ["x", "y"]}), "table")
    assert frame is not None
    table = output_table(frame).repeated(2).inserted(0, "version", np.array([1, 1, 2, 2]))
    table = table.inserted(3, "low", np.array([0.5, np.nan] * 2)).inserted(4, "text", np.array([None, "u"] * 2, object))
    assert table.names == ("version", "a", "b", "low", "text")
    assert len(table) == 4
    assert [table.cell(3, i) for i in range(3)] == [2, 2, "y"]
    assert table.cell(2, 3) == 0.5
    missing = [table.cell(1, 3), table.cell(0, 4)]
    assert all(v is None or v != v for v in missing)
    assert table.only([1, 3]).names == ("a", "low")


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "csv", "xlsx"])
def test_a_table_of_numbers_alone_is_read_as_the_same_numbers(kind):
    columns = [
        Column("n", "count", stored="int64"),
        Column("r", "real", stored="float32"),
        Column("c", "categorical", levels=("a", "b"), stored="category"),
        Column("f", "boolean", levels=("False", "True"), stored="bool"),
        Column("t", "datetime", format="%Y-%m-%d"),
    ]
    x = np.array([[3.0, 0.5, 1.0, 1.0, 86400.0], [0.0, -1.5, 0.0, 0.0, 0.0]])
    table = table_of(columns, x, kind)
    data = table.data if kind in ("pandas", "polars", "arrow") else {k: list(v) for k, v in table.data.items()}
    frame = frame_of(data, "table")
    assert frame is not None
    for d, column in enumerate(columns):
        values, observed, _ = encode(column, frame.column(column.name))
        assert observed.all()
        assert values.tolist() == x[:, d].tolist()
    if kind == "pandas":
        assert [str(t) for t in data.dtypes] == ["int64", "float32", "category", "bool", "datetime64[us]"]


def odd_frame(n: int = 40) -> pd.DataFrame:
    """A DataFrame of the rarer types, with a hole in some columns, and a name that two of them have."""
    rng = np.random.default_rng(0)
    days = [date(2020, 1, 1) + timedelta(days=int(d)) for d in rng.integers(0, 900, n)]
    truths = [bool(b) for b in rng.integers(0, 2, n)]
    data = pd.DataFrame(
        {
            "span": pd.to_timedelta(rng.integers(1, 9999, n), unit="s").astype("timedelta64[s]"),
            "clock": [
                time(int(h), int(m)) for h, m in zip(rng.integers(0, 24, n), rng.integers(0, 60, n), strict=True)
            ],
            "month": pd.period_range("2001-01", periods=n, freq="M"),
            "quarter": pd.period_range("2001-01", periods=n, freq="Q"),
            "truth": np.array([None, *truths[1:]], dtype=object),
            "every": np.array([not b for b in truths[::-1]], dtype=object),
            "whole": np.array([None, *rng.integers(0, 99, n - 1).tolist()], dtype=object),
            "price": [Decimal(int(v)) / 100 for v in rng.integers(1, 9999, n)],
            "day": [None, *days[1:]],
            "moment": np.array([datetime(d.year, d.month, d.day, 7, 30) for d in days], dtype=object),
            "numbered": pd.Categorical(rng.choice([10, 20, 30], n)),
            "ranges": pd.cut(rng.uniform(0.1, 0.9, n), [0, 0.25, 0.5, 1]),
            "small": rng.integers(-128, 128, n).astype("int8"),
            "arrow": pd.array(rng.integers(0, 99, n), dtype="int64[pyarrow]"),
            7: rng.normal(size=n).astype("float32"),
            "k": rng.normal(size=n),
        }
    )
    data.insert(len(data.columns), "k", rng.normal(size=n), allow_duplicates=True)
    return data


def kinds_of(data: pd.DataFrame) -> list[tuple[object, str, set[str]]]:
    """The name and type of each column, and of its cells."""
    each = [(label, data.iloc[:, i]) for i, label in enumerate(data.columns)]
    return [(label, str(s.dtype), {type(v).__name__ for v in s.dropna()}) for label, s in each]


def test_rows_of_a_model_have_the_names_and_types_of_the_frame():
    """The numbers of the cells come back as the very cells, through a table that is made of numbers alone."""
    data = odd_frame()
    frame = frame_of(data, "table")
    assert frame is not None
    own = mixed_dataset(frame, "table", Selection())
    columns = tuple(Column.from_dict(c.to_dict()) for c in own.schema.columns or ())  # as a run records them
    made = table_of(columns, own.x, "pandas").data
    assert kinds_of(made) == kinds_of(data)
    assert own.mask is not None
    for i in range(len(data.columns)):
        seen = own.mask[:, i]
        assert made.iloc[seen, i].tolist() == data.iloc[seen, i].tolist()


def test_numbers_beyond_the_integers_of_a_column_are_its_ends():
    columns = [Column("a", "integer", stored="int8"), Column("b", "positive", stored="uint16"), Column("c", "integer")]
    x = as_written(columns, np.array([[200.0, 1e9, 1e9], [-200.0, 0.3, -5.0]]))
    assert x.tolist() == [[127.0, 65535.0, 1e9], [-128.0, 1.0, -5.0]]
    assert table_of(columns, x, "pandas").data["a"].tolist() == [127, -128]


def test_durations_of_polars_and_arrow():
    for data in (pl.DataFrame({"d": [timedelta(seconds=2), None]}), pa.table({"d": [timedelta(seconds=2), None]})):
        result = replaced(data, [Column("d", "real")], 1.5, [1])
        assert list(result["d"].to_pylist() if isinstance(data, pa.Table) else result["d"]) == [
            timedelta(seconds=2),
            timedelta(seconds=1.5),
        ]


def test_the_first_library_that_is_installed_makes_tables(monkeypatch):
    columns, x = (Column("n", "count"), Column("s", "boolean", levels=("F", "M"))), np.array([[3.0, 1.0]])
    installed = {"pandas", "polars", "pyarrow"}
    monkeypatch.setattr("jensen.data.dataframes.find_spec", lambda name: name if name in installed else None)
    for name, kind in (("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "arrow")):
        assert available() == kind
        installed.remove(name)
    assert table_of(columns, x, available()).data == {"n": [3], "s": ["M"]}
