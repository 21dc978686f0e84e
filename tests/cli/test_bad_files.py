"""Data that cannot be trained on: each is refused with exit code 3 and a remedy, and nothing is written."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

REAL = np.random.default_rng(0).normal(size=(60, 4))
TINY = ["--epochs", "1", "--latent", "2", "--hidden", "8", "--quiet", "--out", "out"]


class Planted:
    """Unpickling one of these makes a folder."""

    def __reduce__(self):
        return (os.mkdir, ("planted",))


def saved(name: str, x: np.ndarray) -> str:
    np.save(name, x, allow_pickle=x.dtype.hasobject)
    return name


def with_value(value: float) -> np.ndarray:
    x = REAL.copy()
    x[3, 1] = value
    return x


def constant() -> np.ndarray:
    x = REAL.copy()
    x[:, 2] = 5
    return x


def text(name: str) -> str:
    Path(name).write_text("a,b\n1,2\n3,4\n")
    return name


def cut_gzip() -> str:
    whole = gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 10, 4, 4) + np.random.default_rng(0).bytes(160))
    Path("cut-images-idx3-ubyte.gz").write_bytes(whole[: len(whole) // 2])
    return "cut-images-idx3-ubyte.gz"


BAD = {
    "missing": (lambda: "absent.npy", "there is no file absent.npy", "Check the path"),
    "text named .npy": (lambda: text("x.npy"), "named .npy, but holds text", "give the right file"),
    "an array named .csv": (lambda: _array_named_csv(), "named .csv, but holds a NumPy array", "Rename it"),
    "truncated gzip": (cut_gzip, "truncated", "download it again"),
    "empty file": (lambda: _touched("x.npy"), "is an empty file", "again"),
    "empty array": (lambda: saved("x.npy", np.zeros((0, 3))), "is empty: its shape is (0, 3)", "at least one row"),
    "NaN": (lambda: saved("x.npy", with_value(np.nan)), "1 missing entry (NaN), first in row 3, column 1", "miwae"),
    "infinity": (lambda: saved("x.npy", with_value(-np.inf)), "row 3, column 1", "drop these rows"),
    "one axis": (lambda: saved("x.npy", REAL[0]), "one axis only", "[N, D]"),
    "five axes": (lambda: saved("x.npy", np.zeros((3, 2, 2, 2, 2))), "neither a table nor images", "[N, H, W, C]"),
    "one row": (lambda: saved("x.npy", REAL[:1]), "one datum only", "at least 2 rows"),
    "constant column": (lambda: saved("x.npy", constant()), "constant", "--floor 0.01"),
}


def _array_named_csv() -> str:
    Path(saved("x.npy", REAL)).rename("x.csv")
    return "x.csv"


def _touched(name: str) -> str:
    Path(name).touch()
    return name


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_refused(case, refused):
    make, *said = BAD[case]
    refused(["train", make(), *TINY], 3, *said)


# data that can be described, although no model can be trained on them as they are
DESCRIBED = ("constant column", "NaN", "one row")


@pytest.mark.parametrize("case", [case for case in BAD if case not in DESCRIBED])
def test_data_refuses_it_too(case, refused):
    make, *said = BAD[case]
    refused(["data", make()], 3, *said)


@pytest.mark.parametrize("case", DESCRIBED)
def test_data_describes_it(case, jensen):
    make, *_ = BAD[case]
    answer = jensen("data", make())
    assert answer.code == 0, answer.err
    assert f"{1 if case == 'one row' else len(REAL)} row" in answer.out


@pytest.mark.parametrize("verb", ["train", "data"])
def test_objects_are_never_unpickled(verb, refused, here):
    name = saved("x.npy", np.array([Planted(), 1], dtype=object))
    refused([verb, name, *(TINY if verb == "train" else [])], 3, "never unpickled", "np.save")
    assert not (here / "planted").exists()
    np.load(name, allow_pickle=True)  # so that the absence above means something
    assert (here / "planted").exists()


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("real", [], "these are real values"),
        ("grey", [], "these are real values"),
        ("images", [], "integers of 256 levels"),
    ],
)
def test_grey_under_bernoulli_needs_a_binarisation(name, words, said, data, refused):
    refused(["train", f"{name}.npy", *TINY, "--likelihood", "bernoulli"], 3, said, "--binarize dynamic")


def test_values_outside_the_unit_interval_are_not_binarised(data, refused):
    words = ["--likelihood", "bernoulli", "--binarize", "static"]
    refused(["train", "real.npy", *TINY, *words], 3, "grey levels must be from 0 to 1", "Scale them to 0..1")


@pytest.mark.parametrize(
    ("name", "said"),
    [("bits", "have the shape (6,), and the training data (4,)"), ("images", "have the shape (4, 4, 1)")],
)
def test_a_test_file_of_another_shape(name, said, data, refused):
    refused(["train", "real.npy", *TINY, "--test", f"{name}.npy"], 3, said, "shape that the model was trained on")


def test_labels_that_are_nowhere(data, refused):
    refused(["train", "real.npy", *TINY, "--labels", "kind"], 3, "labels 'kind' are neither", "Check the name")
