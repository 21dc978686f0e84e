"""Rules on a panel: their degree, their weights and where they differ."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.evaluate.panel_rules import Rule, check_rule, kronrod_rule
from tests.identities.models import close


def moments(rule: Rule, column: int, degree: int) -> torch.Tensor:
    """Integrals of x^0 to x^degree by one of the rules."""
    powers = rule.nodes[:, :1] ** torch.arange(degree + 1)
    return rule.weights[:, column] @ powers


@pytest.mark.parametrize(
    ("rule", "column", "degree"), [(kronrod_rule(1), 0, 22), (kronrod_rule(1), 1, 13), (check_rule(1), 0, 13)]
)
def test_polynomials_are_exact_to_the_degree(rule, column, degree):
    truth = torch.tensor([2 / (k + 1) if k % 2 == 0 else 0.0 for k in range(degree + 3)], dtype=torch.float64)
    made = moments(rule, column, degree + 2)
    close(made[: degree + 1], truth[: degree + 1], 1e-13)
    assert float((made - truth)[degree + 1 :].abs().max()) > 1e-9


def test_nodes_and_weights_are_the_published_ones():
    """The outermost and the inner nodes of QUADPACK's 15 (Piessens et al., 1983)."""
    rule = kronrod_rule(1)
    close(rule.nodes[0, 0], -0.991455371120812639206854697526329, 1e-14)
    close(rule.weights[0, 0], 0.022935322010529224963732008058970, 1e-14)
    close(rule.weights[7, 0], 0.209482141084727828012999174891714, 1e-14)
    assert (rule.weights[:, 0] > 0).all()


@pytest.mark.parametrize("rule", [kronrod_rule(2), check_rule(2)])
def test_two_features_are_a_product(rule):
    f = torch.exp(rule.nodes[:, 0] + 2 * rule.nodes[:, 1])
    close(rule.weights[:, 0] @ f, 2 * math.sinh(1) * math.sinh(2), 1e-10)


def test_each_feature_has_its_own_gauss_rule():
    """A function of one feature alone: only that feature's rule is off."""
    rule = kronrod_rule(2)
    sums = [(rule.nodes[:, axis] > 0.1).double() @ rule.weights for axis in (0, 1)]
    assert [bool(abs(s[1] - s[0]) > 1e-3) for s in sums] == [True, False]
    assert [bool(abs(s[2] - s[0]) > 1e-3) for s in sums] == [False, True]
