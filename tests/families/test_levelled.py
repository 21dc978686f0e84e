"""Families of levels against enumeration and SciPy."""

from __future__ import annotations

import math

import pytest
import scipy.special
import torch

from jensen.core.errors import UsageError
from jensen.core.random import drawing_from, stream
from jensen.distributions import Choice, OrderedLogistic
from jensen.families import Choices, DiscretizedLogistic, Ordinal

LEVELS = (2, 5, 3)


def params_of(family, *shape, size=2.0):
    return size * torch.randn(*shape, family.size, dtype=torch.float64, generator=stream(1, "params"))


def each_level(family, params):
    """Return log P [L_d] of every level, feature by feature."""
    x = torch.zeros(max(family.levels), family.dim, dtype=torch.float64)
    x[:] = torch.arange(max(family.levels), dtype=torch.float64)[:, None]
    x = torch.minimum(x, torch.tensor(family.levels, dtype=torch.float64) - 1)
    return [family.terms(params, x)[:n, d] for d, n in enumerate(family.levels)]


@pytest.mark.parametrize("levels", [LEVELS, (4, 4), (2,), (2, 2, 2), (30, 2)], ids=str)
@pytest.mark.parametrize("kind", [Choices, Ordinal])
def test_the_levels_of_each_feature_sum_to_one(kind, levels):
    family = kind(levels)
    for params in params_of(family, 5):
        total = torch.stack([torch.logsumexp(logs, 0) for logs in each_level(family, params)])
        torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Choices, Ordinal])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_zeros_are_equal_probabilities(kind, dtype):
    family = kind((*LEVELS, 40))
    even = torch.cat([torch.full((n,), 1 / n, dtype=dtype) for n in family.levels])
    allowed = 1e-15 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(family.summary(torch.zeros(family.size, dtype=dtype)), even, rtol=allowed, atol=allowed)


@pytest.mark.parametrize("kind", [Choices, Ordinal])
def test_parameters_follow_from_the_probabilities_of_levels(kind):
    """Far from equal ones too: a level of 1e-6 in the middle or at an end, and one of almost 1."""
    family, uneven = kind((2, 5, 3, 5)), torch.tensor([0.3, 1e-6, 0.2, 0.4, 0.1 - 1e-6], dtype=torch.float64)
    given = [
        torch.tensor(p, dtype=torch.float64) for p in ([0.01, 0.99], [0.01, 0.02, 0.07, 0.2, 0.7], [0.999, 5e-4, 5e-4])
    ]
    params = family.of_probabilities([*given, uneven])
    assert params.shape == (family.size,)
    torch.testing.assert_close(family.summary(params), torch.cat([*given, uneven]), rtol=1e-9, atol=1e-12)
    even = [torch.full((n,), 1 / n, dtype=torch.float64) for n in family.levels]
    torch.testing.assert_close(family.of_probabilities(even), torch.zeros(family.size).double(), rtol=0, atol=1e-12)


def test_choices_are_a_softmax_of_each_feature():
    family = Choices(LEVELS)
    params = params_of(family)
    parts = params.split(LEVELS)
    for logs, own in zip(each_level(family, params), parts, strict=True):
        known = torch.from_numpy(scipy.special.log_softmax(own.numpy()))
        torch.testing.assert_close(logs, known, rtol=1e-12, atol=1e-12)


def test_ordered_levels_are_differences_of_cumulative_logits():
    """By the definition, with cut points that add up from the raw gaps; in moderate numbers nothing cancels."""
    family = Ordinal(LEVELS)
    params = 0.5 * params_of(family)
    loc, raw_scale, raw = params.split([3, 3, family.shared])
    unit = math.log(math.expm1(1 - 1e-4))
    scale, gap = (1e-4 + torch.nn.functional.softplus(r + unit) for r in (raw_scale, raw))
    start = 0
    for d, n in enumerate(LEVELS):
        standard = torch.logit(torch.arange(1, n, dtype=torch.float64) / n)
        steps = standard.diff() * gap[start : start + n - 2]
        start += n - 2
        cuts = standard[0] + torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])
        below = torch.cat([torch.zeros(1), torch.sigmoid((cuts - loc[d]) / scale[d]), torch.ones(1)])
        known = below.diff().log()
        torch.testing.assert_close(each_level(family, params)[d], known, rtol=1e-9, atol=1e-9)


def test_a_binary_ordered_level_is_a_logit():
    """P(x = 1) = sigma(mu / s), since the only cut point is at zero."""
    params = torch.tensor([0.7, 0.0], dtype=torch.float64)
    value = Ordinal((2,)).log_prob(params, torch.ones(1, dtype=torch.float64)).exp()
    torch.testing.assert_close(value, torch.sigmoid(torch.tensor(0.7, dtype=torch.float64)))


def test_far_levels_keep_their_mass():
    """A level 300 scales from the location: log P = -300 + log(1 - e^-gap) to the last digits, in single precision."""
    params = torch.tensor([-300.0, 0.0, 0.0])
    value = Ordinal((3,)).log_prob(params, torch.ones(1))
    gap = 2 * math.log(2)
    assert float(value) == pytest.approx(-300 + math.log(2) + math.log(-math.expm1(-gap)), abs=1e-4)


def test_gradients_pass_levels_that_do_not_exist():
    """The first derivative by each logit is [x = j] - pi_j, whatever the other features' numbers of levels."""
    family = Choices(LEVELS)
    params = params_of(family).requires_grad_()
    x = torch.tensor([1.0, 4.0, 0.0], dtype=torch.float64)
    [gradient] = torch.autograd.grad(family.log_prob(params, x), params)
    one_hot = torch.zeros(10, dtype=torch.float64)
    one_hot[[1, 6, 7]] = 1
    torch.testing.assert_close(gradient, one_hot - family.summary(params.detach()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [Choices, Ordinal])
def test_samples_have_the_probabilities(kind):
    """20,000 samples: every level's share within 5 standard errors, and no sample above a feature's last level."""
    family = kind(LEVELS)
    params = params_of(family, size=1.0)
    with drawing_from(stream(2, "x")):
        x = family(params).sample((20_000,))
    probs = family.summary(params).split(LEVELS)
    for d, n in enumerate(LEVELS):
        share = torch.stack([(x[:, d] == j).double().mean() for j in range(n)])
        assert float(share.sum()) == pytest.approx(1, abs=1e-12)
        assert ((share - probs[d]).abs() < 5 * (probs[d] * (1 - probs[d]) / 20_000).sqrt() + 1e-12).all()


def test_points_of_levels():
    """By hand: probabilities 0.45, 0.1, 0.45 have mean 1, median 1, and mode 0."""
    summary = torch.tensor([0.3, 0.7, 0.45, 0.1, 0.45], dtype=torch.float64)
    ordered = Ordinal((2, 3))
    assert [ordered.point(summary, kind).tolist() for kind in ("mean", "median", "mode")] == [[1, 1], [1, 1], [1, 0]]
    assert Choices((2, 3)).point(summary).tolist() == [1, 0]


def test_a_decoder_starts_at_the_mean_of_ordered_and_binary_levels():
    mean = torch.tensor([0.3, 2.9], dtype=torch.float64)
    start = Choices((2, 4)).start(mean)
    torch.testing.assert_close(Choices((2, 4))(start).mean[0], mean[0])
    family = Ordinal((2, 5))
    begun = torch.cat([family.start(mean), torch.zeros(family.size - 2, dtype=torch.float64)])
    torch.testing.assert_close(family(begun).mean, mean, rtol=0.1, atol=0.1)


def test_many_ordered_levels_come_near_a_discretized_logistic():
    """Both are logistic variables in bins; equal ones of the same cut points, those of 2 levels."""
    loc = torch.tensor([0.4], dtype=torch.float64)
    binned = DiscretizedLogistic(1, 2).log_prob(torch.cat([loc, loc.new_zeros(1)]), loc.new_ones(1))
    ordered = Ordinal((2,)).log_prob(torch.cat([loc, loc.new_zeros(1)]), loc.new_ones(1))
    torch.testing.assert_close(binned, ordered)


def test_a_single_level_is_certain():
    """log P = 0, and no gradient."""
    params = torch.tensor([5.0, 1.0, 2.0], requires_grad=True)
    value = Choices((1, 2)).terms(params, torch.tensor([0.0, 1.0]))[0]
    assert float(value.detach()) == 0
    assert torch.autograd.grad(value, params)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "make", [lambda: Choices(()), lambda: Choices((3, 0)), lambda: Ordinal((3, 1))], ids=["none", "zero", "one"]
)
def test_too_few_levels_are_refused(make):
    with pytest.raises(UsageError, match="levels"):
        make()


@pytest.mark.parametrize(("kind", "of"), [(Choices, Choice), (Ordinal, OrderedLogistic)])
def test_distributions_expand(kind, of):
    family = kind(LEVELS)
    d = family.features(params_of(family))
    assert isinstance(d, of)
    wide, x = d.expand(torch.Size([4, 3])), torch.tensor([1.0, 4.0, 0.0], dtype=torch.float64)
    assert wide.sample((2,)).shape == (2, 4, 3)
    torch.testing.assert_close(wide.log_prob(x), d.log_prob(x).expand(4, 3))
