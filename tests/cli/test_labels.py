"""Labels of other data than a run's own, on the command line."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from tests.cli.conftest import TINY


@pytest.fixture
def labelled(data, jensen):
    """A run that learned from labels; other rows, and their labels in a file of their own."""
    x, y = np.load("bits.npy"), np.arange(60) % 3
    np.savez("both.npz", x=x, y=y)
    np.save("other.npy", x[:20])
    np.save("classes.npy", y[:20])
    assert jensen("train", "both.npz", "--recipe", "conditional", *TINY, "--out", "run", "--quiet").code == 0
    return data / "run"


def test_labels_are_named_where_data_hold_none(labelled, jensen, refused):
    named = ["run", "other.npy", "--labels", "classes.npy"]
    record = json.loads(jensen("evaluate", *named, "-k", 5, "--json").out)
    assert (record["given"], record["n"]) == ("label", 20)
    again = jensen("train", "both.npz", "--recipe", "conditional", *TINY, "--out", "again")
    assert "log p(x | label) >= " in again.out
    for verb, more in (("encode", []), ("reconstruct", []), ("impute", ["--mask", "mask.npy", "-m", 1])):
        np.save("mask.npy", np.array([1, 0, 0, 0, 0, 0]))
        refused([verb, "run", "other.npy", *more], 3, "the model is conditioned on labels", "--labels FILE")
        assert jensen(verb, *named, *more, "--out", f"{verb}.csv").code == 0
        with open(f"{verb}.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["label"] for row in rows] == [str(i % 3) for i in range(20)]
    both = json.loads(jensen("compare", "run", *named, "-k", 5, "--json").out)
    assert both["difference"] == 0


def test_a_condition_is_said_of_numbers_and_never_changes_names(labelled, jensen):
    shutil.copy("both.npz", "log p(x).npz")
    answer = jensen("evaluate", "run", "log p(x).npz", "-k", 5).out
    assert answer.startswith("log p(x | label) >= ")
    assert "log p(x).npz" in answer
    assert "label).npz" not in answer


@pytest.mark.parametrize("verb", ["evaluate", "score", "encode", "reconstruct", "impute", "fidelity", "represent"])
@pytest.mark.sampled(3)
def test_labels_without_data_are_refused(verb, labelled, refused):
    refused([verb, "run", "--labels", "classes.npy"], 2, "--labels names labels of DATA", "Leave --labels out")


NAMES, HOLES = [("hi", "lo"), ("1", "2"), ("0", "1")], ["", "NA", "nan"]


@pytest.mark.parametrize(
    ("names", "hole"),
    [
        pytest.param(names, hole, marks=[] if i == j else [pytest.mark.slow])
        for i, names in enumerate(NAMES)
        for j, hole in enumerate(HOLES)
    ],
)
def test_a_hole_among_labels_is_no_class(data, jensen, names, hole):
    """It is counted by itself, written as an empty field, and read again as one."""
    lines = ["a,b,kind", *(f"{i % 5}.5,{i % 7}.25,{hole if i % 4 == 0 else names[i % 2]}" for i in range(40))]
    (data / "t.csv").write_text("\n".join(lines) + "\n")
    answer = jensen("data", "t.csv", "--labels", "kind")
    shown = next(line for line in answer.out.splitlines() if line.startswith("labels: "))
    assert shown == f"labels: {names[0]} (10), {names[1]} (20); 10 rows without a label"
    words = ["--labels", "kind", "--epochs", "1", "--latent", "1", "--hidden", "4", "--out", "run"]
    assert jensen("train", "t.csv", *words).code == 0
    assert jensen("encode", "run", "t.csv", "--out", "codes.csv").code == 0
    written = [line.rsplit(",", 1)[1] for line in (data / "codes.csv").read_text().splitlines()[1:]]
    assert written == ["" if i % 4 == 0 else names[i % 2] for i in range(40)]


@pytest.mark.parametrize(
    ("name", "says"), [("only", "a single class, which tells no rows apart"), ("", "labels: none; 40 rows")]
)
def test_labels_that_tell_nothing_apart(data, jensen, refused, name, says):
    lines = ["a,b,kind", *(f"{i % 5}.5,{i % 7}.25,{name}" for i in range(40))]
    (data / "t.csv").write_text("\n".join(lines) + "\n")
    assert says in jensen("data", "t.csv", "--labels", "kind").out
    words = ["--labels", "kind", "--recipe", "semi-supervised", "--out", "run"]
    refused(["train", "t.csv", *words], 3, "single class" if name else "no row has a label")
