"""Classical models: three ways of fitting them end in the same place, whose evidence is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

import jensen
from jensen.core.errors import UsageError
from jensen.evaluate import Kind, choose
from jensen.recipes.classical import _step
from jensen.training import MixtureEM
from tests.identities.models import close

WINE = load_wine().data[:, [0, 1, 2, 4, 6, 9]]
# what reaches the optimum by gradients: all data in a batch, and L-BFGS at its natural rate
BY_GRADIENT = {
    "fit": "gradient",
    "optimizer": "LBFGS",
    "lr": 1.0,
    "schedule": "constant",
    "batch": 10_000,
    "epochs": 30,
}
CASES = [
    ("gaussian", {"standardize": "none"}, ["closed"]),
    ("ppca", {"latent": 2}, ["closed", "em"]),
    ("factor-analysis", {"latent": 1}, ["closed", "em"]),
    ("gmm", {"components": 2}, ["em"]),
]


@pytest.fixture
def wine(tmp_path):
    np.save(tmp_path / "wine.npy", WINE)
    return tmp_path / "wine.npy"


def evidence(run: jensen.Run) -> float:
    """Of the rows that were trained on, in the data's own units."""
    estimate = choose(run.model, run.guide)(run.model, run.guide, run.part("train").rows)
    assert estimate.kind is Kind.EXACT
    assert estimate.stderr_mc == 0
    return estimate.shifted(run.preparation.log_jacobian(run.schema.size)).mean


@pytest.mark.parametrize(("recipe", "options", "fits"), CASES, ids=[c[0] for c in CASES])
@pytest.mark.sampled(2)
def test_every_fit_reaches_the_same_evidence(recipe, options, fits, wine, tmp_path):
    """Within 1e-3 nats per datum, on the rows that were trained on."""
    ways = {fit: {"fit": fit} for fit in fits} | {"gradient": BY_GRADIENT}
    fitted = {
        name: evidence(jensen.train(wine, recipe=recipe, out=tmp_path / name, **options, **way))
        for name, way in ways.items()
        if name != "gradient"
    }
    run = jensen.train(wine, recipe=recipe, out=tmp_path / "gradient", **options, **BY_GRADIENT)
    assert run.metrics[0]["train"]["bound"] < run.metrics[-2]["train"]["bound"] - 1e-3  # it had some way to go
    for value in fitted.values():
        close(value, evidence(run), 1e-3)


@pytest.mark.slow
def test_adam_gets_there_too(wine, tmp_path):
    closed = jensen.train(wine, recipe="ppca", out=tmp_path / "closed", latent=2)
    adam = jensen.train(
        wine, recipe="ppca", out=tmp_path / "adam", latent=2, fit="gradient", lr=0.1, batch=10_000, epochs=200
    )
    close(evidence(adam), evidence(closed), 1e-3)


def test_probabilistic_pca_of_digits_by_gradients(tmp_path):
    closed = jensen.train("digits", recipe="ppca", out=tmp_path / "closed", latent=5)
    climbed = jensen.train("digits", recipe="ppca", out=tmp_path / "climbed", latent=5, **BY_GRADIENT)
    assert abs(evidence(climbed) - evidence(closed)) < 1e-3


def test_the_evidence_is_that_of_scikit_learn(wine, tmp_path):
    from sklearn.decomposition import PCA

    run = jensen.train(wine, recipe="ppca", out=tmp_path / "run", latent=2)
    part = run.part("train")
    oracle = PCA(2).fit(part.x)  # its noise and covariance are those of (1/(N-1)); rescaled here
    n = len(part.x)
    oracle.explained_variance_ *= (n - 1) / n
    oracle.noise_variance_ *= (n - 1) / n
    close(evidence(run), oracle.score(part.x), 1e-6)


def test_the_gaussian_is_the_sample(wine, tmp_path):
    run = jensen.train(wine, recipe="gaussian", out=tmp_path / "run", split="1,0,0")
    mean, variance = WINE.mean(0), WINE.var(0)
    by_hand = -0.5 * (((WINE - mean) ** 2 / variance).sum(1) + np.log(2 * np.pi * variance).sum())
    close(run.evaluate(WINE).estimate.nats, torch.as_tensor(by_hand), 1e-8)
    assert run.encode(WINE).shape == (len(WINE), 0)


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        ("ppca", {"latent": 6}, "Give --latent 5 or less"),
        ("gmm", {"components": 1000}, "--components must be at most the number of training rows, 142, got 1000"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_written(recipe, options, words, wine, tmp_path):
    with pytest.raises(UsageError, match=words):
        jensen.train(wine, recipe=recipe, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_fit_that_a_model_does_not_have_is_refused():
    with pytest.raises(UsageError, match=r"--fit must be one of em, gradient, got closed.*Choose from em, gradient"):
        _step("closed", em=MixtureEM())
    assert _step("gradient", em=MixtureEM()) is None
    assert _step("em", em=MixtureEM()) == MixtureEM()


def test_a_mixture_starts_from_clusters_and_any_seed(wine, tmp_path):
    run = jensen.train(wine, recipe="gmm", out=tmp_path / "run", components=3, epochs=1, seed=2**33)
    assert run.metrics[-1]["epoch"] == 1
    alone = jensen.train(wine, recipe="gaussian", out=tmp_path / "gaussian", seed=2**33)
    assert evidence(run) > evidence(alone) + 0.3  # after a single step of EM
