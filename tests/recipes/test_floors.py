"""The lower limit of scales is small against the spread of the data where they are dense, and stays where it was."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.random import stream
from jensen.families import FLOOR
from jensen.recipes.floors import SHARE, local_spread, relative_floor

NORMAL = torch.randn(4000, 3, generator=stream(0, "normal")).double()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_of_a_gaussian_it_is_about_the_standard_deviation(scale):
    assert local_spread(NORMAL[:, 0] * scale) == pytest.approx(scale, rel=0.15)


def test_of_clusters_it_is_about_that_of_the_narrowest():
    clusters = torch.cat([NORMAL[:2000, 0], 1e6 + 0.01 * NORMAL[2000:, 0]])
    assert 0.01 < local_spread(clusters) < 0.03  # half of the values: a tenth of all is a fifth of them


def test_values_that_come_again_count_once():
    x = NORMAL[:, 0].clone()
    x[::2] = 0
    assert local_spread(x) == pytest.approx(1, rel=0.15)
    assert local_spread(torch.ones(10)) is None


@pytest.mark.parametrize("data", [NORMAL, NORMAL.exp(), NORMAL.sign() + 0.1 * NORMAL, NORMAL.round()])
def test_ordinary_data_have_the_floor_of_earlier_versions(data):
    assert relative_floor(Rows((data / data.std(0)).float())) == FLOOR


def test_dense_data_have_a_smaller_one():
    data = torch.cat([NORMAL, NORMAL + 1e5])
    floor = relative_floor(Rows(((data - data.mean(0)) / data.std(0)).float()))
    assert SHARE * 2e-5 / 2 < floor < SHARE * 2e-5 * 4  # single precision merges some of the values


def test_holes_and_constant_columns_do_not_count():
    x = NORMAL.float().clone()
    x[:, 2] = 7
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:3000, 1] = False
    x[:3000, 1] = 0
    assert relative_floor(Rows(x, mask=mask)) == FLOOR
