"""Data through the chain of a diffusion: up to a time and down again, and between two data."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.random import drawing_from
from ..models.descents import Descent, ascend, noised
from ..models.diffusion import Diffusion
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .chain_rates import chain_of_guide, codes_of
from .latents import decode

__all__ = ["chain_path", "reconstruct_from_noise", "slerp"]

CHUNK = 512


@torch.no_grad()
def reconstruct_from_noise(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    t: float,
    descent: Descent,
    *,
    sample: bool = False,
    generator: torch.Generator | None = None,
    context: Tensor | None = None,
) -> Tensor:
    """Return each datum [N, D] after noise was added to it up to time t, and taken off again by the chain.

    Args:
        model, guide: of a diffusion.
        data: the rows.
        t: above 0, at most 1, where hardly anything of the datum is left.
        descent: how the noise is taken off.
        sample: whether x is a sample of p(x | z_0), or its mean.
        generator: of all randomness.
        context: [C] at which the noise is taken off; by default that of each datum.

    Raises:
        CompositionError: the guide is of no chain. UsageError: t is no such time.

    Source: Meng et al., "SDEdit: guided image synthesis and editing with stochastic differential equations", 2022.
    """
    guide = chain_of_guide(guide)
    chain, parts = guide.diffusion, []
    steps = descent.steps_from(chain, t)

    def at(batch: Batch) -> Tensor | None:
        return batch.context if context is None else context.to(batch.x).expand(len(batch), -1)

    for batch in data.batches(CHUNK, generator):
        of_chain = at(batch) if chain.context else None
        with drawing_from(generator):
            z = noised(chain, codes_of(guide, batch.x), t)
            z = chain.descend(z, steps, start=t, noise=descent.noise, context=of_chain, guidance=descent.guidance)
        parts.append(decode(model, z, at(batch), sample=sample, generator=generator))
    return torch.cat(parts)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    r"""Return points [S, Z] on the great circle from a to b, whose lengths change in proportion.

    .. math:: |z_t| \left(\frac{\sin((1 - t)\theta)}{\sin\theta}\hat a + \frac{\sin(t\theta)}{\sin\theta}\hat b\right)

    Args:
        a, b: [Z], not zero. Of opposite or parallel ones the path is the straight line.
        t: [S] from 0 to 1.

    Example:
        >>> slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), torch.tensor([0.5]))
        tensor([[1.4142, 1.4142]])
    """
    length_a, length_b = a.norm(), b.norm()
    cosine = (a @ b / (length_a * length_b)).clamp(-1, 1)
    sine = (1 - cosine.square()).sqrt()
    if not sine > torch.finfo(a.dtype).eps ** 0.5:
        return a + t[:, None] * (b - a)
    angle = torch.atan2(sine, cosine)
    first, second = torch.sin((1 - t) * angle) / sine, torch.sin(t * angle) / sine
    length = length_a + t * (length_b - length_a)
    return length[:, None] * (first[:, None] * a / length_a + second[:, None] * b / length_b)


@torch.no_grad()
def chain_path(
    chain: Diffusion, a: Tensor, b: Tensor, t: Tensor, context: Tensor | None = None, steps: int | None = None
) -> Tensor:
    """Return points z_0 [S, Z] from a to b, on a great circle of the noise z_1 to which both lead without noise.

    Between two data the straight line of z_0 is a cross-fade; the circle keeps the length that noise has.

    Args:
        chain: the diffusion.
        a, b: [Z] at time 0.
        t: [S] from 0 to 1.
        context: [C].
        steps: up, and down again; see `Descent`.

    Source: Song, Meng & Ermon, "Denoising diffusion implicit models", 2021, section 5.3.
    """
    ends = ascend(chain, torch.stack([a, b]), steps, context)
    return chain.descend(slerp(ends[0], ends[1], t), steps, noise=0.0, context=context)
