"""Columns of a table of rows: names that say what a number is, no name twice, and nothing invented."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.evaluate import Estimate, Kind
from jensen.evaluate.quantity import EVIDENCE, Quantity
from jensen.runs.row_values import identity_columns, row_values, value_name

NUMBERS = ["stderr_mc", "elbo", "rate", "distortion", "ess", "k_hat"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.EXACT, "log_px"),
        (Kind.FLOORED, "log_px"),
        (Kind.QUADRATURE, "log_px"),
        (Kind.UNNORMALISED, "log_px"),
        (Kind.LOWER, "log_px_lower_bound"),
        (Kind.STOCHASTIC_LOWER, "log_px_lower_bound"),
        (Kind.STOCHASTIC_UPPER, "log_px_upper_bound"),
    ],
)
def test_the_name_says_if_it_is_a_bound(kind, name):
    assert value_name(kind, EVIDENCE) == name
    assert value_name(kind, Quantity("label")) == name.replace("log_px", "log_px_given_label")


def test_every_number_of_an_estimate_is_there():
    estimate = Estimate(
        Kind.STOCHASTIC_LOWER,
        torch.tensor([-1.0, -2.0]),
        distortion=torch.tensor([3.0, 4.0]),
        rate=torch.tensor([0.5, 0.25]),
        k=7,
        ess=torch.tensor([6.0, 5.0]),
        variance_mc=torch.tensor([4.0, 9.0]),
        k_hat=torch.tensor([0.1, 0.9]),
    )
    table = row_values(estimate, EVIDENCE, {"row": np.array([3, 1])})
    assert list(table) == ["row", "kind", "log_px_lower_bound", *NUMBERS]
    assert table["kind"].tolist() == ["stochastic lower bound, K = 7"] * 2
    assert table["stderr_mc"].tolist() == [2.0, 3.0]
    assert table["elbo"].tolist() == [-3.5, -4.25]
    assert table["log_px_lower_bound"].dtype == np.float64


def test_what_is_not_known_is_nan():
    table = row_values(Estimate(Kind.UNNORMALISED, None, torch.ones(3)), EVIDENCE, {})
    assert all(np.isnan(table[name]).all() for name in ("log_px", *NUMBERS) if name != "distortion")
    assert table["distortion"].tolist() == [1.0, 1.0, 1.0]


def test_no_name_is_used_twice():
    """A column of the user's that has the name of a number, of the label or of the row number is told apart."""
    own = {name: np.array(["u", "v"]) for name in ("row", "label", "rate", "kind", "file")}
    columns = identity_columns(np.arange(2), np.array(["a", "b"]), own, np.array([0, 1]), ("x", "y"))
    table = row_values(Estimate(Kind.EXACT, torch.zeros(2)), EVIDENCE, columns)
    assert table["row"].tolist() == [0, 1]
    assert table["file"].tolist() == ["a", "b"]
    assert sum(values.tolist() == ["u", "v"] for values in table.values()) == 5
    assert sum(values.tolist() == ["x", "y"] for values in table.values()) == 1
    assert np.isnan(table["rate"]).all()
    assert table["kind"].tolist() == ["exact", "exact"]


@pytest.mark.parametrize(
    ("labels", "classes", "names"),
    [([1, 0], ("n", "m"), ["m", "n"]), ([4, -1], None, ["4", ""]), ([0, -1], ("n", "m"), ["n", ""])],
)
def test_labels_have_their_names_and_unknown_ones_none(labels, classes, names):
    assert identity_columns(None, None, {}, np.array(labels), classes)["label"].tolist() == names
