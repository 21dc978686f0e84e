"""The bound over K is that of the evaluation."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from jensen import plot
from jensen.core.errors import UsageError


def test_the_curve_is_that_of_the_evaluation_on_record_or_given(run):
    axes = plot.tightness(run, Figure().add_subplot())
    k, bound = axes.lines[0].get_data()
    assert k[-1] == 20
    other = run.evaluate(k=100)
    axes = plot.tightness(run, Figure().add_subplot(), evaluation=other)
    k, value = axes.lines[0].get_data()
    assert k[-1] == 100
    assert value[-1] == pytest.approx(other.estimate.mean)
    assert value[-1] > bound[0]
    assert axes.get_ylabel() == "log p(x) ≥, nats per datum"


def test_what_has_no_curve_is_refused(run, flat):
    with pytest.raises(UsageError, match="keeps no evaluation"):
        plot.tightness(flat)
    with pytest.raises(UsageError, match="has no curve over K"):
        plot.tightness(run, evaluation=run.evaluate(k=1))
