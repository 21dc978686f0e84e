"""An estimate's averages, errors, units and words."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.evaluate import Estimate, Kind
from jensen.evaluate.estimate import format_nats
from tests.identities.models import close

NATS = torch.tensor([-1.0, -2.0, -6.0], dtype=torch.float64)


def estimate(kind: Kind = Kind.STOCHASTIC_LOWER, **more) -> Estimate:
    given = {
        "distortion": -NATS - 1,
        "rate": torch.full((3,), 2.0).double(),
        "k": 10,
        "ess": torch.tensor([2.0, 9.0, 3.0]),
        "variance_mc": torch.tensor([0.04, 0.01, 0.04]),
    }
    return Estimate(kind, NATS, **{**given, **more})


def test_averages_and_errors():
    e = estimate()
    assert e.mean == -3
    close(e.stderr, math.sqrt(((2**2 + 1 + 3**2) / 2) / 3))
    close(e.stderr_mc, math.sqrt(0.09) / 3, 1e-6)
    assert e.ess_median == 3
    close(e.elbo, NATS - 1)


def test_single_precision_is_averaged_in_double():
    nats = torch.full((100_000,), -100.1)
    assert Estimate(Kind.EXACT, nats).mean == pytest.approx(float(torch.tensor(-100.1).double()), abs=1e-9)


def test_what_is_not_known_is_not_told():
    assert estimate(Kind.EXACT, k=None, ess=None, variance_mc=None).stderr_mc == 0.0
    assert estimate(variance_mc=None).stderr_mc is None
    assert Estimate(Kind.EXACT, NATS[:1]).stderr is None
    nothing = Estimate(Kind.UNNORMALISED, None, distortion=NATS)
    assert (nothing.mean, nothing.stderr, nothing.stderr_mc, nothing.elbo) == (None,) * 4
    record = nothing.to_dict()
    assert (record["log_px"], record["elbo"], record["distortion"], record["n"]) == (None, None, -3, 3)


def test_other_units_move_log_densities_and_leave_the_rate():
    e, moved = estimate(), estimate().shifted(-5.0)
    close(moved.nats, e.nats - 5)
    close(moved.distortion, e.distortion + 5)
    close(moved.elbo, e.elbo - 5)
    close(moved.rate, e.rate)
    assert (moved.stderr, moved.stderr_mc) == (pytest.approx(e.stderr), e.stderr_mc)


def test_the_record_has_every_number():
    record = estimate(error=0.5).to_dict()
    numbers = {"log_px": -3.0, "k": 10, "ess": 3.0, "elbo": -4.0, "rate": 2.0, "distortion": 2.0, "n": 3}
    assert {k: record[k] for k in numbers} == numbers
    assert record["kind"] == "stochastic lower bound"
    assert record["quadrature_error"] == 0.5


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        (Kind.EXACT, "="),
        (Kind.QUADRATURE, "="),
        (Kind.STOCHASTIC_LOWER, ">="),
        (Kind.STOCHASTIC_UPPER, "<="),
    ],
)
def test_a_bound_is_printed_as_a_bound(kind, sign):
    assert str(estimate(kind)).startswith(f"log p(x) {sign} -3 ± 2 nats per datum ({kind}")
    assert "not defined" in str(Estimate(Kind.UNNORMALISED, None))


@pytest.mark.parametrize(
    ("mean", "error", "words"),
    [
        (None, None, "-"),
        (-88.1234, None, "-88.12"),
        (-88.1234, 0.0, "-88.12"),
        (-88.1234, 0.042, "-88.12 ± 0.04"),
        (-88.1234, 0.1, "-88.1 ± 0.1"),
        (-88.1234, 1.0, "-88 ± 1"),
        (-88.1234, 12.0, "-88 ± 12"),
        (-88.1234, math.inf, "-88.12"),
        (-1.0, 1e-9, "-1.000000 ± 0.000000"),
    ],
)
def test_digits_follow_the_error(mean, error, words):
    assert format_nats(mean, error) == words


def test_some_data_have_their_own_numbers():
    some = estimate().some(1, 3)
    assert some.k == 10
    for name in ("nats", "distortion", "rate", "ess", "variance_mc"):
        assert vars(some)[name].equal(vars(estimate())[name][1:])
