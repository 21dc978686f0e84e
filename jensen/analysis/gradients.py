"""Gradient estimators on a model as it is: bias, variance, signal-to-noise and cost of each, and which to use."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.errors import CompositionError, NumericalError, UsageError
from ..core.random import stream
from ..distributions import OneHots
from ..estimators.base import GradientEstimator
from ..estimators.denoising import Corrupted, Corruption
from ..estimators.enumeration import Enumerate
from ..estimators.quadrature import Quadrature
from ..estimators.reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
from ..estimators.score import Score
from ..estimators.stratified import Stratified
from ..evaluate.estimate import ProgressCallback
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Distortion, Objective, Rate, TermKind

__all__ = ["Comparison", "Measured", "Side", "compare_gradients"]

GROUPS = 16  # of repetitions: their means tell the length of a bias from noise
REFERENCE = 4  # times as many repetitions as an estimator has
SCORED = 32  # points per datum of a reference by the score function
SURE = 4.0  # standard errors
SURE_BY_GROUPS = 6.0  # the same, where the standard error is itself estimated from few groups
WORTH = 1.25  # how many times less work makes a change worth recommending


@dataclass(frozen=True)
class Side:
    """The gradient with respect to the parameters of the guide, or of the model, for one and the same batch.

    Attributes:
        parameters: how many.
        variance: summed over parameters, of one step, from the points alone (the batch is fixed).
        signal_to_noise: length of the mean gradient over the square root of the variance; None without noise.
        bias: along the reference gradient, in multiples of its length, and `bias_stderr`; None where the reference is
            not told from zero.
        bias_squared: squared length of the bias over that of the reference, and its standard error; unbiased, so it may
            be negative.
    """

    parameters: int
    variance: float
    signal_to_noise: float | None
    bias: float | None
    bias_stderr: float | None
    bias_squared: float | None
    bias_squared_stderr: float | None

    @property
    def biased(self) -> bool:
        """True if a bias is seen: by 4 standard errors along the gradient, or by 6 in its length."""
        pairs = ((self.bias, self.bias_stderr, SURE), (self.bias_squared, self.bias_squared_stderr, SURE_BY_GROUPS))
        return any(b is not None and s is not None and abs(b) > max(sure * s, 1e-5) for b, s, sure in pairs)


@dataclass(frozen=True)
class Measured:
    """One estimator: the guide's side and the model's (None where there is nothing to train), and seconds per step."""

    estimator: str
    guide: Side | None
    model: Side | None
    seconds: float

    @property
    def biased(self) -> bool:
        return any(side.biased for side in (self.guide, self.model) if side)

    @property
    def work(self) -> float:
        """Seconds times variance (the geometric mean of the two sides'): what a step of the same noise costs."""
        sides = [max(side.variance, 1e-300) for side in (self.guide, self.model) if side]
        return self.seconds * math.exp(sum(map(math.log, sides)) / len(sides))


@dataclass(frozen=True)
class Comparison:
    """Every estimator that suits, the reference that they were held against, and a recommendation."""

    objective: str
    rows: int
    repeats: int
    reference: str
    measured: tuple[Measured, ...]
    left_out: tuple[tuple[str, str], ...]
    recommended: str
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        plain = asdict(self)
        for record, measured in zip(plain["measured"], self.measured, strict=True):
            record["biased"] = measured.biased
        plain["left_out"] = [{"estimator": name, "why": why} for name, why in self.left_out]
        return plain


@dataclass(frozen=True)
class _Sample:
    """Repetitions [R] of a flat gradient: means [groups, P] of groups, the variance [P] of one, seconds of one, and
    each of them [R, sides] along a direction for either side."""

    means: Tensor
    variance: Tensor
    along: Tensor
    seconds: float


def _own(guide: Guide, model: LatentVariableModel) -> list[nn.Parameter]:
    """Return the guide's trained parameters that are not the model's too."""
    shared = {id(p) for p in model.parameters()}
    return [p for p in guide.parameters() if p.requires_grad and id(p) not in shared]


def compare_gradients(
    model: LatentVariableModel,
    guide: Guide,
    batch: Batch,
    *,
    objective: Objective | None = None,
    points: int = 1,
    corruption: Corruption | None = None,
    repeats: int = 100,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Comparison:
    """Measure every estimator that suits model, guide and objective, on one batch and at the present parameters.

    The reference is the gradient without noise where the latent can be enumerated, else the mean of 4 times as many
    repetitions of the pathwise estimator, or of the score function's where there is no path, or only one through a
    relaxation (Gumbel softmax), whose bias is to be seen.

    Args:
        objective: what is climbed, by default -Distortion - Rate. A function of all weights, such as
            `ImportanceWeighted`, is that of `points` points; any other has the same expectation however many there are.
        points: per datum.
        corruption: of what the guide sees. It is drawn once, as the batch is: all noise is that of the points.
        repeats: gradients per estimator.
        seed: of all points.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        UsageError: too few repeats to tell a bias.
        CompositionError: the guide has no density, or nothing can be trained.
    """
    _refuse(guide := guide.followed, repeats)  # of a guide that takes steps, the one whose parameters are trained
    objective = -Distortion() - Rate() if objective is None else objective
    noisy = "" if corruption is None else f", of x with {corruption.phrase}, drawn once"
    if corruption is not None:
        corruption = _Drawn(corruption(batch.x, stream(seed, "gradients: corruption", batch.x.device)))
    of_model = [p for p in model.parameters() if p.requires_grad]
    of_guide = _own(guide, model)
    if not of_model and not of_guide:
        raise CompositionError("nothing in this model can be trained", "Use a run with parameters.")
    gradient = _Gradient(model, guide, batch, objective, [*of_guide, *of_model], corruption)
    suiting, left_out = gradient.suiting(_candidates(objective, points))
    if not suiting:
        raise CompositionError(f"no estimator suits this model: {left_out[0][1]}", "Use a run such as vae or iwae.")
    report_progress = watch or (lambda done: None)
    exact = next((e for e in suiting if isinstance(e, Enumerate)), None)
    basis = exact or _unbiased(suiting, guide, batch, objective)
    cuts = _cuts(of_guide, of_model)
    reference, along, directions = gradient.halves(basis, 1 if exact else REFERENCE * repeats // 2, seed, cuts)
    measured = []
    for i, estimator in enumerate(suiting):
        report_progress((i + 1) / (1 + len(suiting)))
        times = 1 if isinstance(estimator, Enumerate | Quadrature) else repeats
        sample = gradient.sample(estimator, times, seed, str(estimator), directions)
        ours, theirs = (_side(sample, reference, along, side, cut) for side, cut in enumerate(cuts))
        measured.append(Measured(str(estimator), ours, theirs, sample.seconds))
    report_progress(1.0)
    name = f"{exact}, without noise" if exact else f"the mean of {REFERENCE * repeats} draws of {basis}"
    told_of = (f"{objective}{noisy}", len(batch), repeats, name, tuple(measured), tuple(left_out))
    return Comparison(*told_of, *_recommend(measured))


def _unbiased(
    suiting: Sequence[GradientEstimator], guide: Guide, batch: Batch, objective: Objective
) -> GradientEstimator:
    """Return the estimator whose mean stands for the gradient: the first, unless its path is that of a relaxation,
    which is biased."""
    q = guide(batch)
    relaxed = isinstance(q, OneHots) and q.temperature is not None
    scored = [e for e in suiting if isinstance(e, Score)]
    if not relaxed or not scored:
        return suiting[0]
    return scored[0] if _of_all_weights(objective) else Score(SCORED)


def _refuse(guide: Guide, repeats: int) -> None:
    """Refuse comparisons that are impossible, before anything is computed."""
    if repeats < 2 * GROUPS:
        raise UsageError(f"{repeats} repeats tell nothing of a bias", f"Give at least {2 * GROUPS}.")
    if not guide.has_density or not guide.infers or guide.is_certain:
        raise CompositionError(f"{guide.phrase} has no noise to compare", "Use a run with a density q(z|x).")
    if guide.takes_steps:
        raise CompositionError(
            f"{guide.phrase}: no gradient passes through these steps", "Use a run with an encoder, such as vae."
        )


def _cuts(of_guide: Sequence[Tensor], of_model: Sequence[Tensor]) -> tuple[slice, slice]:
    """Return the places of the guide's and the model's parameters in a flat gradient."""
    first, second = (sum(p.numel() for p in some) for some in (of_guide, of_model))
    return slice(first), slice(first, first + second)


def _direction(mean: Tensor) -> Tensor:
    """Return [P] of length one, or zero."""
    return mean / mean.norm().clamp_min(1e-300)


@dataclass(frozen=True)
class _Drawn(Corruption):
    """A corruption that repeats what was drawn once."""

    x: Tensor

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.x

    @property
    def phrase(self) -> str:
        return "noise drawn once"


def _of_all_weights(objective: Objective) -> bool:
    """Return whether the expectation hangs on the number of points."""
    return any(term.kind is TermKind.IMPORTANCE_WEIGHTED for _, term in objective.terms)


def _candidates(objective: Objective, points: int) -> list[GradientEstimator]:
    """Those that estimate the gradient of one and the same expectation."""
    if _of_all_weights(objective):  # of which an enumeration would be another: the evidence itself
        return [Pathwise(points), DoublyReparameterized(points), Score(max(points, 2))][: 3 if points > 1 else 2]
    sampled = [Pathwise(points), Stratified(points), StickTheLanding(points), Score(max(points, 2))]
    return [*sampled, Enumerate(), Quadrature(32)]


class _Gradient:
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
        """Return the same estimator, with the guide seeing what it saw in training."""
        return estimator if self.corruption is None else Corrupted(estimator, self.corruption)

    def suiting(self, some: Sequence[GradientEstimator]) -> tuple[list[GradientEstimator], list[tuple[str, str]]]:
        """Those that can be used here, and the others with what speaks against them."""
        fit, left_out = [], []
        for estimator in some:
            try:
                estimator.check(self.objective)
                self(self.placed(estimator), stream(0, "trial", self.batch.x.device))
                fit.append(estimator)
            except CompositionError as error:
                left_out.append((str(estimator), error.what))
        return fit, left_out

    def halves(
        self, estimator: GradientEstimator, half: int, seed: int, cuts: Sequence[slice]
    ) -> tuple[Tensor, Tensor, list[tuple[slice, Tensor]]]:
        """Return a reference of twice so many repetitions: means [groups, P], lengths [half, sides] along its own
        directions,
        and these. They are of one half, and the lengths of the other, so that their noise is independent."""
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
    ) -> _Sample:
        """Repetitions of it, from a stream of that name, each also along these directions."""
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
        return _Sample(sums / counts[:, None], spread / max(repeats - 1, 1), each, sorted(seconds)[repeats // 2])


def _length_squared(means: Tensor) -> tuple[float, float]:
    """Squared length of the expectation of independent means [G, P], without bias, and its jackknife error."""
    groups = len(means)
    if groups == 1:
        return float(means.square().sum()), 0.0
    table = means @ means.T

    def over(kept: Tensor) -> float:
        part, n = table[kept][:, kept], len(kept)
        return float((part.sum() - part.diagonal().sum()) / (n * (n - 1)))

    every = torch.arange(groups, device=means.device)
    left = torch.tensor([over(every[every != g]) for g in range(groups)], dtype=torch.float64)
    return over(every), float(((groups - 1) * left.var(correction=0)).sqrt())


def _side(sample: _Sample, reference: Tensor, theirs: Tensor, number: int, part: slice) -> Side | None:
    """Return an estimator's statistics against the reference; None where there are no parameters."""
    means, reference = sample.means[:, part], reference[:, part]
    size = means.shape[1]
    if not size:
        return None
    variance = float(sample.variance[part].sum())
    signal, _ = _length_squared(means)
    ratio = math.sqrt(max(signal, 0.0) / variance) if variance > 0 else None
    length, error = _length_squared(reference)
    if length <= SURE_BY_GROUPS * error or length == 0:
        return Side(size, variance, ratio, None, None, None, None)
    squared, squared_error = _length_squared(means - reference)
    pair, root = (sample.along[:, number], theirs[:, number]), math.sqrt(length)
    bias = float(pair[0].mean() - pair[1].mean())
    noise = math.sqrt(sum(float(t.var()) / len(t) for t in pair if len(t) > 1))
    return Side(size, variance, ratio, bias / root, noise / root, squared / length, squared_error / length)


def _recommend(measured: Sequence[Measured]) -> tuple[str, str]:
    """Return the estimator with the least work among those without a visible bias, and why."""
    if len(measured) == 1:
        return measured[0].estimator, f"{measured[0].estimator} alone suits this model: there is nothing to choose."
    honest = [m for m in measured if not m.biased]
    if not honest:
        return measured[0].estimator, f"Keep {measured[0].estimator}: every other estimator is further from it."
    best, base = min(honest, key=lambda m: m.work), honest[0]
    gain = base.work / best.work
    if best is base or gain < WORTH:
        return base.estimator, f"Use {base.estimator}: no other has clearly less variance for its time."
    noiseless = all(side.variance == 0 for side in (best.guide, best.model) if side)
    times = f"{gain:.1f}" if gain < 1000 else "over 1,000"
    how = "has no noise" if noiseless else f"needs {times} times less work than {base.estimator} for the same noise"
    return best.estimator, f"Use {best.estimator}: it {how}, and no bias is seen."
