"""Several labels: read beside the data, and made a context of one-hot names and standardised numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jensen.core.errors import CorruptRunError, DataError, UsageError
from jensen.data import Conditions, from_memory, read, relabelled
from jensen.data.columns import Column
from jensen.data.conditions import absent_labels, apart, label_names
from jensen.data.selection import Selection

AGES = [30.5, 40.5, 50.5, 61.5, 22.25, 35.25]
TABLE = pd.DataFrame(
    {
        "x": [0.5, 1.5, 2.5, 3.25, 4.5, 5.5],
        "y": [1.0, 0.5, 0.25, 0.0, 0.5, 2.0],
        "sex": ["F", "M", "F", "M", "F", "M"],
        "age": AGES,
    }
)


@pytest.fixture
def both() -> Conditions:
    labels = from_memory(TABLE, ["sex", "age"]).conditions
    assert labels is not None
    return Conditions.of(labels, np.arange(4))


def test_a_context_is_one_hot_and_standardised_by_the_training_rows(both):
    seen = both.contexts(from_memory(TABLE, "sex,age").conditions)
    mean, scale = np.mean(AGES[:4]), np.std(AGES[:4])
    assert both.names == ("sex", "age")
    assert (both.sizes, both.counts, len(both)) == ((2, 1), ((2, 2), ()), 3)
    assert seen[:, :2].tolist() == [[1, 0], [0, 1]] * 3
    np.testing.assert_allclose(seen[:, 2], (np.array(AGES) - mean) / scale, rtol=1e-6)
    np.testing.assert_array_equal(both.encoded(both.stored({"age": 50.5, "sex": "F"})[None])[0], seen[2])
    np.testing.assert_allclose(both.values(seen)[:, 1], AGES, rtol=1e-6)
    assert both.written(both.values(seen))["sex"].tolist() == TABLE["sex"].tolist()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_of_files_are_no_data(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    TABLE.to_csv(path, index=False) if ending == "csv" else TABLE.to_parquet(path)
    data = read(path, labels="sex,age")
    assert data.schema.names == ("x", "y")
    assert data.labels is None
    assert data.conditions is not None
    assert data.conditions.schema.names == ("sex", "age")
    assert any("sex (boolean, 2 levels), age" in note for note in data.notes)
    some = data.rows(np.array([4, 1]))
    assert some.conditions is not None
    assert some.conditions.x[:, 1].tolist() == [22.25, 40.5]


def test_labels_may_be_a_table_of_their_own(both):
    x = TABLE[["x", "y"]].to_numpy()
    labels = TABLE[["sex", "age"]]
    held, given = from_memory(x, labels), relabelled(from_memory(x), labels)
    for data in (held, given):
        np.testing.assert_array_equal(
            both.contexts(data.conditions), both.contexts(from_memory(TABLE, "sex,age").conditions)
        )
    with pytest.raises(DataError, match="6 rows and 5 labels"):
        relabelled(from_memory(x), labels.iloc[:5])


def test_one_label_is_as_before():
    data = from_memory(TABLE[["x", "y", "sex"]], "sex")
    assert data.conditions is None
    assert data.schema.classes == ("F", "M")
    strings = ["a", "b", "c", "d", "e", "f"]  # a label for each row, and no names of columns
    assert from_memory(TABLE[["x", "y"]], strings).conditions is None
    assert [label_names(given) for given in (None, "sex", '"a,b"', ["sex"], np.array(["a", "b"]))] == [None] * 5


def test_a_column_whose_name_has_a_comma_is_one_label(tmp_path):
    path = tmp_path / "t.csv"
    TABLE.rename(columns={"sex": "a,b"}).to_csv(path, index=False)
    data = read(path, labels="a,b")
    assert (data.conditions, data.schema.classes) == (None, ("F", "M"))


def test_rows_without_a_known_value_are_named(both):
    for column, value in (("sex", "X"), ("sex", None), ("age", np.nan)):
        changed = TABLE.copy()
        changed.loc[4, column] = value
        with pytest.raises(DataError, match=f"row 4 of the data has no value of {column}"):
            both.contexts(from_memory(changed, "sex,age").conditions)
    with pytest.raises(DataError, match="have no such columns"):
        both.contexts(None)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"sex": "F"}, "no value of age"),
        ({"sex": "X", "age": "3"}, "sex=X is no value that training rows had"),
        ({"sex": "F", "age": "old"}, "age=old is no value of a"),
        ({"sex": "F", "age": "3", "job": "cook"}, "no label 'job'"),
        ({"": "F"}, "2 labels, by name"),
    ],
)
def test_a_label_that_cannot_be_is_refused_with_what_can_be(both, given, what):
    with pytest.raises(UsageError, match=what) as error:
        both.stored(given)
    assert "one of F, M" in error.value.remedy or "sex=F,age=" in error.value.remedy or "a number" in error.value.remedy


def test_a_level_of_no_training_row_is_no_label():
    table = from_memory(TABLE, "sex,age").conditions
    assert table is not None
    one = Conditions.of(table, np.array([0, 2, 1]))
    other = Conditions(one.columns, one.center, one.scale, ((2, 0), ()), "")
    with pytest.raises(UsageError, match="no value that training rows had"):
        other.stored({"sex": "M", "age": 30})


def test_labels_that_tell_no_rows_apart_are_refused():
    with pytest.raises(DataError, match="'sex' has a single value"):
        Conditions.of(from_memory(TABLE, "sex,age").conditions, np.array([0, 2, 4]))
    twins = TABLE.assign(also=TABLE["sex"].map({"F": "f", "M": "m"}))
    with pytest.raises(DataError, match="no values of its own"):
        from_memory(pd.concat([twins] * 20), "sex,also")


def test_an_absent_column_is_named(tmp_path):
    path = tmp_path / "t.csv"
    TABLE.to_csv(path, index=False)
    with pytest.raises(DataError, match="wage"):
        read(path, labels="sex,wage")


def test_a_repeat_and_a_near_name_are_said(tmp_path):
    path = tmp_path / "t.csv"
    TABLE[["x", "y", "age"]].to_csv(path, index=False)
    with pytest.raises(DataError, match="labels 'age,age' name 'age' twice"):
        read(path, labels="age,age")
    with pytest.raises(UsageError, match="labels 'age,age' name 'age' twice"):
        from_memory(TABLE[["x", "y", "age"]], "age,age")
    with pytest.raises(DataError, match=r"Did you mean 'age' for 'aeg'\? It has x, y, age\."):
        read(path, labels="aeg")
    assert absent_labels("z", "t.csv", ()).remedy == "Check the name."


def test_labels_are_not_said_to_be_ignored():
    table = apart(Selection(known=("x", "y"), later=True), ("sex", "age"))
    names = ["x", "y", "sex", "age"]
    assert table.ignored(names, [0, 1], "t.csv") == []
    assert "ignored: more" in table.ignored([*names, "more"], [0, 1], "t.csv")[0]


def test_a_number_is_kept_as_it_was_given(both):
    stored = both.stored({"sex": "M", "age": "1e30"})
    assert both.written(stored[None])["age"].tolist() == ["1e+30"]
    assert both.beyond(both.stored({"sex": "M", "age": "45"})) == []
    [note] = both.beyond(stored)
    assert note.startswith("age = 1e+30 lies ")


def test_hints_and_drops_are_of_their_own_columns():
    table = Selection(drop=("y",), hints={"sex": {"kind": "categorical"}, "x": {"kind": "real"}})
    rest = apart(table, ("sex", "age"))
    assert (rest.drop, dict(rest.hints or {})) == (("y", "sex", "age"), {"x": {"kind": "real"}})


def test_the_record_is_read_again_and_checked(both):
    plain = both.to_dict()
    assert Conditions.from_dict(plain) == both
    for key, value in (
        ("scale", [1.0, 0.0]),
        ("center", [0.0]),
        ("counts", [[1], []]),
        ("columns", []),
        ("center", "a"),
    ):
        with pytest.raises(CorruptRunError):
            Conditions.from_dict({**plain, key: value})


def test_columns_fit_values_that_lie_between_theirs():
    """A whole-number label may be asked for in between, and is then written as it was asked for."""
    whole = Conditions((Column("dose", "integer"),), (4.0,), (2.0,), ((),), "")
    assert whole.fitting(np.array([[2.0], [3.0]])) == whole.columns
    assert whole.fitting(np.array([[2.5], [2.5]])) == (Column("dose", "real"),)
    assert whole.written(np.array([[2.5]]))["dose"].tolist() == ["2.5"]
