"""Missingness by the value itself: exact log p(x_o, s), its gradients, and what is drawn where a value is missing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate

from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Exact as ExactEvaluator
from jensen.evaluate import Kind
from jensen.evaluate.simulated import simulate_like
from jensen.families import (
    Bernoulli,
    Categorical,
    Choices,
    Columns,
    Gaussian,
    GaussianMixtures,
    HeapedIntegers,
    NegativeBinomial,
    Ordinal,
    VonMises,
)
from jensen.guides import Exact
from jensen.models.conditionals import Given, Linear, Table, Unconditional
from jensen.models.masking import SelfMasked, can_be_masked
from jensen.models.mechanisms import STEEPEST
from jensen.models.model import LatentVariableModel

FAMILY = Columns(
    (
        GaussianMixtures(2, 2, of=("real", "positive")),
        Choices((3,)),
        Ordinal((4,)),
        HeapedIntegers(1, 2, (3.0,), (2.0,), ((0.0, 5.0),), (0.0,)),
        VonMises(1),
    ),
    ((0, 3), (1,), (2,), (4,), (5,)),
)
CLASSES = 3


def double(module: torch.nn.Module) -> torch.nn.Module:
    generator = stream(0, "parameters")
    module.double()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.8 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return module


def table_model(columns: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> LatentVariableModel:
    likelihood = SelfMasked(Table(FAMILY, CLASSES), columns)
    return double(LatentVariableModel(Unconditional(Categorical(CLASSES), learn=True), likelihood))


def rows(n: int = 40) -> Rows:
    model = table_model()
    _, batch = model.simulate(n, stream(0, "rows"))
    with drawing_from(stream(0, "mask")):
        mask = model.likelihood.draw_mask(batch.x)
    return Rows(batch.x, mask=mask, fill=torch.zeros(6, dtype=torch.float64))


def test_evidence_with_a_gaussian_latent_is_the_integral_over_the_missing_value():
    """log p(x_1, s = (1, 0)) of x = W z + b + noise by numerical integration over x_2 and by the sum over nodes."""
    inner = Linear(1, 2, "feature").double()
    inner.assign(*(torch.tensor(v, dtype=torch.float64) for v in ([[1.2], [-0.7]], [0.3, -0.4], [0.5, 0.8])))
    p = SelfMasked(inner, (1,)).double()
    with torch.no_grad():
        p.mechanisms[0].slope.fill_(STEEPEST * math.atanh(0.9 / STEEPEST))
        p.mechanisms[0].bias.fill_(0.4)
    x1 = 0.8
    cov = (inner.W @ inner.W.mT + torch.diag(inner.noise_variance)).detach().numpy()
    mean = inner.b.detach().numpy()
    about = mean[1] + cov[1, 0] / cov[0, 0] * (x1 - mean[0])
    spread = math.sqrt(cov[1, 1] - cov[0, 1] ** 2 / cov[0, 0])

    def density(x: float) -> float:
        normal = math.exp(-0.5 * ((x - about) / spread) ** 2) / spread / math.sqrt(2 * math.pi)
        return normal / (1 + math.exp(0.4 - 0.9 * x))

    missing = math.log(integrate.quad(density, about - 12 * spread, about + 12 * spread, epsabs=1e-14)[0])
    truth = missing - 0.5 * math.log(2 * math.pi * cov[0, 0]) - 0.5 * (x1 - mean[0]) ** 2 / cov[0, 0]
    model = LatentVariableModel(Unconditional(Gaussian(1)), p).double()
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    z = torch.tensor(nodes)[:, None, None]
    batch = Batch(torch.tensor([[x1, 7.0]], dtype=torch.float64), torch.tensor([[True, False]]))
    log_lik = p.scored(model.likelihood_params(z), batch.x, batch.mask)[:, 0]
    by_model = torch.logsumexp(log_lik + torch.tensor(weights / math.sqrt(2 * math.pi)).log(), 0)
    assert float(by_model.detach()) == pytest.approx(truth, abs=1e-9)
    gradient = torch.autograd.grad(by_model, p.mechanisms[0].slope)[0]
    step = 1e-5
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            p.mechanisms[0].slope.add_(sign * step)
            log_lik = p.scored(model.likelihood_params(z), batch.x, batch.mask)[:, 0]
            values.append(float(torch.logsumexp(log_lik + torch.tensor(weights / math.sqrt(2 * math.pi)).log(), 0)))
            p.mechanisms[0].slope.sub_(sign * step)
    assert float(gradient) == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-7)


def test_without_slopes_the_pattern_is_independent_of_the_data():
    """log p(x_o, s) = log p(x_o) + sum_d log P(s_d), exactly."""
    model, data = table_model((1, 3, 5)), rows()
    likelihood = model.likelihood
    with torch.no_grad():
        for mechanism in likelihood._each:
            if mechanism is not None:
                mechanism.slope.zero_()
    joint = ExactEvaluator()(model, Exact(model), data).nats
    plain = LatentVariableModel(model.prior, likelihood.likelihood)
    ignored = ExactEvaluator()(plain, Exact(plain), data).nats
    bias = torch.zeros(6, dtype=torch.float64)
    for mechanism in likelihood._each:
        if mechanism is not None:
            bias[list(mechanism.columns)] = mechanism.bias.detach()
    seen = torch.distributions.Bernoulli(logits=bias).log_prob(data.mask.double())[:, [1, 3, 5]].sum(-1)
    torch.testing.assert_close(joint, ignored + seen, rtol=0, atol=1e-10)


def test_the_pattern_and_its_values_have_probabilities_that_add_up_to_one():
    """Of two columns of levels, over all values and patterns: sum over s and x_o of p(x_o, s) is 1."""
    likelihood = SelfMasked(Table(Columns((Choices((3, 2)),), ((1, 0),)), 2), (0, 1))
    model = double(LatentVariableModel(Unconditional(Categorical(2), learn=True), likelihood))
    values, masks = [], []
    for a in (0, 1, None):
        for b in (0, 1, 2, None):
            values.append([a or 0, b or 0])
            masks.append([a is not None, b is not None])
    data = Rows(torch.tensor(values).double(), mask=torch.tensor(masks))
    total = ExactEvaluator()(model, Exact(model), data).nats.logsumexp(0)
    assert float(total) == pytest.approx(0.0, abs=1e-12)


def test_the_posterior_given_the_pattern_is_exact():
    """With it as guide every log-weight is log p(x_o, s)."""
    model, data = table_model(), rows()
    batch = next(data.batches(len(data)))
    z = torch.eye(CLASSES, dtype=torch.float64)[:, None]
    log_w = model.log_joint(batch, z) - Exact(model)(batch).log_prob(z.expand(-1, len(data), -1))
    torch.testing.assert_close(log_w, log_w[:1].expand_as(log_w))


def test_missing_values_are_drawn_from_their_own_distribution():
    """Draws, means and summaries where a value is missing agree with each other and with reweighted draws of p(x)."""
    model = table_model()
    likelihood, params = model.likelihood, model.likelihood.params(torch.eye(CLASSES, dtype=torch.float64)[:1])[0]
    n = 20_000
    with torch.no_grad(), drawing_from(stream(0, "draws")):
        drawn = likelihood.missing(params).sample((n,))
        x = likelihood.at(params).sample((n,))
        batch = likelihood.missing(params).base_dist
    mean = batch.mean.detach()
    assert drawn.shape == (n, 6)
    by_weight = torch.zeros(6, dtype=torch.float64)
    for mechanism in likelihood._each:
        own = x[:, mechanism.columns]
        weight = torch.sigmoid(-mechanism(own.unsqueeze(-1)))[..., 0].detach()
        by_weight[list(mechanism.columns)] = (weight * own).sum(0) / weight.sum(0)
    linear = [0, 1, 2, 3, 4]  # the mean of an angle is a direction
    error = 5 * drawn.std(0) / n**0.5
    assert ((drawn.mean(0) - mean).abs() < error)[linear].all()
    assert ((by_weight - mean).abs() < 2 * error)[linear].all()
    assert not torch.allclose(mean[linear], likelihood.at(params).mean[linear].detach(), rtol=0.02)
    direction = torch.atan2(drawn[:, 5].sin().mean(), drawn[:, 5].cos().mean())
    assert float(direction) == pytest.approx(float(mean[5]), abs=0.05)
    summary = likelihood.missing_summary(params).detach()
    slices = FAMILY.summary_slices
    assert summary.shape == FAMILY.summary(params).shape
    torch.testing.assert_close(summary[slices[3]], mean[3:4])
    torch.testing.assert_close(summary[slices[1]] @ torch.arange(3.0).double(), mean[1])
    torch.testing.assert_close(torch.atan2(summary[slices[5]][1], summary[slices[5]][0]), mean[5])


def test_columns_that_are_not_masked_stay_as_they_are():
    model = table_model((1,))
    params = model.likelihood.params(torch.eye(CLASSES, dtype=torch.float64))
    change = (model.likelihood.missing_summary(params) - FAMILY.summary(params)).detach()
    slices = FAMILY.summary_slices
    assert all(float(change[:, slices[d]].abs().max()) == 0 for d in (0, 2, 3, 4, 5))
    assert float(change[:, slices[1]].abs().max()) > 0.01
    x = torch.zeros(2, 6, dtype=torch.float64).index_fill(1, torch.tensor([3]), 1.0)
    assert model.likelihood.draw_mask(x)[:, [0, 2, 3, 4, 5]].all()


def test_simulated_rows_are_missing_where_the_model_says():
    model, data = table_model((0,)), rows()
    _, batch = simulate_like(model, 30, stream(0, "x"), data, torch.zeros(30, dtype=torch.long))
    assert batch.mask is not None
    assert batch.mask[:, 1:].all()
    assert 0 < int(batch.mask[:, 0].sum()) < 30
    assert (batch.x[~batch.mask] == 0).all()


def test_starts_at_missingness_at_random_and_is_rebuilt_from_its_record():
    data = rows()
    p = SelfMasked(Table(FAMILY, CLASSES).double(), (0, 1, 3)).double().set(data.stored, data.mask)
    slopes = torch.cat([m.slope.flatten() for m in p._each if m is not None])
    assert (slopes == 0).all()
    first = p._each[0]
    assert first.columns == (0, 3)
    share = data.mask[:, [0, 3]].double().mean(0).clamp(1e-3, 1 - 1e-3)
    torch.testing.assert_close(torch.sigmoid(first.bias), share)
    with torch.no_grad():
        first.slope.fill_(0.7)
    again = build(spec_of(p))[0].double()
    again.load_state_dict(p.state_dict())
    params = p.params(torch.eye(CLASSES, dtype=torch.float64))[:, None]
    assert torch.equal(again.scored(params, data.stored, data.mask), p.scored(params, data.stored, data.mask))


@pytest.mark.parametrize("family", [Gaussian(2, "shared"), Bernoulli(2)], ids=str)
def test_plain_families_take_it_and_gradients_are_finite(family):
    p = SelfMasked(Given.mlp(3, (4,), family), (0,))
    x, mask = torch.ones(5, 2), torch.tensor([False, True]).expand(5, 2)
    p.log_prob(x, torch.randn(5, 3, generator=stream(0, "c")), mask).sum().backward()
    gradients = torch.cat([g.grad.flatten() for g in p.parameters()])
    assert gradients.isfinite().all()
    assert float(p.mechanisms[0].slope.grad.abs().sum()) > 0


def test_what_cannot_be_masked_is_refused():
    assert not can_be_masked(NegativeBinomial(2))
    with pytest.raises(CompositionError, match="no sum or quadrature"):
        SelfMasked(Unconditional(NegativeBinomial(2)), (0,))
    for columns in ((), (2,), (0, 0)):
        with pytest.raises(UsageError, match="cannot be masked"):
            SelfMasked(Unconditional(Gaussian(2)), columns)


@pytest.mark.parametrize("slope", [3.0, 1e6])
@pytest.mark.parametrize("family", [Gaussian(1), GaussianMixtures(1, 2)], ids=["gaussian", "mixture"])
def test_a_threshold_however_sharp_has_the_integral(slope, family):
    """Weights stay where the quadrature holds: the sum over nodes is that over a fine grid."""
    p = SelfMasked(Unconditional(family), (0,)).double()
    with torch.no_grad():
        p.mechanisms[0].slope.fill_(slope)
        p.mechanisms[0].bias.fill_(-0.37)
    x = torch.linspace(-40, 40, 200_001, dtype=torch.float64)[:, None]
    params = p.params().detach()
    missing = torch.sigmoid(-p.mechanisms[0](x[..., None])[..., 0, 0])
    density = p.likelihood.scored(params, x).exp()
    term = p.mask_log_prob(params, torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.bool))
    assert float(term.detach().exp()) == pytest.approx(float((density * missing).sum().detach() * 4e-4), abs=2e-4)


def test_a_scale_set_to_its_optimum_is_refused():
    with pytest.raises(CompositionError, match="log p\\(x_o, s"):
        SelfMasked(Given.mlp(3, (4,), Gaussian(2, "optimal")), (0,))


def test_numbers_by_quadrature_are_not_called_exact_and_state_their_error():
    data = rows(20)
    for columns, kind in (((1, 2), Kind.EXACT), ((0, 1, 3), Kind.QUADRATURE)):
        model = table_model(columns)
        estimate = ExactEvaluator()(model, Exact(model), data)
        assert estimate.kind is kind
        assert (estimate.error is None) == (kind is Kind.EXACT)
        if estimate.error is not None:
            assert 0 < estimate.error < 1e-2


def two_columns() -> tuple[LatentVariableModel, Rows]:
    """A mixture of two columns of levels, and all their six rows, with all cells observed."""
    likelihood = SelfMasked(Table(Columns((Choices((3, 2)),), ((1, 0),)), 2), (0, 1))
    model = double(LatentVariableModel(Unconditional(Categorical(2), learn=True), likelihood))
    return model, Rows(torch.tensor([[a, b] for a in range(2) for b in range(3)]).double())


def test_a_value_that_was_hidden_on_purpose_was_observed():
    """By enumeration: p(x_o, s) with s = 1 of the hidden cell is the sum over its values of p(x, s = 1)."""
    model, every = two_columns()
    full = ExactEvaluator()(model, Exact(model), every).nats.view(2, 3)
    mask = torch.tensor([[True, False]] * 2)
    rows = Rows(torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double(), mask=mask, hidden=~mask)
    hidden = ExactEvaluator()(model, Exact(model), rows).nats
    torch.testing.assert_close(hidden, full.logsumexp(1), rtol=0, atol=1e-12)
    batch = next(rows.batches(2))
    z = torch.eye(2, dtype=torch.float64)[:, None]
    params = model.likelihood_params(z)
    posterior = Exact(model)(batch).log_prob(z.expand(-1, 2, -1)).exp()
    # [z, row, levels]: the family is of the column with three levels, then of the one with two
    summary = model.likelihood.missing_summary(params, batch.hidden)[..., :3]
    expected = (full - full.logsumexp(1, keepdim=True)).exp()
    torch.testing.assert_close((posterior[..., None] * summary).sum(0), expected, rtol=0, atol=1e-12)
    missing = ExactEvaluator()(model, Exact(model), replace(rows, hidden=None)).nats
    assert float((hidden.exp() + missing.exp() - _without(model, rows).exp()).abs().max()) < 1e-12


def _without(model: LatentVariableModel, rows: Rows) -> torch.Tensor:
    """Return log p(x_0, s_0 = 1) [N], of the first column alone."""
    alone = SelfMasked(model.likelihood.likelihood, (0,))
    own, two = alone.mechanisms[0], model.likelihood.mechanisms[0]  # of columns 1 and 0, in this order
    own.slope, own.bias = torch.nn.Parameter(two.slope[1:, :2]), torch.nn.Parameter(two.bias[1:])
    one = LatentVariableModel(model.prior, alone)
    return ExactEvaluator()(one, Exact(one), replace(rows, hidden=None)).nats


def test_draws_of_a_hidden_value_are_of_observed_ones():
    """Its frequencies among 20,000 draws of p(x | z, s = 1), and those of a missing one, against their summary."""
    model, _ = two_columns()
    params = model.likelihood_params(torch.eye(2, dtype=torch.float64)[:1, None])
    for hidden in (None, torch.tensor([[False, True]])):
        with drawing_from(stream(0, "draws")):
            drawn = model.likelihood.missing(params, hidden).sample((20_000,))[..., 1].flatten()
        shares = torch.stack([(drawn == level).double().mean() for level in range(3)])
        expected = model.likelihood.missing_summary(params, hidden).flatten()[:3]
        assert float((shares - expected).abs().max().detach()) < 4 * 0.5 / math.sqrt(20_000)
