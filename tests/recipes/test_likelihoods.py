"""Likelihoods by name: what each makes of a setting, and which data it refuses."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.errors import DataError, UsageError
from jensen.data import Schema
from jensen.families import (
    Beta,
    ContinuousBernoulli,
    DiscretizedLogisticMixture,
    Gaussian,
    Laplace,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflated,
)
from jensen.models.conditionals import Given
from jensen.nets import MLP
from jensen.recipes.base import start_from_mean
from jensen.recipes.likelihoods import LIKELIHOODS, likelihood_of

UNIT = torch.tensor([[0.2, 0.5, 0.9], [0.1, 0.4, 0.6]])
COUNTS = torch.tensor([[0, 300, 2], [7, 12, 0]], dtype=torch.int32)
REAL = torch.tensor([[-1.0, 2.0, 0.5], [3.0, -0.5, 0.0]])


def made(name, x, kind="real", shape=(3,), mask=None, floor=0.01):
    schema = Schema(kind, shape, int(x.max()) + 1 if kind == "integers" else None)
    return likelihood_of(name, schema, Rows(x, lambda x, g: x.float(), mask=mask), lambda: floor)


@pytest.mark.parametrize(
    ("name", "x", "kind", "family"),
    [
        ("gaussian-optimal", REAL, "real", Gaussian(3, "optimal", 0.01)),
        ("laplace", REAL, "real", Laplace(3, 0.01)),
        ("student-t", REAL, "real", StudentT(3, None, 0.01)),
        ("log-normal", UNIT, "real", LogNormal(3, 0.01)),
        ("beta", UNIT, "real", Beta(3)),
        ("continuous-bernoulli", UNIT, "real", ContinuousBernoulli(3)),
        ("continuous-bernoulli", torch.eye(3), "real", ContinuousBernoulli(3)),
        ("poisson", COUNTS, "integers", Poisson(3)),
        ("poisson", torch.eye(3), "binary", Poisson(3)),
        ("poisson", torch.tensor([[1e6, 0.0, 3.0]]), "real", Poisson(3)),  # more values than levels
        ("negative-binomial", COUNTS, "integers", NegativeBinomial(3)),
        ("zip", COUNTS, "integers", ZeroInflated(Poisson(3))),
        ("zinb", COUNTS, "integers", ZeroInflated(NegativeBinomial(3))),
        ("discretized-logistic-mixture", COUNTS, "integers", DiscretizedLogisticMixture(3, 1, 301)),
    ],
)
def test_names_make_families(name, x, kind, family):
    assert made(name, x, kind) == family


@pytest.mark.parametrize("channels", range(1, 7))
def test_a_mixture_fills_whole_planes_of_a_convolution(channels):
    x = torch.randint(0, 5, (4, 2 * 2 * channels))
    family = made("discretized-logistic-mixture", x, "integers", (2, 2, channels))
    assert family.channels == channels
    assert family.size % family.dim == 0


@pytest.mark.parametrize(
    ("name", "x", "kind", "words"),
    [
        ("log-normal", REAL, "real", "above 0, and training row 0, column 0.*is -1.*leave --standardize out"),
        ("beta", torch.eye(3), "real", "both excluded, and training row 0, column 0.*is 1"),
        ("continuous-bernoulli", REAL, "real", "from 0 to 1.*row 0, column 0.*is -1"),
        ("poisson", UNIT, "real", "whole numbers from 0.*is 0.2"),
        ("zinb", REAL, "real", "whole numbers from 0.*is -1"),
        ("laplace", COUNTS, "integers", "integers of 301 levels has no upper bound.*--dequantize"),
        ("beta", COUNTS, "integers", "no upper bound"),
        ("student-t", torch.eye(3), "binary", "values 0 and 1 has no upper bound"),
        ("discretized-logistic-mixture", REAL, "real", "needs integers"),
    ],
)
def test_values_outside_the_support_are_refused(name, x, kind, words):
    with pytest.raises(DataError, match=words):
        made(name, x, kind)


def test_what_is_missing_is_not_looked_at():
    x = torch.tensor([[0.5, float("nan"), 0.2]])
    assert made("beta", x, mask=~x.isnan()) == Beta(3)
    with pytest.raises(DataError, match="column 1"):
        made("beta", x)


def test_a_row_is_found_wherever_it_is():
    x = torch.full((5000, 3), 0.5)
    x[4500, 2] = 2.0
    with pytest.raises(DataError, match=r"row 4500, column 2 .from 0., is 2"):
        made("beta", x)


@pytest.mark.parametrize("name", ["laplace", "student-t", "log-normal", "beta", "gaussian-optimal"])
def test_constant_columns_are_refused_where_a_scale_is_learned(name):
    def refuse() -> float:
        raise DataError("constant", "--floor")

    with pytest.raises(DataError, match="--floor"):
        likelihood_of(name, Schema("real", (3,)), Rows(UNIT), refuse)


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match=r"Choose from auto, bernoulli.*zinb"):
        made("zebra", REAL)
    assert "auto" not in LIKELIHOODS


@pytest.mark.parametrize("name", ["laplace", "student-t", "log-normal", "beta", "continuous-bernoulli", "poisson"])
def test_a_decoder_starts_at_the_average(name):
    x = COUNTS if name == "poisson" else UNIT
    family = made(name, x, "integers" if name == "poisson" else "real")
    check_start(family, x)


@pytest.mark.parametrize("name", ["negative-binomial", "zip", "zinb"])
def test_a_decoder_of_counts_starts_at_the_average(name):
    check_start(made(name, COUNTS, "integers"), COUNTS)


def check_start(family, x):
    net, mean = MLP(2, family.size - family.shared, ()), x.double().mean(0).float()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    start_from_mean(net.layers[-1].bias, family, mean)
    with torch.no_grad():
        start = Given(net, family)(torch.zeros(1, 2)).mean[0]
    torch.testing.assert_close(start, mean, rtol=1e-4, atol=1e-4)
