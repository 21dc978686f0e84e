"""Learned scales at their floor: without it they would be smaller, so that a number measures the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..core.wording import listed, plural
from ..estimators.reparameterized import Pathwise
from ..models.autoregressive import ChainRule
from ..models.conditionals import Table
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .estimate import Kind, exact_products

__all__ = ["FloorBinding", "exact_kind", "features_at_floor", "floor_binding", "learned_scales"]

NEAR = 3.0  # multiple of the floor below which a scale counts as at its floor
OFTEN = 0.1  # of the rows: a feature counts if its scale is at the floor for as many
ROWS, CHUNK = 500, 16  # in all, and at once: few, since evaluators promise to keep little in memory


@dataclass(frozen=True)
class FloorBinding:
    """Features of which a learned scale is at its floor.

    Attributes:
        features: their number.
        of: D.
        floor: in the model's units; the least, where features have different ones.
        in_components: whether the scale is that of some component of a mixture.
        highest: the largest floor of them, if they differ.
        names: of them, where features have names.
    """

    features: int
    of: int
    floor: float
    in_components: bool = False
    highest: float | None = None
    names: tuple[str, ...] = ()

    @staticmethod
    def at(
        low: Tensor, floors: Sequence[float], in_components: bool, names: Sequence[str] | None = None
    ) -> FloorBinding | None:
        """Return the features [D] that are marked, with their floors and names; None if there are none."""
        own = sorted({floor for floor, is_low in zip(floors, low.tolist(), strict=True) if is_low})
        if not own:
            return None
        named = tuple(name for name, is_low in zip(names or (), low.tolist(), strict=bool(names)) if is_low)
        highest = own[-1] if len(own) > 1 else None
        return FloorBinding(int(low.sum()), len(low), own[0], in_components, highest, named)

    @property
    def note(self) -> str:
        """A sentence for the user."""
        where = " in some component" if self.in_components else ""
        scales = "has a learned scale at its" if self.features == 1 else "have learned scales at their"
        limit = f"limit of {self.floor:.3g}"
        if self.highest is not None:
            limit = f"limits of {self.floor:.3g} to {self.highest:.3g}"
        named = f" ({listed(self.names)})" if self.names else ""
        return (
            f"{self.features} of {plural(self.of, 'data feature')}{named} {scales} lower {limit}{where}: "
            "without it they would be smaller, so the number measures that limit and is not called exact"
        )


@torch.no_grad()
def learned_scales(model: LatentVariableModel, guide: Guide, batch: Batch, noise: torch.Generator) -> Tensor:
    """Return the learned scales [M, D] (or [M, 1]) of p(x | z): of a table for each of its M rows, else for each datum.

    Args:
        model: with a `scale_floor` in the family of its likelihood.
        guide: of the points z, one for each datum.
        batch: of data.
        noise: of the points.
    """
    likelihood = model.likelihood
    if isinstance(likelihood, Table):
        return likelihood.family.scales(likelihood.rows().detach()).double()
    with exact_products(batch.x.device):
        draw = Pathwise(1).draw(model, guide, batch, noise)
        params = draw.likelihood_params.expand(*draw.z.shape[:2], -1)[0]
        if isinstance(likelihood, ChainRule):
            params = likelihood.given(params, batch.x)
    return likelihood.family.scales(params).double()


def features_at_floor(scale: Tensor, floors: Sequence[float], is_table: bool) -> Tensor:
    """Return [D], whether the scales [M, D] or [M, 1] of a feature are near its floor: in a tenth of the rows, or in
    any row of a table."""
    share = (scale < NEAR * torch.tensor(floors, dtype=scale.dtype, device=scale.device)).double().mean(0)
    return share > 0 if is_table else share >= OFTEN


def floor_binding(
    model: LatentVariableModel, guide: Guide, rows: Rows, seed: int = 0, names: Sequence[str] | None = None
) -> FloorBinding | None:
    """Return the features of which a learned scale is at its floor; None if there are none.

    Args:
        model, guide: of which p(x | z) is looked at, at one point of q(z | x) for each datum.
        rows: at most 500 of them are used.
        seed: of the points.
        names: of the features, for the note.
    """
    likelihood = model.likelihood
    floors = likelihood.family.scale_floors
    if likelihood.family.scale_floor is None or not len(rows):
        return None
    noise = stream(seed, "scales at their floor", rows.device)
    is_table = isinstance(likelihood, Table)
    chunks = evenly_spaced(len(rows), 1 if is_table else ROWS, rows.device).split(CHUNK)
    scale = torch.cat([learned_scales(model, guide, rows.take(index, noise), noise) for index in chunks])
    return FloorBinding.at(features_at_floor(scale, floors, is_table), floors, is_table, names)


def exact_kind(model: LatentVariableModel, guide: Guide, rows: Rows) -> Kind:
    """Return `Kind.EXACT`, `Kind.FLOORED` where a floor decides about the number, or `Kind.QUADRATURE` where the
    likelihood holds integrals."""
    if floor_binding(model, guide, rows) is not None:
        return Kind.FLOORED
    return Kind.QUADRATURE if model.likelihood.is_quadrature else Kind.EXACT
