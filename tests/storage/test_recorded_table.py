"""A table that lacks a column of a run is refused by the two records, and nothing else is."""

from __future__ import annotations

import json

import pytest

from jensen.core.errors import DataError
from jensen.data.columns import Column
from jensen.storage.recorded_table import check_table

COLUMNS = [Column("age", "real"), Column("sex", "boolean", levels=("F", "M"))]


def recorded(folder, columns=COLUMNS, **command):
    schema = {"kind": "mixed", "columns": None if columns is None else [c.to_dict() for c in columns]}
    (folder / "spec.json").write_text(json.dumps({"data": {"schema": schema}, "command": command}))
    return folder


def test_a_table_without_a_column_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("age,job\n1.5,cook\n2.5,baker\n")
    run = recorded(tmp_path)
    with pytest.raises(DataError, match="no column 'sex'"):
        check_table(run, str(tmp_path / "x.csv"))
    assert check_table(run, str(tmp_path / "x.csv"), ("sex",)) is None
    (tmp_path / "x.csv").write_text("age,sex,job\n1.5,F,cook\n2.5,M,baker\n")
    assert check_table(run, str(tmp_path / "x.csv")) is None


def test_all_else_is_left_to_whatever_opens_them(tmp_path):
    (tmp_path / "x.csv").write_text("age,job\n1.5,cook\n2.5,baker\n")
    table = str(tmp_path / "x.csv")
    assert check_table(recorded(tmp_path), None) is None
    assert check_table(recorded(tmp_path), "digits") is None
    assert check_table(recorded(tmp_path, None), table) is None  # of data that are no mixed table
    assert check_table(recorded(tmp_path, header="no"), table) is None
    assert check_table(tmp_path / "absent", table) is None
    for damaged in ("", "[1]", "{}", '{"data": {"schema": {"columns": [{"kind": 3}]}}, "command": {}}'):
        (tmp_path / "spec.json").write_text(damaged)
        assert check_table(tmp_path, table) is None
