"""Files of text that are read as one table have the cells of one file of all rows; errors name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jensen
from jensen.core.errors import DataError
from jensen.data import read

ROWS = ["1.5,a,3", ",b,4", "2.5,a,7", "0.5,c,3", "3.5,a,1", "4.5,b,9"]


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Three files, whose natural order is not that of the alphabet."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, rows in (("2", ROWS[:2]), ("9", ROWS[2:3]), ("10", ROWS[3:])):
        (folder / f"part-{name}.csv").write_text("\n".join(["size,kind,n", *rows]) + "\n")
    (tmp_path / "one.csv").write_text("\n".join(["size,kind,n", *ROWS]) + "\n")
    return folder


@pytest.mark.parametrize("source", ["parts", "parts/part-*.csv"])
def test_shards_have_the_cells_of_one_table(parts, source):
    one, several = (read(parts.parent / name, typed=True) for name in ("one.csv", source))
    np.testing.assert_array_equal(several.x, one.x)
    np.testing.assert_array_equal(several.mask, one.mask)
    assert several.schema == one.schema
    assert several.source.sha256 == one.source.sha256
    assert f"3 files of {parts.parent / source} read as one table, in natural order" in several.notes


def test_numbers_and_labels_are_joined(parts):
    numbers = read(parts, columns="n", labels="kind", typed=False)
    assert numbers.x.reshape(-1).tolist() == [3, 4, 7, 3, 1, 9]
    assert numbers.schema.classes == ("a", "b", "c")
    assert np.asarray(numbers.labels).tolist() == [0, 1, 0, 2, 0, 1]
    assert numbers.schema.names == ("n",)


def test_files_without_a_header_are_all_rows(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n3,4\n")
    (tmp_path / "b.csv").write_text("5,6\n")
    for typed in (True, False):
        assert read(tmp_path, typed=typed).x.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size,kind,m\n1,2,3\n4,5,6\n", "it lacks 'n' and has 'm' more"),
        ("size,kind\n1,2\n3,4\n", "it lacks 'n'"),
        ("kind,size,n\n1,2,3\n4,5,6\n", "has the same ones in another order"),
        ("1,2,3\n4,5,6\n", "has no header, and .*part-2.csv one"),
    ],
)
def test_a_file_with_other_columns_is_named(parts, text, message, typed):
    for path in parts.iterdir():
        path.write_text("size,kind,n\n1,2,3\n4,5,6\n")
    (parts / "part-11.csv").write_text(text)
    with pytest.raises(DataError, match=rf"part-11\.csv .*{message}"):
        read(parts, typed=typed)


def test_a_cell_that_is_no_value_is_named_by_its_file_and_line(parts):
    schema = read(parts, typed=True).schema.columns
    (parts / "part-9.csv").write_text("size,kind,n\n1.0,a,2\nmany,a,2\n")
    with pytest.raises(DataError, match=r"line 3, column 1 \(size\) of .*part-9\.csv is 'many'"):
        read(parts, typed=True, schema=schema)


def test_a_run_finds_its_shards_again(parts):
    run = jensen.train(
        f"{parts}/part-*.csv", recipe="table-gmm", components=1, split="1,0,0", epochs=1, out=parts.parent / "run"
    )
    codes = run.encode(parts.parent / "one.csv")
    np.testing.assert_array_equal(jensen.load(run.path).encode(f"{parts}/*.csv"), codes)
    assert jensen.load(run.path).dataset().source.sha256 == read(parts, typed=True).source.sha256
