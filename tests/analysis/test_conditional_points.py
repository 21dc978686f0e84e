"""Points of the joint: their sums are p(x_A) for every set A, exactly of a finite latent and without bias elsewhere."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from jensen.analysis.conditional_points import (
    check_conditionals,
    column_terms,
    hidden,
    is_enumerable,
    joint_points,
    without_each,
)
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, NotNormalised
from jensen.core.random import stream
from jensen.evaluate import Importance
from jensen.evaluate.exact import Exact as ExactEvidence
from jensen.families import Bernoulli, Gaussian, Mixture
from jensen.guides import Amortized, Deterministic, Exact
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import amortized, close, linear_model, mixture_model, scrambled, simulated

DIM = 4
SETS = [set(s) for n in range(DIM + 1) for s in itertools.combinations(range(DIM), n)]
FILL = torch.zeros(DIM).double()


def mask_of(columns: set[int]) -> torch.Tensor:
    return torch.tensor([d in columns for d in range(DIM)])


def sums(model, points, batch) -> torch.Tensor:
    """log p(x_A) [len(SETS), B] by the points."""
    terms = column_terms(model, points, batch)
    return torch.stack([torch.logsumexp(points.base + terms[..., mask_of(s)].sum(-1), 0) for s in SETS])


def evidence(model, batch) -> torch.Tensor:
    """The same by the closed form of the posterior, one set at a time."""
    masks = [mask_of(s).expand(batch.x.shape) for s in SETS]
    exact = ExactEvidence()
    return torch.stack([exact(model, Exact(model), Rows(batch.x, mask=m, fill=FILL)).nats for m in masks])


def test_all_states_of_a_mixture_have_no_error_in_any_set():
    model = mixture_model(3, DIM)
    batch = simulated(model, 5)
    points = joint_points(model, amortized(DIM, Gaussian(3)), batch, [], FILL, 1)
    assert points.is_exact
    assert points.z.shape == (3, 1, 3)
    close(sums(model, points, batch), evidence(model, batch), 1e-12)


def test_bits_are_enumerated_too():
    with torch.no_grad():
        net = nn.Linear(3, DIM).double()
        model = LatentVariableModel(Unconditional(Bernoulli(3)), Given(net, Bernoulli(DIM)))
    scrambled(model, "bits")
    batch = simulated(model, 4)
    points = joint_points(model, amortized(DIM, Bernoulli(3)), batch, [], FILL, 1)
    by_hand = torch.zeros(4, dtype=torch.float64)
    for bits in itertools.product([0.0, 1.0], repeat=3):
        z = torch.tensor(bits).double().expand(1, 4, 3)
        by_hand += model.log_joint(batch, z)[0].exp()
    close(sums(model, points, batch)[-1].exp(), by_hand, 1e-12)


def test_points_of_several_proposals_estimate_every_set():
    """Against the closed form, by the Monte Carlo error of each: even the sets that no proposal was made for."""
    model, k = linear_model(2, DIM, "feature"), 60_000
    batch = simulated(model, 3)
    masks = [torch.ones(DIM).bool(), mask_of({0, 1, 2}), mask_of({3})]
    points = joint_points(model, amortized(DIM, Gaussian(2)), batch, masks, FILL, k, stream(0, "points"))
    assert len(points.z) == k
    terms = column_terms(model, points, batch)
    truth = evidence(model, batch)
    for s, expected in zip(SETS, truth, strict=True):
        w = (points.base + terms[..., mask_of(s)].sum(-1)).exp() * k
        assert ((w.mean(0) - expected.exp()).abs() < 4.5 * w.std(0) / k**0.5).all()


def test_a_guide_that_is_nowhere_near_does_no_harm():
    """Points of the prior are among them, so that a condition on one column keeps a usable size."""
    model = linear_model(2, DIM)
    far = Amortized(Given(nn.Linear(DIM, 4).double(), Gaussian(2)))
    with torch.no_grad():
        far.conditional.net.weight.zero_()
        far.conditional.net.bias.copy_(torch.tensor([30.0, 30.0, -3.0, -3.0]))
    batch, mask = simulated(model, 6), mask_of({1})
    points = joint_points(model, far, batch, [mask], FILL, 4000, stream(0, "far"))
    w = torch.softmax(points.base + column_terms(model, points, batch)[..., 1], 0)
    assert (1 / w.square().sum(0) > 200).all()
    alone = Importance(4000)(model, far, Rows(batch.x, mask=mask.expand(batch.x.shape), fill=FILL))
    assert alone.ess is not None
    assert (alone.ess < 10).all()


def test_under_an_exact_guide_all_weights_of_its_set_are_equal():
    model = linear_model(2, DIM)
    batch, mask = simulated(model, 3), mask_of({0, 2})
    points = joint_points(model, Exact(model), batch, [mask], FILL, 50, stream(0, "exact"))
    log_w = points.base + column_terms(model, points, batch)[..., mask].sum(-1)
    close(log_w, log_w[:1], 1e-9)
    close(torch.logsumexp(log_w, 0), evidence(model, batch)[SETS.index({0, 2})], 1e-9)


def test_terms_of_missing_entries_are_zero_and_of_others_sum_to_the_joint():
    model = linear_model(2, DIM)
    batch = hidden(simulated(model, 3), mask_of({1, 2}), FILL)
    points = joint_points(model, Exact(model), batch, [torch.ones(DIM).bool()], FILL, 7, stream(0, "terms"))
    terms = column_terms(model, points, batch)
    assert (terms[..., [0, 3]] == 0).all()
    expected = model.log_joint(batch, points.z) - model.prior.log_prob(points.z)
    close(terms.sum(-1), expected, 1e-12)


def test_sums_without_each_column_are_those_of_the_others():
    terms = torch.randn(5, 3, DIM, generator=stream(0, "terms"), dtype=torch.float64)
    terms[0, 0, 1] = -torch.inf
    by_hand = torch.stack([terms[..., [e for e in range(DIM) if e != d]].sum(-1) for d in range(DIM)], -1)
    close(without_each(terms), by_hand, 1e-12)
    assert not without_each(terms).isnan().any()


def test_what_has_no_conditionals_is_refused():
    model = linear_model(2, DIM)
    with pytest.raises(NotNormalised, match="deterministic encoder"):
        check_conditionals(model, Deterministic(nn.Linear(DIM, 2)))
    joint = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 18), Mixture(Gaussian(DIM), 2)))
    with pytest.raises(CompositionError, match="factorises"):
        check_conditionals(joint, amortized(DIM, Gaussian(2)))
    assert is_enumerable(mixture_model(3, DIM))
    assert not is_enumerable(model)
    check_conditionals(mixture_model(3, DIM), Deterministic(nn.Linear(DIM, 3)))  # whose guide is not asked


def test_a_model_without_latents_has_one_point():
    model = LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(DIM), learn=True).double())
    batch = Batch(torch.randn(6, DIM, generator=stream(0, "x")).double())
    points = joint_points(model, Exact(model), batch, [], FILL, 100)
    assert points.z.shape == (1, 1, 0)
    close(sums(model, points, batch)[-1], model.likelihood.log_prob(batch.x), 1e-12)
