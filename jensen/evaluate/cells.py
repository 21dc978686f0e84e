"""Adaptive integration on panels and cells: bisect where rules disagree, row by row, all rows at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .hidden_ridges import hidden_ridges
from .joint_density import BEND, Frame, Joint
from .panel_rules import Rule, check_rule, kronrod_rule

__all__ = ["Cells", "Integral", "Integrand", "adaptive", "graded", "in_nats"]

NARROWEST = 2.0**-42  # of a panel, relative to its coordinate
ROUNDS = 400
SMOOTH = 30.0  # factor by which the difference from Gauss falls by a cut where the integrand is smooth (at best 2^14)
SAFETY = 10.0
UNFINISHED = 10.0  # factor of an error that is still above the tolerance: such cells need not resolve the integrand
ROUGH, FACTOR = 1e-2, 2  # rows that are off by this many nats may take that many times the points


@dataclass(frozen=True)
class Integrand:
    """log p(x, z(u)) |dz/du| of the rows of a batch, in the coordinates of a frame."""

    joint: Joint
    frame: Frame

    def __call__(self, u: Tensor, row: Tensor) -> Tensor:
        """Return the log-integrand [K, P] at u [K, P, Z], rows [P]."""
        frame = self.frame.of(row)
        return self.joint(frame.at(u), row) + frame.log_jacobian(u)

    def resolution(self, u: Tensor, row: Tensor) -> Tensor:
        """Return the width in u [P, Z], at u [P, Z], of a hundred points that the model's precision tells apart."""
        frame = self.frame.of(row)
        z = frame.at(u[None])[0]
        slope = frame.factor.diagonal(dim1=-2, dim2=-1) * torch.cosh(u / BEND)
        return 100 * self.joint.epsilon * z.abs() / slope


@dataclass(frozen=True)
class Cells:
    """Cells of rows: row [P], sides lo and hi [P, Z]."""

    row: Tensor
    lo: Tensor
    hi: Tensor

    def __len__(self) -> int:
        return len(self.row)

    def of(self, index: Tensor) -> Cells:
        """Return the cells with these numbers."""
        return Cells(self.row[index], self.lo[index], self.hi[index])

    def joined(self, other: Cells) -> Cells:
        """Return these cells and then others."""
        pairs = ((self.row, other.row), (self.lo, other.lo), (self.hi, other.hi))
        return Cells(*[torch.cat(pair) for pair in pairs])

    def halves(self, axis: Tensor) -> Cells:
        """Return both halves of each cell, cut across its axis [P]."""
        index = torch.arange(len(self), device=self.row.device)
        lo, hi, middle = self.lo.clone(), self.hi.clone(), (self.lo + self.hi) / 2
        hi[index, axis] = lo[index, axis] = middle[index, axis]
        return Cells(self.row, self.lo, hi).joined(Cells(self.row, lo, self.hi))


def graded(cells: Cells, widest: float, peaks: Tensor, widths: Tensor) -> Cells:
    """Bisect cells until none is wider than `widest` or than its distance from 0, nor much wider than a peak in it.

    Args:
        cells: of any rows.
        widest: in u.
        peaks: [B, M, Z] in u; NaN where there is none.
        widths: of the peaks, [B, M, Z].
    """
    done, dim = cells.of(cells.row[:0]), cells.lo.shape[-1]
    while len(cells):
        size = (cells.hi - cells.lo)[:, None]
        at, width = peaks[cells.row], widths[cells.row]
        # a peak reaches into the cells beside it
        reaches = ((at > cells.lo[:, None] - width) & (at < cells.hi[:, None] + width)).all(-1, keepdim=True)
        excess = torch.where(reaches, size / (4 * width), 0.0).amax(1)
        distance = torch.maximum(cells.lo, -cells.hi).clamp_min(widest)
        ratio = torch.maximum(excess, size[:, 0] / distance)
        most, axis = ratio.max(-1)
        is_done = (most <= 1.0) | ((size[:, 0] <= NARROWEST * (1 + cells.lo.abs())).any(-1) if dim else most < 0)
        done = done.joined(cells.of(is_done.nonzero()[:, 0]))
        rest = (~is_done).nonzero()[:, 0]
        cells = cells.of(rest).halves(axis[rest])
    return done


@dataclass(frozen=True)
class Integral:
    """Log-integrals [B], their errors in nats [B], and the points of each row [B]."""

    value: Tensor
    error: Tensor
    points: Tensor


@dataclass(frozen=True)
class _Values:
    """Logs of what the rules give for cells.

    Attributes:
        log: [P] the integral by Gauss-Kronrod.
        difference: [P, Z] from the rule that is Gauss in one feature, with what may hide between the nodes.
        hidden: [P] what may hide between the nodes.
        check: [P] the difference from Clenshaw-Curtis; NaN where it was not applied.
        smooth: [P] whether the difference fell so much by the last cut that the integrand is smooth here.
    """

    log: Tensor
    difference: Tensor
    hidden: Tensor
    check: Tensor
    smooth: Tensor

    def of(self, index: Tensor) -> _Values:
        return _Values(*[t[index] for t in self.all()])

    def all(self) -> tuple[Tensor, ...]:
        return self.log, self.difference, self.hidden, self.check, self.smooth

    def joined(self, other: _Values) -> _Values:
        return _Values(*[torch.cat(pair) for pair in zip(self.all(), other.all(), strict=True)])

    @property
    def coarse(self) -> Tensor:
        """The log of the sum over features of the differences from Gauss, [P]."""
        return self.difference.logsumexp(-1)

    @property
    def at_best(self) -> Tensor:
        """The log of the error [P] that is left if Clenshaw-Curtis agrees."""
        power = torch.minimum(1.5 * self.coarse - 0.5 * self.log, self.coarse).nan_to_num(-torch.inf)
        return torch.where(self.smooth, torch.logaddexp(power, self.hidden), self.coarse + math.log(2))

    @property
    def error(self) -> Tensor:
        """The log of the error [P]."""
        check = self.check + torch.where(self.smooth, math.log(SAFETY), math.log(2))
        return torch.where(self.check.isnan(), self.coarse + math.log(2), torch.logaddexp(self.at_best, check))


def adaptive(integrand: Integrand, cells: Cells, tolerance: Tensor, most: int) -> Integral:
    r"""Integrate exp of the integrand over the cells of each row.

    .. math:: \hat I = \sum_c K_c, \qquad \hat E = \sum_c e_c, \qquad
              d_c = h_c + \sum_i |K_c - G_{c,i}|, \qquad e_c = 2 d_c + 2 |K_c - C_c|

    K is Gauss-Kronrod, G_i the same with feature i by its Gauss rule, C is Clenshaw-Curtis, and h what may hide between
    the nodes, see `hidden_ridges`. Where d fell by more than a factor of 30 when the cell was cut, the integrand is
    smooth on it, and d far exceeds the error of K: there :math:`e_c = 10 |K_c - C_c| + d_c^{3/2} K_c^{-1/2} + h_c`.
    The error stated is at least a quarter of the tolerance, which all cells share as their aim, and ten times the sum
    where the points did not suffice.
    Cells too small to matter are not compared with C. A cell whose error is too large is cut across the feature whose
    rules differ most.

    Source: Piessens et al., "QUADPACK", 1983, for the power of 3/2.

    Args:
        integrand: of B rows.
        cells: that cover the domain.
        tolerance: nats [B].
        most: points per row after which nothing is cut; twice as many while an error of 0.01 nats remains.
    """
    n, points = len(tolerance), torch.zeros_like(tolerance)
    values = _evaluated(integrand, cells, kronrod_rule(cells.lo.shape[-1]))
    points = points.index_add(0, cells.row, torch.full_like(cells.lo[:, 0], 15.0 ** cells.lo.shape[-1]))
    for _ in range(ROUNDS):
        total, error = _sums(values, cells.row, n)
        may = (points < most) | ((points < FACTOR * most) & (error > ROUGH))
        may = (may[cells.row]) & _is_divisible(integrand, cells)
        allowed = _allowed(cells, values, total, tolerance)
        cut = (_share(values.at_best, total[cells.row]) > allowed) & may
        cut |= (_share(values.error, total[cells.row]) > allowed) & may & ~values.check.isnan()
        doubtful = values.check.isnan() & ~cut & _matters(values, cells, total, allowed)
        if doubtful.any():
            values = _checked(integrand, cells, values, doubtful.nonzero()[:, 0], points)
        if cut.any():
            cells, values = _cut(integrand, cells, values, cut, points)
        elif not doubtful.any():
            break
    total, error = _sums(values, cells.row, n)
    error = torch.where(error > tolerance, UNFINISHED * error, torch.maximum(error, tolerance / 4))
    return Integral(total, error, points)


def _cut(integrand: Integrand, cells: Cells, values: _Values, cut: Tensor, points: Tensor) -> tuple[Cells, _Values]:
    """Replace the cells that are to be cut by their halves, and count the points [B] in place."""
    old, keep = cut.nonzero()[:, 0], (~cut).nonzero()[:, 0]
    rule = kronrod_rule(cells.lo.shape[-1])
    halves = cells.of(old).halves(_axis(cells.of(old), values.of(old)))
    points.index_add_(0, halves.row, torch.full_like(halves.lo[:, 0], len(rule.nodes)))
    new = _evaluated(integrand, halves, rule)
    fell = values.coarse[old].repeat(2) - new.coarse > math.log(SMOOTH)
    return cells.of(keep).joined(halves), values.of(keep).joined(replace(new, smooth=fell))


def _checked(integrand: Integrand, cells: Cells, values: _Values, index: Tensor, points: Tensor) -> _Values:
    """Compare these cells with Clenshaw-Curtis, and count the points [B] in place."""
    some, rule = cells.of(index), check_rule(cells.lo.shape[-1])
    points.index_add_(0, some.row, torch.full_like(some.lo[:, 0], len(rule.nodes)))
    other, check = _evaluated(integrand, some, rule).log, values.check.clone()
    check[index] = _log_difference(values.log[index], other)
    return replace(values, check=check)


def _axis(cells: Cells, values: _Values) -> Tensor:
    """Return the feature [P] across which each cell is cut: that of the larger difference, or else the longer side."""
    first, second = values.difference[:, 0], values.difference[:, -1]
    longer = (cells.hi - cells.lo).argmax(-1)
    clear = (first - second).abs() > 1.0
    return torch.where(clear & values.error.isfinite(), values.difference.argmax(-1), longer)


def _share(log: Tensor, total: Tensor) -> Tensor:
    """Return exp(log - total), 0 where there is nothing."""
    return torch.where(log == -torch.inf, 0.0, (log - total).clamp_max(50.0).exp())


def _allowed(cells: Cells, values: _Values, total: Tensor, tolerance: Tensor) -> Tensor:
    """Return the error [P] that a cell may have: its share of half the tolerance, by its integral or by its number."""
    limit, share = tolerance[cells.row] / 4, _share(values.log, total[cells.row])
    matter = (_share(values.error, total[cells.row]) > 1e-3 * limit).double()
    number = torch.zeros_like(total).index_add(0, cells.row, matter).clamp_min(1)
    return limit * torch.maximum(share, 1 / number[cells.row])


def _matters(values: _Values, cells: Cells, total: Tensor, allowed: Tensor) -> Tensor:
    """Return whether a cell [P] holds as much as 1 % of what it may be wrong by, or may be wrong by more."""
    share, error = (_share(log, total[cells.row]) for log in (values.log, values.error))
    return (share > 0.01 * allowed) | (error > allowed)


def _is_divisible(integrand: Integrand, cells: Cells) -> Tensor:
    """Return whether a cell [P] is so wide that its nodes are apart in the model's precision."""
    size, middle = cells.hi - cells.lo, (cells.hi + cells.lo) / 2
    least = integrand.resolution(middle, cells.row) + NARROWEST * (1 + middle.abs())
    return (size > least).all(-1)


def _sums(values: _Values, row: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return log-integrals [B] of all cells of a row, and their errors [B] in nats."""
    total, error = (_log_sum(log, row, n) for log in (values.log, values.error))
    return total, in_nats(error - total)


def _log_sum(log: Tensor, row: Tensor, n: int) -> Tensor:
    """Return the log of the sum [B] over the cells of each row of exp of logs [P]."""
    largest = torch.full((n,), -torch.inf, dtype=log.dtype, device=row.device).scatter_reduce(0, row, log, "amax")
    scale = largest.nan_to_num(0.0, posinf=0.0, neginf=0.0)
    return torch.zeros_like(scale).index_add(0, row, (log - scale[row]).exp()).log() + scale


def in_nats(log_share: Tensor) -> Tensor:
    r"""Return the error of a logarithm, -log(1 - r), where the integral's is a share r, given as log r.

    An error as large as the integral has no bound: it is at least 1 nat then, and log r more.
    """
    r = log_share.exp()
    return torch.where(r < 0.5, -torch.log1p(-r.clamp_max(0.5)), 1 + log_share.clamp_min(0.0)).nan_to_num(0.0)


def _log_difference(a: Tensor, b: Tensor) -> Tensor:
    """Return log |e^a - e^b|, -inf where both are 0."""
    high, low = torch.maximum(a, b), torch.minimum(a, b)
    return torch.where(high == -torch.inf, high, high + torch.log(-torch.expm1((low - high).nan_to_num(0.0))))


def _evaluated(integrand: Integrand, cells: Cells, rule: Rule) -> _Values:
    """Apply a rule, and those it is compared with, to every cell."""
    nodes, weights = rule.nodes.to(cells.lo), rule.weights.to(cells.lo)
    half, middle = (cells.hi - cells.lo) / 2, (cells.hi + cells.lo) / 2
    logs = integrand(middle + half * nodes[:, None], cells.row)
    top = logs.amax(0)
    scale = top.nan_to_num(0.0, posinf=0.0, neginf=0.0)
    sums = (logs - scale).exp().mT @ weights
    log_volume = half.log().sum(-1) + scale
    difference = (sums[:, 1:] - sums[:, :1]).abs().log() + log_volume[:, None]
    hidden = torch.full_like(difference, -torch.inf)
    if difference.shape[-1]:  # the check looks for no ridges
        hidden = hidden_ridges(logs, nodes, half)
    difference, unchecked = torch.logaddexp(difference, hidden), torch.full_like(top, torch.nan)
    smooth = torch.zeros_like(top, dtype=torch.bool)
    return _Values(sums[:, 0].log() + log_volume, difference, hidden.logsumexp(-1), unchecked, smooth)
