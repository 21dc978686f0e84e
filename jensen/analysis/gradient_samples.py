"""Samples of a gradient: repetitions by an estimator on a fixed batch, and unbiased statistics of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.errors import CompositionError, NumericalError
from ..core.random import stream
from ..estimators.base import GradientEstimator
from ..estimators.denoising import Corrupted, Corruption
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective

__all__ = ["GROUPS", "FlatGradient", "GradientSample", "squared_length"]

GROUPS = 16  # groups of repetitions, whose means separate the length of a bias from noise


@dataclass(frozen=True)
class GradientSample:
    """Repetitions [R] of a flat gradient: means [groups, P] of groups, the variance [P] and seconds of one, and the
    components [R, sides] along a direction for each side."""

    means: Tensor
    variance: Tensor
    along: Tensor
    seconds: float


def _direction(mean: Tensor) -> Tensor:
    """Return the direction [P] of a mean gradient: of length one, or zero."""
    return mean / mean.norm().clamp_min(1e-300)


class FlatGradient:
    """The flat gradient [P] of the mean objective of a batch."""

    def __init__(
        self,
        model: LatentVariableModel,
        guide: Guide,
        batch: Batch,
        objective: Objective,
        parameters: Sequence[nn.Parameter],
        corruption: Corruption | None,
    ) -> None:
        self.model, self.guide, self.batch, self.objective = model, guide, batch, objective
        self.parameters, self.corruption = list(parameters), corruption

    @torch.enable_grad()
    def __call__(self, estimator: GradientEstimator, generator: torch.Generator) -> Tensor:
        draw = estimator.draw(self.model, self.guide, self.batch, generator)
        value = estimator.surrogate(self.objective, draw).mean()
        gradients = torch.autograd.grad(value, self.parameters, allow_unused=True)
        pairs = zip(self.parameters, gradients, strict=True)
        return torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten() for p, g in pairs])

    def placed(self, estimator: GradientEstimator) -> GradientEstimator:
        """Return the estimator, with the guide's input corrupted as in training."""
        return estimator if self.corruption is None else Corrupted(estimator, self.corruption)

    def suiting(self, candidates: Sequence[GradientEstimator]) -> tuple[list[GradientEstimator], list[tuple[str, str]]]:
        """Return the estimators that can be used here, and the others with the reason against each."""
        suiting, left_out = [], []
        for estimator in candidates:
            try:
                estimator.check(self.objective)
                self(self.placed(estimator), stream(0, "trial", self.batch.x.device))
                suiting.append(estimator)
            except CompositionError as error:
                left_out.append((str(estimator), error.what))
        return suiting, left_out

    def halves(
        self, estimator: GradientEstimator, half: int, seed: int, cuts: Sequence[slice]
    ) -> tuple[Tensor, Tensor, list[tuple[slice, Tensor]]]:
        """Return a reference of twice `half` repetitions: means [groups, P], components [half, sides] along its own
        directions, and these. The directions are from one half and the components from the other, so that their noise
        is independent."""
        first = self.sample(estimator, half, seed, "reference, first half", [])
        directions = [(cut, _direction(first.means.mean(0)[cut])) for cut in cuts]
        second = self.sample(estimator, half, seed, "reference, second half", directions)
        return (first.means + second.means) / 2, second.along, directions

    def sample(
        self,
        estimator: GradientEstimator,
        repeats: int,
        seed: int,
        name: str,
        directions: Sequence[tuple[slice, Tensor]],
    ) -> GradientSample:
        """Repeat the gradient, with a random stream of this name; components are along these directions."""
        generator, placed = stream(seed, f"gradients: {name}", self.batch.x.device), self.placed(estimator)
        groups = min(GROUPS, repeats)
        size = sum(p.numel() for p in self.parameters)
        sums = torch.zeros(groups, size, dtype=torch.float64, device=self.batch.x.device)
        mean, spread = torch.zeros_like(sums[0]), torch.zeros_like(sums[0])
        along, seconds = [], []
        for i in range(repeats):
            began = time.perf_counter()
            gradient = self(placed, generator).double()
            if not math.isfinite(float(gradient.sum())):  # which also waits for the device
                raise NumericalError(f"a gradient by {estimator} is not finite", "Look at the run: jensen doctor RUN.")
            seconds.append(time.perf_counter() - began)
            along.append([float(gradient[part] @ direction) for part, direction in directions])
            sums[i % groups] += gradient
            far = gradient - mean
            mean += far / (i + 1)
            spread += far * (gradient - mean)
        counts = torch.tensor([len(range(g, repeats, groups)) for g in range(groups)]).to(sums)
        each = torch.tensor(along, dtype=torch.float64)
        return GradientSample(sums / counts[:, None], spread / max(repeats - 1, 1), each, sorted(seconds)[repeats // 2])


def squared_length(means: Tensor) -> tuple[float, float]:
    """Return the squared length of the expectation of independent means [G, P], unbiased, and its jackknife error."""
    groups = len(means)
    if groups == 1:
        return float(means.square().sum()), 0.0
    table = means @ means.T

    def estimate(groups: Tensor) -> float:
        part, n = table[groups][:, groups], len(groups)
        return float((part.sum() - part.diagonal().sum()) / (n * (n - 1)))

    every = torch.arange(groups, device=means.device)
    without_one = torch.tensor([estimate(every[every != g]) for g in range(groups)], dtype=torch.float64)
    return estimate(every), float(((groups - 1) * without_one.var(correction=0)).sqrt())
