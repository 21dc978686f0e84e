"""Typicality and regret of rows: their definitions, what they are compared with, and their false alarms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jensen
from jensen.analysis.conformal import p_values
from jensen.core.errors import CompositionError, UsageError
from jensen.evaluate.regret import likelihood_regret
from jensen.runs.row_measures import Ordinary, held_out_rows, typical_rows
from jensen.runs.run import Run, load
from jensen.runs.score import score_in_pieces

DIM, HELD = 8, 399
GAUSS = {"recipe": "ppca", "latent": 1, "epochs": 1}


def rows(n: int, seed: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((n, DIM))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A Gaussian, of which 399 of 600 rows are held out and 101 say what is typical; and a small VAE."""
    folder = tmp_path_factory.mktemp("measures")
    np.save(folder / "x.npy", rows(600, 0))
    shares = (100 / 600, 101 / 600, 399 / 600)
    jensen.train(folder / "x.npy", out=folder / "gauss", split=shares, **GAUSS)
    jensen.train(folder / "x.npy", out=folder / "vae", recipe="vae", latent=2, hidden=(8,), epochs=2)
    return folder


@pytest.fixture(scope="module")
def run(folder) -> Run:
    return load(folder / "gauss")


def test_typicality_is_the_distance_from_the_mean_of_rows_that_are_not_compared(run):
    scores = run.score(rows(50, 1), measures=["typicality"])
    measure, held = scores.measures["typicality"], run.score(measures="typicality")
    assert len(run.split().valid) == 101
    entropy = -run.score(run.part("valid"), columns=False).log_px.mean()
    assert measure.entropy == pytest.approx(entropy)
    assert measure.typical == f"101 validation rows of {run.path.parent / 'x.npy'}"
    np.testing.assert_allclose(measure.values, np.abs(scores.log_px + entropy))
    np.testing.assert_allclose(measure.p_value, p_values(-measure.values, -np.abs(held.log_px + entropy)))
    own = held.measures["typicality"]
    np.testing.assert_allclose(np.sort(own.p_value), np.arange(1, HELD + 1) / HELD)


def test_rows_that_are_too_likely_are_odd_by_typicality_alone(run):
    """The zero vector is the most likely of all, as an image without edges may be, and no draw looks like it."""
    scores = run.score(np.zeros((1, DIM)), measures=["typicality"])
    assert scores.p_value[0] > 0.99
    assert scores.measures["typicality"].p_value[0] < 0.2
    assert (
        scores.measures["typicality"].p_value[0]
        < run.score(rows(50, 1), measures="typicality").measures["typicality"].p_value.mean()
    )


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
def test_false_alarms_of_typicality_are_as_frequent_as_they_claim(run, level):
    """Given M held-out rows, the rate at the level j / (M + 1) is Beta(j, M + 1 - j): its standard error, and that of
    2,000 new rows. 1, 5 and 10 % are on the grid of 1/400."""
    p = run.score(rows(2000, 7), measures="typicality", columns=False).measures["typicality"].p_value
    error = np.sqrt(level * (1 - level) * (1 / len(p) + 1 / (HELD + 2)))
    assert abs(np.mean(p <= level + 1e-9) - level) < 3 * error


def test_regret_is_that_of_the_rows_and_of_held_out_ones(folder):
    run = load(folder / "vae")
    new = np.vstack([rows(5, 3), rows(5, 4, scale=9.0)])
    scores = run.score(new, measures=["regret", "regret"], columns=False, k=10)
    measure, part = scores.measures["regret"], run.chosen(new, 0, True, own="all")
    expected = likelihood_regret(run.model, run.guide, part.rows).numpy()
    np.testing.assert_allclose(measure.values, expected)
    held = likelihood_regret(run.model, run.guide, run.part("test").rows).numpy()
    np.testing.assert_allclose(measure.p_value, p_values(-expected, -held))
    assert set(measure.highest(5)) == set(range(5, 10))
    assert list(scores.table)[-3:] == ["p_value", "regret", "p_value_regret"]
    assert scores.to_dict()["measures"]["regret"]["mean"] == pytest.approx(expected.mean())


def test_pieces_have_the_numbers_of_the_whole(run):
    x = rows(40, 5)
    whole = run.score(x, measures=["typicality"])
    pieces = list(score_in_pieces(run, x, measures=["typicality"], size=25))
    for name in ("values", "p_value"):
        parts = [getattr(piece.measures["typicality"], name) for piece in pieces]
        np.testing.assert_allclose(np.concatenate(parts), getattr(whole.measures["typicality"], name))


def test_measures_that_there_are_not_are_refused_before_any_row_is_read(run, monkeypatch):
    monkeypatch.setattr(type(run), "chosen", None)
    with pytest.raises(UsageError, match="there is no measure 'typical'"):
        run.score(rows(3, 1), measures=["typical"])
    with pytest.raises(CompositionError, match="regret is 0 for every row"):
        run.score(rows(3, 1), measures=["regret"])


def test_rows_that_are_compared_do_not_say_what_is_typical(tmp_path):
    run = jensen.train(rows(60, 0), out=tmp_path / "run", split=(0.5, 0.5, 0), **GAUSS)
    held = held_out_rows(run)
    assert "validation" in held.name
    assert typical_rows(run, held).name.startswith("30 training rows")
    whole = jensen.train(rows(60, 0), out=tmp_path / "whole", split=(1, 0, 0), **GAUSS)
    assert held_out_rows(whole) is None
    assert Ordinary.of(whole, "typicality", 0, False).held_out(whole, 0) is None


def test_scores_of_holes_have_the_offsets_of_all_measures(tmp_path):
    holed = pd.DataFrame(rows(60, 0), columns=list("abcdefgh"))
    holed.iloc[::3, 2] = np.nan
    run = jensen.train(holed, out=tmp_path / "run", recipe="table-gmm", components=2, epochs=2)
    scores = run.score(holed, measures="typicality")
    for name, values in (("log_prob", scores.compared), ("typicality", -scores.measures["typicality"].values)):
        ordinary = Ordinary.of(run, name, 0, True)
        np.testing.assert_allclose(ordinary.scores(run, run.chosen(holed, 0, True, own="all"), 0), values)
    assert scores.measures["typicality"].sentence.startswith("typicality: |-log p(x) ")
