"""A run as pictures see it."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.plot.view import View, history, view_of


def test_a_view_is_of_the_test_rows_or_of_others(run):
    view = view_of(run)
    assert view.held_out == run.spec["split"]["sizes"]["test"]
    assert view.codes.shape == (view.held_out, 3)
    assert len(view.labels) == view.held_out
    assert view_of(view) is view
    assert view_of(run, run.dataset().x[:7].reshape(-1, 8, 8, 1)).held_out == 7


def test_rows_that_cannot_be_read_are_left_out_unless_they_were_given(run, monkeypatch):
    def gone(*arguments):
        raise DataError("they are gone")

    monkeypatch.setattr(type(run), "part", gone)
    assert view_of(run).part is None
    assert view_of(run).codes is None
    with pytest.raises(DataError):
        view_of(run, np.zeros((3, 5)))


def test_epochs_are_those_of_the_record(run):
    epochs, stopped = history(run)
    assert [e["epoch"] for e in epochs] == [1, 2]
    assert View.without_rows(run).kept["epoch"] == stopped["kept_epoch"]
