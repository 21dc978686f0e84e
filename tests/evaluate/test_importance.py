"""Importance weighting: streaming against one computation, its errors against repetitions, and its bound."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from jensen.core.batch import Rows
from jensen.core.errors import NotNormalised, UsageError
from jensen.evaluate import Importance, Kind, importance
from jensen.evaluate.importance import widest
from jensen.evaluate.psis import pareto_k
from jensen.families import Bernoulli, Gaussian, Mixture
from jensen.guides import Deterministic, Exact
from jensen.models.conditionals import Given, Unconditional
from jensen.models.draw import place, weigh
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP, ConvDecoder
from tests.identities.models import (
    amortized,
    close,
    curved_model,
    evidence,
    linear_model,
    normal_guide,
    rows,
    scrambled,
    simulated,
)

BATCH = simulated(curved_model(), 7)


def watched(monkeypatch) -> list:
    """Every (guide, points) that is placed."""
    placed = []

    def spy(q, k, generator):
        z, noise = place(q, k, generator)
        placed.append((q, z))
        return z, noise

    monkeypatch.setattr(importance, "place", spy)
    return placed


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(("numbers", "k"), [(1, 5), (18 * 7, 100), (18 * 4, 17), (1 << 22, 17)])
def test_streaming_is_one_computation(monkeypatch, numbers, k, mixed):
    """In chunks that divide neither the points nor the data, and at the very points that were placed.

    Under a mixture as prior the rate has no closed form, and is a mean over the points.
    """
    model, guide = curved_model(), amortized(3, Gaussian(1))
    if mixed:
        model = LatentVariableModel(scrambled(Unconditional(Mixture(Gaussian(1), 2)), "mixed"), model.likelihood)
    monkeypatch.setattr(importance, "NUMBERS", numbers)
    placed = watched(monkeypatch)
    found = Importance(k)(model, guide, rows(BATCH))
    assert (len(placed) > 1) == (numbers < 1 << 22)

    z = {}  # the points of a batch come with one and the same guide
    for q, points in placed:
        z.setdefault(id(q), []).append(points)
    z = torch.cat([torch.cat(chunks) for chunks in z.values()], 1)
    assert z.shape == (k, len(BATCH), 1)
    with torch.no_grad():
        draw = weigh(model, guide(BATCH), z, BATCH)
    log_w = draw.log_weight
    share = log_w.softmax(0)
    close(found.nats, torch.logsumexp(log_w, 0) - math.log(k), 1e-10)
    close(found.distortion, -draw.log_lik.mean(0), 1e-10)
    close(found.rate, draw.rate, 1e-10)
    torch.testing.assert_close(found.k_hat, pareto_k(log_w))
    close(found.ess, 1 / share.square().sum(0), 1e-10)
    close(found.variance_mc, (share.square().sum(0) - 1 / k) * k / (k - 1), 1e-10)
    close(found.elbo, draw.log_lik.mean(0) - draw.rate, 1e-10)
    assert (found.kind, found.k) == (Kind.STOCHASTIC_LOWER, k)


def test_weights_far_apart_lose_no_digits():
    """The sum of weights holds however far apart they are, and in whichever order they come."""
    model, guide = curved_model(), amortized(3, Gaussian(1))
    z = torch.linspace(-60, 60, 12, dtype=torch.float64)[:, None, None].expand(-1, len(BATCH), 1)
    log_w = weigh(model, guide(BATCH), z, BATCH).log_weight.detach()
    zero = torch.zeros(len(BATCH), dtype=torch.float64)
    for order in (log_w, log_w.flip(0)):
        kept = importance._Weights.of(order, zero, zero)
        close(kept.log_mean, torch.logsumexp(log_w, 0) - math.log(12), 1e-10)


def test_the_curve_is_made_of_disjoint_groups():
    """Its first rung is the mean log-weight, its last the estimate itself; on average it rises."""
    log_w = torch.randn(1000, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    zero = torch.zeros(7, dtype=torch.float64)
    kept = importance._Weights.of(log_w, zero, zero)
    assert list(kept.curve) == [1, 10, 100, 1000]
    close(kept.curve[1][0], log_w.mean(0), 1e-12)
    close(kept.curve[1][1], log_w.var(0) / 1000, 1e-12)
    close(kept.curve[1000][0], kept.log_mean, 1e-12)
    means = [float(value.mean()) for value, _ in kept.curve.values()]
    assert means == sorted(means)


@pytest.mark.parametrize("k", [1, 2, 11, 2345, 5000, 10_007])
@pytest.mark.parametrize("spread", [0.0, 2.0, 1e4])
def test_statistics_of_weights_are_those_of_their_definitions(k, spread):
    """Rungs are built on one another and shares on one exponential; weights of zero, and far apart, included."""
    log_w = spread * torch.randn(k, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) - 500
    log_w[::2, 1], log_w[:, 2] = -torch.inf, -torch.inf
    kept = importance._Weights.of(log_w.clone(), log_w[0], log_w[0])
    assert list(kept.curve) == [*(n for n in importance.LADDER if n < k), k]
    close(kept.log_mean, torch.logsumexp(log_w, 0) - math.log(k), 1e-12)
    close(kept.squared_share, log_w.softmax(0).square().sum(0).nan_to_num(1.0), 1e-12)
    for n, (mean, variance) in kept.curve.items():
        groups = torch.stack(log_w[: k // n * n].split(n)).logsumexp(1) - math.log(n)
        torch.testing.assert_close(mean, groups.mean(0), rtol=1e-12, atol=1e-12)
        assert variance.isnan().all() or n < k
        if len(groups) > 1:
            torch.testing.assert_close(variance, groups.var(0) / len(groups), equal_nan=True)


def test_few_numbers_are_in_memory_at_once(monkeypatch):
    """K = 10^5 points of three data never stand side by side; neither do those of a layer wider than the data."""
    sizes = []

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(1, 50), nn.Tanh(), nn.Linear(50, 3)).double()

        def forward(self, z):
            sizes.append(z.shape[:-1].numel() * 50)
            return self.layers(z)

    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(Wide(), Gaussian(3, "shared"))).double()
    monkeypatch.setattr(importance, "NUMBERS", 1 << 20)
    found = Importance(100_000)(model, amortized(3, Gaussian(1)), Rows(BATCH.x[:3]))
    assert found.k == 100_000
    assert sum(sizes) == (3 * 100_000 + 2) * 50  # and two points by which layers are measured
    assert 1 << 19 < max(sizes) <= 1 << 20


def test_the_monte_carlo_error_is_that_of_repetitions():
    """The spread of 300 seeds has a standard error of 1 / sqrt(2 * 299) = 4.1 per cent."""
    model = linear_model(2, 3)
    batch = simulated(model, 4)
    exact = Exact(model)(batch)
    guide = normal_guide(exact.mean.detach(), 1.2 * exact.variance.detach().sqrt())
    found = [Importance(200)(model, guide, rows(batch), seed) for seed in range(300)]
    spread = torch.tensor([e.mean for e in found]).std()
    told = torch.tensor([e.stderr_mc for e in found]).mean()
    close(told / spread, 1.0, 4 * 0.041)


def test_one_point_knows_no_error_of_its_own():
    found = Importance(1)(curved_model(), amortized(3, Gaussian(1)), rows(BATCH))
    assert found.stderr_mc is None
    assert (found.ess == 1).all()


def test_the_bound_is_below_the_evidence_and_rises():
    """Under a diagonal guide that is wrong; averages over 60 seeds, by their own standard errors."""
    model = linear_model(3, 5)
    batch = simulated(model, 20)
    exact = Exact(model)(batch)
    guide = normal_guide(exact.mean.detach() + 0.3, 1.5 * exact.variance.detach().sqrt())
    truth = float(evidence(model, batch).mean().detach())
    means, errors = [], []
    for k in (1, 4, 16, 64):
        found = torch.tensor([Importance(k)(model, guide, rows(batch), seed).mean for seed in range(60)])
        means.append(float(found.mean()))
        errors.append(float(found.std()) / 60**0.5)
    for mean, error in zip(means, errors, strict=True):
        assert mean < truth + 3 * error
    for i in range(3):
        assert means[i + 1] - means[i] > 3 * math.hypot(errors[i], errors[i + 1])
    assert truth - means[-1] < 0.1 < truth - means[0]
    elbo = Importance(2000)(model, guide, rows(batch)).elbo.mean()
    assert abs(float(elbo) - means[0]) < 4 * errors[0]


def test_a_seed_gives_the_same_numbers():
    model, guide = curved_model(), amortized(3, Gaussian(1))
    a, b, c = (Importance(20)(model, guide, rows(BATCH), seed) for seed in (3, 3, 4))
    assert torch.equal(a.nats, b.nats)
    assert not torch.equal(a.nats, c.nats)


def test_an_exact_guide_gives_an_exact_number():
    model = linear_model(2, 4)
    batch = simulated(model, 5)
    found = Importance(3)(model, Exact(model), rows(batch))
    assert (found.kind, found.k, found.ess, found.stderr_mc) == (Kind.EXACT, None, None, 0.0)
    close(found.nats, evidence(model, batch))


def test_a_datum_that_no_point_explains_has_no_evidence():
    model, guide = curved_model(), normal_guide(torch.zeros(1).double(), torch.ones(1).double())
    x = torch.tensor([[1e200, 0, 0], [0, 0, 0]], dtype=torch.float64)
    found = Importance(10)(model, guide, Rows(x))
    assert found.nats[0] == -torch.inf
    assert torch.isfinite(found.nats[1])
    assert not any(t.isnan().any() for t in (found.ess, found.variance_mc))


def test_a_discrete_likelihood_sums_to_one():
    """Over all eight x, exp log p(x) adds up to 1 where the bound is tight."""
    net = scrambled(MLP(1, 3, (4,), "tanh"), "net")
    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(net, Bernoulli(3))).double()
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    guide = normal_guide(torch.zeros(1).double(), torch.ones(1).double())
    found = Importance(20_000)(model, guide, Rows(x))
    error = float((found.nats.exp().square() * found.variance_mc).sum().sqrt())
    assert abs(float(found.nats.exp().sum()) - 1) < 4 * error + 1e-12
    assert error < 0.01


def test_progress_is_told_up_to_one(monkeypatch):
    monkeypatch.setattr(importance, "NUMBERS", 18 * 2)
    told = []
    Importance(3)(curved_model(), amortized(3, Gaussian(1)), rows(BATCH), watch=told.append)
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_point_masses_and_no_points_are_refused():
    guide = Deterministic(nn.Linear(3, 1).double())
    with pytest.raises(NotNormalised, match="no density"):
        Importance(3)(curved_model(), guide, rows(BATCH))
    with pytest.raises(UsageError, match="-k must be a whole number of at least 1, got 0"):
        Importance(0)


def test_no_gradient_is_kept():
    assert not Importance(2)(curved_model(), amortized(3, Gaussian(1)), rows(BATCH)).nats.requires_grad


def test_layers_are_measured():
    """A convolution's parameters do not tell that its input has 28 x 28 x 64 numbers."""
    decoder = ConvDecoder(5, (28, 28, 1), width=32)
    model = LatentVariableModel(Unconditional(Gaussian(5)), Given(decoder, Bernoulli(784)))
    assert widest(model) == 28 * 28 * 64
    assert widest(curved_model(3)) == 6
    assert widest(linear_model(2, 5)) == 6
    assert widest(LatentVariableModel(Unconditional(Mixture(Gaussian(2), 9)), Given(MLP(2, 3), Bernoulli(3)))) == 200
    assert widest(LatentVariableModel(Unconditional(Mixture(Gaussian(2), 90)), Given(MLP(2, 3), Bernoulli(3)))) == 450
    assert widest(LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(3)))) == 6


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_nothing_behind(training):
    """Neither running statistics, nor hooks, nor random numbers, nor the mode of training."""
    net = nn.Sequential(nn.Flatten(0, 1), nn.Linear(2, 7), nn.BatchNorm1d(7), nn.Dropout(0.5), nn.Linear(7, 3))
    net.append(nn.Unflatten(0, (-1, 1)))
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(net, Bernoulli(3))).train(training)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    state = torch.get_rng_state()
    assert widest(model) == 7
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks for m in model.modules())
    assert all(m.training is training for m in model.modules())


def test_the_error_of_a_rung_is_that_of_a_mean_over_data():
    """Of the rung with one point per datum: sqrt(sum of each datum's variance / K) / N."""
    log_w = torch.randn(50, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    zero = torch.zeros(8, dtype=torch.float64)
    (n, mean, error), *_ = importance._Weights.of(log_w, zero, zero).means
    assert (n, mean) == (1, pytest.approx(float(log_w.mean())))
    assert error == pytest.approx(float((log_w.var(0) / 50).sum().sqrt()) / 8)
