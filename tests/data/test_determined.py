"""Columns that another one determines are left out of the model, completed by each other, and written back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jensen.core.errors import CorruptRunError, UsageError
from jensen.data import Selection, from_memory, read
from jensen.data.columns import Column, Determined
from jensen.data.determined import determining, finder, full_names, spread, told_by, values_of
from jensen.data.mixed import recoded
from jensen.data.output_tables import filled
from jensen.data.table_building import output_table, table_of
from jensen.data.twins import Twins

TYPED = Selection(typed=True)
RNG = np.random.default_rng(3)
CODE = RNG.integers(0, 3, 120)
FRAME = pd.DataFrame(
    {
        "number": [f"n{10 * c + 1}" for c in CODE],
        "age": RNG.integers(20, 70, 120),
        "size": np.array(["M", "L", "S"])[CODE],
        "height": RNG.normal(size=120).round(3),
    }
)
FRAME["again"] = FRAME["height"]


def dataset(frame=FRAME, **known):
    return from_memory(frame, table=replace(TYPED, **known))


def test_which_are_data():
    columns = dataset().schema.columns
    assert [(c.name, [d.column.name for d in c.determines]) for c in columns] == [
        ("number", ["size"]),
        ("age", []),
        ("height", ["again"]),
    ]
    assert full_names(columns) == tuple(FRAME.columns)
    assert finder(columns, "size")[0] == 0
    assert finder(columns, "age") is None
    assert "size is determined by number in every row: the model is of number alone, and results have both" in (
        dataset().notes
    )
    assert [Column.from_dict(c.to_dict()) for c in columns] == list(columns)


def test_a_column_with_levels_determines_numbers():
    columns = [Column("n", "count"), Column("a", "boolean", levels=("x", "y")), Column("m", "count")]
    pairs = [Twins(0, 1, (3.0, 9.0), (1.0, 0.0)), Twins(0, 2, (), ())]
    (left,) = determining(columns, pairs)
    assert left.name == "a"
    assert [(d.column.name, d.place, d.own, d.other) for d in left.determines] == [
        ("n", 0, (1.0, 0.0), (3.0, 9.0)),
        ("m", 2, (1.0, 0.0), (3.0, 9.0)),
    ]
    assert full_names([left]) == ("n", "a", "m")


def test_numbers_determine_equal_numbers_alone():
    columns = [Column("n", "count"), Column("m", "count"), Column("r", "real")]
    table = Twins(0, 1, (3.0, 9.0), (1.0, 0.0))
    assert determining(columns, [table]) == tuple(columns)
    assert determining(columns, [Twins(0, 2, (), ())]) == tuple(columns)  # of another kind
    assert [c.name for c in determining(columns, [Twins(0, 1, (), ())])] == ["n", "r"]


def test_missing_cells_are_completed():
    frame = FRAME.copy()
    frame.loc[:9, "number"] = None
    frame.loc[5:14, "size"] = None
    frame.loc[20:24, "height"] = None
    data = dataset(frame)
    assert data.mask[:, 0].tolist() == [not 5 <= i < 10 for i in range(120)]
    assert data.mask[:, 2].all()
    assert np.array_equal(data.x[20:25, 2], FRAME["height"][20:25])
    whole = dataset()
    assert np.array_equal(data.x[data.mask[:, 0], 0], whole.x[data.mask[:, 0], 0])
    assert "5 missing cells of number known from size" in data.notes


def test_later_rows_that_contradict_it_are_counted():
    schema = dataset().schema.columns
    frame = FRAME.iloc[:10].copy()
    frame.loc[3, "size"] = "L" if frame.loc[3, "size"] != "L" else "S"
    later = from_memory(frame, table=Selection(schema=schema, typed=True, later=True))
    said = "size contradicts number in 1 row, and number is taken: see row 3 (from 0), column 'number' of the array"
    assert said in later.notes
    assert np.array_equal(later.x, dataset().x[:10])
    without = from_memory(frame.drop(columns=["size", "again"]), table=Selection(schema=schema, typed=True, later=True))
    assert np.array_equal(without.x, dataset().x[:10])
    assert np.array_equal(recoded(dataset(), schema).x, dataset().x)


def test_rows_without_a_header():
    schema = dataset().schema.columns
    cells = FRAME.iloc[:10].to_numpy().astype(str)
    later = from_memory(cells, table=Selection(schema=schema, typed=True, later=True))
    assert np.array_equal(later.x, dataset().x[:10])


def test_new_rows_have_all_columns():
    data = dataset()
    columns = data.schema.columns
    assert table_of(columns, data.x, "pandas").data.astype(str).equals(FRAME.astype(str))
    own, x, where = spread(columns, data.x, np.ones(data.x.shape, bool))
    assert tuple(c.name for c in own) == full_names(columns)
    assert x.shape == where.shape == (120, 5)


@pytest.mark.parametrize("times", [1, 2])
def test_filled_tables_have_what_is_known(times):
    frame = FRAME.copy()
    frame.loc[:9, "number"] = None
    frame.loc[5:14, "size"] = None
    frame.loc[0:3, "again"] = None
    data = dataset(frame)
    x = np.tile(dataset().x, (times, 1))
    table = output_table(data.frame).repeated(times)
    result = filled(table, data.frame, data.schema.columns, x, np.tile(~data.mask, (times, 1))).data
    expected = pd.concat([FRAME] * times)
    assert result.reset_index(drop=True).equals(expected.reset_index(drop=True))


def test_a_schema_decides(tmp_path):
    apart = dataset(hints={"size": {"kind": "categorical"}})
    assert [c.name for c in apart.schema.columns] == ["number", "age", "size", "height"]
    assert "columns number, size determine each other in every row; to leave one out: --drop" in apart.notes
    said = dataset(hints={"size": {"kind": "categorical", "determined_by": "number"}})
    assert [c.name for c in said.schema.columns] == ["number", "age", "height"]
    with pytest.raises(UsageError, match="'age' is not determined by 'size' in every row"):
        dataset(hints={"age": {"determined_by": "size"}})
    with pytest.raises(UsageError, match="determined_by = 3"):
        Selection.of(schema={"age": {"determined_by": 3}})


def test_a_file_of_text(tmp_path):
    FRAME.to_csv(tmp_path / "x.csv", index=False, float_format="%.3f")
    data = read(tmp_path / "x.csv", typed=True)
    assert [c.name for c in data.schema.columns] == ["number", "age", "height"]
    assert "\n".join(",".join(r) for r in zip(*table_of(data.schema.columns, data.x).columns, strict=True)) == (
        (tmp_path / "x.csv").read_text(encoding="utf-8").partition("\n")[2].rstrip("\n")
    )


@pytest.mark.parametrize("change", [{"own": [0.0]}, {"place": -1}, {"place": "1"}, {"column": {}}, {"other": 3}])
def test_damaged_records_are_refused(change):
    plain = dataset().schema.columns[0].to_dict()
    plain["determines"][0] |= change
    with pytest.raises(CorruptRunError):
        Column.from_dict(plain)


def test_translation_of_unknown_values():
    determined = Determined(Column("n", "count"), 0, (2.0, 0.0), (5.0, 7.0))
    assert np.array_equal(
        values_of(determined, np.array([0.0, 1.0, 2.0, 3.0])), [7.0, np.nan, 5.0, np.nan], equal_nan=True
    )
    assert [v.tolist() for v in told_by(determined, np.array([5.0, 6.0]))] == [[2.0, 0.0], [True, False]]


def test_levels_that_never_occur_determine_nothing():
    """Grades 9, 13, 14 and 16 are ordinal from 9 to 16: of the others nothing would be known."""
    grade = np.array([9, 13, 14, 16])[RNG.integers(0, 4, 200)]
    names = np.array(["HS", "BA", "MA", "PhD"])[np.searchsorted([9, 13, 14, 16], grade)]
    columns = dataset(pd.DataFrame({"grade": grade, "name": names})).schema.columns
    assert [(c.name, [d.column.name for d in c.determines]) for c in columns] == [("name", ["grade"])]


def test_equal_codes_of_other_names_tell_only_what_was_seen_together():
    """A level of the second column that is never seen beside one of the first is no copy of it, whatever its number."""
    first = np.array(list("abcd"), dtype=object)[RNG.integers(0, 4, 200)]
    second = np.array([chr(ord(v) + 1) for v in first], dtype=object)
    frame = pd.DataFrame({"first": first, "second": second})
    assert [c.name for c in dataset(frame).schema.columns] == ["first"]
    frame.loc[:5, "first"], frame.loc[:5, "second"] = None, "zzz"
    assert [c.name for c in dataset(frame).schema.columns] == ["first", "second"]


def test_unknown_levels_are_said_and_stay():
    schema = dataset().schema.columns
    frame = FRAME.iloc[:10].copy()
    frame.loc[2, "size"] = "XXL"
    later = from_memory(frame, table=Selection(schema=schema, typed=True, later=True))
    assert any("column size: 1 cell of unknown levels, read as missing: 'XXL' (1)" in note for note in later.notes)
    nothing = np.zeros(later.x.shape, dtype=bool)
    table = filled(output_table(later.frame), later.frame, schema, later.x, nothing).data
    assert table["size"][2] == "XXL"


def test_a_column_that_is_absent_is_told_by_those_that_it_determines():
    schema = dataset().schema.columns
    frame = FRAME.iloc[:10].drop(columns=["number"])
    later = from_memory(frame, table=Selection(schema=schema, typed=True, later=True))
    assert np.array_equal(later.x, dataset().x[:10])
    everything = np.ones(later.x.shape, dtype=bool)
    table = filled(output_table(later.frame), later.frame, schema, later.x, everything).data
    assert table.equals(frame)
