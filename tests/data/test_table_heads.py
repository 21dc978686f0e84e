"""The names of the columns of a table from its beginning, as its reader has them from the whole."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jensen.core.errors import DataError
from jensen.data import Selection, table_heads
from jensen.data.columns import Column, Determined
from jensen.data.table_files import read_frame
from jensen.data.table_heads import check_names, table_names

ROWS = "1.5,F\n2.5,M\n3.5,F\n4.5,M\n"
TEXTS = {
    "names": "age,sex\n" + ROWS,
    "none": ROWS,
    "semicolons": "age;sex\n1,5;F\n2,5;M\n",
    "comments": "# by hand\n# age sex\n1 2\n3 4\n",
    "an identifier": "#id,age\n1,2\n3,4\n",
    "an index of R": "age,sex\n1,1.5,F\n2,2.5,M\n3,3.5,F\n",
    "declared": "sep=;\nage;sex\n1;F\n2;M\n",
    "twice": "a,a,\n1,2,3\n4,5,6\n",
    "a quote": 'name,"age, in years"\n"a\nb",3\nc,4\n',
    "numbers": "1,2\n0.5,0.7\n0.1,2.5\n",
    "one row": "age,sex\n1,F\n",
}


@pytest.mark.parametrize("name", list(TEXTS))
@pytest.mark.parametrize("packed", [False, True])
def test_they_are_those_of_the_reader(name, packed, tmp_path):
    path = tmp_path / ("x.csv.gz" if packed else "x.csv")
    path.write_bytes(gzip.compress(TEXTS[name].encode()) if packed else TEXTS[name].encode())
    frame, _ = read_frame(path, Selection())
    assert table_names(path) == (None if frame.header is None else frame.names)


def test_only_the_beginning_of_a_large_text_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    path.write_text("age,sex\n" + ROWS * 500)
    monkeypatch.setattr(table_heads, "HEAD", 8000)  # more than the rows by which a header is judged
    assert table_names(path) == ("age", "sex")
    monkeypatch.setattr(table_heads, "HEAD", 100)  # fewer: it is left to the reader
    assert table_names(path) is None
    path.write_bytes(b'age,"sex\n' + b"1,2\n" * 500)
    assert table_names(path) is None


def test_files_that_record_names(tmp_path):
    frame = pd.DataFrame({"age": [1.5, 2.5], "sex": ["F", "M"]})
    frame.to_parquet(tmp_path / "x.parquet")
    (tmp_path / "shards").mkdir()
    frame.to_parquet(tmp_path / "shards" / "1.parquet")
    frame.to_feather(tmp_path / "x.feather")
    frame.to_excel(tmp_path / "x.xlsx", index=False)
    table = pa.Table.from_pandas(frame)
    with pa.ipc.new_stream(tmp_path / "x.arrow", table.schema) as stream:
        stream.write_table(table)
    for name in ("x.parquet", "shards", "x.feather", "x.xlsx", "x.arrow"):
        assert table_names(tmp_path / name) == ("age", "sex"), name


def test_what_is_no_table_is_left_to_its_reader(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing more PAR1")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n")[:-12])
    for name in ("x.npy", "x.parquet", "empty.csv", "x.csv.gz", "absent.csv"):
        assert table_names(tmp_path / name) is None, name
        assert check_names(tmp_path / name, [Column("a", "real")]) is None


def test_absent_columns_are_named_and_others_may_stand_for_them(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("Age,code\n1.5,7\n2.5,9\n")
    age, sex = Column("age", "real"), Column("sex", "boolean", levels=("F", "M"))
    with pytest.raises(DataError, match=r"x.csv lacks 2 columns: 'age', 'sex'") as refused:
        check_names(path, [age, sex])
    assert "Did you mean 'Age' for 'age'?" in str(refused.value)
    with pytest.raises(DataError, match=r"x.csv has no column 'sex'"):
        check_names(path, [sex])
    assert check_names(path, [sex], spare=["sex"]) is None
    code = Determined(Column("code", "count"), 1, own=(0.0, 1.0), other=(7.0, 9.0))
    told = Column("sex", "boolean", levels=("F", "M"), determines=(code,))
    assert check_names(path, [told]) is None
    assert check_names(path, [sex], header="no") is None  # then the columns are taken in their order
