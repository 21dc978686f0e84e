"""The page on ladders, levels and continuous time: its table again, and what it says about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from benchmarks import levels
from jensen.models.noise_schedules import CosineSchedule, LinearSchedule

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "diffusion-theory.md").read_text(encoding="utf-8")
NAMES = ("Gaussian", "mixture")


def data(name):
    return levels.gaussian() if name == "Gaussian" else levels.mixture()


def shown(name: str) -> dict[str, list[float]]:
    """The table of one data set on the page."""
    table = PAGE.split(f"{name.capitalize()}, nats per datum:")[1].split("\n\n")[1]
    cells = [[cell.strip().replace(",", "") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0]: [float(cell) for cell in row[1:] if cell] for row in cells}


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_what_the_program_computes(name):
    """The first six numbers of levels, and continuous time; those of many levels take a minute."""
    known, table = data(name), shown(name)
    for text in ("1", "2", "4", "8", "16", "continuous"):
        count = None if text == "continuous" else int(text)
        for column, schedule in enumerate((LinearSchedule, CosineSchedule)):
            bound = levels.bound(known, levels.chain(known, count, schedule(levels.START, levels.END)))
            assert table[text][column] == pytest.approx(bound, abs=1.1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_shows_what_the_page_says(name):
    """It rises, by less and less; both schedules end at log p(x) less the top; T times the gap nears its limit."""
    known, table = data(name), shown(name)
    rows = list(table.values())
    for column in (0, 1):
        bounds = [row[column] for row in rows]
        assert bounds == sorted(bounds)
        assert rows[-1][column] == pytest.approx(known.log_px, abs=0.002)
    limit = levels.slope(known)
    products = [row[4] for row in rows[:-1]]
    assert products == sorted(products, reverse=True)
    assert products[-1] == pytest.approx(limit, rel=0.03)
    assert f"{limit:.1f}" in PAGE


@pytest.mark.parametrize("name", NAMES)
def test_what_the_ends_cost_is_on_the_page(name):
    known, schedule = data(name), LinearSchedule(levels.START, levels.END)
    for cost in (levels.top_cost(known, schedule), levels.bottom_cost(known, schedule)):
        assert cost > 0
        assert f"{cost:.5f}" in PAGE


def test_the_rate_of_the_mixture_is_that_of_another_quadrature():
    """E ||x - E[x | z]||^2 on a grid of z, by the variance of x given z, at three gammas."""
    known = levels.mixture()
    gammas = torch.tensor([-4.0, 0.0, 3.0], dtype=torch.float64)
    computed = levels.curve(known, gammas)
    for gamma, value in zip(gammas, computed, strict=True):
        alpha, sigma = torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()
        z = torch.linspace(-12, 12, 40_001, dtype=torch.float64)[:, None]
        density = known.at(gamma).log_prob(z).exp()
        var = known.covariance[:, 0, 0]
        noisy = alpha**2 * var + sigma**2
        shares = torch.softmax(known.at(gamma).component_distribution.log_prob(z[:, None]) + known.weights.log(), -1)
        means = known.loc[:, 0] + alpha * var * (z - alpha * known.loc[:, 0]) / noisy
        variance = (shares * (var * sigma**2 / noisy + means.square())).sum(-1) - (shares * means).sum(-1).square()
        expected = torch.trapezoid(density * variance, z[:, 0])
        assert float(value) == pytest.approx(float(expected), rel=1e-4)


def test_the_flow_loses_the_top_alone():
    """With the exact velocity of the Gaussian, E log p of the flow is short by KL(p(z_1) || N(0, I))."""
    known, schedule = levels.gaussian(), LinearSchedule(levels.START, levels.END)
    lost = levels.flow(known, levels.chain(known, None, schedule))
    assert lost == pytest.approx(-levels.top_cost(known, schedule), abs=2e-5)
    assert f"{lost:+.5f}" in PAGE


def test_the_picture_says_what_it_shows():
    ((alt, path),) = re.findall(r"!\[(.*)\]\((\S+)\)", PAGE)
    assert len(alt) > 20
    assert (Path(levels.__file__).resolve().parent.parent / "docs" / path).exists()
    plain = [line for line in levels.PAGE.strip().splitlines() if "{" not in line]
    assert [line for line in plain if line not in PAGE] == []
