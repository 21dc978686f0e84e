"""Likelihood regret: how much higher the ELBO of a datum is at the best q(z | x) of its own than at the guide's."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..core.annotations import Steps
from ..core.batch import Batch, Rows
from ..core.divided import by_pieces
from ..core.errors import CompositionError
from ..core.random import stream
from ..families import Gaussian
from ..guides import Amortized, Masked
from ..guides.refined import Refined, Schedule, fitted_params, is_free
from ..models.draw import weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .estimate import ProgressCallback, exact_products
from .importance import widest

__all__ = ["check_regret", "likelihood_regret"]

STEPS = 100  # of each fit
POINTS, AT_ONCE = 256, 32  # points of each ELBO, and how many of them at once
SIZE, NUMBERS = 64, 1 << 25  # rows at once, and numbers of the widest layer


def check_regret(model: LatentVariableModel, guide: Guide) -> None:
    """Refuse a guide without a network that proposes a Gaussian for each datum.

    Raises:
        CompositionError: it has none.
    """
    if guide.is_exact:
        raise CompositionError(
            f"likelihood regret is 0 for every row: q(z | x) is {guide.phrase}",
            "Ask for typicality, or train a recipe with an encoder: --recipe vae.",
        )
    _proposal(model, guide)


def _proposal(model: LatentVariableModel, guide: Guide) -> tuple[Amortized | Masked, Gaussian]:
    """Return the guide whose network proposes parameters, and their family."""
    proposing = guide.guide if isinstance(guide, Refined) else guide
    if isinstance(proposing, Amortized | Masked) and model.likelihood.has_density:
        family = proposing.conditional.family
        if is_free(family) and family.dim == model.latent:
            return proposing, family
    raise CompositionError(
        f"likelihood regret needs a network that proposes a Gaussian for each datum, got {guide.phrase}",
        "Ask for typicality, or train a recipe with such a guide: --recipe vae, or table.",
    )


def _elbo(model: LatentVariableModel, family: Gaussian, params: Tensor, batch: Batch, noise: Tensor) -> Tensor:
    """Return the ELBO [B] of q with parameters [B, P], by noise [groups, points, 1, Z] that is that of all data."""
    loc, scale = family.loc_scale(params)
    eps = noise.to(loc).expand(-1, -1, len(batch), -1)
    draws = (weigh(model, family(params), loc + scale * some, batch, noise=some) for some in eps)
    return torch.stack([draw.log_weight.double().mean(0) for draw in draws]).mean(0)


def _filled(rows: Rows, size: int) -> Rows:
    """Return rows with the first one repeated at their end, up to a whole number of batches.

    Products of batches of other sizes may differ in their last bits, which the steps amplify.
    """
    n = len(rows)
    return rows.subset(torch.cat([torch.arange(n), torch.zeros(-n % size, dtype=torch.long)]).to(rows.device))


def likelihood_regret(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    *,
    steps: Steps = STEPS,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Tensor:
    r"""Return the likelihood regret of each datum [N], in nats: high where the guide's network does not know such data.

    .. math:: \mathrm{LR}(x) = \max_\lambda \mathrm{ELBO}(x; q_\lambda) - \mathrm{ELBO}(x; q_\phi(z | x))

    The steps find q for each datum by itself, from the guide's proposal, and may stop before the maximum: the number is
    then too low. Both bounds have the same 256 noise vectors, which are those of all data, so that the regret of a
    datum does not depend on the others; where q hardly moves, Monte Carlo noise may leave it a little below 0. Units of
    the data have no effect on it.

    Args:
        model: of the ELBO.
        guide: with a network that proposes a Gaussian for each datum.
        rows: [N, D].
        steps: of each fit.
        seed: of all noise.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        CompositionError: see `check_regret`.

    Source: Xiao, Yan & Amit, "Likelihood regret: an out-of-distribution detection score for variational auto-encoder",
    2020.

    Example:
        >>> from jensen.families import Gaussian
        >>> from jensen.models.conditionals import Linear, Unconditional
        >>> model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5))
        >>> guide = Amortized.mlp(5, (8,), Gaussian(2))
        >>> bool((likelihood_regret(model, guide, Rows(torch.zeros(3, 5)), steps=30) > 0).all())
        True
    """
    check_regret(model, guide)
    proposing, family = _proposal(model, guide)
    rows = rows.fixed(stream(seed, "regret of rows", rows.device))
    shape, points = (POINTS // AT_ONCE, AT_ONCE, 1, model.latent), stream(seed, "regret", rows.device)
    noise = torch.randn(shape, device=rows.device, generator=points)

    def regret(batch: Batch) -> list[Tensor]:
        start = proposing.conditional.params(proposing.net_input(batch))
        schedule = replace(Schedule(), steps=steps)
        best = fitted_params(model, family, start, batch, stream(seed, "refine", rows.device), schedule)
        highest, own = (_elbo(model, family, params, batch, noise) for params in (best, start))
        return [(highest - own).cpu()]

    size, n, parts = max(min(SIZE, NUMBERS // (AT_ONCE * widest(model))), 1), len(rows), list[Tensor]()
    with torch.no_grad(), exact_products(rows.device):
        for part in by_pieces(_filled(rows, size).batches(size), regret):
            parts.append(part[0])
            if watch is not None:
                watch(min(len(parts) * size / n, 1.0))
    return torch.cat(parts)[:n] if parts else torch.zeros(0, dtype=torch.float64)
