"""Predictions of a column: the exact conditional of a mixture in own units, with measures where the column is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from scipy.stats import norm

import jensen
from jensen.core.errors import UsageError
from jensen.runs.run import Run, load
from tests.runs.test_score import NAMES, table, terms


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("predictions")
    table().to_csv(folder / "x.csv", index=False)
    jensen.train(folder / "x.csv", recipe="gmm", components=4, out=folder / "run", split="0.5,0.1,0.4", epochs=20)
    return folder


@pytest.fixture
def run(folder) -> Run:
    return load(folder / "run")


def test_numbers_have_the_mean_and_the_quantiles_of_the_conditional(run):
    x = table(12, seed=5).to_numpy()
    predicted = run.predict(x, "height")
    weights, each = terms(run, x)
    w = softmax(weights + each[..., :2].sum(-1), 1)
    model, prep = run.model, run.preparation
    loc, scale = (t.detach().numpy()[:, 2] for t in model.likelihood.family.loc_scale(model.likelihood.table))
    loc, scale = loc * prep.scale[2] + prep.center[2], scale * prep.scale[2]
    np.testing.assert_allclose(predicted.mean, w @ loc, rtol=1e-9)
    np.testing.assert_allclose(predicted.value, predicted.mean)
    np.testing.assert_allclose(predicted.log_prob, logsumexp(np.log(w) + each[..., 2], 1), atol=1e-6)
    for level, quantile in zip((0.05, 0.5, 0.95), predicted.quantiles, strict=True):
        cdf = (w * norm(loc, scale).cdf(quantile[:, None])).sum(1)
        assert np.abs(cdf - level).max() < 4.5 * np.sqrt(level * (1 - level) / 256)
    np.testing.assert_allclose(predicted.truth, x[:, 2])


def test_measures_are_of_the_rows_whose_column_is_known(run):
    x = table(60, seed=5)
    x.loc[:29, "height"] = np.nan
    predicted = run.predict(x, "height")
    assert predicted.known.tolist() == [False] * 30 + [True] * 30
    measures = {m.name: m for m in predicted.measures}
    error = (predicted.mean - x["height"].to_numpy())[30:]
    assert measures["root mean square error"].value == pytest.approx(np.sqrt(np.mean(error**2)))
    assert measures["log-loss"].value == pytest.approx(-predicted.log_prob[30:].mean())
    coverage = measures["coverage of 90% intervals"]
    assert abs(coverage.value - 0.9) < 4 * coverage.stderr
    unknown = run.predict(x[:30], "height")
    assert unknown.measures == ()
    assert not {"height", "log_p"} & set(unknown.table)
    assert {"height", "height_mean", "height_low", "height_median", "height_high", "log_p"} <= set(predicted.table)


def test_all_rows_of_the_runs_own_data_are_predicted_and_those_that_did_not_train_it_measured(run):
    own, named = run.predict(None, "width"), run.predict(run.path.parent / "x.csv", "width")
    split = run.split()
    assert own.data == f"{len(split.test)} test rows of {run.path.parent / 'x.csv'}"
    assert len(named.mean) == len(table())
    np.testing.assert_allclose(own.mean, named.mean[split.test])
    unseen = np.sort(np.concatenate([split.test, split.valid]))
    of_unseen = run.predict(table().iloc[unseen], "width")
    measures = [(m.name, pytest.approx(m.value)) for m in of_unseen.measures if "coverage" not in m.name]
    assert [(m.name, m.value) for m in named.measures if "coverage" not in m.name] == measures
    assert f"measured on the {len(unseen)} rows that did not train the model" in named.notes


@pytest.mark.slow
def test_bits_have_probabilities(tmp_path):
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 300)
    x = (rng.random((300, 4)) < np.where(group[:, None] == 1, 0.85, 0.2)).astype(np.uint8)
    run = jensen.train(x, recipe="categorical", out=tmp_path / "run", epochs=20, hidden=(8,))
    predicted = run.predict(None, "x2")
    assert predicted.levels == ("0", "1")
    assert predicted.probabilities is not None
    np.testing.assert_allclose(predicted.probabilities.sum(1), 1)
    test = x[run.split().test]
    p = predicted.probabilities[np.arange(len(test)), test[:, 1]]
    np.testing.assert_allclose(predicted.log_prob, np.log(p), atol=1e-4)
    measures = {m.name: m for m in predicted.measures}
    assert measures["accuracy"].value == np.mean(predicted.probabilities.argmax(1) == test[:, 1])
    assert {"AUC", "log-loss", "Brier score", "expected calibration error"} <= set(measures)
    assert set(predicted.table) == {"row", "x2", "x2_predicted", "p(x2=0)", "p(x2=1)", "log_p"}


def test_a_prediction_shows_itself_in_a_few_lines(run):
    predicted = run.predict(None, "height")
    first, *others = repr(predicted).splitlines()
    assert first == f"height of {predicted.data} (n = {len(predicted)}), known in {len(predicted)}"
    assert [line.rpartition(" ±")[0].rpartition(" ")[0] for line in others] == [m.name for m in predicted.measures]
    assert "tensor" not in repr(predicted)


def test_a_column_that_is_not_there_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match=r"Did you mean height\?"):
        run.predict(None, "hight")
    images = np.random.default_rng(0).integers(0, 16, (40, 3, 3), dtype=np.uint8)
    pictured = jensen.train(images, recipe="vae", out=tmp_path / "run", epochs=1, hidden=(4,), latent=1)
    with pytest.raises(UsageError, match="images"):
        pictured.predict(None, "x1")


@pytest.mark.slow
def test_points_are_told_where_they_are_weighted(tmp_path):
    run = jensen.train(table(80), out=tmp_path / "run", recipe="vae", latent=3, hidden=(8,), epochs=2)
    x = table(5, seed=5)
    x.iloc[0, 0] = 60.0
    predicted = run.predict(x, NAMES[2], k=60)
    assert any("rest on too few of 60 points" in note for note in predicted.notes)
    record = predicted.to_dict()
    assert (record["k"], record["n"], record["known"]) == (60, 5, 5)
    assert 1 <= record["ess"] <= 60
