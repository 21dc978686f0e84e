"""A small mixed table, asked from the command line: rows given others, their scores, and predictions of a column."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jensen
from jensen.cli import main
from jensen.core.errors import DataError
from jensen.runs.run import load
from tests.runs.test_mixed_joint import people

COLUMNS = ["age", "sex", "job"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    people(80)[COLUMNS].to_csv(folder / "x.csv", index=False)
    jensen.train(folder / "x.csv", recipe="table-gmm", out=folder / "run", split="0.6,0.1,0.3", epochs=5)
    return folder


@pytest.fixture
def run(folder, here) -> Path:
    return folder / "run"


def test_rows_given_a_name_and_a_number(run, jensen):
    answer = jensen("sample", run, "-n", 50, "--given", "age=62,sex=F", "--out", "s.csv")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("50 samples given age = 62, sex = F (log p -")
    drawn = pd.read_csv("s.csv")
    assert list(drawn.columns) == COLUMNS
    assert (set(drawn["age"]), set(drawn["sex"])) == ({62}, {"F"})
    assert set(drawn["job"]) <= {"cook", "nurse, ward", "clerk"}
    assert drawn.equals(load(run).sample(50, given={"age": 62, "sex": "F"}).astype(drawn.dtypes.to_dict()))


def test_a_value_that_no_row_can_have_is_refused(run, refused):
    refused(
        ["sample", run, "--given", "sex=X", "--out", "s.csv"], 2, "no value of column 'sex'", "Its levels are F, M."
    )
    asked = ["sample", run, "--given", "age=old", "--out", "s.csv"]
    refused(asked, 3, "the value given for column 'age' is 'old'", "age takes numbers")


def test_a_value_that_training_has_not_seen_is_answered_with_its_range(run, jensen):
    rows = people(80)
    answer = jensen("sample", run, "-n", 5, "--given", "age=95", "--out", "s.csv")
    assert answer.code == 0
    low, high = rows["age"].min(), rows["age"].max()
    said = (
        f"age = 95 is outside of the training data, whose age is from {low} to {high}: the answer is an extrapolation"
    )
    assert said in answer.err
    for value in (low, high):
        assert "outside" not in jensen("sample", run, "-n", 5, "--given", f"age={value}", "--out", f"{value}.csv").err
    assert load(run).given_sample(3, {"age": 95, "sex": "F"}).notes == (said,)


def test_drawn_rows_beyond_the_data_are_counted(run, jensen):
    low, high = load(run).spec["data"]["ranges"][0]
    answer = jensen("sample", run, "-n", 400, "--out", "s.csv")
    age = pd.read_csv("s.csv")["age"]
    beyond = int(((age < low) | (age > high)).sum())
    assert beyond > 0
    assert f"drawn rows beyond the range of the training data: age ({beyond})" in answer.err


def test_conditions_with_commas_and_one_after_another(run, jensen):
    words = ("sample", run, "-n", 20, "--given")
    for i, given in enumerate((('job="nurse, ward",sex=F',), ('job="nurse, ward"', "--given", "sex=F"))):
        assert jensen(*words, *given, "--out", f"{i}.csv").code == 0
    both = [Path(f"{i}.csv").read_text() for i in (0, 1)]
    assert both[0] == both[1]
    assert set(pd.read_csv("0.csv")["job"]) == {"nurse, ward"}


def test_a_misspelt_column_is_refused_with_the_nearest_one(run, refused):
    for words in (["sample", run, "--given", "aeg=3", "--out", "s.csv"], ["predict", run, "none.csv", "aeg"]):
        refused(words, 2, "the model has no column 'aeg'", "Did you mean age? It has age, sex, job.")


def test_a_table_without_a_column_is_refused_before_the_model_is_loaded(run, refused, monkeypatch):
    people(12)[["age", "job"]].to_csv("lacks.csv", index=False)

    def opened(flags, folder):
        raise AssertionError(f"{folder} was opened")

    monkeypatch.setattr("jensen.cli.flags.RunFlags.opened", opened)
    for verb in ("impute", "encode", "reconstruct", "evaluate"):
        refused([verb, run, "lacks.csv"], 3, "lacks.csv has no column 'sex'", "It has age, job.")
    refused(["predict", run, "lacks.csv", "age"], 3, "lacks.csv has no column 'sex'")
    refused(["compare", run, run, "lacks.csv"], 3, "lacks.csv has no column 'sex'")
    people(12)[["age", "job", "sex"]].rename(columns={"sex": "Sex"}).to_csv("near.csv", index=False)
    refused(["score", run, "near.csv"], 3, "near.csv has no column 'sex'", "Did you mean 'Sex' for 'sex'?")
    people(12)[["height"]].to_csv("other.csv", index=False)
    refused(["score", run, "other.csv"], 3, "other.csv lacks 3 columns: 'age', 'sex', 'job'")


def test_a_table_without_a_column_is_scored_by_the_others(run, jensen):
    """As if its cells were empty."""
    rows = people(12, seed=4)[COLUMNS].assign(sex=None)
    rows[["age", "job"]].to_csv("lacks.csv", index=False)
    answer = jensen("score", run, "lacks.csv", "--out", "s.csv")
    assert answer.code == 0, answer.err
    assert "lacks.csv has no column 'sex': it is missing in all rows, and log p(x) is without it" in answer.err
    assert "compared and ordered by log p(x) + mean log p(x_d | others) of each missing cell" in answer.out
    assert "(line " in answer.out.splitlines()[3]
    written, scores = pd.read_csv("s.csv"), load(run).score(rows)
    np.testing.assert_allclose(written["log_px"], scores.log_px)
    np.testing.assert_allclose(written["log_px_with_mean_of_missing"], scores.compared)
    np.testing.assert_allclose(written["p_value"], scores.p_value)
    assert written["log p(sex | others)"].isna().all()
    with pytest.raises(DataError, match="Did you mean 'Job' for 'job'"):
        load(run).score(rows[["age"]].assign(Job="cook"))


def test_scores_and_the_entry_that_does_not_fit(run, folder, jensen):
    rows = people(12, seed=4)[COLUMNS]
    rows.loc[5, "age"] = 140
    rows.to_csv("new.csv", index=False)
    answer = jensen("score", run, "new.csv", "--json", "--out", "s.csv")
    assert answer.code == 0, answer.err
    first = json.loads(answer.out)["least_likely"][0]
    assert (first["row"], first["found_by"]) == ("row 5", "line 7")
    assert (first["why"][0]["column"], first["why"][0]["value"]) == ("age", "140")
    written, scores = pd.read_csv("s.csv"), load(run).score("new.csv")
    np.testing.assert_allclose(written["log_px"], scores.log_px)
    np.testing.assert_allclose(written["p_value"], scores.p_value)


def test_a_column_is_predicted_where_it_is_absent_too(run, jensen):
    rows = people(12, seed=4)[COLUMNS]
    rows.to_csv("new.csv", index=False)
    rows.drop(columns="sex").to_csv("without.csv", index=False)
    for name, known in (("new.csv", "known in 12"), ("without.csv", "known in none")):
        answer = jensen("predict", run, name, "sex", "--out", f"p-{name}")
        assert answer.code == 0, answer.err
        assert known in answer.out.splitlines()[0]
    both, one = pd.read_csv("p-new.csv"), pd.read_csv("p-without.csv")
    np.testing.assert_allclose(one["p(sex=F)"] + one["p(sex=M)"], 1)
    np.testing.assert_allclose(one["p(sex=F)"], both["p(sex=F)"])
    assert "expected calibration error" in jensen("predict", run, "new.csv", "sex", "--out", "q.csv").out
    assert main(["predict", str(run), "without.csv", "job", "--out", "r.csv", "--quiet"]) == 3
