"""Columns of several kinds against each family by itself: densities, masks, order, shared parameters, summaries."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch.func import vmap

from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.distributions import PerColumn
from jensen.families import (
    Bernoulli,
    Categorical,
    Choices,
    Columns,
    Gaussian,
    GaussianMixtures,
    HeapedIntegers,
    IntegerMixtures,
    Integers,
    LogitNormal,
    LogNormal,
    Mixture,
    NegativeBinomial,
    Ordinal,
    StudentT,
    VonMises,
    ZeroInflated,
)
from jensen.models.conditionals import Table
from jensen.training.recording import recorded

FAMILIES = (
    Gaussian(2, "each"),
    StudentT(1),
    GaussianMixtures(2, 3),
    GaussianMixtures(2, 2, (1e-4, 1e-3), ("positive", "unit")),
    LogNormal(1),
    LogitNormal(1),
    VonMises(1),
    Integers(2, (3.0, -1.0), (2.0, 30.0), (None, -5.0)),
    IntegerMixtures(1, 2, (0.0,), (10.0,)),
    NegativeBinomial(1),
    ZeroInflated(NegativeBinomial(1)),
    Ordinal((4, 2)),
    Choices((2, 5, 1)),
    Bernoulli(1),
)
PLACES = ((7, 0), (12,), (3, 4), (1, 20), (5,), (2,), (9,), (8, 6), (19,), (10,), (11,), (14, 13), (15, 18, 16), (17,))
ALL = Columns(FAMILIES, PLACES)
EXTREME = (1e38, -1e38, 1e12, -1e6, 30.0, -30.0, 1e-7, 0.0)


@cache
def rows(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return parameters [n, P], a datum of each [n, D], and a mask [n, D]."""
    params = torch.randn(n, ALL.size, dtype=torch.float64, generator=stream(0, "params"))
    with drawing_from(stream(0, "x")):
        x = ALL(params).sample()
    return params, x, torch.rand(n, ALL.dim, generator=stream(0, "mask")) < 0.6


def by_hand(params: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return log p [n, D] of each column by its own family, with its own slice of the parameters."""
    logs, own, common = torch.zeros_like(x), 0, ALL.size - ALL.shared
    for family, group in zip(FAMILIES, PLACES, strict=True):
        width = family.size - family.shared
        mine = [params[:, own : own + width], params[:, common : common + family.shared]]
        own, common = own + width, common + family.shared
        logs[:, list(group)] = family.terms(torch.cat(mine, -1), x[:, list(group)])
    return logs


def test_each_column_is_scored_by_its_own_family():
    params, x, mask = rows(40)
    known = by_hand(params, x)
    torch.testing.assert_close(ALL.log_probs(params, x), known, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ALL.terms(params, x), known, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ALL.log_prob(params, x), known.sum(-1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ALL(params).base_dist.log_prob(x), known, rtol=1e-12, atol=1e-12)
    seen = torch.where(mask, known, 0.0)
    torch.testing.assert_close(ALL.log_probs(params, x, mask), seen, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ALL.log_prob(params, x, mask), seen.sum(-1), rtol=1e-12, atol=1e-12)


def test_columns_in_their_order_are_not_moved():
    """The same model with its columns sorted by group: the same density of the same row."""
    params, x, mask = rows(40)
    order = [column for group in PLACES for column in group]
    ends = torch.tensor([len(group) for group in PLACES]).cumsum(0).tolist()
    places = tuple(tuple(range(end - len(group), end)) for group, end in zip(PLACES, ends, strict=True))
    ordered = Columns(FAMILIES, places)
    assert torch.equal(ordered.log_prob(params, x[:, order], mask[:, order]), ALL.log_prob(params, x, mask))
    assert torch.equal(ordered.log_probs(params, x[:, order]), ALL.log_probs(params, x)[:, order])


def test_holes_of_any_value_do_not_matter():
    params, x, mask = rows(40)
    params = params.clone().requires_grad_()
    values = []
    for hole in (0.0, math.nan, math.inf, -1e30):
        value = ALL.log_probs(params, torch.where(mask, x, hole), mask)
        values.append((value, torch.autograd.grad(value.sum(), params)[0]))
    for value, gradient in values:
        assert torch.equal(value, values[0][0])
        assert torch.equal(gradient, values[0][1])
        assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_extreme_parameters_make_no_nan(dtype):
    """Random mixtures of huge and tiny parameters, of values that are likely and values that are not."""
    _, x, mask = rows(40)
    places = torch.randint(len(EXTREME), (10, 40, ALL.size), generator=stream(0, "extreme"))
    params = torch.tensor(EXTREME, dtype=dtype)[places].requires_grad_()
    for seen in (None, mask):
        value = ALL.log_prob(params, x.to(dtype), seen)
        assert not value.isnan().any()
        assert not torch.autograd.grad(value.sum(), params)[0].isnan().any()
    with torch.no_grad(), drawing_from(stream(0, "x")):
        drawn = ALL(params).sample()
    assert drawn.isfinite().all()
    assert ALL.support.contains(drawn).all()


FEW = Columns(
    (
        HeapedIntegers(1, 2, (0.0,), (3.0,), ((0.0, 2.0),), (0.0,)),
        GaussianMixtures(1, 2, of="positive"),
        Ordinal((3,)),
        Choices((4,)),
    ),
    ((3,), (0,), (2,), (1,)),
)


def gradient(params, x, mask):
    params = params.detach().requires_grad_()
    return torch.autograd.grad(FEW.log_prob(params, x, mask).sum(), params)


def test_steps_are_recorded_and_mapped_over_models():
    """The gradient is a straight line of operations, equal to the last bit; and many models take one step together."""
    params = torch.randn(3, 8, FEW.size, generator=stream(0, "params"))
    with drawing_from(stream(0, "x")):
        x = FEW(params[0]).sample()
    mask = torch.rand(8, 4, generator=stream(0, "mask")) < 0.6
    graph = recorded(gradient, [params[0], x, mask], stream(0, "noise")).graph
    alone = torch.stack([gradient(own, x, mask)[0] for own in params])
    assert torch.equal(graph(params[1], x, mask)[0], alone[1])
    torch.testing.assert_close(vmap(lambda p: graph(p, x, mask)[0])(params), alone)


def test_a_table_of_columns_is_a_mixture():
    """log p(x) by enumeration over the rows of a Table is the density of a Mixture of the same parameters."""
    part = Columns((Gaussian(1), Choices((3,)), VonMises(1)), ((1,), (2,), (0,)))
    table = Table(part, 4).double()
    with torch.no_grad():
        table.table.copy_(torch.randn(table.table.shape, generator=stream(0, "table")))
    x = torch.tensor([[0.3, -1.0, 2.0], [-3.0, 0.5, 0.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    logits = torch.tensor([0.1, -0.3, 1.0, 0.0], dtype=torch.float64)
    each = table.log_prob(x[:, None], torch.eye(4, dtype=torch.float64), mask[:, None])
    known = torch.logsumexp(logits.log_softmax(-1) + each, -1)
    params = torch.cat([logits, table.table.detach().flatten()])
    torch.testing.assert_close(Mixture(part, 4).log_prob(params, x, mask), known, rtol=1e-12, atol=1e-12)


def test_samples_have_the_moments_of_their_columns():
    """20,000 rows of columns with a variance: means within 5 standard errors."""
    params = 0.5 * torch.randn(ALL.size, dtype=torch.float64, generator=stream(4, "params"))
    with drawing_from(stream(0, "x")):
        x = ALL(params).sample((20_000,))
    assert ALL.support.contains(x).all()
    mean, error = ALL(params).mean, x.std(0) / 20_000**0.5
    angle = PLACES[FAMILIES.index(VonMises(1))][0]
    within = (x.mean(0) - mean).abs() < 5 * error + 1e-12
    assert within[[d for d in range(ALL.dim) if d != angle]].all()


def test_summaries_average_to_those_of_a_mixture():
    """The mean of summaries over latents: means and probabilities are those of all samples together."""
    params = torch.randn(3, ALL.size, dtype=torch.float64, generator=stream(5, "params"))
    slices, sizes = ALL.summary_slices, ALL.summary_sizes
    summary = ALL.summary(params)
    assert summary.shape == (3, sum(sizes))
    assert sorted(i for s in slices for i in range(s.start, s.stop)) == list(range(sum(sizes)))
    average, means = summary.mean(0), ALL(params).mean.mean(0)
    for d, (family, place) in enumerate(_column(c) for c in range(ALL.dim)):
        own = average[slices[d]]
        if isinstance(family, Choices | Ordinal | Bernoulli):
            probs = [ALL.log_probs(params, torch.full((ALL.dim,), float(j)).double())[:, d] for j in range(len(own))]
            torch.testing.assert_close(own, torch.stack(probs).exp().mean(1), rtol=1e-9, atol=1e-12)
        elif isinstance(family, VonMises):
            assert len(own) == 2
        else:
            torch.testing.assert_close(own[0], means[d])
        assert place < family.dim
    point = ALL.point(average)
    assert point.shape == (ALL.dim,)
    assert float(point[0]) == pytest.approx(float(average[slices[0]]))
    choice = PLACES[-2][1]
    assert float(point[choice]) == float(average[slices[choice]].argmax())


def _column(column: int):
    """Return the family of a column, and its place in it."""
    return next((f, group.index(column)) for f, group in zip(FAMILIES, PLACES, strict=True) if column in group)


def test_each_column_has_the_floor_of_its_family():
    family = Columns((Gaussian(1, floor=1e-2), LogNormal(1, floor=1e-4), Choices((3,))), ((2,), (0,), (1,)))
    assert (family.scale_floor, family.scale_floors) == (1e-4, (1e-4, 0, 1e-2))
    at_floor = torch.tensor([0.0, -1e9, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    scales = family.scales(at_floor)
    assert scales[[0, 2]].tolist() == pytest.approx([1.0, 1e-2])
    assert float(scales[1]) > 1e6
    none = Columns((Choices((3,)),), ((0,),))
    assert (none.scale_floor, none.scale_floors) == (None, (0,))


def test_each_column_has_a_support_of_its_own():
    family = Columns((LogNormal(1), Choices((3, 2)), Integers(1, (0.0,), (1.0,), (0.0,))), ((1,), (0, 3), (2,)))
    support = family.support
    x = torch.tensor([[2.0, 0.5, 7.0, 1.0], [3.0, 0.5, 7.0, 1.0], [0.0, 0.0, -1.0, 2.0]])
    assert support.contains(x).tolist() == [[True] * 4, [False, True, True, True], [True, False, False, False]]
    assert support.outside(x, x < 2.5).tolist() == [[2, 1], [2, 2], [2, 3]]
    assert "0 to 2" in support.column(0).words
    assert support.high == math.inf


def test_a_decoder_starts_at_the_means():
    mean = torch.tensor([2.0, 40.0, 0.3, 1.5], dtype=torch.float64)
    family = Columns((Gaussian(1), Choices((2,)), NegativeBinomial(2)), ((0,), (2,), (1, 3)))
    start = family.start(mean)
    assert len(start) == family.size - family.shared
    params = torch.cat([start, torch.zeros(family.shared, dtype=torch.float64)])
    torch.testing.assert_close(family(params).mean, mean)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Columns((Gaussian(2),), ((0,),)), UsageError),
        (lambda: Columns((Gaussian(1), Gaussian(1)), ((0,), (0,))), UsageError),
        (lambda: Columns((Gaussian(1), Gaussian(1)), ((0,), (2,))), UsageError),
        (lambda: Columns((), ()), UsageError),
        (lambda: Columns((Categorical(3),), ((0, 1, 2),)), CompositionError),
        (lambda: Columns((Gaussian(1, "optimal"),), ((0,),)), CompositionError),
    ],
)
def test_groups_that_do_not_make_a_table_are_refused(make, error):
    with pytest.raises(error) as refusal:
        make()
    assert refusal.value.remedy


def test_distributions_expand():
    params = torch.randn(FEW.size, dtype=torch.float64, generator=stream(6, "params"))
    d = FEW(params).base_dist
    assert isinstance(d, PerColumn)
    x = d.sample()
    assert d.expand(torch.Size([3, 4])).sample((2,)).shape == (2, 3, 4)
    torch.testing.assert_close(d.expand(torch.Size([3, 4])).log_prob(x), d.log_prob(x).expand(3, 4))
    group, place = d.of_column(1)
    torch.testing.assert_close(group.log_prob(x[1])[place], d.log_prob(x)[1])
