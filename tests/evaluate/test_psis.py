"""k-hat against arviz-stats, on tails of every weight, and where there is no tail to fit."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import pytest
import torch

from jensen.core.random import stream
from jensen.evaluate import Estimate, Kind
from jensen.evaluate.importance import importance_estimate
from jensen.evaluate.psis import pareto_k, reliable_below

INF = math.inf


def tails(k: int, n: int = 4) -> dict[str, torch.Tensor]:
    """Log-weights [k, n] from lighter than a Gaussian to heavier than anything with a mean."""
    noise = stream(0, f"tails {k}")
    u = torch.rand(k, n, dtype=torch.float64, generator=noise)
    z = torch.randn(k, n, dtype=torch.float64, generator=noise)
    return {
        "bounded": u.log() * 0.1,
        "narrow": 0.01 * z,
        "log-normal": z,
        "wide": 10 * z,
        "Pareto 0.5": -0.5 * u.log(),
        "Pareto 2": -2 * u.log(),
        "far from zero": z - 1e4,
    }


@pytest.mark.parametrize("k", [25, 26, 50, 99, 224, 225, 226, 1000, 5000])
def test_the_shape_is_that_of_arviz(k):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from arviz_stats.base import array_stats
    for name, log_w in tails(k).items():
        found = pareto_k(log_w)
        for column, ours in zip(log_w.T, found.tolist(), strict=True):
            _, theirs = array_stats.psislw(-column.numpy(), r_eff=1.0)
            assert abs(ours - float(theirs)) < 1e-10, name


def test_a_known_tail_is_recovered():
    """Weights u^-s are Pareto with shape s; the fit of 1060 points has a standard error of about (1 + s) / 33."""
    u = torch.rand(125_000, 1, dtype=torch.float64, generator=stream(0, "pareto"))
    for shape in (0.3, 0.7, 1.5):
        assert abs(float(pareto_k(-shape * u.log())) - shape) < 4 * (1 + shape) / math.sqrt(1060)


def degenerate() -> dict[str, tuple[torch.Tensor, float]]:
    flat, some = torch.zeros(100).double(), torch.randn(100, dtype=torch.float64, generator=stream(0, "some"))
    return {
        "all equal": (flat, -INF),
        "one giant": (torch.cat([flat[:99], torch.tensor([1e4]).double()]), INF),
        "one that is not zero": (torch.cat([flat[:99] - INF, flat[:1]]), INF),
        "none that is not zero": (flat - INF, INF),
        "fewer than the tail": (torch.cat([flat[:90] - INF, some[:10]]), INF),
        "half of them zero, the others equal": (torch.cat([flat[:50] - INF, flat[:50]]), -INF),
    }


@pytest.mark.parametrize("name", degenerate())
def test_without_a_tail_there_is_an_answer_and_no_nan(name):
    """Beside an ordinary column, which must not notice."""
    log_w, expected = degenerate()[name]
    plain = tails(100)["log-normal"][:, 0]
    found = pareto_k(torch.stack([log_w, plain], 1))
    assert float(found[0]) == expected
    assert float(found[1]) == pytest.approx(float(pareto_k(plain[:, None])), abs=1e-12)


def test_zeros_outside_the_tail_do_not_matter():
    some = torch.randn(100, dtype=torch.float64, generator=stream(0, "some"))
    zeros = torch.where(some < 0, -INF, some)
    assert float(pareto_k(zeros[:, None])) == float(pareto_k(some[:, None]))


def test_too_few_points_say_so():
    assert (pareto_k(torch.zeros(24, 3)) == INF).all()
    assert torch.isfinite(pareto_k(tails(25)["log-normal"])).all()


@pytest.mark.parametrize(("k", "limit"), [(1, 0.0), (10, 0.0), (100, 0.5), (1000, 2 / 3), (2155, 0.7), (10**6, 0.7)])
def test_the_limit_grows_with_the_number_of_points(k, limit):
    assert reliable_below(k) == pytest.approx(limit, abs=1e-4)


@pytest.mark.parametrize(
    ("ess", "heavy", "expected"), [(100.0, 0.0, True), (100.0, 0.04, True), (100.0, 0.2, False), (9.0, 0.0, False)]
)
def test_reliability_needs_light_tails_and_enough_points(ess, heavy, expected):
    """At most one datum in twenty above the limit, and a median effective sample size of ten."""
    k_hat = torch.where(torch.arange(100) < 100 * heavy, 0.9, 0.3)
    found = Estimate(Kind.STOCHASTIC_LOWER, torch.zeros(100), k=1000, ess=torch.full((100,), ess), k_hat=k_hat)
    assert found.reliable is expected
    assert found.to_dict()["stderr_mc_reliable"] is expected


@pytest.mark.parametrize("k", [2, 4, 5, 8, 10, 20, 30, 49])
@pytest.mark.parametrize("width", [0.0, 0.2, 0.5, 1.0, 2.0])
@pytest.mark.sampled(8)
def test_an_error_of_few_points_is_called_reliable_where_it_is(k, width):
    """Log-normal weights, 400 times: the error of the mean over 200 data against its spread over repetitions."""
    log_w = width * torch.randn(k, 400, 200, dtype=torch.float64, generator=stream(0, f"few points {width}"))
    share = torch.softmax(log_w, 0).square().sum(0)
    estimates = [
        importance_estimate(torch.logsumexp(w, 0) - math.log(k), s, k)
        for w, s in zip(log_w.unbind(1), share, strict=True)
    ]
    spread = float(torch.tensor([e.mean for e in estimates]).std())
    stated = float(torch.tensor([e.stderr_mc for e in estimates]).mean())
    found = [replace(e, k_hat=torch.full((200,), INF)).reliable for e in estimates]  # no shape can be fitted
    ess = 1 / share.median()
    if k < 5 or ess < 0.9 * min(10, 0.8 * k):
        assert not all(found)
    elif ess > 1.1 * min(10, 0.8 * k):
        assert all(found)
        assert stated == pytest.approx(spread, rel=0.15, abs=1e-9)


@pytest.mark.parametrize(
    ("k", "ess", "uneven", "reliable"),
    [
        (100, 96.0, False, True),  # even weights, whatever the shape of their tail
        (60, 58.0, False, True),
        (1000, 850.0, False, True),
        (1000, 700.0, True, False),
        (100, 9.0, True, False),
        (2, 1.9, False, False),  # even, and too few for an error
        (4, 3.0, True, False),
        (1, 1.0, False, False),
    ],
)
def test_a_tail_matters_where_weights_are_uneven(k, ess, uneven, reliable):
    """Every row is beyond the limit of k-hat."""
    heavy = torch.full((20,), 0.9)
    found = Estimate(Kind.STOCHASTIC_LOWER, torch.zeros(20), k=k, ess=torch.full((20,), ess), k_hat=heavy)
    assert (found.uneven, found.reliable) == (uneven, reliable)
