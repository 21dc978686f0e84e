"""Optimiser steps: each active player maximises its objective on a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from .callbacks import StepCallbacks
from .players import Player
from .running_measures import RunningMeasures
from .setup import TrainingSetup
from .state import TrainingState

__all__ = ["OptimizerSteps"]


class OptimizerSteps:
    """The optimiser steps of a training.

    Args:
        setup: of the training.
        state: of the training; every step changes it.
    """

    def __init__(self, setup: TrainingSetup, state: TrainingState) -> None:
        self.setup, self.state = setup, state

    def learning_rate(self, player: Player, step: int) -> float:
        """Return the learning rate of a player at a step, after its schedule and all recoveries."""
        return player.optimizer.lr * (self.setup.schedule_factor(player, step) * self.state.recovery.factor)

    def learning_rates(self, step: int) -> tuple[float, ...]:
        """Return the learning rates of all players at a step."""
        return tuple(self.learning_rate(player, step) for player in self.setup.players)

    def take(self, batch: Batch, lead: Player, callbacks: StepCallbacks) -> None:
        """Have every active player take its optimiser steps; the first of `lead` is measured."""
        state, epochs = self.state, self.setup.budget.epochs
        state.advance_ramps(state.step)
        callbacks.step_begins(state.epoch, batch, state.noise)
        for player, optimizer in zip(self.setup.players, state.optimizers, strict=True):
            if optimizer is None or not player.is_active_in(state.epoch, epochs):
                continue
            rate = self.learning_rate(player, state.step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            for turn in range(player.steps):
                measures = state.measures if player is lead and turn == 0 else None
                self.maximise(player, optimizer, batch, state.noise, callbacks, measures)
        state.step += 1
        if state.average is not None:
            state.average.update()

    def maximise(
        self,
        player: Player,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        noise: torch.Generator,
        callbacks: StepCallbacks,
        measures: RunningMeasures | None = None,
    ) -> None:
        """Take one optimiser step of a player.

        Args:
            player: whose objective is maximised.
            optimizer: of the player's parameters.
            batch: of data.
            noise: of the draw.
            callbacks: called within the step.
            measures: to which the batch is added, as measured before the step.
        """
        setup, state = self.setup, self.state
        number = setup.number_of(player)
        pending, exact = [measures], setup.guide.is_exact
        # a line search evaluates its closure several times, always on the same noise
        start = noise.get_state() if isinstance(optimizer, torch.optim.LBFGS) else None

        def closure() -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            if start is not None:
                noise.set_state(start)
            draw = player.estimator.draw(setup.model, setup.guide, batch, noise)
            value = player.estimator.surrogate(player.objective, draw)
            callbacks.objective_evaluated(player, draw, value)
            loss = -value.mean()
            loss.backward(inputs=None if len(setup.players) == 1 else player.trained)
            callbacks.gradient_computed(player)
            if state.spikes is not None:
                state.spikes.clip(number, player.trained)
            if setup.plan.clip is not None:
                nn.utils.clip_grad_norm_(player.trained, setup.plan.clip)
            first = pending.pop() if pending else None  # only the first evaluation is measured
            if first is not None:
                with torch.no_grad():
                    first.add(value, setup.plan.bound_of(setup.guide, player.objective, draw), draw, exact)
            return loss

        optimizer.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]
