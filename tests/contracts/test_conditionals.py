"""Families and conditionals: fused and plain densities agree, zeros are the standard member, masks marginalise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.distributions import constraints

from jensen import families
from jensen.core.errors import CompositionError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.distributions import Chained, IndependentEvents
from jensen.models.autoregressive import ChainRule
from jensen.models.codebooks import CodePrior
from jensen.models.ladder import FromLadder, LadderPrior
from jensen.models.masking import SelfMasked
from jensen.models.priors import FlowPrior, VampPrior
from tests.contracts.members import ALL_CONDITIONALS, ALL_FAMILIES
from tests.contracts.supports import grid, innermost, inside, params_and_data

EACH = pytest.mark.parametrize("family", ALL_FAMILIES, ids=str)
MASKABLE = [
    f
    for f in ALL_FAMILIES
    if not isinstance(innermost(f), families.Categorical | families.FullGaussian | families.LowRankGaussian)
    and not (isinstance(f, families.DiscretizedLogisticMixture) and f.channels > 1)
]


@EACH
def test_fused_density_is_the_distributions(family):
    params, x = params_and_data(family, 4, 5)
    d = family(params)
    assert d.batch_shape == (4, 5)
    assert d.event_shape == (family.dim,)
    assert x.shape == (4, 5, family.dim)
    torch.testing.assert_close(family.log_prob(params, x), d.log_prob(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(family.log_prob(params[0, 0], x), family(params[0, 0]).log_prob(x), rtol=1e-9, atol=1e-9)
    each = torch.stack([family.log_prob(p, x[0, 0]) for p in params.flatten(0, 1)]).unflatten(0, (4, 5))
    torch.testing.assert_close(family.log_prob(params, x[0, 0]), each, rtol=1e-9, atol=1e-9)


def standard_member(kind: families.Family) -> dict[str, float]:
    """The parameters of each family's distribution at zero."""
    if isinstance(kind, families.Gaussian):
        return {"loc": 0.0, "scale": 1.0 if isinstance(kind.scale, str) else kind.scale}
    if isinstance(kind, families.StudentT):
        return {"loc": 0.0, "scale": 1.0, "degrees": kind.degrees or 3.0}
    place, count = {"loc": 0.0, "scale": 1.0}, {"log_mean": 0.0, "theta": 1.0}
    return {
        families.DiscretizedLogistic: place,
        families.Laplace: place,
        families.LogNormal: place,
        families.DiscretizedLogisticMixture: {**place, "logits": 0.0, "lean": 0.0},
        families.FullGaussian: {"loc": 0.0, "variance": 1.0},
        families.LowRankGaussian: {"loc": 0.0, "variance": 1.0},
        families.Bernoulli: {"probs": 0.5},
        families.Categorical: {"probs": 1 / 3},
        families.ContinuousBernoulli: {"logits": 0.0, "mean": 0.5},
        families.Beta: {"a": 1.0, "b": 1.0},
        families.Poisson: {"log_rate": 0.0, "mean": 1.0},
        families.NegativeBinomial: count,
        families.ZeroInflated: {"gate": 0.0, "mean": 0.5},
        families.Choices: {},  # all levels are alike: held to it by its own tests
        families.Ordinal: place,
        families.Integers: place,
        families.IntegerMixtures: {"logits": 0.0},
        families.HeapedIntegers: {},  # equal weights: held to it by its own tests
        families.GaussianMixtures: {"logits": 0.0},
        families.LogitNormal: place,
        families.VonMises: {"cosine": 0.0, "sine": 0.0},
    }[type(kind)]


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_zeros_are_the_standard_member_exactly(family, dtype):
    params = torch.zeros(family.size, dtype=dtype)
    d: Any = family(params)
    kind = innermost(family)
    d = d.base if isinstance(d, IndependentEvents) else d.first if isinstance(d, Chained) else d
    while d.__class__.__name__ == "MixtureSameFamily":
        assert (d.mixture_distribution.probs == 1 / 2).all()
        d = d.component_distribution
    if isinstance(family, families.Columns):
        members = list(zip(family.families, d.base_dist.groups, strict=True))
    else:
        flat = isinstance(kind, families.Factorised | families.Gaussian | families.Bernoulli)
        members = [(kind, d.base_dist if flat else d)]
    for member, distribution in members:
        for name, value in standard_member(member).items():
            moment, allowed = getattr(distribution, name), 1e-7 if value == 1 / 3 else 0
            torch.testing.assert_close(moment, torch.full_like(moment, value), rtol=0, atol=allowed)
    x = inside(family, torch.tensor([1, 0, 0], dtype=dtype))
    if isinstance(family, families.Columns):
        pairs = zip(family.families, family.places, strict=True)
        standard = sum(f.log_prob(torch.zeros(f.size, dtype=dtype), x[list(group)]) for f, group in pairs)
    else:
        standard = kind.log_prob(torch.zeros(kind.size, dtype=dtype), x.unflatten(-1, (-1, kind.dim))).sum(-1)
    torch.testing.assert_close(family.log_prob(params, x), standard)


LARGEST = {torch.float32: 1e38, torch.float64: 1e300}
SIZES = [0.0, 1e-300, -1e-38, 1e-7, 1.0, -1.0, 30.0, -1e4, 1e6, -1e13, math.inf, -math.inf]


def all_sizes(family: families.Family, dtype: torch.dtype) -> torch.Tensor:
    """Return rows [M, P] of parameters: every size alone in all places, and 300 mixtures of them."""
    sizes = torch.tensor(SIZES, dtype=torch.float64).clamp(-LARGEST[dtype], LARGEST[dtype])
    mixed = torch.randint(len(SIZES), (300, family.size), generator=stream(0, "sizes"))
    return torch.cat([sizes[:, None].expand(-1, family.size), sizes[mixed]]).to(dtype)


@EACH
@pytest.mark.parametrize("dtype", LARGEST, ids=str)
def test_every_finite_parameter_is_valid(family, dtype):
    """Neither densities nor gradients nor samples are NaN, at parameters up to 1e38 (float32) and 1e300 (float64)."""
    params = all_sizes(family, dtype).repeat(3, 1, 1).requires_grad_()
    x = inside(family, torch.tensor([[1, 0, 0], [0, 0, 1], [0, 1, 0]], dtype=dtype))[:, None]
    value = family.log_prob(params, x)
    assert value.shape == params.shape[:2]
    assert not value.isnan().any()
    assert not torch.autograd.grad(value.sum(), params)[0].isnan().any()
    with torch.no_grad():
        d = family(params)
        with drawing_from(stream(0, "x")):
            assert torch.isfinite(d.sample((3,))).all()
        assert not d.log_prob(x).isnan().any()


@EACH
def test_the_same_value_in_both_precisions(family):
    params, x = params_and_data(family, 20)
    single = family.log_prob(params.float(), x.float())
    torch.testing.assert_close(single.double(), family.log_prob(params, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", MASKABLE, ids=str)
@pytest.mark.parametrize("feature", [0, 2])
def test_a_mask_marginalises(family, feature):
    """log p(x_observed) is the log of the sum, or integral, of p over what is not observed."""
    params, x = params_and_data(family, 1)
    values, width = grid(family)
    full = x.expand(len(values), -1).clone()
    full[:, feature] = values
    mask = torch.ones(1, 3, dtype=torch.bool)
    mask[0, feature] = False
    known = torch.logsumexp(family.log_prob(params, full) + width, 0)
    allowed = 1e-7 if isinstance(family, families.Laplace) else 1e-9  # the trapezoidal rule at its kink
    torch.testing.assert_close(family.log_prob(params, x, mask)[0], known, rtol=allowed, atol=allowed)


@pytest.mark.parametrize("family", MASKABLE, ids=str)
@pytest.mark.parametrize("hole", [math.nan, math.inf, -math.inf])
def test_what_is_masked_does_not_matter(family, hole):
    params, x = params_and_data(family, 6)
    params.requires_grad_()
    mask = torch.rand(6, 3, generator=stream(0, "mask")) < 0.5
    mask[0], mask[1] = False, True

    def value_and_gradient(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value = family.log_prob(params, x, mask)
        return value, torch.autograd.grad(value.sum(), params)[0]

    holes = torch.where(mask, x, torch.full_like(x, hole))
    for a, b in zip(value_and_gradient(holes), value_and_gradient(x), strict=True):
        assert torch.isfinite(a).all()
        assert torch.equal(a, b)
    value, _ = value_and_gradient(x)
    torch.testing.assert_close(value[0], torch.zeros_like(value[0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(value[1], family.log_prob(params[1], x[1]), rtol=1e-9, atol=1e-9)


def test_a_categorical_refuses_a_mask():
    with pytest.raises(CompositionError, match="Mask all of its features or none"):
        families.Categorical(3).log_prob(torch.zeros(3), torch.eye(3), torch.eye(3) > 0)


def test_a_mixture_refuses_shared_parameters():
    with pytest.raises(CompositionError, match='scale="each"'):
        families.Mixture(families.Gaussian(2, "shared"), 3)


@EACH
def test_a_family_is_rebuilt_from_its_specification(family):
    assert build(spec_of(family))[0] == family


def test_samples_are_in_the_support():
    params, x = params_and_data(families.DiscretizedLogistic(3, 5), 200)
    support = families.DiscretizedLogistic(3, 5)(params).support
    assert isinstance(support, constraints.Constraint)
    assert support.check(x).all()
    assert x.unique().tolist() == [0, 1, 2, 3, 4]


NAMES = [f"{type(c).__name__}-{c.family}" for c in ALL_CONDITIONALS]
FLAT = [
    c for c in ALL_CONDITIONALS if not isinstance(c, VampPrior | FlowPrior | LadderPrior | ChainRule | CodePrior)
]  # those with a row of parameters


@pytest.mark.parametrize("conditional", ALL_CONDITIONALS, ids=NAMES)
def test_a_conditional_is_its_family_at_its_parameters(conditional):
    c = torch.eye(2, dtype=torch.float64)[torch.randint(2, (4, 5), generator=stream(0, "c"))]
    family = conditional.family
    d = conditional(c)
    if conditional in FLAT:
        assert conditional.params(c).shape[-1] == family.size
    with drawing_from(stream(0, "x")):
        x = d.sample() if d.batch_shape else d.sample((4, 5))
    assert x.shape == (4, 5, family.dim)
    log_prob = d.log_prob(x)
    if isinstance(conditional, SelfMasked):  # all of x is observed, which has a probability too
        log_prob = log_prob + conditional.mask_log_prob(conditional.params(c), x)
    torch.testing.assert_close(conditional.log_prob(x, c), log_prob, rtol=1e-9, atol=1e-9)
    one = conditional.log_prob(x[1, 2], c[1, 2])
    torch.testing.assert_close(conditional.log_prob(x, c)[1, 2], one, rtol=1e-9, atol=1e-9)
    assert conditional.phrase


@pytest.mark.parametrize("conditional", ALL_CONDITIONALS, ids=NAMES)
def test_a_conditional_is_rebuilt_from_its_specification(conditional):
    again = build(spec_of(conditional))[0].double()
    assert type(again) is type(conditional)
    again.load_state_dict(conditional.state_dict())
    c = torch.eye(2, dtype=torch.float64)
    if conditional in FLAT:
        assert torch.equal(again.params(c), conditional.params(c))
    else:
        y = torch.ones(2, conditional.family.dim, dtype=torch.float64)
        assert torch.equal(again.log_prob(y, c), conditional.log_prob(y, c))


@pytest.mark.parametrize("conditional", ALL_CONDITIONALS, ids=NAMES)
def test_every_learned_number_has_a_gradient(conditional):
    c = torch.eye(2, dtype=torch.float64)
    x = torch.tensor([[1, 0, 0], [0, 0, 1]], dtype=torch.float64)[:, : conditional.family.dim]
    x = inside(conditional.family, x)
    learned = [p for p in conditional.parameters() if p.requires_grad]
    if isinstance(conditional, LadderPrior):  # nobody below asks what the last step added
        last = {id(p) for p in conditional.ladder.way[-1].step.parameters()}
        learned = [p for p in learned if id(p) not in last]
    if isinstance(conditional, FromLadder):  # what a rung believes beforehand is the prior's business
        prior = {id(p) for rung in conditional.ladder.way for p in rung.prior.parameters()}
        learned = [p for p in learned if id(p) not in prior]
    if learned:
        for gradient in torch.autograd.grad(conditional.log_prob(x, c).sum(), learned):
            assert gradient.any()
