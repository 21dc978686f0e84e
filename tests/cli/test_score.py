"""Scores from the command line: the least likely rows with their reasons, and a table of all rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from jensen.cli import main
from jensen.runs.run import load
from tests.runs.test_score import NAMES, table


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("score")
    table().to_csv(folder / "x.csv", index=False)
    other = table(30, seed=5)
    other.iloc[7, 2] = 900.0
    other.to_csv(folder / "other.csv", index=False)
    words = ["--recipe", "gmm", "--components", "4", "--epochs", "20", "--split", "0.5,0.1,0.4", "--quiet"]
    assert main(["train", str(folder / "x.csv"), "--out", str(folder / "run"), *words]) == 0
    return folder


@pytest.fixture
def run(folder, here) -> Path:
    return folder / "run"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_other_rows_are_scored_beside_the_runs_own(run, folder, jensen):
    answer = jensen("score", run, folder / "other.csv", "--force")
    assert answer.code == 0, answer.err
    number, p, least, *_, where = answer.out.splitlines()
    assert number.startswith("log p(x) = ")
    assert "(exact; ± over data) on 30 rows of" in number
    assert p.startswith(f"p-values against 120 test rows of {folder / 'x.csv'}: ")
    assert "below 0.05, where 5% of rows of the same kind are" in p
    assert least.startswith("row 7: log p -")
    assert "height = 900 (log p -" in least
    path = run / "scores-other.csv"
    assert where == f"values of every row: {path}"
    kept, scores = rows(path), load(run).score(folder / "other.csv")
    np.testing.assert_allclose([float(r["log_px"]) for r in kept], scores.log_px)
    np.testing.assert_allclose([float(r["p_value"]) for r in kept], scores.p_value)
    np.testing.assert_allclose([float(r["log p(height | others)"]) for r in kept], scores.given_others[:, 2])
    assert [int(r["row"]) for r in kept] == list(range(30))
    assert kept[7]["least_likely"].split(", ")[0] == "height"
    again = jensen("score", run, folder / "other.csv")
    assert again.code == 2
    assert "exists" in again.err


def test_test_rows_are_scored_by_default(run, jensen):
    answer = jensen("score", run, "--no-columns", "--out", "own.csv")
    assert "p-values against each other: " in answer.out
    columns = rows(Path("own.csv"))[0]
    assert set(columns) == {"row", "kind", "log_px", "stderr_mc", "ess", "k_hat", "p_value"}


def test_the_record(run, folder, jensen):
    answer = jensen("score", run, folder / "other.csv", "--json", "--out", "x.npz")
    record = json.loads(answer.out)
    assert record["kind"] == "exact"
    assert record["least_likely"][0]["row"] == "row 7"
    assert record["least_likely"][0]["why"][0]["column"] == "height"
    assert set(record["given_others"]) == set(NAMES)
    with np.load("x.npz") as arrays:
        assert arrays["log_px"].shape == (30,)
        np.testing.assert_allclose(arrays["log_px"].mean(), record["log_px"])


def test_measures_have_lines_and_columns_of_their_own(run, folder, jensen):
    answer = jensen("score", run, folder / "other.csv", "--measures", "typicality", "--out", "t.csv")
    assert answer.code == 0, answer.err
    definition, highest, _ = answer.out.splitlines()[-3:]
    measure = load(run).score(folder / "other.csv", measures="typicality").measures["typicality"]
    assert definition.startswith(measure.sentence)
    assert "validation rows of" in definition
    assert "rows of 30 with a p-value below 0.05" in definition or "row of 30 with a p-value" in definition
    assert highest.startswith(f"the highest: row 7 {measure.values[7]:.2f} (p = 0.0083), row ")
    kept = rows(Path("t.csv"))
    np.testing.assert_allclose([float(r["typicality"]) for r in kept], measure.values)
    np.testing.assert_allclose([float(r["p_value_typicality"]) for r in kept], measure.p_value)
    record = json.loads(
        jensen("score", run, folder / "other.csv", "--measures", "typicality", "--json", "--out", "u.csv").out
    )
    assert record["measures"]["typicality"]["entropy"] == pytest.approx(measure.entropy)
    assert record["least_likely"][0]["typicality"] == pytest.approx(measure.values[7])


def test_on_stdout_there_is_nothing_but_the_table(run, folder, jensen):
    answer = jensen("score", run, folder / "other.csv", "--out", "-")
    assert len(answer.out.splitlines()) == 31
    assert answer.out.startswith("row,kind,log_px")


def test_mistakes_are_refused(run, refused):
    refused(["score", run, "--labels", "y"], 2, "--labels names labels of DATA")
    refused(["score", run, "--out", "x.npy"], 2, ".csv or an .npz")
    refused(["score", run, "-k", "0", "--out", "x.csv"], 2, "-k")
    refused(["score", run, "--measures", "typical"], 2, "there is no measure 'typical'", "typicality, regret")
    refused(["score", run, "--measures", "typicality,regret"], 2, "regret is 0 for every row")
