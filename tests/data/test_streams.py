"""Rows that stay in files: each is visited once, batches follow from the seed, and every number is that of memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.core.errors import DataError, UsageError
from jensen.data import read, streams
from jensen.data.column_statistics import column_statistics
from jensen.data.hashed_split import PartRows, RowNumbers, hashed_parts
from jensen.data.preparation import Preparation
from jensen.data.streams import StreamedRows, WindowSize


@pytest.fixture
def small(monkeypatch):
    """Windows of 4 blocks of 8 rows."""
    monkeypatch.setattr(streams, "WINDOW_ROWS", 32)
    monkeypatch.setattr(streams, "BLOCKS", 4)


@pytest.fixture
def file(tmp_path):
    """One hundred and one rows of three columns, each of which has the row's number."""
    x = np.arange(101, dtype=np.float32)[:, None] + np.array([0, 0.25, 0.5], np.float32)
    np.save(tmp_path / "x.npy", x)
    return tmp_path / "x.npy", x


def store(path, size=None) -> StreamedRows:
    return StreamedRows(read(path, stream=True).x, lambda part, start: part, torch.float32, size=size)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("batch", [1, 7, 32, 50, 200])
def test_a_pass_visits_each_row_once_and_gives_its_values(small, file, batch):
    path, x = file
    rows = store(path)
    assert (rows.size.block, rows.size.rows) == (8, 32)
    order = rows.order(batch, noise())
    batches = [(index, rows.index_select(0, index)) for index in order]
    assert sorted(torch.cat([index for index, _ in batches]).tolist()) == list(range(101))
    for index, values in batches:
        np.testing.assert_array_equal(values.numpy(), x[index.numpy()])
    assert len(order) == len(batches) == -(-101 // batch)


def test_a_batch_follows_from_the_seed_and_its_number_alone(small, file):
    first, again, other = (store(file[0]).order(7, noise(seed)) for seed in (0, 0, 1))
    whole = [index.tolist() for index in first]
    for i in (14, 3, 9, 0, 13):  # in any order
        assert again[i].tolist() == whole[i]
    assert [index.tolist() for index in other] != whole
    assert again[-1].tolist() == whole[-1]
    with pytest.raises(IndexError):
        again[15]


def test_rows_of_a_window_come_from_all_over_the_file(small, file):
    order = store(file[0]).order(32, noise())
    blocks = {int(i) // 8 for i in order[0]}
    assert 4 <= len(blocks) <= 5
    assert max(blocks) - min(blocks) > 4
    assert order[0].tolist() != sorted(order[0].tolist())


def test_one_window_over_all_rows_is_a_permutation(file):
    rows = store(file[0])  # of the usual size, which is larger than the file
    index = rows.order(101, noise())[0]
    assert sorted(index.tolist()) == list(range(101))
    assert (index.diff() == 1).sum() < 10


def test_windows_are_read_in_advance_and_elsewhere_rows_come_from_the_files(small, file):
    path, x = file
    rows, read_at = store(path), list[int]()
    plain = rows.prepare
    rows.prepare = lambda part, start: (read_at.append(start), plain(part, start))[1]
    order = streams._Pass(rows, 8, 0)  # the check of a returned sequence would ask for one of its batches
    index = order[0]
    order.in_memory.reading[1].result()  # the next window, by a thread
    assert len(read_at) == 8
    rows.index_select(0, index)
    assert len(read_at) == 8  # from the buffer
    np.testing.assert_array_equal(rows.index_select(0, torch.tensor([100, 3, 50])).numpy(), x[[100, 3, 50]])
    np.testing.assert_array_equal(rows.index_select(0, torch.arange(5, 90)).numpy(), x[5:90])


def test_a_batch_that_is_asked_for_early_is_still_right(small, file):
    path, x = file
    rows = store(path)
    order = rows.order(8, noise())
    early = [order[i] for i in range(len(order))]  # all windows have passed by
    for index in early:
        np.testing.assert_array_equal(rows.index_select(0, index).numpy(), x[index.numpy()])


def test_passes_side_by_side_have_windows_of_their_own(small, file):
    """As models do that are trained together."""
    path, x = file
    rows, read_at = store(path), list[int]()
    plain = rows.prepare
    rows.prepare = lambda part, start: (read_at.append(start), plain(part, start))[1]
    passes = [streams._Pass(rows, 8, seed) for seed in range(3)]
    for i in range(len(passes[0])):
        for index in [order[i] for order in passes]:
            np.testing.assert_array_equal(rows.index_select(0, index).numpy(), x[index.numpy()])
    assert len(read_at) == 3 * 13  # each block once a pass
    del passes, index
    rows.order(8, noise())
    assert sum(kept() is not None for kept in rows.staged) <= 1


def test_a_file_that_was_cut_short_is_an_error_of_the_data(small, file):
    path, x = file
    rows = store(path)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - x[50:].nbytes)
    order = streams._Pass(rows, 8, 0)
    with pytest.raises(DataError, match=r"x\.npy ends before its row"):
        list(map(order.__getitem__, range(len(order))))


def test_what_goes_wrong_while_a_window_is_read_in_advance_is_raised_when_it_is_needed(small, file):
    path, x = file
    rows, read_at = store(path), list[int]()

    def prepare(part, start):
        read_at.append(start)
        if len(read_at) == 7:  # in the second window
            raise DataError("this block is damaged", "Mend it.")
        return part

    rows.prepare = prepare
    order = streams._Pass(rows, 32, 0)
    np.testing.assert_array_equal(rows.index_select(0, order[0]).numpy(), x[order[0].numpy()])
    with pytest.raises(DataError, match="this block is damaged"):
        order[1]


def test_the_ends_of_rows_in_files_are_those_of_all_pieces(tmp_path, monkeypatch):
    from jensen.data import file_rows
    from jensen.data.column_statistics import ends

    monkeypatch.setattr(file_rows, "PIECE", 64)
    x = np.random.default_rng(0).normal(size=(100, 2))
    np.save(tmp_path / "x.npy", x)
    assert ends(read(tmp_path / "x.npy", stream=True).x) == ends(x) == (x.min(), x.max())


def test_windows_are_bounded_in_rows_and_in_bytes():
    assert WindowSize(80).rows == 2**17
    assert WindowSize(2**20).rows * 2**20 <= 2**26
    assert WindowSize(2**30).rows == 16  # one row a block, at least


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_statistics_of_one_pass_are_those_of_numpy(tmp_path, offset, monkeypatch):
    from jensen.data import file_rows

    monkeypatch.setattr(file_rows, "PIECE", 4096)  # many pieces
    x = np.random.default_rng(0).normal(offset, [1.0, 1e-3, 50.0], (5000, 3))
    np.save(tmp_path / "x.npy", x)
    statistics = column_statistics(read(tmp_path / "x.npy", stream=True).x)
    assert statistics.n == 5000
    exact = x.astype(np.longdouble)  # at an offset, NumPy's own sums in float64 lose digits
    np.testing.assert_allclose(statistics.mean, exact.mean(0).astype(float), rtol=1e-14, atol=1e-13)
    np.testing.assert_allclose(statistics.variance, exact.var(0).astype(float), rtol=1e-10 if offset else 1e-12)
    np.testing.assert_array_equal([statistics.low, statistics.high], [x.min(0), x.max(0)])


# ---------------------------------------------------------------- splits


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.9, 0.1, 0.0), (1.0, 0.0, 0.0), (0.5, 0.0, 0.5)])
def test_the_parts_of_a_hash_are_a_partition_of_the_rows(fractions):
    n = 50_000
    parts = hashed_parts(n, fractions, 0)
    numbers = [part[:] for part in parts]
    assert np.array_equal(np.sort(np.concatenate(numbers)), np.arange(n))
    for own, fraction in zip(numbers, fractions, strict=True):
        error = (fraction * (1 - fraction) / n) ** 0.5
        assert abs(len(own) / n - fraction) <= 4.5 * error
        assert (np.diff(own) > 0).all()
    again, other = hashed_parts(n, fractions, 0), hashed_parts(n, fractions, 1)
    assert np.array_equal(again[0][:], numbers[0])
    assert fractions[0] == 1 or not np.array_equal(other[0][:], numbers[0])


def test_numbers_of_a_part_are_read_like_an_array():
    part = hashed_parts(40_000, (0.8, 0.1, 0.1), 3)[1]
    whole = part[:]
    index = np.array([len(part) - 1, 0, 17, 2000, 17])
    np.testing.assert_array_equal(part[index], whole[index])
    np.testing.assert_array_equal(part[1500:2600], whole[1500:2600])
    assert (part[-1], part[5]) == (whole[-1], whole[5])
    with pytest.raises(IndexError):
        part[len(part)]
    np.testing.assert_array_equal(RowNumbers.all_of(7)[:], np.arange(7))


def test_rows_of_a_part_are_those_of_its_numbers(file):
    path, x = file
    numbers = hashed_parts(101, (0.5, 0.25, 0.25), 0)[0]
    part = PartRows(read(path, stream=True).x, numbers)
    np.testing.assert_array_equal(part[:], x[numbers[:]])
    np.testing.assert_array_equal(part[10:20], x[numbers[10:20]])
    np.testing.assert_array_equal(part[np.array([30, 2])], x[numbers[np.array([30, 2])]])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rows_that_occur_in_a_file_are_found_as_in_memory(tmp_path, dtype, monkeypatch):
    from jensen.data import duplicates, file_rows

    rng = np.random.default_rng(0)
    x, other = rng.integers(0, 4, (500, 3)).astype(dtype), rng.integers(0, 6, (90, 3)).astype(dtype)
    x[0, 0] = other[0, 0] = 9  # of several levels or real values
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(file_rows, "PIECE", 256)  # many pieces
    expected = duplicates(x, other)
    assert 0 < expected.sum() < 90
    np.testing.assert_array_equal(duplicates(read(tmp_path / "x.npy", stream=True).x, other), expected)
    holes = rng.random(other.shape) < 0.9
    whole = duplicates(x, other, None, holes)
    np.testing.assert_array_equal(duplicates(read(tmp_path / "x.npy", stream=True).x, other, None, holes), whole)


# ---------------------------------------------------------------- preparation


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("real", {}),
        ("real", {"standardize": "feature"}),
        ("real", {"standardize": "global"}),
        ("integers", {}),
        ("integers", {"dequantize": True, "standardize": "feature"}),
        ("integers", {"binarize": "threshold"}),
        ("integers", {"binarize": "dynamic"}),
        ("grey", {"binarize": "static"}),
    ],
)
def test_rows_in_files_are_prepared_to_the_bytes_of_rows_in_memory(tmp_path, small, kind, how):
    rng = np.random.default_rng(0)
    x = {
        "real": rng.normal(3, 2, (70, 5)).astype(np.float32),
        "integers": rng.integers(0, 9, (70, 5)).astype(np.uint8),
        "grey": rng.random((70, 5), dtype=np.float32),
    }[kind]
    np.save(tmp_path / "x.npy", x)
    in_memory, in_files = read(tmp_path / "x.npy", stream=False), read(tmp_path / "x.npy", stream=True)
    assert in_memory.schema == in_files.schema
    assert in_memory.source.sha256 == in_files.source.sha256
    preparation = Preparation.fit(in_memory.x, in_memory.schema, **how)
    streamed = Preparation.fit(in_files.x, in_files.schema, **how)
    for name in ("center", "scale", "fill"):
        mine, theirs = getattr(preparation, name), getattr(streamed, name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_allclose(theirs, mine, rtol=1e-12)
    whole = preparation.rows(in_memory.x, in_memory.schema)
    rows = preparation.rows(in_files.x, in_files.schema)
    for index in (torch.arange(20, 60), torch.tensor([69, 0, 33, 34]), rows.order(70, noise())[0]):
        assert rows.take(index, noise()).x.equal(whole.take(index, noise()).x)
    assert [len(b) for b in rows.batches(32, noise())] == [32, 32, 6]


def test_bits_that_would_have_to_be_kept_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 9, (30, 4)).astype(np.uint8))
    data = read(tmp_path / "x.npy", stream=True)
    preparation = Preparation.fit(data.x, data.schema, binarize="static")
    with pytest.raises(UsageError, match="--in-memory"):
        preparation.rows(data.x, data.schema)


def test_values_whose_squares_overflow_are_named_by_their_rows(file):
    path, _ = file
    data = read(path, stream=True)
    preparation = Preparation(scale=np.array(1e-38), center=np.zeros(3))
    with pytest.raises(DataError, match=r"row 0, column 1"):
        preparation.rows(data.x, data.schema, what="these")
