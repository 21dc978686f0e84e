"""A number that the lower limit of a scale decides about is not called exact, and says so; others are, and do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.decomposition import PCA

import jensen
from jensen.core.batch import Rows
from jensen.core.errors import UsageError
from jensen.core.random import stream
from jensen.evaluate.estimate import Kind
from jensen.evaluate.floors import FloorBinding, exact_kind, floor_binding
from jensen.families import (
    Bernoulli,
    Categorical,
    Choices,
    Columns,
    Gaussian,
    GaussianMixtures,
    Laplace,
    Mixture,
    Product,
)
from jensen.guides import Exact
from jensen.models.conditionals import Linear, Table, Unconditional
from jensen.models.model import LatentVariableModel

RNG = np.random.default_rng


def fitted(x, tmp_path, recipe, **options):
    notes: list[str] = []
    run = jensen.train(x, recipe=recipe, out=tmp_path / "run", notice=notes.append, seed=0, **options)
    return run, notes


def two_clusters(far: float) -> np.ndarray:
    x = np.concatenate([RNG(0).normal(0, 1, (500, 1)), RNG(1).normal(far, 1, (500, 1))])
    return RNG(2).permutation(x)


@pytest.mark.parametrize("far", [1e5, 1e6, -3e5])
def test_clusters_far_apart_have_the_density_of_scipy(far, tmp_path):
    x = two_clusters(far)
    run, notes = fitted(x, tmp_path, "gmm", components=2)
    test = np.concatenate([RNG(3).normal(0, 1, (200, 1)), RNG(4).normal(far, 1, (200, 1))])
    evaluation = run.evaluate(test)
    train = x[run.split().train]
    parts = [train[np.abs(train - c) < abs(far) / 2] for c in (0, far)]
    right = np.logaddexp(*[np.log(len(p) / len(train)) + norm.logpdf(test, p.mean(), p.std()) for p in parts])
    # data are kept in single precision, which moves those of the farthest cluster by up to 3 % of its deviation
    assert evaluation.estimate.mean == pytest.approx(right.mean(), abs=5e-3)
    assert (evaluation.estimate.kind, notes) == (Kind.EXACT, [])


@pytest.mark.parametrize(("few", "far", "scale"), [(50, 1e5, 1e-3), (10, 1e4, 0.01), (40, 300.0, 1e-4)])
def test_a_small_narrow_cluster_has_the_density_of_scipy(few, far, scale, tmp_path):
    x = RNG(2).permutation(np.r_[RNG(0).normal(0, 1, 1000 - few), RNG(1).normal(far, scale, few)])[:, None]
    run, notes = fitted(x, tmp_path, "gmm", components=2, split=(1.0, 0.0, 0.0))
    parts = [x[np.abs(x - c) < far / 2] for c in (0, far)]
    right = np.logaddexp(*[np.log(len(p) / 1000) + norm.logpdf(x, p.mean(), p.std()) for p in parts])
    evaluation = run.evaluate(run.part("train"))
    assert evaluation.estimate.mean == pytest.approx(right.mean(), abs=0.05 * few / 1000 + 5e-3)
    assert (evaluation.estimate.kind, notes) == (Kind.EXACT, [])


@pytest.mark.parametrize("recipe", ["factor-analysis", "gaussian", "ppca"])
def test_columns_under_a_large_floor_are_not_called_constant(recipe, tmp_path):
    x = RNG(0).normal(size=(200, 3)) * [1, 2, 1]
    latent = {} if recipe == "gaussian" else {"latent": 1}
    run, _ = fitted(x, tmp_path, recipe, floor=0.9, **latent)
    findings = {f.name for f in run.doctor().findings}
    assert "constant-columns" not in findings


@pytest.mark.parametrize("scale", [(1e6, 5e5, 1, 0.5, 2), (1e4, 1, 1e-3, 5, 1e2), (1, 1, 1, 1, 1)])
@pytest.mark.parametrize("standardize", ["global", "none"])
@pytest.mark.sampled(3)
def test_columns_of_different_size_have_the_density_of_scikit_learn(scale, standardize, tmp_path):
    x = RNG(0).normal(size=(500, 5)) * scale
    run, notes = fitted(x, tmp_path, "ppca", latent=2, standardize=standardize)
    rows = run.split()
    right = PCA(2).fit(x[rows.train])
    n, values = len(rows.train), right.explained_variance_
    factor = (n - 1) / n  # scikit-learn divides by n - 1, maximum likelihood by n
    noise = right.noise_variance_ * factor
    covariance = right.components_.T @ np.diag(values * factor - noise) @ right.components_ + noise * np.eye(5)
    residual = x[rows.test] - right.mean_
    log_det = np.linalg.slogdet(covariance)[1]
    square = np.einsum("ni,ij,nj->n", residual, np.linalg.inv(covariance), residual)
    evaluation = run.evaluate()
    expected = (-0.5 * (square + log_det + 5 * np.log(2 * np.pi))).mean()
    assert evaluation.estimate.mean == pytest.approx(expected, rel=2e-3)
    assert (evaluation.estimate.kind, notes) == (Kind.EXACT, [])


DEGENERATE = {
    "shares that sum to 1": ("ppca", {"latent": 2}, lambda: RNG(0).dirichlet([2, 3, 4], 300)),
    "fewer rows than latents": ("ppca", {"latent": 16}, lambda: RNG(0).normal(size=(12, 30))),
    "a column that is the sum of others": (
        "factor-analysis",
        {"latent": 2},
        lambda: (lambda x: np.c_[x, x.sum(1)])(RNG(0).normal(size=(300, 2))),
    ),
    "collinear columns": (
        "gmm",
        {"components": 1, "covariance": "full"},
        lambda: RNG(0).normal(size=(300, 2)) @ np.array([[1, 0, 1], [0, 1, 1]]),
    ),
    "columns that are nearly another's, in an order that hides it": (
        "gmm",
        {"components": 2, "covariance": "tied"},
        lambda: RNG(0).normal(size=(300, 2)) @ np.array([[1, 1, 0], [0, 0.01, 1]]),
    ),
    "a value that comes again and again": (
        "gmm",
        {"components": 3},
        lambda: np.where(RNG(0).random((400, 2)) < 0.4, 0.0, RNG(1).normal(3, 1, (400, 2))),
    ),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.sampled(2)
def test_a_number_that_measures_the_limit_is_not_called_exact(name, tmp_path):
    recipe, options, data = DEGENERATE[name]
    run, notes = fitted(data(), tmp_path, recipe, **options)
    evaluation = run.evaluate()
    assert evaluation.estimate.kind is Kind.FLOORED
    assert "exact" not in str(evaluation)
    (note,) = (n for n in notes if "lower limit" in n)
    assert note.partition(":")[0] in " ".join(evaluation.notes)
    assert "decoder-scale-collapse" in {f.name for f in run.doctor().findings}


def test_a_gradient_recipe_says_it_too_and_stays_a_bound(tmp_path):
    x = np.zeros((64, 3)) + RNG(0).normal(size=(64, 1)) * [1, 2, 3]
    x[:, 2] = np.where(x[:, 2] > 100, x[:, 2], 5.0)
    run, notes = fitted(x, tmp_path, "vae", latent=1, hidden=(8,), epochs=3, floor=0.3)
    evaluation = run.evaluate(k=10)
    assert evaluation.estimate.kind is Kind.STOCHASTIC_LOWER
    assert any("lower limit" in note for note in evaluation.notes) == bool(notes)


def test_the_floor_of_the_user_is_kept_by_every_recipe_that_learns_a_scale(tmp_path):
    x = RNG(0).normal(size=(100, 4)) * [1, 1, 1, 1e-3]
    run, notes = fitted(x, tmp_path, "ppca", latent=3, standardize="none", floor=0.5)
    assert float(run.model.likelihood.noise_variance.detach().sqrt()) >= 0.5
    assert notes
    assert run.evaluate().estimate.kind is Kind.FLOORED


@pytest.mark.parametrize("recipe", ["vae", "ladder", "made"])
def test_a_floor_that_nothing_has_is_refused(recipe, tmp_path):
    bits = (RNG(0).random((40, 8)) < 0.5).astype(np.uint8)
    with pytest.raises(UsageError, match="--floor limits a scale that is learned"):
        jensen.train(bits, recipe=recipe, out=tmp_path / "run", floor=0.1, epochs=1)


def test_families_give_the_scales_that_they_learn():
    params = torch.tensor([[0.0, 0.0, -30.0, 0.0]])
    assert Gaussian(2, floor=0.1).scales(params).tolist() == [[pytest.approx(0.1), pytest.approx(1.0)]]
    assert Laplace(2, 0.1).scales(params)[0, 0] == pytest.approx(0.1)
    two = torch.cat([torch.zeros(1, 2), params[:, [0, 2, 1, 3]]], -1)  # weights, and (location, scale) twice
    assert Mixture(Gaussian(1, floor=0.1), 2).scales(two).tolist() == [[pytest.approx(0.1)]]
    each = Product(Gaussian(1, floor=0.1), 2).scales(params[:, [0, 2, 1, 3]])
    assert each.tolist() == [[pytest.approx(0.1), pytest.approx(1.0)]]
    assert Gaussian(2, 1.0).scale_floor is None
    assert Bernoulli(3).scale_floor is None


@pytest.mark.parametrize("floor", [1e-4, 1e-7, 1e-9])
def test_a_scale_is_above_its_floor_however_small(floor):
    family = Gaussian(1, floor=floor)
    scale = family.scales(torch.tensor([[0.0, -100.0]]))
    assert float(scale) == pytest.approx(floor, rel=1e-3)
    assert float(family.scales(torch.zeros(1, 2))) == pytest.approx(1.0, abs=1e-6)
    small = family.raw(torch.tensor([3 * floor]))
    assert float(family.scales(torch.cat([torch.zeros(1), small])[None])) == pytest.approx(3 * floor, rel=1e-2)


def test_a_binding_counts_features_and_reads_as_a_sentence():
    p = Linear(1, 3, "feature", 0.1)
    model = LatentVariableModel(Unconditional(Gaussian(1)), p)
    rows = Rows(torch.randn(50, 3, generator=stream(0, "x")))
    assert floor_binding(model, Exact(model), rows) is None
    assert exact_kind(model, Exact(model), rows) is Kind.EXACT
    p.assign(p.W.detach(), torch.zeros(3), torch.tensor([0.01, 1.0, 1.0]).square())
    binding = floor_binding(model, Exact(model), rows)
    assert binding == FloorBinding(1, 3, 0.1)
    assert binding.note.startswith("1 of 3 data features has a learned scale at its lower limit of 0.1:")
    assert exact_kind(model, Exact(model), rows) is Kind.FLOORED
    named = floor_binding(model, Exact(model), rows, names=("age", "height", "weight"))
    assert named.names == ("age",)
    assert named.note.startswith("1 of 3 data features (age) has a learned scale")


def test_columns_are_compared_with_their_own_floors():
    """Of four columns, two have a component at its floor, of 0.1 and of 0.001; a choice has no scale at all."""
    family = Columns((GaussianMixtures(3, 1, (0.1, 0.1, 1e-3)), Choices((2,))), ((0, 1, 3), (2,)))
    table = Table(family, 2)
    model = LatentVariableModel(Unconditional(Categorical(2)), table)
    rows = Rows(torch.ones(20, 4))
    with torch.no_grad():
        table.table.zero_()
        assert floor_binding(model, Exact(model), rows) is None
        table.table[1, 6], table.table[0, 8] = -50.0, -50.0
    binding = floor_binding(model, Exact(model), rows)
    assert binding == FloorBinding(2, 4, 1e-3, in_components=True, highest=0.1)
    assert "at their lower limits of 0.001 to 0.1 in some component:" in binding.note
    assert exact_kind(model, Exact(model), rows) is Kind.FLOORED
