"""A dry run on a few rows, by which parts that do not fit are refused before the loop starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from ..core.batch import Batch, Rows
from ..core.errors import CompositionError, JensenError
from ..core.modules import joined, unchanged_buffers
from ..core.random import stream
from ..guides import Exact
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .players import Player

__all__ = ["ROWS", "dry_run"]

ROWS = 8
STREAM = "rehearsal"  # the name of its noise, in which the numbers of earlier versions were drawn


def dry_run(model: LatentVariableModel, guide: Guide, players: Sequence[Player], data: Rows) -> None:
    """Evaluate every player's objective once, changing nothing, and refuse sizes, supports and gradients that misfit.

    Args:
        model, guide: to be trained.
        players: to train them.
        data: training rows; at most the first eight are used, with noise of their own.

    Raises:
        CompositionError: naming the parts and the remedy.
    """
    if isinstance(guide, Exact) and guide.model is not model:
        raise CompositionError(
            "the guide is the exact posterior of another model than the one that is trained", "Use Exact(model)."
        )
    noise = stream(0, STREAM, data.device)
    batch = data.take(torch.arange(min(len(data), ROWS), device=data.device), noise)
    module = joined(model, guide)
    with unchanged_buffers(module), torch.enable_grad():
        module.train()
        with _errors_named(f"{guide.phrase} cannot be evaluated on data of {batch.x.shape[-1]} features"):
            q = guide(batch)
        _check_size(model, q, batch)
        for player in players:
            _check_player(model, guide, player, q, batch, noise)


def _check_player(
    model: LatentVariableModel, guide: Guide, player: Player, q: Distribution, batch: Batch, noise: torch.Generator
) -> None:
    """Check that a player's objective is one number [B] per datum, with a gradient, and finite by its supports."""
    with _errors_named(f"{player.objective} by {player.estimator} cannot be evaluated with this model and guide"):
        draw = player.estimator.draw(model, guide, batch, noise)
        value = player.estimator.surrogate(player.objective, draw)
    if guide.has_density:
        _check_support(model, q, draw.z, batch)
    if value.shape != (len(batch),):
        raise CompositionError(
            f"{player.objective} must be one number per datum, [{len(batch)}], got {list(value.shape)}",
            "Give an objective of shape [B].",
        )
    if player.closed is None and not value.requires_grad:
        raise CompositionError(
            f"{player.objective} depends on nothing that can be trained here",
            "Give the player an objective of the parameters that it trains.",
        )


@contextmanager
def _errors_named(what: str) -> Iterator[None]:
    """A scope in which torch's errors about sizes that disagree become errors that name the parts."""
    try:
        yield
    except JensenError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise CompositionError(
            f"{what} ({lines[0]})", "Let sizes agree: features of the data, of z, and of the families' parameters."
        ) from error


def _check_size(model: LatentVariableModel, q: Distribution, batch: Batch) -> None:
    """Check that prior and guide have as many latent features, and likelihood and data as many data features."""
    if q.event_shape != (model.latent,):
        raise CompositionError(
            f"the prior is over {model.latent} latent features, and the guide over {q.event_shape.numel()}",
            "Give both families the same number of features.",
        )
    dim = model.likelihood.family.dim
    if batch.x.shape[-1] != dim:
        raise CompositionError(
            f"the data have {batch.x.shape[-1]} features, and the likelihood is over {dim}",
            "Give the likelihood's family as many features as the data.",
        )


def _support(distribution: Distribution) -> Constraint | None:
    """Return the support of a distribution; None where it is not declared."""
    try:
        return distribution.support
    except (NotImplementedError, AttributeError):
        return None


def _check_support(model: LatentVariableModel, q: Distribution, z: Tensor, batch: Batch) -> None:
    """Check that the prior has mass at the guide's points: elsewhere KL(q || p) is infinite, or undefined."""
    mine, prior = _support(q), _support(model.prior(batch.context))
    if mine is None or prior is None:
        return
    kinds = ["discrete" if s.is_discrete else "continuous" for s in (mine, prior)]
    if kinds[0] != kinds[1]:
        raise CompositionError(
            f"the guide is {kinds[0]} and the prior {kinds[1]}: KL(q || p) is not defined",
            "Give both families of the same kind, such as Gaussian, or Categorical.",
        )
    finite = z.detach().isfinite().all(-1)  # rows that are not finite say nothing about the guide
    inside = prior.check(z.detach())
    if inside.dim() > finite.dim():  # a support that is checked feature by feature
        inside = inside.all(-1)
    if not bool((inside | ~finite).all()):
        raise CompositionError(
            "the guide puts points where the prior has no mass: KL(q || p) is infinite",
            "Give the guide a family with the prior's support.",
        )
