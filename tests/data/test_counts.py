"""Counts are told from levels of grey, grades, years and other whole numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_digits

from jensen.data import describe, from_array, from_memory, read
from jensen.data.counts import are_counts

R = np.random.default_rng(0)
COUNTS = {
    "genes": R.negative_binomial(0.3, 0.02, (200, 40)),
    "rare words": R.poisson(0.1, (500, 60)) * R.integers(1, 4, (500, 60)),
    "visits": R.negative_binomial(1.0, 0.3, (300, 4)),
    "bulk": R.negative_binomial(5, 0.001, (60, 20)),
    "seldom": R.poisson(0.5, (400, 8)),
    "one column": R.negative_binomial(1.0, 0.3, (300, 1)),
    "of many scales": R.negative_binomial(0.7, 0.7 / (0.7 + np.array([3, 10, 30, 100.0])), (300, 4)),
    "most words once": np.c_[R.poisson(0.01, (300, 30)) > 0, R.poisson(0.2, (300, 12)), R.poisson(0.5, (300, 2))],
    "beyond 2^16": R.negative_binomial(0.5, 0.00001, (80, 5)),
}
OTHERS = {
    "digits": load_digits().data.astype(int),
    "grey levels": np.where(R.random((300, 784)) < 0.8, 0, R.integers(1, 256, (300, 784))),
    "grades": R.integers(1, 6, (200, 5)),
    "grades from 0": R.integers(0, 5, (200, 5)),
    "years": R.integers(1990, 2021, (200, 2)),
    "ages": R.integers(18, 91, (200, 3)),
    "sizes from 1, with a long tail": 1 + R.negative_binomial(0.3, 0.05, (200, 4)),
    "few": np.array([[0, 300], [7, 0]]),
    "postcodes": np.c_[R.integers(501, 99951, 400), R.integers(1, 5, 400)],
    "classes and incomes": np.c_[
        np.eye(10, dtype=int)[R.integers(0, 10, 400)], R.lognormal(10.5, 0.6, 400).astype(int)
    ],
    "classes and rare gains": np.c_[
        np.eye(12, dtype=int)[R.integers(0, 12, 400)], np.where(R.random(400) < 0.9, 0, R.integers(114, 99999, 400))
    ],
    "a census": np.c_[
        R.integers(17, 91, 400),
        R.lognormal(12, 0.6, 400).astype(int),
        R.integers(1, 17, 400),
        np.where(R.random(400) < 0.92, 0, R.integers(114, 99999, 400)),
        R.integers(1, 100, 400),
    ],
    "patients": np.c_[
        R.integers(0, 17, 400),
        R.normal(120, 30, 400).clip(1).astype(int),
        R.normal(70, 12, 400).clip(1).astype(int),
        np.where(R.random(400) < 0.48, 0, R.lognormal(5, 0.6, 400).astype(int)),
        R.integers(21, 82, 400),
    ],
    "pixels of a screen": np.c_[R.integers(0, 1921, 400), R.integers(0, 1081, 400)],
    "a sensor of 10 bits": R.normal(500, 200, (400, 8)).clip(0, 1023).astype(int),
    "dark pixels of 12 bits": np.where(R.random((400, 64)) < 0.5, 0, R.integers(0, 4096, (400, 64))),
    "images of 28 x 29": np.where(R.random((300, 812)) < 0.8, 0, R.integers(1, 256, (300, 812))),
    "images after their class": np.c_[
        R.integers(0, 10, 300), np.where(R.random((300, 784)) < 0.8, 0, R.integers(1, 256, (300, 784)))
    ],
}
NAMED = {  # skewed columns of a wide range, which names alone tell from counts
    "income,rent": np.c_[R.lognormal(10.5, 0.6, 300), R.lognormal(7, 0.4, 300)],
    "SalePrice,lot_area,living_area": R.lognormal([12, 9, 7], 0.5, (300, 3)),
    "year_built,price": np.c_[R.integers(1900, 2020, 300), R.lognormal(12, 0.6, 300)],
}


def is_count(x):
    return are_counts([x], x.shape[1:], [None])


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_recognised_and_read_as_integers(name, tmp_path):
    x = COUNTS[name]
    assert is_count(x)
    pd.DataFrame(x).to_csv(tmp_path / "x.csv", index=False, header=[f"g{i}" for i in range(x.shape[1])])
    sparse.save_npz(tmp_path / "x.npz", sparse.csr_matrix(x.astype(np.float32)))
    held = [
        read(tmp_path / "x.csv"),
        read(tmp_path / "x.npz"),
        from_memory(pd.DataFrame(x)),
        from_array(x.astype(float)),
    ]
    for dataset in held:
        assert dataset.schema.kind == "integers"
        assert dataset.schema.levels == x.max() + 1
        assert dataset.x.dtype.kind in "iu"
        np.testing.assert_array_equal(dataset.x, x)
        assert describe(dataset)["counts"] is True
    assert len({dataset.source.sha256 for dataset in held}) == 1
    assert read(tmp_path / "x.npz", kind="real").schema.kind == "real"  # as an earlier version read it


@pytest.mark.parametrize("name", OTHERS)
def test_other_whole_numbers_are_not(name, tmp_path):
    x = OTHERS[name]
    assert not is_count(x)
    np.savetxt(tmp_path / "x.csv", x, fmt="%d", delimiter=",", header=",".join(f"c{i}" for i in range(x.shape[1])))
    held = read(tmp_path / "x.csv", header="yes")
    assert describe(held)["counts"] is False
    assert held.schema.kind == ("integers" if x.max() <= 255 else "real")


def test_images_are_no_counts():
    x = np.where(R.random((50, 6, 6)) < 0.9, 0, R.integers(1, 300, (50, 6, 6)))
    assert describe(from_array(x))["counts"] is False
    assert is_count(x.reshape(50, 36))


def test_missing_entries_do_not_count_as_zeros():
    x = np.full((40, 3), 3.0)
    x[:, 1] = np.arange(40) % 4 + 1
    mask = R.random((40, 3)) < 0.5
    assert not are_counts([np.where(mask, x, 0)], (3,), [mask])
    holed = np.where(R.random((200, 40)) < 0.2, np.nan, COUNTS["genes"])
    held = from_memory(holed, missing=True)
    assert held.schema.kind == "integers"
    np.testing.assert_array_equal(held.mask, ~np.isnan(holed))


@pytest.mark.parametrize("header", NAMED)
def test_measures_are_told_by_their_names(header, tmp_path):
    x = NAMED[header].astype(int)
    np.savetxt(tmp_path / "x.csv", x, fmt="%d", delimiter=",", header=header, comments="")
    held = read(tmp_path / "x.csv")
    assert held.schema.names == tuple(header.split(","))
    assert (held.schema.kind, describe(held)["counts"]) == ("real", False)


def test_a_few_words_like_names_of_measures_do_not_matter(tmp_path):
    words = ["time", "year", "price", *(f"word{i}" for i in range(37))]
    pd.DataFrame(COUNTS["genes"], columns=words).to_csv(tmp_path / "x.csv", index=False)
    assert describe(read(tmp_path / "x.csv"))["counts"] is True


@pytest.mark.parametrize("x", [COUNTS["genes"][:3], OTHERS["years"]], ids=["three rows", "no counts any more"])
def test_what_was_read_as_integers_is_read_as_integers(x, tmp_path):
    np.save(tmp_path / "x.npy", x.astype(float))
    assert read(tmp_path / "x.npy").schema.kind == "real"
    assert read(tmp_path / "x.npy", kind="integers").schema.kind == "integers"
    assert read(tmp_path / "x.npy", kind="real").schema.kind == "real"
