"""Tests of tables of mixed columns that stay in Parquet files: the same numbers as of tables that are read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jensen.core.errors import DataError
from jensen.data import Dataset, Preparation, duplicates, read
from jensen.data.agreement import extremes
from jensen.data.file_rows import ColumnRows
from jensen.data.frames import StoredColumns
from jensen.data.parquet_tables import TableRows

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
N = 400


def table_of(n: int = N) -> arrow.Table:
    """Return a table of numbers, names, counts, dates and truths, with holes, and with two columns that are equal."""
    rng = np.random.default_rng(0)
    hole = rng.random((6, n)) < 0.1
    names = np.array(["red", "green", "blue"])[rng.integers(0, 3, n)]
    return arrow.table(
        {
            "size": arrow.array(rng.normal(size=n).round(3), mask=hole[0]),
            "price": arrow.array(np.exp(rng.normal(size=n)), mask=hole[1]),
            "colour": arrow.array(names, mask=hole[2]),
            "visits": arrow.array(rng.poisson(1.0, n), mask=hole[3]),
            "day": arrow.array(np.datetime64("2020-01-01") + rng.integers(0, 900, n), mask=hole[4]),
            "kept": arrow.array(rng.random(n) < 0.5, mask=hole[5]),
            "again": arrow.array(names, mask=hole[2]).dictionary_encode(),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file in groups of 150 rows, and a folder of three shards of the same rows."""
    path, table = tmp_path_factory.mktemp("tables"), table_of()
    parquet.write_table(table, path / "one.parquet", row_group_size=150)
    (path / "shards").mkdir()
    for i, start in enumerate((0, 90, 300)):
        stop = (90, 300, N)[i]
        parquet.write_table(table.slice(start, stop - start), path / "shards" / f"part-{i}.parquet", row_group_size=64)
    return path


@pytest.fixture(scope="module")
def whole(folder: Path) -> Dataset:
    return read(folder / "one.parquet", missing=True, typed=True, stream=False)


@pytest.fixture(scope="module", params=["one.parquet", "shards"])
def stored(folder: Path, request: pytest.FixtureRequest) -> Dataset:
    return read(folder / request.param, missing=True, typed=True, stream=True)


def test_numbers_masks_schema_and_digest_are_those_of_the_table_read_whole(whole: Dataset, stored: Dataset) -> None:
    assert isinstance(whole.x, np.ndarray)
    assert isinstance(stored.x, ColumnRows)
    assert not stored.is_streamed
    assert stored.schema == whole.schema
    assert stored.reasons == whole.reasons
    assert stored.source.sha256 == whole.source.sha256
    assert stored.notes[-len(whole.notes) :] == whole.notes
    assert any("in every row: the model is of" in note for note in stored.notes)
    np.testing.assert_array_equal(stored.mask, whole.mask)
    np.testing.assert_array_equal(stored.x[:], whole.x)


def test_rows_are_read_from_anywhere_in_any_order(whole: Dataset, stored: Dataset) -> None:
    for start, stop in ((0, 10), (10, 250), (140, 160), (395, N), (7, 7)):
        np.testing.assert_array_equal(stored.x[start:stop], whole.x[start:stop])
    np.testing.assert_array_equal(stored.x[3], whole.x[3])
    index = np.random.default_rng(1).permutation(N)[:120]
    some, same = stored.rows(index), whole.rows(index)
    assert isinstance(some.x, ColumnRows)
    np.testing.assert_array_equal(some.x[5:50], same.x[5:50])
    np.testing.assert_array_equal(some.rows(np.array([4, 2])).x[:], same.x[[4, 2]])


def test_prepared_rows_have_the_same_bits(whole: Dataset, stored: Dataset) -> None:
    index = np.random.default_rng(2).permutation(N)[:200]
    some, same = stored.rows(index), whole.rows(index)
    own, other = (Preparation.fit(d.x, d.schema, mask=d.mask) for d in (some, same))
    for name in ("center", "scale", "fill"):
        np.testing.assert_array_equal(getattr(own, name), getattr(other, name))
    for dtype in (torch.float32, torch.float64):
        a, b = (p.rows(d.x, d.schema, mask=d.mask, dtype=dtype) for p, d in ((own, some), (other, same)))
        assert torch.equal(torch.as_tensor(a.stored), torch.as_tensor(b.stored))
    for mine, theirs in zip(extremes(some.x, some.mask), extremes(same.x, same.mask), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_rows_that_occur_twice_are_found_by_columns(whole: Dataset, stored: Dataset) -> None:
    first, second = np.arange(0, 300), np.arange(290, N)
    expected = duplicates(whole.x[first], whole.x[second], whole.rows(first).mask, whole.rows(second).mask)
    a, b = stored.rows(first), stored.rows(second)
    np.testing.assert_array_equal(duplicates(a.x, b.x, a.mask, b.mask), expected)
    np.testing.assert_array_equal(duplicates(a.x, b.x[:], a.mask, b.mask), expected)
    assert expected.sum() == 10


def test_the_table_is_written_back_as_it_was(folder: Path, stored: Dataset) -> None:
    frame = stored.frame
    assert frame is not None
    assert isinstance(frame.columns, StoredColumns)
    assert len(frame) == N
    assert frame.table.equals(parquet.read_table(folder / "one.parquet"))
    index = np.array([30, 5])
    assert frame.rows(index).table.equals(table_of().take(index))


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_pieces_of_a_stored_table_have_its_rows_in_order(whole: Dataset, stored: Dataset, size: int) -> None:
    assert stored.frame is not None
    assert isinstance(stored.frame.columns, StoredColumns)
    assert isinstance(stored.x, TableRows)
    expected = table_of()
    tables = list(stored.frame.columns.pieces(size))
    assert [len(table) for table in tables[:-1]] == [size] * (len(tables) - 1)
    assert arrow.concat_tables(tables).to_pydict() == expected.to_pydict()
    assert all(table.schema.equals(expected.schema) for table in tables)
    numbers = np.concatenate([stored.x.of_table(table) for table in tables])
    np.testing.assert_array_equal(numbers, whole.x)


def test_pieces_of_some_rows_are_in_their_order(stored: Dataset) -> None:
    index = np.random.default_rng(3).permutation(N)[:20]
    assert stored.frame is not None
    columns = stored.frame.rows(index).columns
    assert isinstance(columns, StoredColumns)
    tables = list(columns.pieces(9))
    assert [len(table) for table in tables] == [9, 9, 2]
    assert arrow.concat_tables(tables).to_pydict() == table_of().take(index).to_pydict()
    assert columns.column(2).to_pylist() == table_of().column(2).take(index).to_pylist()


def test_a_reader_is_let_go_after_the_last_row(stored: Dataset) -> None:
    assert isinstance(stored.x, TableRows)
    stored.x.read(0, 10)
    assert stored.x.pending is not None
    stored.x.read(10, N)
    assert stored.x.pending is None


def test_a_column_is_left_out_without_reading(whole: Dataset, stored: Dataset) -> None:
    assert isinstance(stored.x, TableRows)
    others = stored.x.without(1)
    np.testing.assert_array_equal(others[:], np.delete(whole.x, 1, 1))
    index = np.array([8, 3])
    np.testing.assert_array_equal(others.rows(index)[:], np.delete(whole.x[index], 1, 1))


def test_a_large_table_stays_in_its_files_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jensen.data.table_files.LARGE", 7 * N)
    assert isinstance(read(folder / "one.parquet", missing=True, typed=True).x, ColumnRows)
    monkeypatch.setattr("jensen.data.table_files.LARGE", 7 * N + 1)
    assert isinstance(read(folder / "one.parquet", missing=True, typed=True).x, np.ndarray)


def test_shards_of_other_columns_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"a": ["x", None, "y"]}), tmp_path / "1.parquet")
    parquet.write_table(arrow.table({"a": [1, 2, 3]}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet has other columns than .*'a' of int64"):
        read(tmp_path, missing=True, typed=True)
    (tmp_path / "2.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"2\.parquet is damaged"):
        read(tmp_path, missing=True, typed=True)
