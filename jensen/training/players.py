"""Players: who climbs which objective, with which parameters."""

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
from ..objectives import Objective
from .closed import ClosedStep
from .optimizers import Optimizer

__all__ = ["Player", "check_players"]


@dataclass(frozen=True)
class Player:
    """One that climbs an objective: one player for an ELBO, two or three for a GAN or for alternating inference.

    Args:
        objective: to be maximised.
        parameters: what it may change, as parameters or as the modules that hold them; those that need no gradient are
            left out.
        estimator: how points are placed and differentiated.
        optimizer: makes the optimiser of these parameters.
        steps: optimiser steps per batch.
        closed: a closed-form step, once per epoch over all data, in the place of an optimiser.
        during: the part of the training, as fractions of all epochs, in which it climbs; its learning rate's schedule
            runs from the one to the other.

    Raises:
        UsageError: no steps, or fractions that are no part of the training.
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
            raise UsageError(f"a player cannot climb from {first:g} to {last:g}", "Give fractions such as (0.0, 0.5).")

    def span(self, epochs: int) -> tuple[int, int]:
        """Epochs done before its first, and at the end of its last.

        Example:
            >>> from jensen.objectives import Elbo
            >>> Player(Elbo(), [], during=(0.0, 0.7)).span(10)
            (0, 7)
        """
        first, last = (round(epochs * share) for share in self.during)
        return first, last

    def climbs_in(self, epoch: int, epochs: int) -> bool:
        """Whether it climbs in this epoch, counted from 1."""
        first, last = self.span(epochs)
        return first < epoch <= last

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters that need a gradient, each once."""
        owned = ([o] if isinstance(o, nn.Parameter) else o.parameters() for o in self.parameters)
        return list({id(p): p for group in owned for p in group if p.requires_grad}.values())


def check_players(model: LatentVariableModel, guide: Guide, players: Sequence[Player], epochs: int = 1) -> None:
    """Refuse, before the loop, a combination that would train something other than what it says.

    Raises:
        CompositionError: naming the parts and the remedy.
    """
    if not players:
        raise CompositionError("nobody trains this model", "Give at least one Player.")
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
                f"{epochs} epochs leave the player of {player.objective} none to climb in", "Give more --epochs."
            )
        unscored = [str(term) for _, term in player.objective.terms if term.needs_likelihood]
        if unscored and not model.likelihood.has_density:
            raise CompositionError(
                f"{unscored[0]} needs log p(x|z), and {model.likelihood.phrase} only samples",
                "Use a likelihood with a density, or a critic's objective.",
            )
        needy = [str(term) for _, term in player.objective.terms if term.needs_density]
        if needy and not guide.has_density:
            raise CompositionError(
                f"{needy[0]} needs a density q(z|x), and {type(guide).__name__} is a point mass",
                "Use Amortized(...) as the guide, or -Distortion() as the objective.",
            )
