"""The rate of a diffusion by time: where along its chain the nats are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import CompositionError
from ..core.precision import applied
from ..core.random import drawing_from
from ..core.validation import require_integer
from ..models.diffused import Diffused
from ..models.guide import Guide

__all__ = ["NatsByTime", "chain_of_guide", "codes_of", "nats_by_time"]

CHUNK = 256


@dataclass(frozen=True)
class NatsByTime:
    """The rate of the levels of a chain, by time.

    Attributes:
        edges: [bins + 1] of the intervals of time, from 0 to 1.
        density: [bins] nats per datum and unit of time, so that the mean over intervals is the rate of the levels.
        stderr: [bins] the standard error of each by the sampled times and noise, and the rows.
        top: nats per datum of z_1 against the standard normal.
    """

    edges: Tensor
    density: Tensor
    stderr: Tensor
    top: float

    @property
    def rate(self) -> float:
        """The rate of the levels in nats per datum."""
        return float(self.density.mean())


def chain_of_guide(guide: Guide) -> Diffused:
    """Return the guide if it adds noise by a chain.

    Raises:
        CompositionError: it does not.
    """
    if isinstance(guide, Diffused):
        return guide
    raise CompositionError("this model has no chain of noise", "Train one: --recipe diffusion.")


def codes_of(guide: Diffused, x: Tensor) -> Tensor:
    """Return what noise is added to [..., Z], of data x [..., D]."""
    return x if guide.code is None else applied(guide.code, x)


@torch.no_grad()
def nats_by_time(guide: Guide, rows: Rows, bins: int = 24, generator: torch.Generator | None = None) -> NatsByTime:
    r"""Return the integrand of the rate in intervals of time, at one random time in each for each datum.

    .. math:: \tfrac12 \gamma'(t)\, E\|\epsilon - \hat\epsilon(z_t, t)\|^2

    With T levels it is T times the KL of the level that t lies in.

    Args:
        guide: of a chain.
        rows: the data.
        bins: intervals of equal length.
        generator: of times and noise.

    Raises:
        CompositionError: the guide is of no chain.

    Source: Kingma, Salimans, Poole & Ho, "Variational diffusion models", 2021.
    """
    guide = chain_of_guide(guide)
    require_integer(bins=bins)
    chain, terms, tops = guide.diffusion, [], []
    for batch in rows.batches(CHUNK, generator):
        x = codes_of(guide, batch.x)
        context = batch.context if chain.context else None
        tops.append(chain.top_rate(x).double())
        with drawing_from(generator):
            for i in range(bins):
                t = (i + torch.rand(len(x), dtype=x.dtype, device=x.device)) / bins
                terms.append(chain.level_rate(x, t, torch.randn_like(x), context).double())
    each = torch.cat([torch.stack(terms[i : i + bins]) for i in range(0, len(terms), bins)], 1)  # [bins, N]
    error = each.std(1) / each.shape[1] ** 0.5 if each.shape[1] > 1 else torch.full_like(each[:, 0], torch.nan)
    return NatsByTime(torch.linspace(0, 1, bins + 1), each.mean(1), error, float(torch.cat(tops).mean()))
