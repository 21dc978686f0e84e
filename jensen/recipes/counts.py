"""Models of counts."""

from __future__ import annotations

from torch import Tensor

from ..core.batch import Rows
from ..core.errors import UsageError
from ..core.rows import evenly_spaced
from ..families import Family, Gaussian, ZeroInflated
from ..guides import Amortized
from ..models.conditionals import Given, Unconditional
from ..models.model import LatentVariableModel
from ..nets import Chain, LogCounts, SizeFactor, Standardize
from ..objectives import Distortion, Rate
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import dense, features, play, warmed

__all__ = ["count_vae"]

COUNTS = ("poisson", "negative-binomial", "zip", "zinb")
MOST = 10_000  # rows that statistics are computed from


@recipe("count-vae", "Lopez et al. 2018", title="VAE of counts", standardize="none")
def count_vae(context: RecipeContext, nets: Nets, *, latent: int = 16, warmup: int | None = None) -> BuiltModel:
    """A VAE of counts (negative-binomial, zinb, poisson or zip) with the total count as one more, log-normal latent.

    Doubling all counts of a datum changes that last latent feature alone.
    """
    family = _family(context, nets)
    x = _subsample(context.rows)
    log_size = x.sum(-1).clamp_min(1).log()
    centre, spread = float(log_size.mean()), max(float(log_size.std(correction=0)), 0.01)
    at = family.dim if isinstance(family, ZeroInflated) else 0
    rates = SizeFactor(features(context, nets, latent, family), context.dim, at, centre, spread)
    logs = LogCounts(context.dim, float(log_size.mean().exp()))
    inputs = logs(x)
    standardize = Standardize(context.dim + 1).set(inputs.mean(0), inputs.std(0, correction=0))
    net = Chain((logs, standardize, dense(nets, context.dim + 1, 2 * latent + 2)))
    guide = Amortized(Given(net, Gaussian(latent + 1)))
    model = LatentVariableModel(Unconditional(Gaussian(latent + 1)), Given(rates, family))
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


def _family(context: RecipeContext, nets: Nets) -> Family:
    """Return the likelihood of counts that the user named; by default the negative binomial.

    Raises:
        UsageError: the networks are not dense, or the likelihood is not one of counts.
    """
    if nets.net != "mlp":
        raise UsageError(f"--net of count-vae must be mlp, got {nets.net}", "Use --net mlp.")
    name = "negative-binomial" if nets.likelihood == "auto" else nets.likelihood
    if name not in COUNTS:
        raise UsageError(
            f"--likelihood of count-vae must be one of {', '.join(COUNTS)}, got {name}",
            f"Choose from {', '.join(COUNTS)}.",
        )
    return context.likelihood(name)


def _subsample(rows: Rows) -> Tensor:
    """Return at most 10,000 rows [M, D], evenly spaced."""
    index = evenly_spaced(len(rows), MOST, rows.device, nearest=False)
    return rows.take(index).x.float()
