"""Samples given the values of columns, in own units: by the conditional of a mixture that is known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from scipy.stats import norm

import jensen
from jensen.core.errors import UsageError
from jensen.runs.run import Run, load
from tests.runs.test_score import table, terms


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    jensen.train(table(), recipe="gmm", components=4, out=folder / "run", epochs=20)
    return folder


@pytest.fixture
def run(folder) -> Run:
    return load(folder / "run")


def test_samples_given_a_column_are_of_the_exact_conditional(run):
    n, given = 20_000, {"length": 2.0}
    drawn = run.given_sample(n, given, seed=3)
    weights, each = terms(run, np.array([[2.0, 0.0, 0.0]]))
    log_w = weights + each[0, :, 0]
    assert drawn.log_px == pytest.approx(logsumexp(log_w), abs=1e-6)
    assert drawn.drawn.ess is None
    assert drawn.notes == ()
    np.testing.assert_allclose(drawn.x[:, 0], 2.0)
    model, prep, w = run.model, run.preparation, softmax(log_w)
    loc, scale = (t.detach().numpy() for t in model.likelihood.family.loc_scale(model.likelihood.table))
    loc, scale = loc * prep.scale + prep.center, scale * prep.scale
    for d, value in ((1, 10.0), (1, 13.0), (2, 480.0), (2, 510.0)):
        share = w @ norm(loc[:, d], scale[:, d]).cdf(value)
        assert abs((drawn.x[:, d] <= value).mean() - share) < 4.5 * np.sqrt(share * (1 - share) / n)
    np.testing.assert_array_equal(run.sample(5, given=given, seed=3), run.given_sample(5, given, seed=3).x)
    np.testing.assert_array_equal(run.sample(5, seed=3), run.labelled_sample(5, seed=3)[0])


def test_points_are_decoded_in_own_units(run):
    loc, _ = run.model.likelihood.family.loc_scale(run.model.likelihood.table)
    means = loc.detach().numpy() * run.preparation.scale + run.preparation.center
    np.testing.assert_allclose(run.decode(np.eye(4)), means)
    with pytest.raises(UsageError, match=r"shape \[N, 4\], got \[4\]"):
        run.decode(np.ones(4))


@pytest.mark.slow
def test_a_condition_says_what_it_rests_on(run, tmp_path):
    assert "exact)" in run.given_sample(3, {"length": 2.0}).sentence
    vae = jensen.train(table(80), out=tmp_path / "run", recipe="vae", latent=2, hidden=(8,), epochs=2)
    drawn = vae.given_sample(1000, {"length": 1.0, "width": 11.0}, k=300)
    assert "effective sample size" in drawn.sentence
    assert drawn.drawn.k == 300
    assert "some are alike" in drawn.notes[0]
    assert set(drawn.to_dict()) == {"given", "log_p_given", "k", "ess", "k_hat"}
    with pytest.raises(UsageError, match="too rare"):
        vae.sample(5, given={"length": 400.0}, k=300)


def test_conditions_that_make_no_sense_are_refused(run, tmp_path):
    for given, said in (
        ({"lenght": 1}, "length"),
        ({"length": "x"}, "one of numbers"),
        ({"length": np.inf}, "numbers"),
    ):
        with pytest.raises(UsageError, match=said):
            run.sample(2, given=given)
    with pytest.raises(UsageError, match="excludes"):
        run.sample(2, given={"length": 1}, mean=True)
    images = np.random.default_rng(0).integers(0, 16, (40, 3, 3), dtype=np.uint8)
    pictured = jensen.train(
        images, recipe="vae", out=tmp_path / "run", epochs=1, hidden=(4,), latent=1, binarize="static"
    )
    with pytest.raises(UsageError, match="models bits"):
        pictured.sample(2, given={"x1": 1})
