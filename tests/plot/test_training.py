"""Curves of training are the numbers of the record."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from jensen import plot
from jensen.core.errors import UsageError
from jensen.plot.training import curve_title, series
from jensen.plot.view import View, view_of


@pytest.mark.parametrize("measure", ["bound", "rate", "distortion"])
def test_the_curves_are_those_of_the_record(measure, run):
    axes = plot.training_curves(run, Figure().add_subplot(), measure=measure)
    epochs = [line for line in run.metrics if line["event"] == "epoch"]
    train, valid = axes.lines[:2]
    assert train.get_ydata().tolist() == [e["train"][measure] for e in epochs]
    assert valid.get_ydata().tolist() == [e["valid"][measure] for e in epochs]
    assert axes.get_title("left") == curve_title(view_of(run), measure)
    assert "nats per datum" in axes.get_title("left")


def test_a_long_quantity_fits_into_the_title(run, monkeypatch):
    assert curve_title(view_of(run), "bound") == "bound on log p(x), nats per datum"
    monkeypatch.setattr(View, "log_px", "log p(x | site, hours-per-week)")
    assert curve_title(view_of(run), "bound") == "bound on log p(x | labels), nats per datum"


def test_a_single_epoch_is_no_curve(run):
    view = View.without_rows(run)
    short = View(run, None, view.epochs[:1], view.stopped)
    assert series(short, "bound")
    with pytest.raises(UsageError, match="at least two epochs"):
        plot.training_curves(short)
