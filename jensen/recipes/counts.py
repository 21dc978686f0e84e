"""Models of counts."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ..core.batch import Batch, Rows
from ..core.errors import UsageError
from ..core.rows import evenly_spaced
from ..families import Family, Gaussian, ZeroInflated
from ..guides import Amortized
from ..models.conditionals import Given, Unconditional
from ..models.model import LatentVariableModel
from ..nets import AppendContext, Chain, LogCounts, SizeFactor, Standardize
from ..objectives import Distortion, Rate
from .base import BuiltModel, Nets, RecipeContext, recipe
from .labels import frequencies, label_scale
from .networks import dense, features, play, warmed

__all__ = ["count_vae"]

COUNTS = ("poisson", "negative-binomial", "zip", "zinb")
MOST = 10_000  # rows that statistics are computed from


@recipe("count-vae", "Lopez et al. 2018", title="VAE of counts", standardize="none", batches=True)
def count_vae(
    context: RecipeContext, nets: Nets, *, latent: int = 16, warmup: int | None = None, sees_batch: bool = True
) -> BuiltModel:
    """A VAE of counts (negative-binomial, zinb, poisson or zip) with the total count as one more, log-normal latent.

    Doubling all counts of a datum changes that last latent feature alone. With batches it is one of p(x | batch).
    """
    family, few, nets = _family(context, nets), _subsample(context.rows), replace(nets, net="mlp")
    at = family.dim if isinstance(family, ZeroInflated) else 0
    centre, spread = _log_sizes(few, context.classes)
    rates = SizeFactor(_shares(context, nets, latent, family), context.dim, at, centre, spread)
    sees = bool(context.classes) and sees_batch
    guide = Amortized(Given(_encoder(context, nets, 2 * latent + 2, few.x, sees), Gaussian(latent + 1)), context=sees)
    known = frequencies(context) if context.classes else None
    likelihood = Given(rates, family, context=known is not None)
    model = LatentVariableModel(Unconditional(Gaussian(latent + 1)), likelihood, known)
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


def _log_sizes(few: Batch, classes: int) -> tuple[float | tuple[float, ...], float]:
    """Return the mean of the log-sizes, of each batch where there are some, and their standard deviation about it."""
    log_size = few.x.sum(-1).clamp_min(1).log()
    if not classes or few.context is None:
        return float(log_size.mean()), max(float(log_size.std(correction=0)), 0.01)
    within = few.context.to(log_size)
    n = within.sum(0)
    # a batch that these rows lack has the mean of all
    centre = torch.where(n > 0, (within.mT @ log_size) / n.clamp_min(1), log_size.mean())
    spread = float((log_size - within @ centre).square().mean().sqrt())
    return tuple(centre.tolist()), max(spread, 0.01)


def _shares(context: RecipeContext, nets: Nets, latent: int, family: Family) -> nn.Module:
    """Return a decoder's network of z, or of [z, batch]."""
    net = features(context, nets, latent + context.classes, family)
    return Chain((label_scale(context, latent), net)) if context.classes else net


def _encoder(context: RecipeContext, nets: Nets, outputs: int, x: Tensor, sees: bool) -> Chain:
    """Return a network of counts, or of [counts, batch], that starts with standardised logarithms."""
    logs = LogCounts(context.dim, float(x.sum(-1).clamp_min(1).log().mean().exp()))
    inputs = logs(x)
    scale = Standardize(context.dim + 1).set(inputs.mean(0), inputs.std(0, correction=0))
    if not sees:
        return Chain((logs, scale, dense(nets, context.dim + 1, outputs)))
    first = AppendContext(Chain((logs, scale)), context.dim)
    width = context.dim + 1 + context.classes
    return Chain((first, label_scale(context, context.dim + 1), dense(nets, width, outputs)))


def _family(context: RecipeContext, nets: Nets) -> Family:
    """Return the likelihood of counts that the user named; by default the negative binomial.

    Raises:
        UsageError: the networks are not dense, or the likelihood is not one of counts.
    """
    if nets.net == "conv":
        raise UsageError("--net of count-vae must be mlp, got conv", "Use --net mlp.")
    name = "negative-binomial" if nets.likelihood == "auto" else nets.likelihood
    if name not in COUNTS:
        raise UsageError(
            f"--likelihood of count-vae must be one of {', '.join(COUNTS)}, got {name}",
            f"Choose from {', '.join(COUNTS)}.",
        )
    return context.likelihood(name)


def _subsample(rows: Rows) -> Batch:
    """Return at most 10,000 rows, evenly spaced."""
    few = rows.take(evenly_spaced(len(rows), MOST, rows.device, nearest=False))
    return replace(few, x=few.x.float())
