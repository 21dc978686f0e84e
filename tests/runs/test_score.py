"""Scores of rows: in own units by the exact density of a mixture, and p-values against rows that did not train it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import jensen
from jensen.core.errors import CompositionError, NotNormalised, UsageError
from jensen.runs.run import Run, load
from jensen.runs.score import log_evidence

N, NAMES = 300, ["length", "width", "height"]


def table(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    centre = np.array([[0.0, 10, 500], [4.0, 10, 480], [-3.0, 16, 520]])[rng.integers(0, 3, n)]
    return pd.DataFrame(centre + rng.normal(size=(n, 3)) * [1, 0.5, 10], columns=NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    table().to_csv(folder / "x.csv", index=False)
    jensen.train(folder / "x.csv", recipe="gmm", components=4, out=folder / "run", split="0.5,0.1,0.4", epochs=20)
    return folder


@pytest.fixture
def run(folder) -> Run:
    return load(folder / "run")


def terms(run: Run, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log of the weights [S] and log p(x_d | component) [N, S, D] in own units, by SciPy."""
    model, prep = run.model, run.preparation
    loc, scale = (t.detach().numpy() for t in model.likelihood.family.loc_scale(model.likelihood.table))
    weights = model.prior.params().detach().log_softmax(-1).numpy()
    return weights, norm(loc * prep.scale + prep.center, scale * prep.scale).logpdf(x[:, None])


def test_scores_are_the_exact_density_in_own_units(run):
    x = table(8, seed=5).to_numpy()
    scores = run.score(x)
    weights, each = terms(run, x)
    assert str(scores.estimate.kind) == "exact"
    np.testing.assert_allclose(scores.log_px, logsumexp(weights + each.sum(-1), 1), atol=1e-6)
    for d in range(3):
        rest = weights + np.delete(each, d, 2).sum(-1)
        np.testing.assert_allclose(
            scores.given_others[:, d], logsumexp(rest + each[..., d], 1) - logsumexp(rest, 1), atol=1e-6
        )
        np.testing.assert_allclose(scores.alone[:, d], logsumexp(weights + each[..., d], 1), atol=1e-6)


def test_p_values_are_against_held_out_rows_alone(run):
    x = table(8, seed=5)
    scores, split = run.score(x), run.split()
    weights, each = terms(run, table().to_numpy()[split.test])
    held = logsumexp(weights + each.sum(-1), 1)
    expected = [(1 + np.sum(held <= s)) / (1 + len(held)) for s in scores.log_px]
    np.testing.assert_allclose(scores.p_value, expected)
    assert scores.held_out == f"{len(split.test)} test rows of {run.path.parent / 'x.csv'}"


def test_p_values_of_new_rows_of_the_same_kind_are_uniform(run):
    """By the binomial error; the held-out rows' own error is that of as many as they are."""
    p = run.score(table(400, seed=9), columns=False).p_value
    held = len(run.split().test)
    for level in (0.1, 0.25, 0.5, 0.75):
        error = np.sqrt(level * (1 - level) * (1 / len(p) + 1 / held))
        assert abs(np.mean(p <= level) - level) < 4 * error


def test_test_rows_are_compared_with_each_other(run):
    scores = run.score()
    n = len(run.split().test)
    np.testing.assert_allclose(np.sort(scores.p_value), np.arange(1, n + 1) / n)
    everything = run.score(run.path.parent / "x.csv")  # the data of the run: all rows, against its test rows
    assert len(everything.log_px) == len(table())
    np.testing.assert_allclose(everything.log_px[run.split().test], scores.log_px)
    expected = [(1 + np.sum(scores.log_px <= s)) / (1 + n) for s in everything.log_px]
    np.testing.assert_allclose(everything.p_value, expected)
    trained = sum("trained" in note for note in everything.notes)
    assert trained == 1


def test_the_reason_is_the_entry_that_does_not_fit_the_others(run):
    """Each entry is usual by itself; the first row's length belongs to another component."""
    x = table(6, seed=5)
    x.iloc[0] = [4.0, 16.0, 520.0]
    x.iloc[1, 2] = 900.0
    scores = run.score(x)
    assert scores.least_likely(2) == [1, 0]
    first, *others = scores.why(1)
    assert (first.column, first.value) == ("height", "900")
    assert first.log_p < min(e.log_p for e in others)
    p = scores.why(0)[0]
    assert p.column in ("length", "width")
    assert p.alone > p.log_p + 3
    assert p.p_value == pytest.approx(1 / (1 + len(run.split().test)))


def test_entries_below_all_held_out_ones_come_by_how_far_below(run):
    """All of them have the same p-value, which is the least there is."""
    x = table(3, seed=5)
    x.iloc[1] = [90.0, 60.0, 900.0]
    scores = run.score(x)
    below = dict(zip(scores.names, scores.given_others[1] - scores.lowest, strict=True))
    assert sum(value < 0 for value in below.values()) > 1
    assert [e.column for e in scores.why(1)] == sorted(below, key=below.get)


@pytest.mark.slow
def test_the_order_of_reasons_does_not_depend_on_units(folder, tmp_path):
    """Heights in millimetres: densities are another, their order among rows is not."""
    other = table()
    other["height"] *= 10
    other.to_csv(tmp_path / "x.csv", index=False)
    moved = jensen.train(
        tmp_path / "x.csv", recipe="gmm", components=4, out=tmp_path / "run", split="0.5,0.1,0.4", epochs=20
    )
    x = table(20, seed=5)
    x.iloc[0, 2] = 560.0
    scores, own = moved.score(x.assign(height=10 * x["height"])), load(folder / "run").score(x)
    np.testing.assert_allclose(scores.log_px, own.log_px - np.log(10), atol=1e-6)
    np.testing.assert_allclose(scores.given_others, own.given_others - [0, 0, np.log(10)], atol=1e-6)
    np.testing.assert_allclose(scores.p_value, own.p_value)
    assert [[e.column for e in scores.why(i)] for i in range(20)] == [[e.column for e in own.why(i)] for i in range(20)]


def test_missing_entries_have_no_score_and_no_reason(run):
    x = table(4, seed=5)
    x.iloc[0, 1] = np.nan
    scores = run.score(x)
    assert np.isnan(scores.given_others[0, 1])
    assert np.isnan(scores.column_p_values[0, 1])
    assert {e.column for e in scores.why(0)} == {"length", "height"}
    weights, each = terms(run, x.to_numpy()[:1])
    assert scores.log_px[0] == pytest.approx(logsumexp(weights + np.nansum(each, -1)), abs=1e-6)


def test_the_table_of_rows(run):
    scores = run.score(table(4, seed=5))
    values = scores.table
    assert list(values)[-3:] == [f"log p({name} | others)" for name in NAMES]
    assert {"row", "kind", "log_px", "p_value", "least_likely"} <= set(values)
    assert {len(v) for v in values.values()} == {4}
    assert values["least_likely"][0].split(", ") == [e.column for e in scores.why(0)]
    record = scores.to_dict()
    assert record["log_px"] == pytest.approx(scores.log_px.mean())
    assert set(record["given_others"]) == set(NAMES)


def test_without_held_out_rows_there_are_no_p_values(tmp_path):
    run = jensen.train(table(40), recipe="gmm", components=2, out=tmp_path / "run", split="1,0,0", epochs=5)
    scores = run.score(table(3, seed=5))
    assert (scores.p_value, scores.column_p_values, scores.held_out) == (None, None, None)
    assert any("there are no p-values" in note for note in scores.notes)
    log_p = [e.log_p for e in scores.why(0)]
    assert log_p == sorted(log_p)


@pytest.mark.slow
def test_bounds_are_named_and_few_points_are_noted(tmp_path):
    run = jensen.train(table(80), out=tmp_path / "run", recipe="vae", latent=3, hidden=(8,), epochs=2)
    x = table(5, seed=5)
    x.iloc[0, 0] = 60.0
    scores = run.score(x, k=20)
    assert "log_px_lower_bound" in scores.table
    assert scores.columns.k == 20
    assert any("rest on too few of 20 points: give more (-k 80)" in note for note in scores.notes)
    assert run.score(table(5, seed=5), k=20, columns=False).columns is None
    with pytest.raises(UsageError, match="columns=True"):
        run.score(table(5, seed=5), k=20, columns=False).why(0)


@pytest.mark.slow
def test_what_has_no_density_is_refused_and_what_does_not_factorise_is_scored_by_row(tmp_path):
    run = jensen.train(table(40), out=tmp_path / "auto", recipe="autoencoder", latent=1, hidden=(4,), epochs=1)
    with pytest.raises(NotNormalised):
        run.score()
    made = jensen.train(table(60), out=tmp_path / "made", recipe="made", hidden=(8,), epochs=1)
    scores = made.score(table(5, seed=5))
    assert scores.columns is None
    assert scores.p_value is not None
    assert any(note.startswith("columns are not scored: ") for note in scores.notes)
    with pytest.raises(CompositionError):
        made.score(columns=True)


def test_log_p_alone_is_that_of_scores(run):
    x, scores = table(30, seed=8), run.score(table(30, seed=8), columns=False)
    estimate = log_evidence(run, run.chosen(x, 0, True, own="all"))
    np.testing.assert_array_equal(estimate.nats.numpy(), scores.log_px)
