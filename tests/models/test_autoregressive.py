"""Chains of conditionals: masses that sum to one, no look ahead, and samples that are the density's own."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.evaluate import choose
from jensen.families import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Family,
    Gaussian,
    Mixture,
    Product,
)
from jensen.guides import Exact
from jensen.models.autoregressive import ChainRule, over_codes
from jensen.models.conditionals import Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP, Causal, CausalConv, CausalMLP, Standardize, uncached

KINDS = pytest.mark.parametrize("kind", ["perceptron", "convolutions"])


def wild(module: torch.nn.Module, scale: float = 0.5) -> torch.nn.Module:
    """The module in double precision, with weights far from where they begin."""
    with drawing_from(stream(1, "weights")):
        for p in module.double().parameters():
            torch.nn.init.normal_(p, 0.0, scale)
    return module


def net(kind: str, part: Family, context: int = 0, height: int = 2, width: int = 3) -> Causal:
    sizes = (part.dim, part.size)
    if kind == "convolutions":
        return wild(CausalConv((height, width), *sizes, context, width=6, layers=2))  # pyright: ignore[reportReturnType]
    return wild(CausalMLP(height * width, *sizes, height * width * context, (9, 9)))  # pyright: ignore[reportReturnType]


def chain(kind: str, part: Family, context: int = 0, height: int = 2, width: int = 3) -> ChainRule:
    made = net(kind, part, context, height, width)
    before = Standardize(made.positions * part.dim)
    before.set(torch.full_like(before.mean, 0.3), torch.full_like(before.scale, 2.0))
    given = wild(MLP(2, made.context, (4,))) if context else None
    return ChainRule(made, Product(part, made.positions), given, before.double())


def every(values: Tensor, n: int) -> Tensor:
    """All rows of n values."""
    return torch.stack([torch.cat(row) for row in itertools.product(values, repeat=n)])


SPACES: list[tuple[Family, Tensor, tuple[int, int]]] = [
    (Bernoulli(1), torch.tensor([[0.0], [1.0]]), (2, 3)),
    (Mixture(DiscretizedLogistic(1, 3), 2), torch.arange(3.0)[:, None], (2, 2)),
    (Categorical(3), torch.eye(3), (2, 2)),
    (DiscretizedLogisticMixture(2, 2, 2, 2), every(torch.tensor([[0.0], [1.0]]), 2), (1, 3)),
]


@KINDS
@pytest.mark.parametrize(("part", "values", "size"), SPACES, ids=str)
@torch.no_grad()
def test_masses_sum_to_one(kind, part, values, size):
    p = chain(kind, part, 0, *size)
    whole = every(values, p.family.n)
    log_probs = p.log_prob(whole.double())
    assert abs(math.fsum(log_probs.exp().tolist()) - 1) < 1e-12
    single = p.float().log_prob(whole)
    assert abs(math.fsum(single.double().exp().tolist()) - 1) < 1e-6


@torch.no_grad()
def test_a_density_of_reals_integrates_to_one():
    """By the trapezoidal rule, with steps that grow outwards."""
    p = chain("perceptron", Mixture(Gaussian(1), 2), 0, 1, 2)
    u = torch.linspace(-6, 6, 241, dtype=torch.float64)
    width = u.cosh() * (12 / 240)
    x = torch.cartesian_prod(u.sinh(), u.sinh())
    total = (p.log_prob(x).exp() * torch.outer(width, width).flatten()).sum()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)


@KINDS
@pytest.mark.parametrize("channels", [1, 2])
def test_no_position_sees_itself_or_what_is_later(kind, channels):
    """And each sees all that is earlier: no blind spot, on an image that the layers can span."""
    part, height, width = Categorical(channels + 1), 3, 4
    if kind == "convolutions":
        made = wild(CausalConv((height, width), channels, part.size, width=4, layers=3))
    else:
        made = wild(CausalMLP(height * width, channels, part.size, hidden=(24, 24)))
    x = torch.randn(height * width * channels, dtype=torch.float64, generator=stream(0, "x"))
    slope = torch.autograd.functional.jacobian(made, x)
    slope = torch.as_tensor(slope).view(height * width, part.size, height * width, channels).abs().sum(1)
    seen = (slope > 0).all(-1)
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))
    assert torch.equal((slope > 0).any(-1), seen)


@KINDS
@pytest.mark.parametrize("context", [0, 2])
def test_a_walk_says_what_whole_passes_say(kind, context):
    """With what it keeps, for each position, at any features; and so do its samples, from the same noise."""
    part = Mixture(DiscretizedLogistic(1, 4), 2)
    p = chain(kind, part, context, 3, 4)
    x = torch.randint(4, (5, 12), generator=stream(0, "x")).double()
    h = torch.randn(5, p.net.context, dtype=torch.float64, generator=stream(0, "h")) if context else None
    with torch.no_grad():
        for walk in (p.net.walk(5, h), uncached(p.net, 5, h)):
            whole = p.net(x if h is None else torch.cat([x, h], -1)).view(5, 12, part.size)
            said = next(walk)
            for i in range(12):
                torch.testing.assert_close(said, whole[:, i], rtol=1e-9, atol=1e-9)
                said = walk.send(x[:, i : i + 1]) if i < 11 else said


@KINDS
def test_kept_and_naive_samples_are_equal(kind, monkeypatch):
    p = chain(kind, Bernoulli(1), 1)
    params = p.params(torch.randn(300, 2, dtype=torch.float64, generator=stream(0, "z")))
    with drawing_from(stream(0, "x")):
        kept = p.at(params).sample((2,))
    monkeypatch.setattr(type(p.net), "walk", uncached)
    with drawing_from(stream(0, "x")):
        naive = p.at(params).sample((2,))
    assert kept.shape == (2, 300, 6)
    assert torch.equal(kept, naive)


@KINDS
@torch.no_grad()
def test_samples_are_the_densitys_own(kind):
    """Frequencies of all 64 states among 10,000 samples, those expected more than five times: chi-squared,
    within 5 of its standard deviations."""
    p, n = chain(kind, Bernoulli(1)), 10_000
    with drawing_from(stream(0, "x")):
        x = p().sample((n,))
    mass = p.log_prob(every(torch.tensor([[0.0], [1.0]]), 6).double()).exp() * n
    count = torch.bincount((x @ 2.0 ** torch.arange(5, -1, -1, dtype=torch.float64)).long(), minlength=64)
    likely = mass > 5
    square = ((count - mass).square() / mass)[likely].sum()
    freedom = int(likely.sum())
    assert freedom > 20
    assert abs(float(square) - freedom) < 5 * math.sqrt(2 * freedom)


@KINDS
def test_a_known_beginning_has_a_density(kind):
    """The density of the first positions is the sum over all others; known entries after unknown ones are refused."""
    p, bits = chain(kind, Bernoulli(1)), torch.tensor([[0.0], [1.0]])
    start = every(bits, 4).double()
    rest = every(bits, 2).double()
    full = torch.cat([start[:, None].expand(-1, 4, -1), rest.expand(16, -1, -1)], -1)
    mask = (torch.arange(6) < 4).expand(16, -1)
    holed = torch.cat([start, torch.full((16, 2), math.nan, dtype=torch.float64)], -1)
    torch.testing.assert_close(p.log_prob(holed, mask=mask), p.log_prob(full).logsumexp(1), rtol=1e-9, atol=1e-9)
    with pytest.raises(CompositionError, match="factorises over features"):
        p.log_prob(holed, mask=mask.flip(-1))


def test_without_latents_the_evidence_is_exact():
    model = LatentVariableModel(Unconditional(Gaussian(0)), chain("perceptron", Bernoulli(1))).double()
    x = model.sample(40, stream(0, "x"))
    estimate = choose(model, Exact(model))(model, Exact(model), Rows(x))
    assert str(estimate.kind) == "exact"
    torch.testing.assert_close(estimate.nats, model.likelihood.log_prob(x).detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(estimate.distortion, -torch.as_tensor(estimate.nats))


def test_a_chain_that_sees_z_has_no_posterior_in_closed_form():
    model = LatentVariableModel(Unconditional(Gaussian(2)), chain("perceptron", Bernoulli(1), 1)).double()
    with pytest.raises(CompositionError, match="Amortized"):
        Exact(model)
    z = torch.randn(3, 4, 2, dtype=torch.float64, generator=stream(0, "z"))
    x = torch.ones(4, 6, dtype=torch.float64)
    each = torch.stack([model.likelihood.log_prob(x, z[k]) for k in range(3)])
    assert each.std() > 0
    torch.testing.assert_close(model.log_joint(Batch(x), z), each + model.prior.log_prob(z))


def test_the_context_reaches_every_pixel():
    made = net("convolutions", Bernoulli(1), 2)
    at = torch.zeros(6 + made.context, dtype=torch.float64)
    slope = torch.as_tensor(torch.autograd.functional.jacobian(made, at))[:, 6:].view(6, 6, 2).abs().sum(-1)
    assert (slope.diagonal() > 0).all()


def test_a_mean_is_always_the_same():
    p = chain("perceptron", Bernoulli(1))
    assert torch.equal(p().mean, p().mean)
    assert p().mean.shape == p().variance.shape == (6,)
    assert p().expand((3,)).mean.shape == (3, 6)


@pytest.mark.parametrize("grid", [4, (2, 2)], ids=str)
def test_a_prior_over_codes(grid):
    prior = wild(over_codes(grid, 3, width=4, layers=1, hidden=(8,)))
    states = every(torch.eye(3), 4).double()
    total = prior.log_prob(states).exp().sum()  # pyright: ignore[reportCallIssue]
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)
    x = prior().sample((50,)).view(50, 4, 3)
    assert (x.sum(-1) == 1).all()


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(CompositionError, match="Give the net positions"):
        ChainRule(CausalMLP(3, 1, 2), Product(Bernoulli(1), 3))
    with pytest.raises(CompositionError, match="Give both, or neither"):
        ChainRule(CausalMLP(3, 1, 1, context=4), Product(Bernoulli(1), 3))
    with pytest.raises(CompositionError, match="Pass c"):
        chain("perceptron", Bernoulli(1), 1).params()
    with pytest.raises(CompositionError, match="context"):
        next(CausalConv((2, 2), 1, 1, 3).walk(2))
    for made in (lambda: CausalMLP(3, 1, 1, hidden=()), lambda: CausalConv((2, 2), 1, 1, width=0)):
        with pytest.raises(UsageError, match="at least 1"):
            made()
    with pytest.raises(CompositionError, match="share"):
        Product(Gaussian(1, "shared"), 3)
    with pytest.raises(UsageError, match=r"^n must be a whole number of at least 1, got 0"):
        Product(Bernoulli(1), 0)
