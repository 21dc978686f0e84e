"""Tables of named columns, in every form: the same names, numbers and texts, and missing numbers where they are NaN."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from jensen.data.named_tables import named_table

COLUMNS = {
    "row": np.arange(3),
    "p": np.array([0.1, np.nan, 1e-9]),
    "why": np.array(["a, b", "", "c"], dtype=object),
    "kind": np.array(["exact", "exact", "exact"]),
}


@pytest.mark.parametrize("kind", ["csv", "xlsx", "pandas", "polars", "arrow", "parquet"])
def test_every_form_holds_the_same(kind):
    table = named_table(COLUMNS, kind)
    assert table.names == tuple(COLUMNS)
    assert len(table) == 3
    rows = [[table.cell(i, d) for d in range(4)] for i in range(3)]
    assert [float(r[0]) for r in rows] == [0, 1, 2]
    assert [float(rows[i][1]) for i in (0, 2)] == [0.1, 1e-9]
    assert rows[1][1] in (None, "") or np.isnan(rows[1][1])
    assert [r[2] or "" for r in rows] == ["a, b", "", "c"]
    assert {r[3] for r in rows} == {"exact"}


def test_tables_of_libraries_have_their_types():
    frame = named_table(COLUMNS, "pandas", pd.Index(["x", "y", "z"], name="id")).data
    assert frame.index.tolist() == ["x", "y", "z"]
    assert frame["p"].isna().tolist() == [False, True, False]
    assert named_table(COLUMNS, "polars").data["p"].null_count() == 1
    assert named_table(COLUMNS, "polars").data["row"].dtype == polars.Int64
    assert named_table(COLUMNS, "arrow").data.schema.field("why").type in (pyarrow.string(), pyarrow.large_string())
