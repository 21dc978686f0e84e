"""A table of every kind of column: sampled, conditioned on, scored and predicted, in the terms of its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pytest
import torch

import jensen
from jensen.cli import main
from jensen.core.errors import DataError, UsageError
from jensen.runs.run import Run, load

pytestmark = pytest.mark.slow  # tests/cli/test_mixed_questions.py asks the same of a smaller table

SCHEMA = """
[columns]
grade = {kind = "ordinal", levels = ["low", "middle", "high"]}
share = {kind = "bounded", low = 0, high = 1}
hour = {kind = "circular", low = 0, high = 24}
income = {kind = "positive"}
"""
KINDS = {
    "age": "integer",
    "sex": "boolean",
    "income": "positive",
    "job": "categorical",
    "children": "count",
    "height": "real",
    "share": "bounded",
    "hour": "circular",
    "day": "datetime",
    "grade": "ordinal",
}


def people(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, n)
    frame = pd.DataFrame(
        {
            "name": [f"p{i:04d}" for i in rng.permutation(n)],
            "age": np.rint(np.array([30, 60])[group] + 5 * rng.normal(size=n)).astype(int),
            "sex": np.where(rng.random(n) < np.array([0.2, 0.8])[group], "F", "M"),
            "income": np.round(np.exp(np.array([7.0, 8.5])[group] + 0.3 * rng.normal(size=n)), 2),
            "job": np.array(["cook", "nurse, ward", "clerk"])[(group + (rng.random(n) < 0.3)) % 3],
            "children": rng.poisson(np.array([0.3, 2.5])[group]),
            "height": np.round(170 + 8 * rng.normal(size=n), 1),
            "share": np.round(rng.beta(2, 2, n).clip(0.01, 0.99), 2),
            "hour": np.round((np.array([23.0, 12.0])[group] + 2 * rng.normal(size=n)) % 24, 1) % 24,
            "day": (np.datetime64("2020-01-01") + rng.integers(0, 900, n)).astype(str),
            "grade": np.array(["low", "middle", "high"])[np.minimum(group + rng.integers(0, 2, n), 2)],
        }
    )
    frame.loc[rng.random(n) < 0.1, "job"] = None
    frame.loc[rng.random(n) < 0.1, "height"] = np.nan
    return frame


def trained(folder: Path, data: Path, out: Path) -> Run:
    """A mixture of two components, which the data are of."""
    return jensen.train(
        data,
        recipe="table-gmm",
        components=2,
        schema=folder / "schema.toml",
        out=out,
        split="0.5,0.1,0.4",
        epochs=60,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    people().to_csv(folder / "people.csv", index=False)
    (folder / "schema.toml").write_text(SCHEMA)
    run = trained(folder, folder / "people.csv", folder / "run")
    assert {c.name: c.kind for c in run.schema.columns} == KINDS
    return folder


@pytest.fixture
def run(folder) -> Run:
    return load(folder / "run")


def test_sampled_rows_are_read_again_as_rows_of_the_run(run, folder, tmp_path, capsys):
    """Every cell is a value of its column, as the run reads it, and the file and Python hold the same."""
    out = tmp_path / "s.csv"
    assert main(["sample", str(run.path), "-n", "500", "--out", str(out), "--seed", "3"]) == 0
    part = run.chosen(out)
    assert part.mask is None
    assert not any("unknown levels" in note for note in part.notes)
    np.testing.assert_allclose(part.x, run.labelled_sample(500, seed=3)[0], atol=0.5 * 86400)  # up to what is written
    frame = pd.read_csv(out)
    assert list(frame.columns) == list(KINDS)
    assert set(frame["job"]) <= {"cook", "nurse, ward", "clerk"}
    assert frame["age"].dtype == frame["children"].dtype == np.int64
    assert frame["children"].min() >= 0
    assert ((frame["share"] > 0) & (frame["share"] < 1)).all()
    assert ((frame["hour"] >= 0) & (frame["hour"] < 24)).all()
    assert (frame["income"] > 0).all()
    assert frame["income"].map(lambda v: round(v, 2) == v).all()
    assert frame["day"].str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    drawn = run.sample(500, seed=3)
    assert drawn["day"].dtype.kind == "M"
    pd.testing.assert_frame_equal(frame.assign(day=pd.to_datetime(frame["day"])), drawn, check_dtype=False)


def test_sampled_columns_have_the_shares_and_means_of_the_model(run):
    """Of the mixture, by its weights and the summaries of its components."""
    n, family = 8000, run.model.likelihood.family
    with torch.no_grad():
        weights = run.model.prior.params().softmax(-1)
        each = (weights @ family.summary(run.model.likelihood.rows())).numpy()
    drawn = run.sample(n, seed=1)
    for d, column in enumerate(run.schema.columns):
        own = each[family.summary_slices[d]]
        if column.levels:
            counted = drawn[column.name].value_counts().reindex(column.levels).fillna(0).to_numpy() / n
            assert (np.abs(counted - own) < 4.5 * np.sqrt(own * (1 - own) / n) + 1e-9).all()
        elif column.kind in ("integer", "count"):
            values = drawn[column.name]
            assert abs(values.mean() - own[0]) < 4.5 * values.std() / np.sqrt(n)


def test_a_condition_is_met_and_moves_the_others(run):
    drawn = run.sample(2000, given={"age": 62, "sex": "F", "job": "clerk"}, seed=2)
    assert set(drawn["age"]) == {62}
    assert set(drawn["sex"]) == {"F"}
    assert set(drawn["job"]) == {"clerk"}
    other = run.sample(2000, given={"age": 28, "hour": 23.5, "day": "2020-03-01"}, seed=2)
    assert drawn["children"].mean() > other["children"].mean() + 1
    assert drawn["income"].median() > 2 * other["income"].median()
    assert other["day"].astype(str).str.startswith("2020-03-01").all()


def test_conditions_in_the_terms_of_the_file(run, tmp_path, capsys):
    words = ["sample", str(run.path), "-n", "3", "--given", 'age=40,"job=nurse, ward",day=2021-05-06', "--out"]
    assert main([*words, str(tmp_path / "x.csv")]) == 0
    assert capsys.readouterr().out.startswith("3 samples given age = 40, job = nurse, ward, day = 2021-05-06 (log p -")
    frame = pd.read_csv(tmp_path / "x.csv")
    assert set(frame["day"]) == {"2021-05-06"}
    assert set(frame["job"]) == {"nurse, ward"}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"sex": "X"}, UsageError, "Its levels are F, M."),
        ({"children": -1}, DataError, "children"),
        ({"age": "old"}, DataError, "age"),
        ({"income": 0}, DataError, "income"),
        ({"share": 1}, DataError, "share"),
        ({"jbo": "cook"}, UsageError, "Did you mean job?"),
        ({"age": "NA"}, UsageError, "Leave the column out"),
    ],
)
def test_values_that_a_column_cannot_have_are_refused(run, given, error, said):
    with pytest.raises(error) as refused:
        run.sample(2, given=given)
    assert said in f"{refused.value.what} {refused.value.remedy}"


def test_scores_of_a_row_add_up_to_the_change_that_a_cell_makes(run):
    """log p(x_d | others) = log p(x) - log p(x without d): by a second scoring with the cell left empty."""
    rows = people(6, seed=4).drop(columns="name")
    scores = run.score(rows)
    for d, name in enumerate(KINDS):
        emptied = rows.copy()
        emptied[name] = None
        difference = scores.log_px - run.score(emptied, columns=False).log_px
        known = ~np.isnan(scores.given_others[:, d])
        assert known.tolist() == rows[name].notna().tolist()
        np.testing.assert_allclose(scores.given_others[known, d], difference[known], atol=1e-6)


def test_a_planted_error_is_the_first_reason(run):
    rows = people(30, seed=4)
    rows.loc[3, "income"] = 250_000.0
    scores = run.score(rows)
    assert scores.least_likely(1) == [3]
    first = scores.why(3)[0]
    assert (first.column, first.value) == ("income", "250000.00")
    assert first.p_value == pytest.approx(1 / (1 + len(run.split().test)))


def test_units_change_densities_by_the_jacobian_alone(folder, run, tmp_path):
    data = people()
    data["income"] = (data["income"] * 100).round(0)
    data["height"] = (data["height"] / 100).round(3)
    data.to_csv(tmp_path / "x.csv", index=False)
    moved = trained(folder, tmp_path / "x.csv", tmp_path / "run")
    own, other = run.score(), moved.score()
    shift = np.array([{"income": -np.log(100), "height": np.log(100)}.get(name, 0.0) for name in KINDS])
    np.testing.assert_allclose(other.given_others, own.given_others + shift, atol=0.02)


@pytest.mark.parametrize("column", ["job", "sex", "grade"])
def test_names_are_predicted_by_their_probabilities(run, column):
    predicted = run.predict(None, column)
    assert predicted.levels == run.schema.columns[list(KINDS).index(column)].levels
    np.testing.assert_allclose(predicted.probabilities.sum(1), 1)
    chance = predicted.measures[0]
    assert chance.name == "accuracy"
    known = predicted.known
    usual = np.bincount(predicted.truth[known].astype(int)).max() / known.sum()
    assert chance.value > usual - 2 * chance.stderr
    p = predicted.probabilities[known, predicted.truth[known].astype(int)]
    np.testing.assert_allclose(predicted.log_prob[known], np.log(p), atol=1e-6)


def test_numbers_are_predicted_in_own_units(run):
    for name in ("age", "income", "hour", "day"):
        predicted = run.predict(None, name)
        coverage = next(m for m in predicted.measures if m.name.startswith("coverage"))
        assert abs(coverage.value - 0.9) < 4 * coverage.stderr
    hours = run.predict(None, "hour")
    late = np.abs((hours.truth - 23 + 12) % 24 - 12) < 1
    assert late.any()
    assert (np.abs((hours.mean[late] - 23 + 12) % 24 - 12) < 9).all()
    assert ((hours.quantiles >= 0) & (hours.quantiles < 24)).all()


def test_a_table_without_the_column_is_predicted_too(run, tmp_path, capsys):
    rows = people(12, seed=4)
    rows.drop(columns="sex").to_csv(tmp_path / "new.csv", index=False)
    with_it = run.predict(rows, "sex")
    without = run.predict(rows.drop(columns="sex"), "sex")
    np.testing.assert_allclose(without.probabilities, with_it.probabilities)
    assert not without.known.any()
    assert main(["predict", str(run.path), str(tmp_path / "new.csv"), "sex", "--out", str(tmp_path / "p.csv")]) == 0
    assert "known in none" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "p.csv")
    np.testing.assert_allclose(table["p(sex=F)"], without.probabilities[:, 0])
    assert table["sex_predicted"].tolist() == without.value.tolist()
    assert table["name"].tolist() == rows["name"].tolist()
    with pytest.raises(DataError, match="job"):
        run.predict(rows.drop(columns="job"), "sex")


def test_tables_in_memory_come_back_with_their_index(run):
    rows = people(6, seed=4).set_index("name")
    scores, predicted = run.score(rows).frame, run.predict(rows, "sex").frame
    assert scores.index.equals(rows.index)
    assert predicted.index.equals(rows.index)
    assert {"log_px", "p_value", "least_likely", "log p(age | others)"} <= set(scores.columns)
    assert list(predicted.columns) == ["sex", "sex_predicted", "p(sex=F)", "p(sex=M)", "log_p"]
    assert predicted["sex"].tolist() == rows["sex"].tolist()
    other = run.score(polars.from_pandas(rows.reset_index())).frame
    assert isinstance(other, polars.DataFrame)
    np.testing.assert_allclose(other["log_px"].to_numpy(), scores["log_px"].to_numpy())
    assert "row" in run.predict(None, "sex").frame.columns


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx", ".tsv"])
def test_files_in_the_formats_of_tables(run, folder, tmp_path, suffix):
    path, words = tmp_path / f"x{suffix}", ["--out", str(tmp_path / f"x{suffix}"), "--quiet"]
    assert main(["score", str(run.path), str(folder / "people.csv"), *words]) == 0
    read = {".parquet": pd.read_parquet, ".xlsx": pd.read_excel, ".tsv": lambda p: pd.read_csv(p, sep="\t")}[suffix]
    written, scores = read(path), run.score(folder / "people.csv")
    np.testing.assert_allclose(written["log_px"], scores.log_px)
    np.testing.assert_allclose(written["log p(job | others)"], scores.given_others[:, 3])
    assert written["least_likely"].tolist() == scores.table["least_likely"].tolist()
    assert main(["sample", str(run.path), "-n", "7", "--out", str(tmp_path / f"s{suffix}")]) == 0
    assert read(tmp_path / f"s{suffix}")["job"].tolist() == run.sample(7)["job"].tolist()


def test_a_vae_answers_the_same_questions_with_points(folder, tmp_path):
    """On a table that a mixture has made: the answers of both models agree where both have learned it."""
    how = {"schema": folder / "schema.toml", "split": "0.5,0.1,0.4", "epochs": 60}
    run = jensen.train(folder / "people.csv", recipe="table", out=tmp_path / "run", **how)
    drawn = run.given_sample(500, {"age": 62, "sex": "F"})
    assert drawn.drawn.ess > 1000
    scores, own = run.score(), load(folder / "run").score()
    assert str(scores.estimate.kind) == "stochastic lower bound"
    assert np.corrcoef(scores.log_px, own.log_px)[0, 1] > 0.7
    measures = {m.name: m for m in run.predict(None, "sex").measures}
    assert measures["accuracy"].value > 0.6
