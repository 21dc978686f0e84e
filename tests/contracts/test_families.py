"""Every family: it sums to one, its samples are its own, and no input breaks it."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from jensen.core.errors import CompositionError
from jensen.core.random import drawing_from, stream
from jensen.families import Bernoulli, Columns, DiscretizedLogisticMixture, Factorised, Family, Gaussian, Laplace
from tests.contracts.members import ALL_FAMILIES
from tests.contracts.supports import extremes, grid, inside, is_discrete, params_and_data

EACH = pytest.mark.parametrize("family", ALL_FAMILIES, ids=str)
SIMPLE: list[Family] = [f for f in ALL_FAMILIES if isinstance(f, Factorised | Gaussian | Bernoulli | Columns)]
N = 20_000


def density(family: Family, params: Tensor, feature: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Values [V] of one feature, their log p(x_feature), and the logs of their widths."""
    values, width = grid(family)
    full = inside(family, torch.zeros(len(values), family.dim, dtype=torch.float64))
    full[:, feature] = values
    mask = torch.zeros(1, family.dim, dtype=torch.bool)
    mask[0, feature] = True
    return values, family.log_prob(params, full, mask), width


@pytest.mark.parametrize("family", SIMPLE, ids=str)
@pytest.mark.parametrize("feature", [0, 2])
def test_a_density_integrates_to_one(family, feature):
    """By the trapezoidal rule, or the sum of all masses; counts up to 20,000."""
    params, _ = params_and_data(family, 1)
    _, logs, width = density(family, params[0], feature)
    torch.testing.assert_close(
        torch.logsumexp(logs + width, 0).exp(), torch.ones((), dtype=torch.float64), atol=1e-7, rtol=0
    )


@pytest.mark.parametrize(("channels", "pixels", "levels"), [(3, 1, 4), (2, 2, 3), (1, 3, 5)])
def test_masses_of_channels_that_depend_on_each_other_sum_to_one(channels, pixels, levels):
    family = DiscretizedLogisticMixture(channels * pixels, channels, levels, 2)
    params = 2 * torch.randn(family.size, dtype=torch.float64, generator=stream(1, "params"))
    values = torch.tensor(list(itertools.product(range(levels), repeat=family.dim)), dtype=torch.float64)
    total = torch.logsumexp(family.log_prob(params, values), 0)
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-12, rtol=0)


@pytest.mark.parametrize("family", SIMPLE, ids=str)
def test_samples_follow_the_density(family):
    """20,000 samples: Kolmogorov-Smirnov below 1.95 / sqrt(N), or chi-square, each with probability 1e-3 of error."""
    params, _ = params_and_data(family)
    with drawing_from(stream(1, "x")):
        x = family(params).sample((N,))[:, 0].contiguous()
    values, logs, width = density(family, params)
    mass = (logs + width).exp()
    if not is_discrete(family):
        below = mass.cumsum(0) - mass / 2
        cumulative = below[torch.searchsorted(values, x).clamp_max(len(values) - 1)].sort().values
        ranks = torch.arange(1, N + 1, dtype=torch.float64) / N
        assert torch.maximum((ranks - cumulative).abs(), (ranks - 1 / N - cumulative).abs()).max() < 1.95 / N**0.5
        return
    count = torch.bincount((x - values[0]).long(), minlength=len(mass)).double()[: len(mass)]
    often = N * mass >= 5
    observed = torch.cat([count[often], N - count[often].sum()[None]])
    due = torch.cat([N * mass[often], (N - N * mass[often].sum())[None]])
    statistic = ((observed - due).square() / due.clamp_min(1)).sum()
    assert statistic < chi2.ppf(1 - 1e-3, max(int(often.sum()), 1))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_samples_of_pixels_follow_their_masses(channels):
    """All L^C values of a pixel, by chi-square with probability 1e-3 of error."""
    levels = 4
    family = DiscretizedLogisticMixture(channels, channels, levels, 3)
    params = 1.5 * torch.randn(family.size, dtype=torch.float64, generator=stream(2, "params"))
    values = torch.tensor(list(itertools.product(range(levels), repeat=channels)), dtype=torch.float64)
    due = N * family.log_prob(params, values).exp()
    with drawing_from(stream(1, "x")):
        x = family(params).sample((N,))
    place = levels ** torch.arange(channels - 1, -1, -1, dtype=torch.float64)
    count = torch.bincount((x @ place).long(), minlength=len(values)).double()
    often = due >= 5
    assert ((count - due).square() / due)[often].sum() < chi2.ppf(1 - 1e-3, int(often.sum()))


def test_the_mean_of_pixels_is_near_that_of_their_masses():
    """Exact for one channel; with more, to a tenth of a level of four where the outer bins cut off much."""
    for channels, allowed in ((1, 1e-9), (2, 0.1), (3, 0.15)):
        family = DiscretizedLogisticMixture(channels, channels, 4, 3)
        params = torch.randn(20, family.size, dtype=torch.float64, generator=stream(3, "params"))
        values = torch.tensor(list(itertools.product(range(4), repeat=channels)), dtype=torch.float64)
        mass = family.log_prob(params[:, None], values).exp()
        assert (family(params).mean - mass @ values).abs().max() < allowed
    fine = DiscretizedLogisticMixture(3, 3, 64, 1)  # where hardly anything is cut off, the mean is exact
    params = torch.zeros(fine.size, dtype=torch.float64)
    params[3:6], params[7:] = -4.0, 0.5
    params[:3] = torch.tensor([0.1, -0.2, 0.1])
    with drawing_from(stream(0, "x")):
        x = fine(params).sample((N,))
    assert ((x.mean(0) - fine(params).mean).abs() < 5 * x.std(0) / N**0.5).all()


@pytest.mark.parametrize(("channels", "levels"), [(1, 6), (2, 5), (3, 4)])
def test_the_variance_of_pixels_is_that_of_their_masses(channels, levels):
    family = DiscretizedLogisticMixture(2 * channels, channels, levels, 3)
    params = torch.randn(4, family.size, dtype=torch.float64, generator=stream(5, "params"))
    one = torch.tensor(list(itertools.product(range(levels), repeat=channels)), dtype=torch.float64)
    variance = family(params).variance
    for pixel in (0, 1):
        mask = torch.zeros(family.dim, dtype=torch.bool)
        mask[pixel * channels : (pixel + 1) * channels] = True
        full = torch.zeros(len(one), family.dim, dtype=torch.float64)
        full[:, mask] = one
        mass = family.log_prob(params[:, None], full, mask).exp()
        known = mass @ one.square() - (mass @ one).square()
        torch.testing.assert_close(variance[:, mask], known, rtol=1e-9, atol=1e-12)


def test_a_variance_of_too_many_values_is_refused():
    family = DiscretizedLogisticMixture(3, 3, 256, 2)
    with pytest.raises(CompositionError, match="sample"):
        _ = family(torch.zeros(family.size)).variance


def test_later_channels_lean_on_earlier_ones():
    """The leaning moves the location of the second channel by its value of the first: against two plain logistics."""
    family, plain = DiscretizedLogisticMixture(2, 2, 9, 1), DiscretizedLogisticMixture(2, 1, 9, 1)
    params = torch.tensor([0.1, -0.3, -1.0, -1.5, 0.0, 0.7], dtype=torch.float64)
    x = torch.tensor([7.0, 2.0], dtype=torch.float64)
    moved = torch.tensor([0.1, -0.3 + math.tanh(0.7) * (2 * 7 / 8 - 1), -1.0, -1.5, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(family.log_prob(params, x), plain.log_prob(moved, x))


def test_part_of_a_pixel_is_refused():
    family = DiscretizedLogisticMixture(6, 3, 4, 2)
    params, x = params_and_data(family, 5)
    mask = torch.tensor([[True, True, True, False, False, False]])
    first = DiscretizedLogisticMixture(3, 3, 4, 2)
    places = torch.arange(family.size).unflatten(0, (-1, 2, 3)) if family.size % 6 == 0 else None
    if places is not None:
        torch.testing.assert_close(
            family.log_prob(params, x, mask), first.log_prob(params[:, places[:, 0].flatten()], x[:, :3])
        )
    assert (family.log_prob(params, x, mask) > family.log_prob(params, x)).all()
    with pytest.raises(CompositionError, match="Mask whole pixels"):
        family.log_prob(params, x, torch.tensor([True, False, True, True, True, True]))


@EACH
@pytest.mark.parametrize("size", [1e30, -1e30])
def test_extreme_inputs_have_gradients(family, size):
    """Parameters of +-1e30 and values at the ends of the support, in single precision: all is finite."""
    values = extremes(family)
    x = torch.tensor([[v] * family.dim for v in values])
    for signs in (torch.ones(family.size), torch.arange(family.size).remainder(2) * 2.0 - 1):
        params = (size * signs).expand(len(values), -1).clone().requires_grad_()
        value = family.log_prob(params, x)
        [gradient] = torch.autograd.grad(value.sum(), params)
        assert torch.isfinite(value).all()
        assert torch.isfinite(gradient).all()


@EACH
def test_points_and_data_broadcast(family):
    """[K, B, P] against [B, D], and any one row alone, in both precisions."""
    params, x = params_and_data(family, 4, 5)
    data = x[0]
    value = family.log_prob(params, data)
    assert value.shape == (4, 5)
    for k, b in ((0, 0), (3, 2)):
        torch.testing.assert_close(family.log_prob(params[k, b], data[b]), value[k, b], rtol=1e-10, atol=1e-10)
    assert family.log_prob(params.float(), data.float()).dtype == torch.float32
    assert family(params.float()).sample().dtype == torch.float32
    alone, among = family.log_prob(params[:, :1], data[:1]), family.log_prob(params, data)[:, :1]
    torch.testing.assert_close(alone, among, rtol=1e-13, atol=1e-13)  # sums of several groups may go in another order


@EACH
def test_gradients_are_those_of_differences(family):
    params, x = params_and_data(family)
    assert torch.autograd.gradcheck(lambda p: family.log_prob(p, x), params.requires_grad_(), eps=1e-6, atol=1e-5)


@EACH
def test_a_decoder_may_start_there(family):
    start = family.start(inside(family, torch.tensor([0.2, 0.4, 0.6])))
    assert len(start) <= family.size - family.shared
    assert torch.isfinite(start).all()


@pytest.mark.parametrize("family", [f for f in SIMPLE if isinstance(f, Factorised)], ids=str)
def test_the_support_knows_its_values(family):
    """Samples are inside; and what is nobody's (a NaN) is not."""
    params, x = params_and_data(family, 500)
    support = family(params).base_dist.support
    assert support.check(x).all()
    assert not support.check(torch.tensor([math.nan])).any()
    assert support.check(torch.tensor([family.inside])).all()


def test_a_wrong_normaliser_is_seen():
    """The integral is sharp enough to see one part in a million."""

    class Wrong(Laplace):
        def log_prob(self, params, x, mask=None):
            return super().log_prob(params, x, mask) + 1e-6

    params, _ = params_and_data(Laplace(3))
    for kind, right in ((Laplace, True), (Wrong, False)):
        _, logs, width = density(kind(3), params)
        assert (abs(float(torch.logsumexp(logs + width, 0).exp()) - 1) < 1e-7) is right
