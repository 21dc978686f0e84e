"""Normalised expression and log-fold changes, against closed forms of a decoder made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from jensen.analysis.expression import _points, changes, expected_fdr, expression, shares
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import stream
from jensen.families import Gaussian, NegativeBinomial, Poisson, ZeroInflated
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel

GENES, SLOPES = 4, (0.8, -0.5, 0.1)
BASE = 19.0  # of the log-rate of the last gene, beside which the others add 1e-8 to the total: shares are log-linear
MEANS, SD = {0.0: 0.3, 1.0: -0.6}, 0.7  # of q(z | x), by the count of the first gene
PAIRS = 20_000


def linear(rows: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows)).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def model(family=None, context: bool = False, effect: float = 0.0) -> LatentVariableModel:
    """One latent z: the share of gene d is exp(w_d z - 19) to 1e-8; batches shift the first gene by `effect`."""
    family = Poisson(GENES) if family is None else family
    extra = family.size - family.shared - GENES
    rows = [[s] for s in (*[0.0] * extra, *SLOPES, 0.0)]
    if context:
        rows = [[*row, 0.0, effect * (d == 0)] for d, row in enumerate(rows)]
    likelihood = Given(linear(rows, [*[0.0] * extra, 0.0, 0.0, 0.0, BASE]), family, context=context)
    return LatentVariableModel(Unconditional(Gaussian(1)), likelihood.double()).double()


def guide() -> Amortized:
    """q(z | x) = N(0.3 - 0.9 x_1, 0.7^2)."""
    raw = float(Gaussian(1).raw(torch.tensor(SD, dtype=torch.float64)))
    net = linear([[-0.9, 0.0, 0.0, 0.0], [0.0] * 4], [0.3, raw])
    return Amortized(Given(net, Gaussian(1)))


def rows(first: float, n: int = 3) -> Rows:
    return Rows(torch.tensor([[first, 0.0, 2.0, 5.0]], dtype=torch.float64).expand(n, -1).clone())


def test_the_guide_is_the_one_that_is_meant():
    for first, mean in MEANS.items():
        q = guide()(Batch(rows(first).stored))
        torch.testing.assert_close(q.mean[0], torch.tensor([mean], dtype=torch.float64))
        torch.testing.assert_close(q.stddev[0], torch.tensor([SD], dtype=torch.float64), rtol=1e-3, atol=0)


def test_log_fold_changes_have_their_normal_distribution():
    """beta_d = w_d (z_a - z_b) / log 2, of mean w_d 0.9 / log 2 and sd sqrt(2) 0.7 w_d / log 2; 4 errors."""
    drawn = changes(
        model(), guide(), rows(0.0), rows(1.0), delta=0.4, offset=0.0, pairs=PAIRS, generator=stream(0, "a")
    )
    slopes = np.array(SLOPES) / math.log(2)
    mean, sd = slopes * (MEANS[0.0] - MEANS[1.0]), np.abs(slopes) * SD * math.sqrt(2)
    assert (np.abs(drawn.lfc[:3] - mean) < 4 * sd / math.sqrt(PAIRS)).all()
    assert (np.abs(drawn.sd[:3] / sd - 1) < 4 / math.sqrt(2 * PAIRS)).all()
    up, down = norm.sf(0.4, mean, sd), norm.cdf(-0.4, mean, sd)
    error = 4 * np.sqrt(0.25 / PAIRS)
    assert (np.abs(drawn.up[:3] - up) < error).all()
    assert (np.abs(drawn.probability[:3] - up - down) < error).all()
    wide = np.abs(slopes) * math.sqrt(2)  # of two draws of the prior
    assert (np.abs(drawn.prior[:3] - 2 * norm.sf(0.4 / wide)) < error).all()
    after, before = drawn.probability[:2], drawn.prior[:2]
    expected = np.log(after / (1 - after))
    np.testing.assert_allclose(drawn.log_odds[:2], expected, atol=0.01)
    np.testing.assert_allclose(drawn.log_bayes_factor[:2], expected - np.log(before / (1 - before)), atol=0.01)
    assert drawn.probability[3] == 0  # the last gene has all of the counts
    assert drawn.log_odds[3] == pytest.approx(-math.log(2 * PAIRS + 1))


def test_means_of_many_cells_differ_by_the_ratio_of_their_means():
    """E[exp(w z)] = exp(w m + w^2 s^2 / 2) in both groups, so that the change of means is w 0.9 / log 2 too."""
    drawn = changes(
        model(), guide(), rows(0.0), rows(1.0), delta=0.4, offset=0.0, pairs=200, cells=400, generator=stream(0, "b")
    )
    mean = np.array(SLOPES) / math.log(2) * 0.9
    assert (np.abs(drawn.lfc[:3] - mean) < 4 * drawn.sd[:3] / math.sqrt(200)).all()
    assert drawn.sd[0] < 0.15
    assert drawn.probability[0] == 1.0
    assert drawn.probability[2] == 0.0


def test_an_offset_makes_what_is_not_expressed_equal():
    drawn = changes(model(), guide(), rows(0.0), rows(1.0), delta=0.4, offset=1e-6, pairs=500, generator=stream(0, "c"))
    assert drawn.probability.max() == 0  # shares are of about exp(-19)


def test_batches_take_turns_and_cancel():
    """A batch that multiplies a gene by e^2 changes nothing where both cells are decoded at the same batch."""
    made = model(context=True, effect=2.0)
    eye = torch.eye(2, dtype=torch.float64)
    a, b = (Rows(rows(0.0).stored, context=eye[i].expand(3, -1).clone()) for i in (0, 1))
    how = {"delta": 0.4, "offset": 0.0, "pairs": 4000}
    own = changes(made, guide(), a, b, **how, generator=stream(0, "d"))
    both = changes(made, guide(), a, b, **how, contexts=list(eye), generator=stream(0, "d"))
    sd = 0.8 * SD * math.sqrt(2) / math.log(2)
    assert abs(own.lfc[0] + 2 / math.log(2)) < 4 * sd / math.sqrt(4000)
    assert abs(both.lfc[0]) < 4 * sd / math.sqrt(4000)


def test_expression_is_the_posterior_mean_of_shares():
    """E[exp(w z - 19)] = exp(w m + w^2 s^2 / 2 - 19) by 400 data and 10 draws, within four standard errors."""
    x = expression(model(), guide(), rows(0.0, 400), draws=10, generator=stream(0, "e")).mean(0).numpy()
    w = np.array(SLOPES)
    mean = np.exp(w * 0.3 + (w * SD) ** 2 / 2 - BASE)
    sd = mean * np.sqrt(np.expm1((w * SD) ** 2))
    assert (np.abs(x[:3] - mean) < 4 * sd / math.sqrt(4000)).all()
    assert x.sum() == pytest.approx(1.0)


def test_expression_at_several_batches_is_the_average():
    made, eye = model(context=True, effect=2.0), torch.eye(2, dtype=torch.float64)
    data = Rows(rows(0.0).stored, context=eye[0].expand(3, -1).clone())
    first, second, both = (
        expression(made, guide(), data, draws=5, contexts=c, generator=stream(0, "f"))
        for c in ([eye[0]], [eye[1]], list(eye))
    )
    torch.testing.assert_close(both, (first + second) / 2)
    torch.testing.assert_close(second[:, 0] / first[:, 0], torch.full((3,), math.exp(2.0), dtype=torch.float64))
    torch.testing.assert_close(expression(made, guide(), data, draws=5, generator=stream(0, "f")), first)


def test_importance_weights_turn_the_guide_into_the_posterior():
    """With a flat likelihood the posterior is the prior N(0, 1), whatever the guide: E[z] = 0 and not 0.3."""
    flat = model()
    with torch.no_grad():
        flat.likelihood.net.weight.zero_()
        flat.likelihood.net.bias.zero_()
    batch, noise = Batch(rows(0.0, 4000).stored), stream(0, "g")
    plain, weighted = (_points(flat, guide(), batch, k, noise)[:, 0].detach() for k in (1, 100))
    assert abs(float(plain.mean()) - 0.3) < 4 * SD / math.sqrt(4000)
    assert abs(float(weighted.mean())) < 4 / math.sqrt(4000) + 0.02
    assert abs(float(weighted.std()) - 1) < 0.08


def test_zeros_beyond_the_counts_are_no_part_of_a_share():
    plain, gated = (
        shares(model(), torch.ones(1, 1).double()),
        shares(model(ZeroInflated(Poisson(GENES))), torch.ones(1, 1).double()),
    )
    torch.testing.assert_close(plain, gated)
    dispersed = shares(model(NegativeBinomial(GENES)), torch.ones(1, 1).double())
    torch.testing.assert_close(plain, dispersed)


def test_what_is_refused():
    other = LatentVariableModel(Unconditional(Gaussian(1)), Given(nn.Linear(1, 8), Gaussian(4)))
    with pytest.raises(CompositionError, match="count-vae"):
        shares(other, torch.zeros(1, 1))
    with pytest.raises(UsageError, match="group B has no data"):
        changes(model(), guide(), rows(0.0), rows(1.0, 0), delta=0.1, offset=0.0)
    with pytest.raises(UsageError, match="delta"):
        changes(model(), guide(), rows(0.0), rows(1.0), delta=-1.0, offset=0.0)
    with pytest.raises(UsageError, match="draws"):
        expression(model(), guide(), rows(0.0), draws=0)


def test_calls_keep_their_expected_share_of_false_discoveries():
    p = np.array([0.999, 0.5, 0.97, 0.9, 0.2])
    assert expected_fdr(p, 0.05).tolist() == [True, False, True, True, False]  # 0.044 on average
    assert expected_fdr(p, 0.04).tolist() == [True, False, True, False, False]
    assert not expected_fdr(np.array([0.5]), 0.05).any()
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 0.3, 20_000)
    true, taken = rng.random(20_000) < p, expected_fdr(p, 0.1)
    rate = (taken & ~true).sum() / taken.sum()
    assert abs(rate - 0.1) < 4 * math.sqrt(0.09 / taken.sum()) + 1e-3
    with pytest.raises(UsageError, match="between 0 and 1"):
        expected_fdr(p, 1.0)
