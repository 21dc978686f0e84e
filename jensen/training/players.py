"""Players: objectives with the parameters that maximise them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from ..core.errors import CompositionError, UsageError
from ..core.validation import require_integer
from ..estimators.base import GradientEstimator
from ..estimators.reparameterized import Pathwise
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective, TermKind
from .closed import ClosedStep
from .optimizers import Optimizer

__all__ = ["Player", "check_players"]


@dataclass(frozen=True)
class Player:
    """An objective, the parameters that maximise it, and how: one player for an ELBO, several for a GAN.

    Args:
        objective: to be maximised.
        parameters: to train, as parameters or as the modules that hold them; those that need no gradient are left out.
        estimator: draws latent points and differentiates the objective.
        optimizer: makes the optimiser of these parameters.
        steps: optimiser steps per batch.
        closed: a closed-form step over all data, once per epoch, instead of an optimiser.
        during: the part of the training in which the player is active, as fractions of all epochs; the schedule of its
            learning rate runs over this part.

    Raises:
        UsageError: `steps` or `during` is out of range.
    """

    objective: Objective
    parameters: Sequence[nn.Parameter | nn.Module]
    estimator: GradientEstimator = field(default_factory=Pathwise)
    optimizer: Optimizer = field(default_factory=Optimizer)
    steps: int = 1
    closed: ClosedStep | None = None
    during: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        require_integer(steps=self.steps)
        first, last = self.during
        if not 0 <= first < last <= 1:
            what = f"during must hold increasing fractions between 0 and 1, got ({first:g}, {last:g})"
            raise UsageError(what, "Give fractions such as (0.0, 0.5).")

    def span(self, epochs: int) -> tuple[int, int]:
        """Return the numbers of epochs done before the player's first, and at the end of its last.

        Example:
            >>> from jensen.objectives import Elbo
            >>> Player(Elbo(), [], during=(0.0, 0.7)).span(10)
            (0, 7)
        """
        first, last = (round(epochs * share) for share in self.during)
        return first, last

    def is_active_in(self, epoch: int, epochs: int) -> bool:
        """Return whether the player is active in an epoch, counted from 1."""
        first, last = self.span(epochs)
        return first < epoch <= last

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters that need a gradient, each once."""
        owned = ([o] if isinstance(o, nn.Parameter) else o.parameters() for o in self.parameters)
        return list({id(p): p for group in owned for p in group if p.requires_grad}.values())


def check_players(model: LatentVariableModel, guide: Guide, players: Sequence[Player], epochs: int = 1) -> None:
    """Refuse combinations of parts that train something other than what they say.

    Raises:
        CompositionError: naming the parts and the remedy.
    """
    if not players:
        raise CompositionError("no player was given", "Give at least one Player.")
    for player in players:
        player.estimator.check(player.objective)
        if player.closed is not None:
            player.closed.check(model)
        elif not player.trained:
            raise CompositionError(f"the player of {player.objective} has no parameters to train", "Pass some.")
        own = {id(p) for p in guide.parameters()} - {id(p) for p in model.parameters()}
        unmoved = [str(term) for _, term in player.objective.terms if not player.estimator.trains_guide(term)]
        if unmoved and player.closed is None and any(id(p) in own for p in player.trained):
            what = f"{player.estimator} gives wrong gradients of the guide for {unmoved[0]}"
            raise CompositionError(what, player.estimator.remedy)
        first, last = player.span(epochs)
        if not 0 <= first < last <= epochs:
            raise CompositionError(
                f"{epochs} epochs leave the player of {player.objective} none to be active in", "Give more --epochs."
            )
        unscored = [str(term) for _, term in player.objective.terms if term.needs_likelihood]
        if unscored and not model.likelihood.has_density:
            raise CompositionError(
                f"{unscored[0]} needs log p(x|z), and {model.likelihood.phrase} only samples",
                "Use a likelihood with a density, or a critic's objective.",
            )
        weighted = [str(term) for _, term in player.objective.terms if term.kind is TermKind.IMPORTANCE_WEIGHTED]
        if weighted and guide.samples_rate:
            raise CompositionError(
                f"{weighted[0]} needs importance weights, and the rate of {guide.phrase} is sampled at random times",
                "Use Elbo(), whose mean stays a bound.",
            )
        if not model.prior.is_differentiable:
            raise CompositionError(
                f"log p(z) of {model.prior.phrase} has no gradients, so nothing can be trained by it",
                "Train the chain with DiffusionPrior and Diffused, and evaluate it by the flow.",
            )
        needy = [str(term) for _, term in player.objective.terms if term.needs_density]
        if needy and not guide.has_density:
            raise CompositionError(
                f"{needy[0]} needs a density q(z|x), and {type(guide).__name__} is a point mass",
                "Use Amortized(...) as the guide, or -Distortion() as the objective.",
            )
