"""The rehearsal: one look at a few rows, by which parts that do not fit are refused before the loop starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from ..core.batch import Batch, Rows
from ..core.errors import CompositionError, JensenError
from ..core.random import stream
from ..guides import Exact
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .players import Player

__all__ = ["rehearse"]

FEW = 8


def rehearse(model: LatentVariableModel, guide: Guide, players: Sequence[Player], data: Rows) -> None:
    """Have every player look at the first rows once, and change nothing: sizes, supports and gradients that do not fit.

    Args:
        data: training rows; the first eight of them, at most, are looked at, with noise of their own.

    Raises:
        CompositionError: naming the parts and the remedy.
    """
    if isinstance(guide, Exact) and guide.model is not model:
        raise CompositionError(
            "the guide is the exact posterior of another model than the one that is trained", "Use Exact(model)."
        )
    noise = stream(0, "rehearsal", data.device)
    batch = data.take(torch.arange(min(len(data), FEW), device=data.device), noise)
    module = nn.ModuleDict({"model": model, "guide": guide})
    with _left_alone(module), torch.enable_grad():
        module.train()
        with _named(f"{guide.phrase} cannot look at data of {batch.x.shape[-1]} features"):
            q = guide(batch)
        _check_size(model, q, batch)
        for player in players:
            with _named(f"{player.objective} by {player.estimator} cannot be formed of this model and guide"):
                draw = player.estimator.draw(model, guide, batch, noise)
                value = player.estimator.surrogate(player.objective, draw)
            if guide.has_density:
                _check_support(model, q, draw.z, batch)
            if value.shape != (len(batch),):
                raise CompositionError(
                    f"{player.objective} gives {list(value.shape)} numbers for {len(batch)} data",
                    "An objective gives [B], one number per datum.",
                )
            if player.closed is None and not value.requires_grad:
                raise CompositionError(
                    f"{player.objective} depends on nothing that can be trained here",
                    "Give the player an objective of the parameters that it trains.",
                )


@contextmanager
def _left_alone(module: nn.Module) -> Iterator[None]:
    """A scope after which buffers and modes are what they were: no running average has seen the rehearsal."""
    modes = {m: m.training for m in module.modules()}
    held = [(b, b.detach().clone()) for b in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in held:
                buffer.copy_(value)
        for each, mode in modes.items():
            each.training = mode


@contextmanager
def _named(what: str) -> Iterator[None]:
    """What torch says of sizes that do not agree, as an error that names the parts."""
    try:
        yield
    except JensenError:
        raise
    except (RuntimeError, ValueError, IndexError, NotImplementedError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise CompositionError(
            f"{what} ({lines[0]})", "Let sizes agree: features of the data, of z, and of the families' parameters."
        ) from error


def _check_size(model: LatentVariableModel, q: Distribution, batch: Batch) -> None:
    """z and x have as many features on both sides."""
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
    """Where a distribution puts its mass; None where it does not say."""
    try:
        return distribution.support
    except (NotImplementedError, AttributeError):
        return None


def _check_support(model: LatentVariableModel, q: Distribution, z: Tensor, batch: Batch) -> None:
    """The guide's points are where the prior has mass: elsewhere KL(q || p) is infinite, or means nothing."""
    mine, prior = _support(q), _support(model.prior(batch.context))
    if mine is None or prior is None:
        return
    kinds = ["discrete" if s.is_discrete else "continuous" for s in (mine, prior)]
    if kinds[0] != kinds[1]:
        raise CompositionError(
            f"the guide is {kinds[0]} and the prior {kinds[1]}: KL(q || p) means nothing",
            "Give both families of the same kind, such as Gaussian, or Categorical.",
        )
    known = z.detach().isfinite().all(-1)  # a row that is not finite says nothing of the guide
    inside = prior.check(z.detach())
    if inside.dim() > known.dim():  # a support that is told feature by feature
        inside = inside.all(-1)
    if not bool((inside | ~known).all()):
        raise CompositionError(
            "the guide puts points where the prior has no mass: KL(q || p) is infinite",
            "Give the guide a family with the prior's support.",
        )
