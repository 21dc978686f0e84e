"""Models that are trained in stages."""

from __future__ import annotations

from ..core.errors import UsageError
from ..families import Gaussian
from ..flows import AffineCoupling, Stack
from ..models.conditionals import Unconditional
from ..models.model import LatentVariableModel
from ..models.priors import FlowPrior
from ..objectives import Distortion, Rate
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import gaussian_pair, warmed

__all__ = ["two_stage"]


@recipe("two-stage", "Dai & Wipf 2019", title="two-stage VAE", keep="last")
def two_stage(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    flows: int = 4,
    first: float = 0.7,
    warmup: int | None = None,
) -> BuiltModel:
    """A VAE trained in two stages: first model and guide, then a flow prior fitted to the codes of the data."""
    if not 0 < first < 1:
        raise UsageError(
            f"--first must be a fraction between 0 and 1, got {first:g}",
            "Give the first stage's fraction of the epochs, such as 0.7.",
        )
    model, guide = gaussian_pair(context, nets, latent)
    stack = Stack([AffineCoupling(latent, flip=bool(i % 2)) for i in range(flows)])  # the identity until stage two
    model = LatentVariableModel(FlowPrior(Unconditional(Gaussian(latent)), stack), model.likelihood)
    split = min(max(round(first * context.epochs), 1), max(context.epochs - 1, 1)) / max(context.epochs, 2)
    autoencoder = [*model.likelihood.parameters(), *guide.parameters()]
    bound = -Distortion() - warmed(context, 1.0, warmup) * Rate()
    one = Player(bound, autoencoder, optimizer=context.optimizer, during=(0.0, split))
    two = Player(-Rate(), list(model.prior.parameters()), optimizer=context.optimizer, during=(split, 1.0))
    return BuiltModel(model, guide, [one, two])
