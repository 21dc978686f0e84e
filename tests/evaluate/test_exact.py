"""Evaluators without Monte Carlo, against closed forms written here once more."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from jensen.core.batch import Rows
from jensen.core.errors import NoExactPosterior, NotEnumerable
from jensen.evaluate import Enumerated, Exact, Importance, Kind, Quadrature, estimate, exact
from jensen.families import Categorical, Gaussian
from jensen.guides import Deterministic, Shared
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Unconditional
from jensen.models.model import LatentVariableModel
from tests.evaluate.instance import instance
from tests.identities.models import (
    amortized,
    close,
    curved_model,
    linear_model,
    mixture_model,
    rows,
    scrambled,
    simulated,
)


@pytest.mark.parametrize("noise", ["shared", "feature"])
@pytest.mark.parametrize("own", [True, False], ids=["exact guide", "another guide"])
def test_a_linear_model_is_a_normal_with_that_covariance(noise, own):
    model = linear_model(2, 4, noise)
    batch = simulated(model, 6)
    found = Exact()(model, ExactGuide(model) if own else amortized(4, Gaussian(2)), rows(batch))
    lik = model.likelihood
    covariance = lik.W @ lik.W.mT + torch.diag(lik.noise_variance.expand(4))
    close(found.nats, MultivariateNormal(lik.b, covariance).log_prob(batch.x).detach())
    assert (found.kind, found.k, found.stderr_mc) == (Kind.EXACT, None, 0.0)
    assert (found.rate > 0).all()


def test_the_parts_of_the_bound_are_those_of_the_guide():
    """Probabilistic PCA with a guide that is not its posterior: the ELBO lies below log p(x) by KL(q || p)."""
    made = instance()
    found = Exact()(made.model, made.guide, made.rows)
    close(found.nats, made.truth)
    gap = found.nats - found.elbo
    # the KL is the same for every row; its Monte Carlo error is that of 256 points in each of 256 rows
    assert abs(float(gap.mean()) - made.lost) < 4 * float(gap.std()) / len(gap) ** 0.5
    assert float(gap.std()) / len(gap) ** 0.5 < 0.02
    q, p = made.guide(made.rows.take(torch.arange(256))), made.model.prior()
    rate = kl_divergence(q.base_dist, p.base_dist).sum(-1)
    off = found.rate - rate
    assert abs(float(off.mean())) < 4 * float(off.std()) / len(off) ** 0.5


def test_the_parts_of_a_mixture_are_sums_under_its_guide():
    model = mixture_model(3, 2)
    batch = simulated(model, 6)
    guide = Shared(Unconditional(Categorical(3), learn=True)).double()
    found = Exact()(model, guide, rows(batch))
    q = guide(batch).probs
    lost = -torch.stack([model.likelihood.family(model.likelihood.table[j]).log_prob(batch.x) for j in range(3)], -1)
    close(found.distortion, (q * lost).sum(-1).detach())
    close(found.rate, (q * (q.log() - model.prior.params().log_softmax(-1))).sum(-1).detach())


def test_a_point_has_no_rate():
    model = linear_model(2, 4)
    net = nn.Linear(4, 2).double()
    batch = simulated(model, 6)
    found = Exact()(model, Deterministic(net), rows(batch))
    assert (found.rate, found.elbo) == (None, None)
    close(found.distortion, -model.likelihood(net(batch.x)).log_prob(batch.x).detach())


def test_a_gaussian_without_latents():
    model = LatentVariableModel(Unconditional(Gaussian(0)), scrambled(Unconditional(Gaussian(3), learn=True), "p"))
    batch = simulated(model, 6)
    found = Exact()(model, ExactGuide(model), rows(batch))
    q = model.likelihood().base_dist
    close(found.nats, Normal(q.loc, q.scale).log_prob(batch.x).sum(-1).detach())
    close(found.rate, 0.0)
    close(found.distortion, -found.nats)


def by_hand(model: LatentVariableModel, x: torch.Tensor) -> torch.Tensor:
    table, n = model.likelihood.table, model.latent
    states = [model.likelihood.family(table[j]).log_prob(x) for j in range(n)]
    return torch.logsumexp(torch.stack(states, -1) + model.prior.params().log_softmax(-1), -1).detach()


def test_a_mixture_is_the_sum_over_its_components():
    model = mixture_model(3, 2)
    batch = simulated(model, 6)
    found = Exact()(model, ExactGuide(model), rows(batch))
    close(found.nats, by_hand(model, batch.x))
    assert found.kind is Kind.EXACT


def test_enumeration_needs_no_good_guide():
    """Also where the guide gives a state no mass at all."""
    model = mixture_model(3, 2)
    batch = simulated(model, 6)
    guide = Shared(Unconditional(Categorical(3), learn=True)).double()
    with torch.no_grad():
        guide.conditional.value.copy_(torch.tensor([0.0, 3.0, -torch.inf]))
    found = Enumerated()(model, guide, rows(batch))
    close(found.nats, by_hand(model, batch.x))
    assert (found.kind, found.k) == (Kind.EXACT, None)
    assert torch.isfinite(found.rate).all()
    assert (found.elbo < found.nats).all()


def test_remedies():
    batch = Rows(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(NoExactPosterior, match="Use --method importance"):
        Exact()(curved_model(), amortized(3, Gaussian(1)), batch)
    with pytest.raises(NotEnumerable):
        Enumerated()(curved_model(), amortized(3, Gaussian(1)), batch)


def test_states_count_towards_memory(monkeypatch):
    """A batch of a mixture holds every component's view of its data: 10 states of 4 parameters."""
    model = mixture_model(10, 2)
    batch = simulated(model, 25)
    whole = Exact()(model, ExactGuide(model), rows(batch)).nats
    sizes = []
    guide = ExactGuide(model)
    guide.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    monkeypatch.setattr(exact, "NUMBERS", 10 * 4 * 10)
    told = []
    found = Exact()(model, guide, rows(batch), watch=told.append)
    assert sizes == [10, 10, 5]
    assert told == [10 / 25, 20 / 25, 1.0]
    close(found.nats, whole)


def test_no_gradient_is_kept():
    model = linear_model(2, 4)
    assert any(p.requires_grad for p in nn.Module.parameters(model))
    assert not Exact()(model, ExactGuide(model), rows(simulated(model, 3))).nats.requires_grad


@pytest.mark.parametrize(
    "evaluator", [Exact(), Enumerated(), Importance(2), Quadrature()], ids=lambda e: type(e).__name__
)
def test_products_are_exact_whatever_the_process_allows(monkeypatch, evaluator):
    """Each evaluator sets the precision of products, and puts back what it found."""
    model = {Enumerated: mixture_model, Quadrature: curved_model}.get(type(evaluator), linear_model)()
    batch, seen = simulated(model, 3), []
    guide = amortized(batch.x.shape[1], Gaussian(1)) if isinstance(evaluator, Quadrature) else ExactGuide(model)
    guide.register_forward_pre_hook(lambda module, given: seen.append(torch.get_float32_matmul_precision()))
    monkeypatch.setattr(estimate, "resolve_precision", lambda mode, device: "float32")
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        evaluator(model, guide, rows(batch))
        after = torch.get_float32_matmul_precision()
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(seen) == {"highest"}
    assert after == "medium"
