"""The lower limit of scales is small against the spread of the data where they are dense, and stays where it was."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.random import stream
from jensen.families import FLOOR
from jensen.recipes.floors import SHARE, closest_values, relative_floor

NORMAL = torch.randn(4000, 3, generator=stream(0, "normal")).double()


def ratio(values: torch.Tensor) -> float:
    least, expected = closest_values(values)
    return least / expected


@pytest.mark.parametrize("n", [40, 400, 4000])
def test_values_of_a_gaussian_are_as_close_as_expected(n):
    assert 0.1 < ratio(NORMAL[:n, 0]) < 1.2


@pytest.mark.parametrize("share", [0.5, 0.05, 0.01])
def test_values_of_a_narrow_cluster_are_closer_however_few_they_are(share):
    n = int(4000 * share)
    x = torch.cat([NORMAL[n:, 0], 50 + 1e-4 * NORMAL[:n, 1]])
    assert ratio((x - x.mean()) / x.std()) < 0.01


def test_values_that_come_again_count_once():
    x = NORMAL[:, 0].clone()
    x[::2] = 0
    assert 0.1 < ratio(x) < 1.2
    assert closest_values(torch.ones(10)) is None


@pytest.mark.parametrize("data", [NORMAL, NORMAL.exp(), NORMAL.sign() + 0.1 * NORMAL, NORMAL.round()])
def test_ordinary_data_have_the_floor_of_earlier_versions(data):
    assert relative_floor(Rows((data / data.std(0)).float())) == FLOOR


def test_dense_data_have_a_smaller_one():
    data = torch.cat([NORMAL, NORMAL + 1e5])
    floor = relative_floor(Rows(((data - data.mean(0)) / data.std(0)).float()))
    assert floor < SHARE * 2e-5 / 10  # of the deviation of each cluster


def test_holes_and_constant_columns_do_not_count():
    x = NORMAL.float().clone()
    x[:, 2] = 7
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:3000, 1] = False
    x[:3000, 1] = 0
    assert relative_floor(Rows(x, mask=mask)) == FLOOR
