"""Optimiser steps: each active player maximises its objective on a batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.random import copied
from .callbacks import StepCallbacks
from .fused import FusedAdam
from .gradient import Gradient, gradient
from .players import Player
from .programs import Programs
from .running_measures import RunningMeasures
from .setup import TrainingSetup
from .shared_steps import SharedSteps
from .state import TrainingState

__all__ = ["OptimizerSteps"]


class OptimizerSteps:
    """The optimiser steps of a training.

    Args:
        setup: of the training.
        state: of the training; every step changes it.
    """

    def __init__(self, setup: TrainingSetup, state: TrainingState) -> None:
        self.setup, self.state, self.shared = setup, state, SharedSteps(setup.plan)
        self.trained = [player.trained for player in setup.players]
        self.programs = Programs(setup, state)
        self.fused: dict[int, FusedAdam] = {}

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
        state, number = self.state, self.setup.number_of(player)
        trained, waiting = self.trained[number], [] if measures is None else [measures]

        def evaluate() -> Tensor:
            result = self.gradient(player, batch, noise, callbacks)
            for parameter, part in zip(trained, result.parts, strict=True):
                parameter.grad = part
            for each in waiting:  # only the first evaluation is measured
                each.add(result.sums, len(batch))
            waiting.clear()
            return result.loss

        def complete() -> Tensor:
            loss = self.shared.summed(evaluate, trained)
            callbacks.gradient_computed(player)
            if state.spikes is not None:
                state.spikes.clip(number, trained)
            if self.setup.plan.clip is not None:
                nn.utils.clip_grad_norm_(trained, self.setup.plan.clip)
            return loss

        if isinstance(optimizer, torch.optim.LBFGS):
            _search_line(optimizer, complete, noise)
        else:
            complete()
            self.fused_step(number, optimizer)

    def gradient(self, player: Player, batch: Batch, noise: torch.Generator, callbacks: StepCallbacks) -> Gradient:
        """Return a player's gradient on a batch; by a recording of the step where there is one and nobody looks on."""

        def compute() -> Gradient:
            observe = partial(callbacks.objective_evaluated, player)
            return gradient(self.setup, player, batch, noise, self.trained[self.setup.number_of(player)], observe)

        if callbacks.silent or self.state.initial_size is None:
            return compute()
        return self.programs.gradient(player, batch, noise) or self.programs.timed(player, batch, compute)

    def fused_step(self, number: int, optimizer: torch.optim.Optimizer) -> None:
        """Take a step along the present gradients."""
        steps = self.fused.get(number)
        if steps is None or steps.optimizer is not optimizer:
            steps = self.fused[number] = FusedAdam(optimizer)
        steps.step()

    def rehearse(self, batch: Batch, player: Player) -> None:
        """Compute the gradient of one step of a player, and discard it.

        Parameters, gradients, optimisers and noise stay as they are; running averages among the buffers do not.

        Args:
            batch: of data.
            player: whose objective is evaluated.
        """
        noise = copied(self.state.noise)
        gradient(self.setup, player, batch, noise, self.trained[self.setup.number_of(player)])


def _search_line(optimizer: torch.optim.LBFGS, complete: Callable[[], Tensor], noise: torch.Generator) -> None:
    """Take a step of a line search, which evaluates its closure several times, always on the same noise."""
    start = noise.get_state()

    def closure() -> Tensor:
        noise.set_state(start)
        return complete()

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
