"""Predictions from the command line: measures of known values, and a table of all rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from jensen.cli import main
from jensen.runs.run import load
from tests.runs.test_score import table


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    table().to_csv(folder / "x.csv", index=False)
    other = table(30, seed=5)
    other.loc[:9, "height"] = np.nan
    other.to_csv(folder / "other.csv", index=False)
    words = ["--recipe", "gmm", "--components", "4", "--epochs", "20", "--quiet"]
    assert main(["train", str(folder / "x.csv"), "--out", str(folder / "run"), *words]) == 0
    return folder


@pytest.fixture
def run(folder, here) -> Path:
    return folder / "run"


def test_a_column_is_predicted_and_measured(run, folder, jensen):
    answer = jensen("predict", run, folder / "other.csv", "height", "--out", "p.csv")
    assert answer.code == 0, answer.err
    first, *measures, where = answer.out.splitlines()
    assert first == f"height of 30 rows of {folder / 'other.csv'}, known in 20"
    assert [line.rsplit(" ", 3)[0] for line in measures] == [
        "root mean square error",
        "mean absolute error",
        "coverage of 90% intervals",
        "log-loss",
    ]
    assert where == "predictions of every row: p.csv"
    with Path("p.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    predicted = load(run).predict(folder / "other.csv", "height")
    np.testing.assert_allclose([float(r["height_mean"]) for r in rows], predicted.mean)
    np.testing.assert_allclose([float(r["height_low"]) for r in rows], predicted.quantiles[0])
    assert [r["height"] == "" for r in rows] == [True] * 10 + [False] * 20
    assert [r["log_p"] == "" for r in rows] == [True] * 10 + [False] * 20


def test_the_record_and_the_default_file(run, folder, jensen):
    answer = jensen("predict", run, folder / "x.csv", "width", "--json")
    record = json.loads(answer.out)
    assert Path(record["out"]) == run / "predictions.csv"
    assert record["known"] == record["n"] == load(run).spec["data"]["n"]
    assert record["measures"]["root mean square error"]["stderr"] > 0


def test_mistakes_are_refused(run, folder, refused):
    refused(["predict", run, folder / "x.csv", "hight"], 2, "no column 'hight'", "Did you mean height?")
    refused(["predict", run, folder / "x.csv"], 2, "COLUMN")
    refused(["predict", run, "nowhere.csv", "height"], 3, "nowhere.csv")
