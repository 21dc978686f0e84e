"""Whole numbers without ends: masses, moments and mixtures against high precision and sums."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from jensen.core.errors import UsageError
from jensen.core.random import drawing_from, stream
from jensen.distributions import RoundedLogistic
from jensen.families import HeapedIntegers, IntegerMixtures, Integers, positive_inverse


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def exact_mass(x: float, loc: float, scale: float) -> float:
    """Return log P(x) in 60 digits; the logistic is symmetric, so that both sigmoids can be those of a lower tail."""
    with mpmath.workdps(60):
        away = -abs(mpmath.mpf(x) - mpmath.mpf(loc))
        above, below = (1 / (1 + mpmath.exp(-(away + h) / mpmath.mpf(scale))) for h in (0.5, -0.5))
        return float(mpmath.log(above - below))


@pytest.mark.parametrize("scale", [1e-2, 0.3, 1.0, 50.0, 1e6])
@pytest.mark.parametrize("x", [-40.0, 0.0, 1.0, 3.0, 47.0])
def test_masses_in_sixty_digits(x, scale):
    d = RoundedLogistic(double(0.7 / 12), double(scale / 12), double(0.0), double(12.0))
    assert float(d.log_prob(double(x))) == pytest.approx(exact_mass(x, 0.7, scale), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("scale", [0.01, 0.2, 0.299, 0.3, 0.301, 1.0, 20.0])
@pytest.mark.parametrize("loc", [0.0, 0.31, 0.5, -7.77])
def test_moments_are_sums_over_whole_numbers(scale, loc):
    """By neighbours below a scale of 0.3 and by waves above: both to 1e-10 of the sums of masses."""
    d = RoundedLogistic(double(loc), double(scale), double(0.0), double(1.0))
    x = torch.arange(-1500.0, 1500.0, dtype=torch.float64)
    mass = d.log_prob(x[:, None]).exp()[:, 0]
    mean = (mass @ x)[None]
    torch.testing.assert_close(d.mean, mean, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(d.variance, mass @ (x - mean).square()[:, None], rtol=1e-9, atol=1e-10)


def test_neighbours_sum_to_one_where_scales_are_extreme():
    """From one value that has all of the mass to thousands: 1 to 1e-9."""
    family = Integers(3, (1e6, 0.0, -3.0), (1.0, 1e3, 1e-3))
    params = double(0, 0, 0, -1e9, 0.0, 3.0)
    x = torch.arange(-30_000, 30_000, dtype=torch.float64)
    for d, x_d in enumerate((1e6 + x[29_950:30_050], x, x)):
        mask = torch.arange(3) == d
        total = family.log_prob(params, x_d[:, None].expand(-1, 3), mask).exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("x", [16_777_215.0, -16_777_216.0, 2022.0])
def test_single_precision_holds_large_numbers(x):
    """Within 1e-4 nats of double precision, where a center near the data lets nothing cancel."""
    family = Integers(1, (x - math.copysign(3, x),), (2.0,))
    params = double(0.3, -1.0)
    single = family.log_prob(params.float(), torch.tensor([x]))
    assert float(single) == pytest.approx(float(family.log_prob(params, double(x))), abs=1e-4)


@pytest.mark.parametrize("make", [Integers, lambda dim, *a, is_wide: IntegerMixtures(dim, 1, *a, is_wide=is_wide)])
def test_masses_beyond_single_precision_add_up_to_one(make):
    """Where four whole numbers are one in single precision, the narrowest scale still has a total of 1, to 1e-4."""
    middle = 3 * 2.0**24
    numbers = (middle + torch.arange(-2000.0, 2000.0, dtype=torch.float64)).float()[:, None]
    totals = []
    for is_wide in (True, False):
        family = make(1, (middle,), (1e3,), is_wide=is_wide)
        params = torch.zeros(family.size)
        params[-1] = -1e9  # of the scale
        totals.append(float(family.log_prob(params, numbers).exp().double().sum()))
    assert totals[0] == pytest.approx(1, abs=1e-4)
    assert totals[1] > 3
    with drawing_from(stream(0, "large")):
        drawn = make(1, (middle,), (1e9,), (0.0,), is_wide=True)(torch.zeros(family.size)).sample((1000,))
    assert (drawn == drawn.round()).all()
    assert drawn.min() >= 0


@pytest.mark.parametrize("loc", [-40.0, -3.3, 0.0, 0.4, 8.0, 300.0])
@pytest.mark.parametrize("scale", [0.05, 0.4, 1.0, 4.0, 60.0])
def test_a_lowest_value_has_all_the_mass_below(loc, scale):
    """Masses from 0 on sum to one, that of 0 is the sum of all of them below it; the mean is that of these masses."""
    free, ended = Integers(1, (0.0,), (1.0,)), Integers(1, (0.0,), (1.0,), (0.0,))
    params = torch.cat([double(loc), positive_inverse(double(scale), 1e-6)])
    x = torch.arange(-4000.0, 4001.0, dtype=torch.float64)[:, None]
    mass, known = ended.log_prob(params, x[4000:]).exp(), free.log_prob(params, x).exp()
    assert float(mass[0]) == pytest.approx(float(known[:4001].sum()), rel=1e-9)
    torch.testing.assert_close(mass[1:], known[4001:], rtol=1e-12, atol=0)
    torch.testing.assert_close(ended(params).mean, mass @ x[4000:], rtol=1e-9, atol=1e-9)
    with drawing_from(stream(0, "x")):
        drawn = ended(params).sample((4000,))
    assert float(drawn.min()) >= 0
    assert float((drawn == 0).double().mean()) == pytest.approx(float(mass[0]), abs=5 * 0.5 / 4000**0.5)


def test_a_mixture_is_the_sum_of_its_components():
    family = IntegerMixtures(2, 3, (4.0, -1.0), (2.0, 10.0))
    params = torch.randn(5, family.size, dtype=torch.float64, generator=stream(0, "params"))
    x = torch.randint(-9, 9, (5, 2), generator=stream(0, "x")).double()
    logits, loc, raw = params.unflatten(-1, (3, 2, 3)).unbind(-3)
    one = Integers(2, (4.0, -1.0), (2.0, 10.0))
    each = torch.stack([one.terms(torch.cat([loc[..., j], raw[..., j]], -1), x) for j in range(3)], -1)
    known = (logits.softmax(-1) * each.exp()).sum(-1).log()
    torch.testing.assert_close(family.terms(params, x), known, rtol=1e-10, atol=1e-10)


def test_a_spike_and_a_tail():
    """Half of the values are exactly 0 and the others spread over thousands: both at once, and samples agree."""
    family = IntegerMixtures(1, 2, (0.0,), (1000.0,))
    params = double(0.0, 0.0, 0.0, 5.0, -14.0, 0.5)
    zero = float(family.log_prob(params, double(0.0)).exp())
    with drawing_from(stream(0, "x")):
        x = family(params).sample((20_000,))
    assert zero == pytest.approx(0.5, abs=1e-3)
    assert float((x == 0).double().mean()) == pytest.approx(zero, abs=5 * 0.5 / 20_000**0.5)
    mean = family(params).mean
    assert ((x.mean(0) - mean).abs() < 5 * x.std(0) / 20_000**0.5).all()


HEAPED = HeapedIntegers(2, 3, (4.0, -1.0), (2.0, 10.0), ((3.0,), (-4.0, 0.0, 5.0)), (0.0, None))


def test_heaps_have_masses_of_their_own():
    """The mass is that of the mixture times its weight, and at a heap the weight of the heap beside it."""
    params = torch.randn(5, HEAPED.size, dtype=torch.float64, generator=stream(0, "params"))
    of_rest, own = params.split([18, 6], -1)
    rest = IntegerMixtures(2, 3, (4.0, -1.0), (2.0, 10.0), (0.0, None))
    x = double(3.0, 5.0).expand(5, 2)
    first = torch.cat([torch.zeros(5, 1), own[:, :1]], -1).softmax(-1)
    second = torch.cat([torch.zeros(5, 1), own[:, 3:]], -1).softmax(-1)
    spread = rest.terms(of_rest, x).exp()
    known = torch.stack([first[:, 0] * spread[:, 0] + first[:, 1], second[:, 0] * spread[:, 1] + second[:, 3]], -1)
    torch.testing.assert_close(HEAPED.terms(params, x).exp(), known, rtol=1e-12, atol=0)
    beside = torch.stack([first[:, 0], second[:, 0]], -1) * rest.terms(of_rest, x + 1).exp()
    torch.testing.assert_close(HEAPED.terms(params, x + 1).exp(), beside, rtol=1e-12, atol=0)


def test_moments_and_samples_of_heaps_are_sums_over_numbers():
    params = torch.randn(HEAPED.size, dtype=torch.float64, generator=stream(1, "params"))
    x = torch.arange(-2000.0, 2001.0, dtype=torch.float64)[:, None].expand(-1, 2)
    mass = HEAPED.terms(params, x).exp() * (x >= double(0.0, -math.inf))
    d = HEAPED.features(params)
    torch.testing.assert_close(mass.sum(0), double(1.0, 1.0), rtol=0, atol=1e-9)
    with drawing_from(stream(0, "x")):
        drawn = d.sample((20_000,))
    for value in (3.0, 0.0, 1.0):
        share = (drawn == value).double().mean(0)
        at = HEAPED.terms(params, double(value, value)).exp()
        assert ((share - at).abs() < 5 * (at * (1 - at) / 20_000).sqrt()).all()
    free = HeapedIntegers(2, 3, (4.0, -1.0), (2.0, 10.0), HEAPED.heaps)
    mass, d = free.terms(params, x).exp(), free.features(params)
    mean = (mass * x).sum(0)
    torch.testing.assert_close(d.mean, mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(d.variance, (mass * (x - mean).square()).sum(0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("heaps", [((),), ((1.0, 1.0),), ((math.nan,),), ((0.0,), (1.0,)), ((-1.0,),), ((0.5,),)])
def test_heaps_that_do_not_fit_are_refused(heaps):
    with pytest.raises(UsageError) as refusal:
        HeapedIntegers(1, 2, (0.0,), (1.0,), heaps, (0.0,))
    assert refusal.value.remedy


def test_a_decoder_starts_at_the_mean():
    for family in (Integers(2, (4.0, -1.0), (2.0, 10.0)), IntegerMixtures(2, 3, (4.0, -1.0), (2.0, 10.0))):
        start = family.start(double(7.0, 30.0))
        params = torch.cat([start, torch.zeros(family.size - len(start), dtype=torch.float64)])
        torch.testing.assert_close(family(params).mean, double(7.0, 30.0), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Integers(2, (0.0,), (1.0, 1.0)),
        lambda: Integers(1, (0.0,), (0.0,)),
        lambda: Integers(2, (0.0, 0.0), (1.0, 1.0), (0.0,)),
        lambda: Integers(1, (0.0,), (1.0,), (math.inf,)),
        lambda: IntegerMixtures(1, 0, (0.0,), (1.0,)),
    ],
)
def test_places_that_do_not_fit_are_refused(make):
    with pytest.raises(UsageError) as refusal:
        make()
    assert refusal.value.remedy
