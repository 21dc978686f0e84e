"""Rows with missing entries beside rows without: what they are compared by, and how they are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import jensen
from jensen.analysis.conformal import p_values
from jensen.core.errors import DataError
from jensen.data import from_memory
from jensen.data.typed_frames import frame_of
from jensen.runs.evaluation import OwnRows
from jensen.runs.row_scorer import OFFSET_ROWS
from jensen.runs.row_scores import COMPARED
from jensen.runs.run import Run, load
from jensen.runs.score import score_in_pieces
from jensen.runs.scored_rows import rows_to_score

NAMES, SCORED, HELD = list("abcdef"), 300, 250
LOADINGS = np.random.default_rng(7).normal(size=(6, 2))
COVARIANCE = LOADINGS @ LOADINGS.T + 0.5 * np.eye(6)


def table(n: int, seed: int, holes: float = 0.4) -> pd.DataFrame:
    """Rows of a known Gaussian, a share of which lack one entry at random."""
    rng = np.random.default_rng(seed)
    x, holed = rng.multivariate_normal(np.arange(6.0), COVARIANCE, n), rng.random(n) < holes
    x[holed, rng.integers(0, 6, n)[holed]] = np.nan
    return pd.DataFrame(x, columns=NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("holes")
    table(400, 0, holes=0).to_csv(folder / "x.csv", index=False)
    jensen.train(folder / "x.csv", recipe="ppca", latent=2, out=folder / "run", split="0.5,0,0.5", epochs=1)
    return folder


@pytest.fixture(scope="module")
def run(folder) -> Run:
    """Its held-out rows have holes too."""
    run = load(folder / "run")
    run.held = (None, from_memory(table(HELD, 2), None, "held", True))
    return run


@pytest.fixture(scope="module")
def scores(run):
    return run.score(table(SCORED, 1))


def test_offsets_are_the_mean_conditional_log_density(run, scores):
    """Of the training rows exactly, and of p(x) to the Monte Carlo error of the rows and of the fit."""
    trained = run.part("train")
    assert len(trained.rows) == 200 <= OFFSET_ROWS
    exact = run.score(trained.x).given_others.mean(0)
    np.testing.assert_allclose(list(scores.offsets.values()), exact, atol=1e-9)
    expected = -0.5 * np.log(2 * np.pi * np.e / np.diag(np.linalg.inv(COVARIANCE)))
    error = np.sqrt(0.5 / 200)  # of the mean of chi-squared / 2
    assert (np.abs(np.array(list(scores.offsets.values())) - expected) < 4 * error).all()


def test_rows_are_compared_with_the_offsets_of_what_they_lack(run, scores):
    x, offsets = table(SCORED, 1), np.array(list(scores.offsets.values()))
    np.testing.assert_allclose(scores.compared, scores.log_px + x.isna().to_numpy() @ offsets)
    held = run.score(columns=True)
    np.testing.assert_allclose(scores.p_value, p_values(scores.compared, held.compared))
    assert scores.least_likely(9) == np.argsort(scores.compared)[:9].tolist()
    np.testing.assert_array_equal(scores.table[COMPARED], scores.compared)
    record = scores.to_dict()
    assert record["compared"] == "log p(x) + mean log p(x_d | others) of each missing cell, over training rows"
    assert record["offsets"] == scores.offsets
    pieces = list(score_in_pieces(run, x[:40], size=25))
    np.testing.assert_allclose(np.concatenate([p.compared for p in pieces]), scores.compared[:40])
    np.testing.assert_allclose(np.concatenate([p.p_value for p in pieces]), scores.p_value[:40])


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
def test_false_alarms_are_as_frequent_as_they_claim_with_and_without_holes(scores, level):
    """By the binomial error of the rows, and of the held-out ones that they are compared with."""
    holed = table(SCORED, 1).isna().any(axis=1).to_numpy()
    for group in (holed, ~holed):
        error = np.sqrt(level * (1 - level) * (1 / group.sum() + 1 / HELD))
        assert abs(np.mean(scores.p_value[group] <= level) - level) < 3 * error + 1 / HELD


def test_emptying_an_ordinary_cell_changes_its_row_little(run, scores):
    """By what its entry is more or less likely than the mean; log p(x) itself changes by all of it."""
    x, offsets = table(SCORED, 1).to_numpy(), np.array(list(scores.offsets.values()))
    away = scores.given_others - offsets
    ordinary = np.flatnonzero(~np.isnan(x).any(1) & (np.abs(away[:, 2]) < 0.1))[:40]
    emptied = x[ordinary].copy()
    emptied[:, 2] = np.nan
    again = run.score(emptied)
    np.testing.assert_allclose(again.compared, scores.compared[ordinary] - away[ordinary, 2], atol=1e-5)
    assert (np.abs(again.p_value - scores.p_value[ordinary]) < 0.05).all()
    assert (again.log_px - scores.log_px[ordinary] > 1).all()


def test_some_of_the_held_out_rows_are_compared_with_each_other(run):
    part, index = run.part("test"), torch.arange(0, HELD, 3)
    some = replace(part.subset(index, "some"), own=OwnRows("test", index.numpy()))
    scores = run.score(some)
    assert scores.offsets is not None
    np.testing.assert_allclose(np.sort(scores.p_value), np.arange(1, len(index) + 1) / len(index))


def test_rows_without_holes_are_compared_by_log_p_alone(folder):
    whole = load(folder / "run").score(table(20, 3, holes=0))
    assert (whole.compared, whole.offsets) == (None, None)
    assert COMPARED not in whole.table
    held = load(folder / "run").score(columns=False)
    np.testing.assert_array_equal(whole.p_value, p_values(whole.log_px, held.log_px))
    assert whole.to_dict()["compared"] == "log p(x)"


def test_where_there_are_no_offsets_a_note_has_the_number_of_rows(run, folder, monkeypatch):
    x = table(20, 3, holes=0)
    x.iloc[:3, 4] = np.nan
    alone = "they are compared by log p of their observed cells alone"
    scores = load(folder / "run").score(x, columns=False)
    said = f"3 rows of 20 have missing cells, and 0 of the 200 held-out ones: {alone}, since columns are not scored"
    assert said in scores.notes
    assert scores.compared is None
    own = load(folder / "run")
    monkeypatch.setattr(type(own), "part", gone)
    assert any(f"{alone}, since no training rows can be read: they are gone" in n for n in own.score(x).notes)


def gone(self, which: str = "test", seed: int = 0):
    raise DataError("they are gone", "Give them.")


def test_scores_show_themselves_in_a_few_lines(scores):
    lines = repr(scores).splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("log p(x) = ")
    assert f"n = {SCORED}" in lines[0]
    first = scores.least_likely(1)[0]
    assert lines[1] == f"row {first}: log p {scores.log_px[first]:.2f}, p = {scores.p_value[first]:.2g}"
    assert str(scores) == repr(scores)


def test_tables_of_numbers_keep_their_columns(run):
    with pytest.raises(DataError):
        rows_to_score(run, table(5, 3)[NAMES[:5]])
    assert len(rows_to_score(run).rows) == HELD


def test_a_row_is_found_by_its_identifier_or_its_line(scores):
    """The first column beside the data that says anything; else the line of a file of text; else nothing."""
    assert scores.found_by(0) is None
    frame = replace(frame_of({"a": ["x", "y"]}, "table"), lines=np.array([4, 7]))
    part = replace(scores.part, frame=frame, identity={"name": np.array(["p1", ""]), "note": np.array(["n" * 60, ""])})
    named = replace(scores, part=part)
    assert (named.found_by(0), named.found_by(1)) == ("name = p1", "line 7")
    long = replace(scores, part=replace(part, identity={"note": np.array(["n" * 60])}))
    assert long.found_by(0) == f"note = {'n' * 37}..."
