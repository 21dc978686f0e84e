"""A rate-distortion curve is drawn from its record, and a run of it is ringed."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from jensen import plot
from jensen.core.errors import UsageError

POINTS = [
    {"beta": beta, "rate": 4 / beta, "distortion": 10 + beta, "elbo": -10 - beta - 4 / beta} for beta in (0.5, 1.0, 2.0)
]
CURVE = {"points": POINTS, "best_beta": 1.0, "data": "40 test rows of x", "prepared": "reals"}


def test_a_point_for_each_beta_and_a_ring_for_the_own():
    axes = plot.rate_distortion(CURVE, Figure().add_subplot(), own=2.0)
    rate, distortion = axes.lines[0].get_data()
    assert rate.tolist() == [8, 4, 2]
    assert distortion.tolist() == [10.5, 11, 12]
    ring = next(line for line in axes.lines if line.get_fillstyle() == "none")
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (2, 12)
    assert any("best ELBO" in text.get_text() for text in axes.texts)


def test_a_run_of_no_curve_and_a_folder_without_one_are_refused(run, tmp_path):
    with pytest.raises(UsageError, match="belongs to no rate-distortion curve"):
        plot.rate_distortion(run)
    with pytest.raises(UsageError, match="holds no curve"):
        plot.rate_distortion(tmp_path)
