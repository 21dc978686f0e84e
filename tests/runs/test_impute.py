"""Missing entries in the data's own units: closed forms of a fitted model, and what is written where."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import jensen
from jensen.analysis.imputation import Imputation
from jensen.runs.impute import complete, hide

RNG = np.random.default_rng(0)
REALS = RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 4)) * [1.0, 10.0, 0.1, 3.0] + [5.0, -40.0, 0.0, 100.0]
REALS += 0.3 * RNG.normal(size=REALS.shape) * [1.0, 10.0, 0.1, 3.0]
GREY = RNG.integers(0, 256, size=(60, 3, 2), dtype=np.uint8)
TINY = {"latent": 2, "hidden": (8,), "epochs": 1}
Z_MOST = 4.0  # standard errors
M, K = 2000, 20_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("completion")
    jensen.train(REALS, recipe="ppca", latent=2, out=home / "reals")
    jensen.train(GREY, recipe="ppca", latent=2, out=home / "dequantised")
    jensen.train(GREY, out=home / "levels", **TINY)
    jensen.train(GREY, out=home / "bits", binarize="dynamic", **TINY)
    return lambda name: jensen.load(home / name)


@torch.no_grad()
def gaussian_in_own_units(run) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of p(x) of a fitted linear model, in the data's own units."""
    p = run.model.likelihood
    covariance = p.W @ p.W.mT + torch.eye(4) * p.noise_variance
    ends = run.preparation.invert(torch.stack([torch.zeros(4), torch.ones(4)]))
    scale = (ends[1] - ends[0]).astype(np.float64)
    mean = run.preparation.invert(p.b[None])[0].astype(np.float64)
    return mean, covariance.double().numpy() * scale * scale[:, None]


@pytest.mark.parametrize("hidden", [[1], [0, 3], [0, 1, 2], [0, 1, 2, 3]])
def test_conditional_moments_of_a_fitted_model(runs, hidden):
    """Mean, draws' mean and covariance of each row are the Gaussian's, whose columns have units of their own."""
    run, o = runs("reals"), [j for j in range(4) if j not in hidden]
    part = run.chosen(REALS[:3])
    completion = run.impute(part, m=M, k=K, hidden=np.isin(np.arange(4), hidden), seed=1)
    mean, covariance = gaussian_in_own_units(run)
    gain = np.linalg.solve(covariance[np.ix_(o, o)], covariance[np.ix_(o, hidden)]).T if o else np.zeros((4, 0))
    left = covariance[np.ix_(hidden, hidden)] - gain @ covariance[np.ix_(o, hidden)]
    n = 1 / (1 / M + 1 / K)
    for i in range(3):
        known = mean[hidden] + gain @ (part.x[i, o] - mean[o])
        draws = completion.x[:, i, hidden]
        assert (np.abs(draws.mean(0) - known) / np.sqrt(np.diag(left) / n)).max() < Z_MOST
        spread = np.sqrt((left**2 + np.outer(np.diag(left), np.diag(left))) / n)
        assert (np.abs(np.cov(draws.T).reshape(left.shape) - left) / spread).max() < Z_MOST
        assert (np.abs(completion.mean[i, hidden] - known) / np.sqrt(np.diag(left) / K)).max() < Z_MOST
    assert (completion.x[:, :, o] == part.x[:, o]).all()
    assert completion.rmse == pytest.approx(np.sqrt(((completion.mean - part.x)[:, hidden] ** 2).mean()))


@pytest.mark.parametrize("name", ["reals", "dequantised", "levels", "bits"])
def test_what_the_model_saw_comes_back(runs, name):
    """Draws that are the data as the model sees them give the data back: bits at the ends of the range."""
    run = runs(name)
    known = run.chosen(REALS[:9] if name == "reals" else GREY[:9].reshape(9, 3, 2, 1), missing=True)
    seen = known.rows.fixed(torch.Generator().manual_seed(0)).take(torch.arange(9)).x
    part = hide(known, np.ones(known.x.shape[1], dtype=bool), run.preparation)
    nothing = torch.zeros(9, dtype=torch.float64)
    drawn = Imputation(seen[None], torch.zeros(1, 9, 2), seen, 1, nothing, nothing)
    completion = complete(part, drawn, known, run.schema, run.preparation)
    assert completion.x.dtype == known.x.dtype
    assert not completion.mask.any()
    if name == "bits":
        assert set(np.unique(completion.x)) == {0, 255}
        assert (completion.x[0] == 255 * seen.numpy()).all()
        assert any("0 or 255" in note for note in completion.notes)
    elif name == "reals":
        assert np.allclose(completion.x[0], known.x, rtol=1e-6)
    else:
        assert (completion.x[0] == known.x).all()
    error = {"reals": 1e-4, "levels": 1e-4, "dequantised": 0.5, "bits": 255.0}[name]  # u - 1/2, at most 1/2
    assert np.abs(completion.mean - known.x).max() <= error
    assert completion.rmse == pytest.approx(np.sqrt(((completion.mean - known.x) ** 2).mean()))


def test_imputed_integers_are_integers_in_range(runs):
    for name in ("dequantised", "levels", "bits"):
        completion = runs(name).impute(GREY[:5], m=3, k=20, hidden=np.arange(6) > 2)
        assert completion.x.dtype == np.uint8
        assert completion.x.shape == (3, 5, 6)
        assert (completion.x[:, :, :3] == GREY[:5].reshape(5, 6)[:, :3]).all()
        assert ((completion.mean >= 0) & (completion.mean <= 255)).all()
        assert len(np.unique(completion.x[:, :, 3:])) > 1


def test_holes_stay_holes_when_more_is_hidden(runs):
    x = REALS[:6].copy()
    x[0, 0] = x[2] = np.nan  # an entry, and a whole row
    run = runs("reals")
    known = run.chosen(x, missing=True)
    part = hide(known, np.array([False, True, False, False]), run.preparation)
    assert part.mask is not None
    assert (part.mask == (~np.isnan(x) & [True, False, True, True])).all()
    completion = run.impute(x, m=2, k=50, hidden=np.array([False, True, False, False]))
    assert completion.truth is not None
    assert (np.isnan(completion.truth) == np.isnan(x)).all()
    hidden = ~np.isnan(x[:, 1])
    assert completion.rmse == pytest.approx(math.sqrt(((completion.mean - x)[hidden, 1] ** 2).mean()))
    assert np.isfinite(completion.x).all()
    plain = run.impute(x, m=2, k=50)
    assert plain.truth is None
    assert plain.rmse is None


def test_rows_without_holes_come_back_as_they_are(runs):
    completion = runs("reals").impute(REALS[:3], m=2, k=50)
    assert (completion.x == REALS[:3]).all()
    assert (completion.mean == REALS[:3]).all()
