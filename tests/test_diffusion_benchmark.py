"""The benchmark of diffusions on known densities: the densities, its quick form, and its acceptance as a slow test."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import diffusion

NAMES = ("ring", "moons")


@pytest.mark.parametrize("name", NAMES)
def test_the_density_is_that_of_the_rows(name):
    """It integrates to one, and the mean of log p over rows is that over the density, within four standard errors."""
    grid = np.linspace(-3, 4, 351)
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    log_p = diffusion.log_density(name, points)
    mass = np.exp(log_p) * (grid[1] - grid[0]) ** 2
    assert mass.sum() == pytest.approx(1.0, abs=1e-6)
    own = diffusion.log_density(name, diffusion.sample(name, 20_000, 0))
    assert abs(own.mean() - mass @ log_p) < 4 * own.std() / 20_000**0.5


def test_the_quick_form_prints_both_tables(capsys):
    diffusion.main(["--quick"])
    printed = capsys.readouterr().out
    assert "| ring, defaults |" in printed
    assert "bound of T levels" in printed
    with pytest.raises(SystemExit):
        diffusion.main(["--quick", "--write"])


@pytest.mark.slow
def test_the_recipe_learns_eight_modes(tmp_path):
    """On 10,000 rows, trained to the end: the bound within 0.1 nats of log p(x), and the flow within 0.05."""
    result = diffusion.measured("ring", tmp_path, **{**diffusion.LONGER, "epochs": 400})
    assert -0.1 < result.bound < 3 * result.bound_error
    assert abs(result.flow) < 0.05
    assert result.solver < 0.05
