"""Names of columns are checked by a run's record alone; what cannot be read is left to whatever opens the run."""

from __future__ import annotations

import json

import pytest

from jensen.core.errors import UsageError
from jensen.storage.recorded_columns import check_columns, unknown_column


def record(folder, **schema) -> None:
    (folder / "spec.json").write_text(json.dumps({"data": {"schema": schema}}))


def test_a_name_that_no_column_has_is_refused_with_the_nearest(tmp_path):
    record(tmp_path, names=["age", "Sex"], shape=[2])
    check_columns(tmp_path, ("age", "Sex"))
    for name, meant in (("aeg", "age"), ("SEX", "Sex")):
        with pytest.raises(UsageError, match=f"no column '{name}'") as error:
            check_columns(tmp_path, ("age", name))
        assert error.value.remedy == f"Did you mean {meant}? It has age, Sex."


def test_columns_without_names_are_numbered(tmp_path):
    record(tmp_path, names=None, shape=[3])
    check_columns(tmp_path, ("x1", "x3"))
    with pytest.raises(UsageError, match="no column 'x4'"):
        check_columns(tmp_path, ("x4",))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"data": {"schema": {"names": 3, "shape": [1]}}}'])
def test_a_damaged_record_is_left_to_the_loader(content, tmp_path):
    (tmp_path / "spec.json").write_text(content)
    assert check_columns(tmp_path, ("x9",)) is None


def test_images_and_missing_records_are_left_to_the_loader(tmp_path):
    assert check_columns(tmp_path, ("x9",)) is None
    record(tmp_path, names=None, shape=[4, 4])
    assert check_columns(tmp_path, ("x9",)) is None


def test_of_many_columns_the_first_are_listed():
    assert unknown_column("q", [f"c{i}" for i in range(30)]).remedy.endswith("c19, ... 30 in all.")
