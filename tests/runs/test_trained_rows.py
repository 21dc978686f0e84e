"""Rows that trained a model are found among others, and what is only equal by chance is not taken for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jensen
from jensen.runs.run import Run, load
from jensen.runs.trained_rows import trained_rows

OPTIONS = {"components": 2, "epochs": 2, "split": "0.5,0.1,0.4"}


def table(n: int = 80, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    height = np.round(165 + 8 * rng.normal(size=n), 6)
    return pd.DataFrame({"height": height, "weight": np.round(height - 100 + rng.normal(size=n), 6)})


def names(n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({"a": rng.choice(["x", "y"], n), "b": rng.choice(["u", "v", "w"], n)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    table().to_csv(folder / "x.csv", index=False)
    jensen.train(folder / "x.csv", recipe="table-gmm", out=folder / "file", **OPTIONS)
    jensen.train(table(), recipe="gmm", out=folder / "frame", **OPTIONS)
    names().to_csv(folder / "names.csv", index=False)
    jensen.train(folder / "names.csv", recipe="table-gmm", out=folder / "names", **OPTIONS)
    return folder


@pytest.fixture(scope="module")
def run(folder) -> Run:
    return load(folder / "file")


def mixture(run: Run) -> tuple[pd.DataFrame, np.ndarray]:
    """Twenty training rows after ten new ones, and which are which."""
    own = table().iloc[run.split().train[:20]]
    return pd.concat([table(10, seed=9), own], ignore_index=True), np.arange(30) >= 10


def test_rows_of_the_training_are_found_in_another_table(run):
    rows, seen = mixture(run)
    trained = trained_rows(run, run.chosen(rows, own="all"), rows)
    assert trained.equal is not None
    assert trained.equal.tolist() == seen.tolist()
    assert trained.are_same
    assert trained.notes == ("20 of these 30 rows were trained on, which biases the estimate upwards",)


def test_predictions_are_measured_on_the_other_rows(run):
    rows, seen = mixture(run)
    both, new = run.predict(rows, "height"), run.predict(rows[~seen], "height")
    assert "measured on 10 of these 30 rows: 20 trained the model" in both.notes
    assert [m.value for m in both.measures] == pytest.approx([m.value for m in new.measures])
    assert not any("trained" in note for note in new.notes)


def test_rows_without_the_column_that_is_predicted_are_recognised(run, folder):
    rows, _ = mixture(run)
    predicted = run.predict(rows.drop(columns="height"), "height")
    assert predicted.measures == ()
    assert predicted.notes[-1] == "20 of these 30 rows were trained on: predictions of them are better than of others"
    whole = run.predict(table().drop(columns="height"), "height")
    assert "40 of these 80 rows were trained on" in whole.notes[-1]


def test_a_run_of_a_data_frame_knows_its_rows_as_far_as_they_can_be_read(folder):
    frame = load(folder / "frame", data=table())
    rows, seen = mixture(frame)
    assert trained_rows(frame, frame.chosen(rows, own="all"), rows).are_same
    alone = load(folder / "frame")
    unknown = trained_rows(alone, alone.chosen(rows, own="all"), rows)
    assert unknown.equal is None
    assert unknown.notes == ("the training data cannot be read, so rows that were trained on would not be noticed",)
    whole = alone.predict(folder / "x.csv", "height")  # by the digest
    assert whole.notes[-1] == "measured on the 40 rows that did not train the model"
    assert seen.sum() == 20


def test_rows_that_are_equal_by_chance_are_not_taken_for_the_same(folder):
    run = load(folder / "names")
    rows = names(8).iloc[::-1].reset_index(drop=True)
    trained = trained_rows(run, run.chosen(rows, own="all"), rows)
    assert not trained.are_same
    assert trained.notes[0].startswith("8 of these 8 rows equal rows that were trained on, as do 100% of rows that did")
    assert trained.notes[0].endswith("whether they are the same cannot be known")
    measured = run.predict(rows, "a")
    assert measured.measures != ()
    assert trained.notes[0] in measured.notes


def test_rows_that_lack_a_column_are_compared_by_the_others(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=60).round(3), "b": rng.choice(["x", "y"], 60), "c": rng.normal(size=60)})
    run = jensen.train(table, recipe="table-gmm", epochs=2, out=tmp_path / "r")
    trained = table.iloc[run.split().train[:][:10]]
    notes = run.score(trained.drop(columns="c")).notes
    assert any(note.startswith("10 of these 10 rows") for note in notes)
