"""Samples given some columns: their frequencies and moments are those of the conditional."""

from __future__ import annotations

import pytest
import torch

from jensen.analysis.conditional_samples import conditional_sample
from jensen.core.batch import Batch
from jensen.core.errors import NumericalError, UsageError
from jensen.core.random import stream
from jensen.families import Gaussian
from jensen.guides import Exact
from tests.identities.models import amortized, close, linear_model, mixture_model

DIM, N = 4, 20_000
MOST_Z = 4.5  # standard errors; some dozens of numbers are compared


def condition(**values: float) -> Batch:
    """One datum in which the columns a, b, c, d are given."""
    x, mask = torch.zeros(1, DIM).double(), torch.zeros(1, DIM).bool()
    for name, value in values.items():
        x[0, "abcd".index(name)], mask[0, "abcd".index(name)] = value, True
    return Batch(x, mask)


@pytest.mark.parametrize("exact", [True, False])
def test_a_gaussian_given_two_columns(exact):
    model, given = linear_model(2, DIM, "feature"), condition(a=0.7, c=-0.4)
    guide = Exact(model) if exact else amortized(DIM, Gaussian(2))
    drawn = conditional_sample(model, guide, given, N, k=200_000, generator=stream(0, "given"))
    with torch.no_grad():
        lik, o, m = model.likelihood, [0, 2], [1, 3]
        cov = lik.W @ lik.W.mT + torch.diag(lik.noise_variance.expand(DIM))
        gain = torch.linalg.solve(cov[o][:, o], cov[o][:, m]).mT
        mean = lik.b[m] + gain @ (given.x[0, o] - lik.b[o])
        cov, observed = cov[m][:, m] - gain @ cov[o][:, m], cov[o][:, o]
        log_px = torch.distributions.MultivariateNormal(lik.b[o], observed).log_prob(given.x[0, o])
    assert (drawn.x[:, o] == given.x[0, o]).all()
    assert (drawn.ess is None, drawn.k is None, drawn.k_hat is None) == (exact, exact, exact)
    n = 1 / (1 / N + (0 if drawn.ess is None else 1 / drawn.ess))
    assert ((drawn.x[:, m].mean(0) - mean).abs() < MOST_Z * (cov.diagonal() / n).sqrt()).all()
    spread = ((cov.square() + cov.diagonal()[:, None] * cov.diagonal()) / n).sqrt()
    assert ((torch.cov(drawn.x[:, m].mT) - cov).abs() < MOST_Z * spread).all()
    close(drawn.log_px, float(log_px), 1e-9 if exact else 0.05)


def test_a_mixture_given_one_column_has_its_responsibilities():
    model, given = mixture_model(3, DIM, 6.0), condition(b=1.0)
    drawn = conditional_sample(model, Exact(model), given, N, generator=stream(1, "given"))
    assert (drawn.ess, drawn.k) == (None, None)
    with torch.no_grad():
        r = model.posterior(given).probs[0]
        loc, scale = model.likelihood.family.loc_scale(model.likelihood.table)
    for d in (0, 2, 3):
        cdf = torch.distributions.Normal(loc[:, d], scale[:, d]).cdf(loc[:, d].mean())
        share = float(r @ cdf)
        counted = float((drawn.x[:, d] <= loc[:, d].mean()).double().mean())
        assert abs(counted - share) < MOST_Z * (share * (1 - share) / N) ** 0.5
    assert (drawn.x[:, 1] == 1.0).all()


def test_an_empty_condition_is_a_sample_of_the_model():
    model = linear_model(2, DIM, "feature")
    drawn = conditional_sample(model, amortized(DIM, Gaussian(2)), condition(), N, k=100_000, generator=stream(2, "x"))
    close(drawn.log_px, 0.0, 0.05)
    with torch.no_grad():
        lik = model.likelihood
        variance = lik.W.square().sum(1) + lik.noise_variance
    assert ((drawn.x.mean(0) - lik.b).abs() < MOST_Z * (variance * (1 / N + 1 / drawn.ess)).sqrt()).all()


def test_a_condition_that_few_points_carry_is_refused_with_the_remedy():
    model, guide = linear_model(2, DIM), amortized(DIM, Gaussian(2))
    with pytest.raises(UsageError, match="too rare") as error:
        conditional_sample(model, guide, condition(a=60.0), 10, k=1000, generator=stream(0, "rare"))
    assert "-k 4000" in error.value.remedy
    # the posterior itself is no sum over points: nothing is too rare for it
    drawn = conditional_sample(model, Exact(model), condition(a=60.0), 10, generator=stream(0, "rare"))
    assert drawn.x.isfinite().all()


def test_the_same_generator_gives_the_same_samples():
    model, given = mixture_model(3, DIM), condition(a=0.0)
    first, again = (conditional_sample(model, Exact(model), given, 5, generator=stream(0, "g")).x for _ in range(2))
    assert torch.equal(first, again)
    with pytest.raises(UsageError, match="-n"):
        conditional_sample(model, Exact(model), given, 0)


def test_a_condition_without_probability_is_refused():
    model = mixture_model(3, DIM)
    with pytest.raises(NumericalError, match="no probability"):
        conditional_sample(model, Exact(model), condition(a=float("inf")), 5)
