"""Axes are given or made, and returned."""

from __future__ import annotations

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure

from jensen.plot.axes import drawn


def test_axes_that_are_given_are_painted_and_returned():
    ax = Figure().add_subplot()
    assert drawn(ax, lambda axes: axes.plot([1, 2]), 100, 100) is ax
    assert len(ax.lines) == 1
    assert not pyplot.get_fignums()


def test_a_new_figure_has_its_size_and_leaves_the_users_style_alone():
    before = dict(matplotlib.rcParams)
    axes = drawn(None, lambda axes: axes.set_title("a $x$"), 480, 240)
    assert axes.figure.get_size_inches().tolist() == [5, 2.5]
    assert axes.figure.get_facecolor() == (1, 1, 1, 1)
    assert dict(matplotlib.rcParams) == before
