"""log p(x, z) of a batch at many points, and coordinates of the latent space in which its whole is a finite range."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.batch import Batch
from ..models.model import LatentVariableModel

__all__ = ["BEND", "Frame", "Joint", "rows_of"]

BEND = 3.0  # standard deviations: b of a frame


def rows_of(batch: Batch, index: Tensor) -> Batch:
    """Return the rows of a batch with these numbers."""
    own = (batch.mask, batch.context, batch.index, batch.hidden)
    mask, context, rows, hidden = (None if t is None else t[index] for t in own)
    return Batch(batch.x[index], mask, context, rows, batch.n_data, hidden)


@dataclass(frozen=True)
class Joint:
    """log p(x, z) of the rows of a batch, `at_once` points at once."""

    model: LatentVariableModel
    batch: Batch
    at_once: int

    @property
    def epsilon(self) -> float:
        """The rounding error of 1 in the model's precision."""
        return torch.finfo(self.batch.x.dtype).eps

    def __call__(self, z: Tensor, row: Tensor) -> Tensor:
        """Return log p(x_row, z) [K, P] in double precision at z [K, P, Z], rows [P]; NaN is a density of zero."""
        columns = []
        for numbers in torch.arange(len(row), device=row.device).split(max(self.at_once // len(z), 1)):
            batch, at_once = rows_of(self.batch, row[numbers]), max(self.at_once // len(numbers), 1)
            columns.append(torch.cat([self._log(batch, piece) for piece in z[:, numbers].split(at_once)]))
        return torch.cat(columns, 1)

    def at_all(self, z: Tensor) -> Tensor:
        """Return log p(x, z) [K, B] of every row, at z [K, B, Z], or [K, 1, Z] that the network sees once for all."""
        pieces = z.split(max(self.at_once // len(self.batch), 1))
        return torch.cat([self._log(self.batch, piece).expand(-1, len(self.batch)) for piece in pieces])

    def _log(self, batch: Batch, z: Tensor) -> Tensor:
        """Return log p(x, z) [K, B or 1]; the families themselves do not look whether z is in the prior's support."""
        z = z.to(batch.x)
        log = self.model.log_joint(batch, z).double().nan_to_num(-torch.inf, posinf=torch.inf, neginf=-torch.inf)
        support = self.model.prior.family.support
        bounded = support.low > -torch.inf or support.high < torch.inf
        return torch.where(support.contains(z).all(-1), log, -torch.inf) if bounded else log


@dataclass(frozen=True)
class Frame:
    r"""Coordinates u of the latent space, row by row: :math:`z = m + S\, b \sinh(u / b)`, over the whole space.

    Up to b from m the map is nearly linear; beyond, equal steps of u multiply the distance. A tail |z|^-a becomes
    exp(-(a - 1) |u| / b), so that |u| up to 40 b leaves nothing out of a distribution that has a mean.

    Attributes:
        loc: m [B, Z].
        factor: S [B, Z, Z], lower triangular.
    """

    loc: Tensor
    factor: Tensor

    def at(self, u: Tensor) -> Tensor:
        """Return z [K, B, Z] at coordinates u [K, B, Z]."""
        return self.loc + torch.einsum("bij,kbj->kbi", self.factor, BEND * torch.sinh(u / BEND))

    def coordinates(self, z: Tensor) -> Tensor:
        """Return the coordinates u [K, B, Z] of z [K, B, Z]."""
        away = (z - self.loc).permute(1, 2, 0)
        linear = torch.linalg.solve_triangular(self.factor, away, upper=False).permute(2, 0, 1)
        return BEND * torch.asinh(linear / BEND)

    def log_jacobian(self, u: Tensor) -> Tensor:
        r"""Return :math:`\log |\det dz/du|` [K, B] at u [K, B, Z]."""
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + torch.cosh(u / BEND).log().sum(-1)

    def of(self, row: Tensor) -> Frame:
        """Return the frames of these rows."""
        return Frame(self.loc[row], self.factor[row])
