"""Players: who climbs which objective, with which parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from ..errors import CompositionError
from ..estimators import GradientEstimator, Pathwise
from ..guides import Guide
from ..model import LatentVariableModel
from ..objectives import Objective
from .closed import ClosedStep
from .optimizers import Optimizer

__all__ = ["Player", "check_players"]


@dataclass(frozen=True)
class Player:
    """One that climbs an objective: one player for an ELBO, two or three for a GAN or for alternating inference.

    Args:
        objective: to be maximised.
        parameters: what it may change; those that need no gradient are left out.
        estimator: how points are placed and differentiated.
        optimizer: makes the optimiser of these parameters.
        steps: optimiser steps per batch.
        closed: a closed-form step, once per epoch over all data, in the place of an optimiser.
    """

    objective: Objective
    parameters: Sequence[nn.Parameter]
    estimator: GradientEstimator = field(default_factory=Pathwise)
    optimizer: Optimizer = field(default_factory=Optimizer)
    steps: int = 1
    closed: ClosedStep | None = None

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters that need a gradient, each once."""
        return list({id(p): p for p in self.parameters if p.requires_grad}.values())


def check_players(model: LatentVariableModel, guide: Guide, players: Sequence[Player]) -> None:
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
        needy = [str(term) for _, term in player.objective.terms if term.needs_density]
        if needy and not guide.has_density:
            raise CompositionError(
                f"{needy[0]} needs a density q(z|x), and {type(guide).__name__} is a point mass",
                "Use Amortized(...) as the guide, or -Distortion() as the objective.",
            )
