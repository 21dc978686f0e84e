"""Gaussians whose features are correlated: a full covariance, or low rank and a diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    register_kl,
)

from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions.numbers import LOG_2PI
from .base import BOUND, FLOOR, Family, check_floor, positive, positive_inverse

__all__ = ["FullGaussian", "LowRankGaussian"]

STEEPEST = 100.0  # entries below the diagonal are within +-this times their row's diagonal: correlations up to 0.99995
GENTLE = 0.1  # entries below the diagonal are this times their parameters
LARGEST_RESIDUAL = 1e9  # standard deviations beyond which the density no longer falls


def _refuse(mask: Tensor | None, family: Family) -> None:
    if mask is not None:
        raise CompositionError(
            f"{family.phrase} has no density of a part of its features here",
            "Use a Gaussian with a diagonal covariance.",
        )


@part
@dataclass(frozen=True)
class FullGaussian(Family):
    r"""A normal vector with any covariance: N(mu, L L'), L = diag(s) (I + A), with A below the diagonal.

    Zero parameters are the standard normal. Entries of A are a tenth of their parameters: there are many of them, an
    optimiser such as Adam moves all alike, and at full steps their noise would dominate what a guide learns first. They
    are kept within +-100; with a floor, where the covariance is learned from data, the floor is the only limit, since
    entries of columns that are nearly collinear are large. The residual L^-1 (x - mu) is solved for in double
    precision, and held within +-1e9, so that no finite parameter gives a NaN.

    Args:
        dim: D, at least 1.
        scale: "each" (the covariance is from the context), or "shared" (one is learned, the same for all data).
        floor: the lower limit of the entries of s, in (0, 1), where they are scales that are learned from data; None of
            a guide, whose scales follow from a model.

    Example:
        >>> FullGaussian(2)(torch.zeros(5)).covariance_matrix
        tensor([[1., 0.],
                [0., 1.]])
    """

    dim: int
    scale: Literal["each", "shared"] = "each"
    floor: float | None = None

    def __post_init__(self) -> None:
        require_integer(dim=self.dim)
        if self.scale not in ("each", "shared"):
            raise UsageError(f"there is no scale {self.scale!r}", 'Choose "each" or "shared".')
        check_floor(self._least)

    @property
    def _least(self) -> float:
        return FLOOR if self.floor is None else self.floor

    @property
    def _steepest(self) -> float:
        """The largest size of an entry of A: a floor is the limit of what is learned from data."""
        return STEEPEST if self.floor is None else BOUND

    @property
    def smallest(self) -> float:
        """The smallest entry of s that `raw` can express."""
        return 2 * self._least

    @property
    def size(self) -> int:
        return 2 * self.dim + self.dim * (self.dim - 1) // 2

    @property
    def shared(self) -> int:
        return self.size - self.dim if self.scale == "shared" else 0

    @property
    def scale_floor(self) -> float | None:
        return self.floor

    def scales(self, params: Tensor) -> Tensor:
        r"""Return for each feature [..., D] the least standard deviation of a principal axis that it has part in.

        It has part where its entry is half the axis's largest or more: of collinear columns no single one is narrow
        given those before it, and the axis is.
        """
        if self.floor is None:
            return super().scales(params)
        axes, deviations, _ = torch.linalg.svd(self.loc_factor(params)[1].double())
        size = axes.abs()
        has_part = size >= 0.5 * size.amax(-2, keepdim=True)
        wide = torch.full_like(size, torch.inf)
        return torch.where(has_part, deviations.unsqueeze(-2).expand_as(size), wide).amin(-1).to(params.dtype)

    @property
    def phrase(self) -> str:
        return f"Gaussian({self.dim}, {'one ' if self.scale == 'shared' else ''}full covariance)"

    def start(self, mean: Tensor) -> Tensor:
        return mean

    def loc_factor(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu [..., D] and L [..., D, D], lower triangular with a positive diagonal."""
        d = self.dim
        loc, raw, below = params.split([d, d, self.size - 2 * d], -1)
        rows, columns = torch.tril_indices(d, d, -1, device=params.device)
        factor = torch.eye(d, dtype=params.dtype, device=params.device).expand(*params.shape[:-1], d, d).clone()
        factor[..., rows, columns] = (GENTLE * below).clamp(-self._steepest, self._steepest)
        return loc.clamp(-BOUND, BOUND), positive(raw, self._least)[..., None] * factor

    def raw(self, loc: Tensor, covariance: Tensor) -> Tensor:
        """Return the parameters [..., P] of this mean [..., D] and covariance [..., D, D]."""
        return self.raw_factor(loc, torch.linalg.cholesky(covariance))

    def raw_factor(self, loc: Tensor, factor: Tensor) -> Tensor:
        """Return the parameters [..., P] of this mean [..., D] and factor L [..., D, D] of the covariance.

        Entries of the diagonal that the limits exclude are raised to them; those below the diagonal are kept.
        """
        rows, columns = torch.tril_indices(self.dim, self.dim, -1, device=loc.device)
        steepest = factor.tril(-1).abs().amax(-1) / self._steepest
        scale = factor.diagonal(dim1=-2, dim2=-1).clamp_min(self.smallest).maximum(steepest)
        below = (factor / scale[..., None])[..., rows, columns]
        return torch.cat([loc, positive_inverse(scale, self._least), below / GENTLE], -1)

    def __call__(self, params: Tensor) -> Distribution:
        loc, factor = self.loc_factor(params)
        return _FullNormal(loc, scale_tril=factor, validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        _refuse(mask, self)
        return _log_prob(*self.loc_factor(params), x)


def _log_prob(loc: Tensor, factor: Tensor, x: Tensor) -> Tensor:
    """Return log N(x; loc, L L') [...]; residuals beyond the range are clamped to it."""
    residual = torch.linalg.solve_triangular(factor.double(), (x - loc).double()[..., None], upper=False)[..., 0]
    residual = residual.clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    logs = factor.diagonal(dim1=-2, dim2=-1).double().log().sum(-1)
    return (-0.5 * (residual.square().sum(-1) + loc.shape[-1] * LOG_2PI) - logs).to(loc.dtype)


class _FullNormal(MultivariateNormal):
    """torch's MultivariateNormal, with residuals solved in double precision and broadcast, without a loop."""

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> _FullNormal:
        loc, factor = self.loc.expand(*batch_shape, -1), self.scale_tril.expand(*batch_shape, -1, -1)
        return _FullNormal(loc, scale_tril=factor, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return _log_prob(self.loc, self.scale_tril, value)


@part
@dataclass(frozen=True)
class LowRankGaussian(Family):
    r"""A normal vector with covariance S (I + V V') S, S a diagonal of scales and V of `rank` columns.

    Zero parameters are the standard normal. (They are a saddle as well: the gradient of V is zero at V = 0. A network's
    own weights break the tie.) Entries of V are kept within +-100, residuals in units of S within +-1e9.

    Args:
        dim: D, at least 1.
        rank: columns of V, from 1 to D.
    """

    dim: int
    rank: int = 1

    def __post_init__(self) -> None:
        require_integer(dim=self.dim, rank=self.rank)
        if self.rank > self.dim:
            raise UsageError(
                f"rank must be at most dim={self.dim}, got {self.rank}",
                "Give a rank from 1 to dim.",
            )

    @property
    def size(self) -> int:
        return self.dim * (2 + self.rank)

    @property
    def phrase(self) -> str:
        return f"Gaussian({self.dim}, covariance of rank {self.rank} and a diagonal)"

    def start(self, mean: Tensor) -> Tensor:
        return mean

    def _parts(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mu [..., D], S [..., D] and V [..., D, rank]."""
        loc, raw, flat = params.split([self.dim, self.dim, self.dim * self.rank], -1)
        columns = flat.clamp(-STEEPEST, STEEPEST).unflatten(-1, (self.dim, self.rank))
        return loc.clamp(-BOUND, BOUND), positive(raw), columns

    def __call__(self, params: Tensor) -> Distribution:
        loc, scale, columns = self._parts(params)
        return _LowRankNormal(loc, scale[..., None] * columns, scale.square(), validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        _refuse(mask, self)
        return _low_rank_log_prob(*self._parts(params), x)


def _low_rank_log_prob(loc: Tensor, scale: Tensor, columns: Tensor, x: Tensor) -> Tensor:
    """Return log N(x; loc, S (I + V V') S) [...], by the inverse of I + V' V of the rank's size (Woodbury)."""
    residual = ((x - loc).double() / scale.double()).clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    v = columns.double()
    factor = torch.linalg.cholesky(torch.eye(v.shape[-1], dtype=v.dtype, device=v.device) + v.mT @ v)
    along = torch.linalg.solve_triangular(factor, (v.mT @ residual[..., None]), upper=False)[..., 0]
    logs = scale.double().log().sum(-1) + factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    distance = residual.square().sum(-1) - along.square().sum(-1)
    return (-0.5 * (distance + loc.shape[-1] * LOG_2PI) - logs).to(loc.dtype)


class _LowRankNormal(LowRankMultivariateNormal):
    """torch's LowRankMultivariateNormal, with the density of the family."""

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> _LowRankNormal:
        factor, diagonal = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        return _LowRankNormal(self.loc.expand(*batch_shape, -1), factor, diagonal, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        scale = self._unbroadcasted_cov_diag.sqrt()
        return _low_rank_log_prob(self.loc, scale, self._unbroadcasted_cov_factor / scale[..., None], value)


def _against_features(p: MultivariateNormal | LowRankMultivariateNormal, q: Independent) -> Tensor:
    """Return KL(p || q) for q of independent normal features, by the entropy and the moments of p."""
    if not (isinstance(q.base_dist, Normal) and q.reinterpreted_batch_ndims == 1):
        raise NotImplementedError
    normal = q.base_dist
    spread = (p.variance + (p.mean - normal.loc).square()) / normal.scale.square()
    cross = (0.5 * (spread + LOG_2PI) + normal.scale.log()).sum(-1)
    return cross - p.entropy()


register_kl(MultivariateNormal, Independent)(_against_features)
register_kl(LowRankMultivariateNormal, Independent)(_against_features)
