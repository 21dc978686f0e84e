"""Rules of integration on a panel or a square cell: Gauss-Kronrod, its Gauss rule, and Clenshaw-Curtis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.polynomial import legendre
from torch import Tensor

__all__ = ["Rule", "check_rule", "kronrod_rule"]

GAUSS = 7  # nodes; their extension has 15
INTERVALS = 13  # of Clenshaw-Curtis: 14 nodes, of which only the ends could be nodes of another panel


@dataclass(frozen=True)
class Rule:
    """Nodes [K, Z] in the cube [-1, 1]^Z, and weights [K, 1 + E] of a rule and of E rules to compare it with."""

    nodes: Tensor
    weights: Tensor


@cache
def kronrod_rule(dim: int) -> Rule:
    r"""Return the 15 nodes of Gauss-Kronrod per feature: the rule, and for each feature the rule that is Gauss in it.

    .. math:: \int_{-1}^1 f(x)\,dx \approx \sum_i w_i f(x_i)

    The rule is exact to degree 22, the Gauss rule to degree 13. The added nodes are the zeros of the Stieltjes
    polynomial E_8, which is orthogonal, with the weight P_7, to all polynomials of degree 7 and less.

    Source: Kronrod, "Nodes and weights of quadrature formulas", 1965; Piessens et al., "QUADPACK", 1983.

    Args:
        dim: one or two features; the product of two rules for two.
    """
    inner, gauss = legendre.leggauss(GAUSS)
    nodes = np.sort(np.concatenate([inner, legendre.legroots(_stieltjes(GAUSS))]))
    kronrod, coarse = _interpolatory(nodes), np.zeros(len(nodes))
    coarse[1::2] = gauss
    if dim == 1:
        return _rule(nodes[:, None], [kronrod, coarse])
    return _rule(_pairs(nodes), [np.outer(a, b).ravel() for a, b in _products(kronrod, coarse)])


@cache
def check_rule(dim: int) -> Rule:
    """Return the 14 nodes of Clenshaw-Curtis per feature, the ends included: exact to degree 13, at other nodes.

    Source: Clenshaw & Curtis, "A method for numerical integration on an automatic computer", 1960.

    Args:
        dim: one or two features; the product of two rules for two.
    """
    nodes = -np.cos(np.pi * np.arange(INTERVALS + 1) / INTERVALS)
    weights = _interpolatory(nodes)
    if dim == 1:
        return _rule(nodes[:, None], [weights])
    return _rule(_pairs(nodes), [np.outer(weights, weights).ravel()])


def _products(kronrod: np.ndarray, coarse: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(kronrod, kronrod), (coarse, kronrod), (kronrod, coarse)]


def _pairs(nodes: np.ndarray) -> np.ndarray:
    """Return the grid [n^2, 2] of all pairs of nodes [n]."""
    return np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)


def _rule(nodes: np.ndarray, weights: list[np.ndarray]) -> Rule:
    return Rule(torch.from_numpy(nodes), torch.from_numpy(np.stack(weights, -1)))


def _stieltjes(n: int) -> np.ndarray:
    """Return the Legendre coefficients [n + 2] of the Stieltjes polynomial of degree n + 1, from its orthogonality."""
    x, w = legendre.leggauss(2 * n + 2)  # exact for products of degree 3n + 1
    p = legendre.legvander(x, n + 1)
    products = np.einsum("i,i,ik,ij->kj", w, p[:, n], p[:, : n + 1], p)
    return np.append(np.linalg.solve(products[:, : n + 1], -products[:, n + 1]), 1.0)


def _interpolatory(nodes: np.ndarray) -> np.ndarray:
    """Return the weights [n] with which nodes [n] integrate every polynomial of degree n - 1 exactly."""
    moments = np.zeros(len(nodes))
    moments[0] = 2.0
    return np.linalg.solve(legendre.legvander(nodes, len(nodes) - 1).T, moments)
