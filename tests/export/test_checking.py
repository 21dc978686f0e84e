"""The comparison of a graph with the run: errors are measured, and refused above 1e-5."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.core.errors import NumericalError
from jensen.export.checking import MOST, check_graph
from jensen.export.ports import Graph, Port

X = {"x": np.ones((72, 2))}


def graph(unit=None) -> Graph:
    port = Port("y", "float64", (2,), "twice", unit=unit)
    return Graph("encoder", "", torch.nn.Identity(), (), (port,), lambda own: {"y": 2 * own["x"]})


def test_errors_are_relative_and_recorded():
    agreement = check_graph(graph(), X, lambda own: {"y": 2 * own["x"] + 1e-6})
    assert agreement.largest == pytest.approx(5e-7)
    assert agreement.worst == "y"
    assert agreement.to_dict()["batches"] == [1, 7, 64]


def test_errors_of_small_values_count_by_their_unit():
    assert check_graph(graph(unit=1000.0), X, lambda own: {"y": 2 * own["x"] + 1e-3}).largest == pytest.approx(1e-6)


@pytest.mark.parametrize("error", [3e-5, np.nan, np.inf])
def test_what_differs_is_refused_by_name(error):
    with pytest.raises(NumericalError, match="encoder as exported differs from the run: 'y'"):
        check_graph(graph(), X, lambda own: {"y": 2 * own["x"] + error})
    assert MOST == 1e-5


def test_another_shape_or_type_is_refused():
    with pytest.raises(NumericalError, match="float32"):
        check_graph(graph(), X, lambda own: {"y": (2 * own["x"]).astype(np.float32)})
    with pytest.raises(NumericalError, match=r"\(1, 1\)"):
        check_graph(graph(), X, lambda own: {"y": 2 * own["x"][:, :1]})


def test_a_graph_of_a_fixed_number_of_rows_is_refused():
    def fixed(own):
        return {"y": 2 * np.ones((1, 2))}

    with pytest.raises(NumericalError, match=r"\(7, 2\)"):
        check_graph(graph(), X, fixed)


def test_whole_numbers_must_be_equal():
    port = Port("k", "int64", (1,), "")
    own = Graph("encoder", "", torch.nn.Identity(), (), (port,), lambda own: {"k": own["k"]})
    k = {"k": np.arange(72)[:, None]}
    assert check_graph(own, k, lambda own: dict(own)).largest == 0
    with pytest.raises(NumericalError, match="'k'"):
        check_graph(own, k, lambda own: {"k": own["k"] + (own["k"] == 50)})
