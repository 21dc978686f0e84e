"""Statistics of missing cells of several kinds, against sums over the states of a small mixture of columns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from jensen.analysis.draw_summaries import quantiles
from jensen.analysis.imputation import Statistics, impute
from jensen.core.batch import Rows
from jensen.core.random import drawing_from, stream
from jensen.families import Categorical, Choices, Columns, Gaussian
from jensen.guides import Exact
from jensen.models.conditionals import Table, Unconditional
from jensen.models.model import LatentVariableModel

FAMILY = Columns((Gaussian(2), Choices((3, 2))), ((0, 2), (1, 3)))
N, DRAWS = 400, 200
NUMBERS = torch.zeros(4, dtype=torch.bool)  # none of the columns is an angle
Z_MOST = 4.0


def model_of_columns() -> LatentVariableModel:
    """Three kinds of rows, of two numbers and two names, that are far enough apart for names to tell of numbers."""
    with drawing_from(stream(0, "columns")):
        p = Table(FAMILY, 3).double()
        prior = Unconditional(Categorical(3)).double()
    return LatentVariableModel(prior, p)


def conditional(model: LatentVariableModel, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities of the states given what is observed [N, 3], and the parameters of each [3, P]."""
    params = model.likelihood.rows().detach()  # type: ignore[operator]
    terms = torch.stack([FAMILY.log_prob(p, x, mask) for p in params], -1)
    return torch.softmax(terms, -1), params


@pytest.fixture(scope="module")
def imputed():
    """Rows, of which the number in column 0 and the name in column 1 are missing, with statistics of these."""
    model = model_of_columns()
    x = model.sample(N, stream(1, "rows"))
    mask = torch.tensor([False, False, True, True]).expand(N, -1).clone()
    mask[0] = True  # one row is complete
    rows = Rows(torch.where(mask, x, 0.0), mask=mask, fill=torch.zeros(4).double())
    levels = (0.05, 0.5, 0.95)
    statistics = Statistics(
        lambda params, _: FAMILY.summary(params),
        lambda draws: torch.cat([*quantiles(draws, levels, NUMBERS)], -1),
        DRAWS,
    )

    def run(method: str, m: int = 2, k: int = 1000, rows: Rows = rows):
        return impute(model, Exact(model), rows, m, method=method, k=k, steps=60, seed=3, statistics=statistics)

    return model, rows, run


@pytest.mark.parametrize("method", ["sir", "gibbs"])
def test_means_and_probabilities_are_those_of_the_mixture(imputed, method):
    model, rows, run = imputed
    some = rows.subset(torch.arange(8)) if method == "gibbs" else rows
    drawn = run(method, rows=some)
    weights, params = conditional(model, some.stored, some.mask)
    exact = weights @ FAMILY.summary(params)
    spread = (weights @ FAMILY.summary(params) ** 2 - exact**2).clamp_min(0).sqrt()
    points = 1000 if method == "sir" else 2000  # 200 chains of 30 steps, which are not independent
    errors = (drawn.mean - exact)[1:] / (spread[1:] / math.sqrt(points) + 1e-9)
    assert drawn.mean[0].isnan().all()  # the complete row
    assert errors.abs().max() < Z_MOST + 1
    assert drawn.of_draws is not None
    assert drawn.of_draws.shape == (len(some), 3 * 4)
    assert drawn.of_draws[0].isnan().all()


def test_intervals_contain_what_they_should(imputed):
    """On average over rows, an interval has its stated probability under the mixture: p(x | z) is in it."""
    model, rows, run = imputed
    drawn = run("sir")
    weights, params = conditional(model, rows.stored, rows.mask)
    numbers = FAMILY.families[0](FAMILY.split(params)[0]).base_dist
    low, median, high = (drawn.of_draws[1:, 4 * i] for i in range(3))

    def below(point: Tensor) -> Tensor:
        each = Normal(numbers.mean[:, 0], numbers.stddev[:, 0]).cdf(point[:, None])
        return (weights[1:] * each).sum(-1)

    inside = below(high) - below(low)
    assert abs(float(inside.mean()) - 0.9) < Z_MOST * float(inside.std()) / math.sqrt(N)
    middle = below(median)
    assert abs(float(middle.mean()) - 0.5) < Z_MOST * float(middle.std()) / math.sqrt(N)
    assert float(inside.std()) < 0.04  # 200 draws: sqrt(2 * 0.05 * 0.9 / 200) and a little


def test_the_kept_draws_are_the_first_of_those(imputed):
    _, rows, run = imputed
    few, many = run("sir", 2), run("sir", 5)
    assert torch.equal(few.x, many.x[:2])
    assert torch.equal(few.of_draws[1:], many.of_draws[1:])
    missing = ~rows.mask
    assert (few.x[:, rows.mask] == rows.stored[rows.mask]).all()
    assert set(few.x[:, missing][:, 1::2].unique().tolist()) == {0.0, 1.0, 2.0}
