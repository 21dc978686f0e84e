"""Comparison of gradient estimators at the present parameters: bias, variance, signal-to-noise ratio and cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.errors import CompositionError, UsageError
from ..core.random import stream
from ..core.validation import require_integer
from ..distributions import OneHots
from ..estimators.base import GradientEstimator
from ..estimators.denoising import Corruption
from ..estimators.enumeration import Enumerate
from ..estimators.quadrature import Quadrature
from ..estimators.reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
from ..estimators.score import Score
from ..estimators.stratified import Stratified
from ..evaluate.estimate import ProgressCallback
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Distortion, Objective, Rate, TermKind
from .gradient_samples import GROUPS, FlatGradient, GradientSample, squared_length

__all__ = ["GradientComparison", "Measured", "Side", "compare_gradients"]

REFERENCE = 4  # repetitions of the reference, in multiples of those of an estimator
SCORED = 32  # points per datum of a reference by the score function
SURE = 4.0  # standard errors above which a bias is significant
SURE_BY_GROUPS = 6.0  # the same, where the standard error is itself estimated from few groups
MOST_REPEATS = 1_000_000
WORTH = 1.25  # ratio of work above which another estimator is recommended


@dataclass(frozen=True)
class Side:
    """Statistics of the gradient with respect to the parameters of the guide, or of the model, on a fixed batch.

    Attributes:
        parameters: number of parameters.
        variance: of one step, summed over parameters; from the points alone, since the batch is fixed.
        signal_to_noise: length of the mean gradient over the square root of the variance; None without noise.
        bias: along the reference gradient, in multiples of its length, and `bias_stderr`; None where the reference is
            not significantly different from zero.
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
        """True if the bias is significant: by 4 standard errors along the gradient, or by 6 in its length."""
        pairs = ((self.bias, self.bias_stderr, SURE), (self.bias_squared, self.bias_squared_stderr, SURE_BY_GROUPS))
        return any(b is not None and s is not None and abs(b) > max(sure * s, 1e-5) for b, s, sure in pairs)


@dataclass(frozen=True)
class Measured:
    """The results of an estimator: for guide and model (None where there is nothing to train), and seconds per step."""

    estimator: str
    guide: Side | None
    model: Side | None
    seconds: float

    @property
    def biased(self) -> bool:
        """True if either side is."""
        return any(side.biased for side in (self.guide, self.model) if side)

    @property
    def work(self) -> float:
        """Seconds times variance (the geometric mean of both sides): the cost of a step of given noise."""
        sides = [max(side.variance, 1e-300) for side in (self.guide, self.model) if side]
        return self.seconds * math.exp(sum(map(math.log, sides)) / len(sides))


@dataclass(frozen=True)
class GradientComparison:
    """The results of every suitable estimator, the reference of their bias, and a recommendation."""

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


def _own(guide: Guide, model: LatentVariableModel) -> list[nn.Parameter]:
    """Return the guide's trained parameters that it does not share with the model."""
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
) -> GradientComparison:
    """Measure every estimator suitable for model, guide and objective, on one batch and at the present parameters.

    The reference is the gradient without noise where the latent can be enumerated; else the mean of 4 times as many
    repetitions of the pathwise estimator, or of the score function where there is no path, or only a biased one through
    a relaxation (Gumbel softmax).

    Args:
        objective: the objective, by default -Distortion - Rate. A function of all weights, such as
            `ImportanceWeighted`, depends on the number of `points`; the expectation of any other does not.
        points: per datum.
        corruption: of the guide's input. It is drawn once, as the batch is: all noise is that of the points.
        repeats: gradients per estimator.
        seed: seed of all random streams.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        UsageError: too few repeats to detect a bias.
        CompositionError: the guide has no density, or nothing can be trained.
    """
    _refuse(guide := guide.followed, repeats)  # for a guide that takes steps, the guide whose parameters are trained
    objective = -Distortion() - Rate() if objective is None else objective
    suffix = "" if corruption is None else f", of x with {corruption.phrase}, drawn once"
    if corruption is not None:
        corruption = _Drawn(corruption(batch.x, stream(seed, "gradients: corruption", batch.x.device)))
    of_model = [p for p in model.parameters() if p.requires_grad]
    of_guide = _own(guide, model)
    if not of_model and not of_guide:
        raise CompositionError("nothing in this model can be trained", "Use a run with parameters.")
    gradient = FlatGradient(model, guide, batch, objective, [*of_guide, *of_model], corruption)
    suiting, left_out = gradient.suiting(_candidates(objective, points))
    if not suiting:
        raise CompositionError(f"no estimator suits this model: {left_out[0][1]}", "Use a run such as vae or iwae.")
    exact = next((e for e in suiting if isinstance(e, Enumerate)), None)
    basis = exact or _unbiased(suiting, guide, batch, objective)
    measured = _measure(gradient, suiting, basis, repeats, seed, _cuts(of_guide, of_model), watch)
    recommended, sentence = _recommend(measured)
    return GradientComparison(
        objective=f"{objective}{suffix}",
        rows=len(batch),
        repeats=repeats,
        reference=f"{exact}, without noise" if exact else f"the mean of {REFERENCE * repeats} draws of {basis}",
        measured=tuple(measured),
        left_out=tuple(left_out),
        recommended=recommended,
        sentence=sentence,
    )


def _measure(
    gradient: FlatGradient,
    suiting: Sequence[GradientEstimator],
    basis: GradientEstimator,
    repeats: int,
    seed: int,
    cuts: tuple[slice, slice],
    watch: ProgressCallback | None,
) -> list[Measured]:
    """Measure estimators against the mean gradient of `basis`."""
    half = 1 if isinstance(basis, Enumerate) else REFERENCE * repeats // 2
    reference, along, directions = gradient.halves(basis, half, seed, cuts)
    measured = []
    for i, estimator in enumerate(suiting, 1):
        if watch is not None:
            watch(i / (1 + len(suiting)))
        times = 1 if isinstance(estimator, Enumerate | Quadrature) else repeats
        sample = gradient.sample(estimator, times, seed, str(estimator), directions)
        of_guide, of_model = (_side(sample, reference, along, side, cut) for side, cut in enumerate(cuts))
        measured.append(Measured(str(estimator), of_guide, of_model, sample.seconds))
    if watch is not None:
        watch(1.0)
    return measured


def _unbiased(
    suiting: Sequence[GradientEstimator], guide: Guide, batch: Batch, objective: Objective
) -> GradientEstimator:
    """Return the estimator whose mean is the reference: the first, unless its path is that of a relaxation, which is
    biased."""
    q = guide(batch)
    relaxed = isinstance(q, OneHots) and q.temperature is not None
    scored = [e for e in suiting if isinstance(e, Score)]
    if not relaxed or not scored:
        return suiting[0]
    return scored[0] if _of_all_weights(objective) else Score(SCORED)


def _refuse(guide: Guide, repeats: int) -> None:
    """Refuse comparisons that are impossible, before anything is computed."""
    require_integer(1, MOST_REPEATS, repeats=repeats)
    if repeats < 2 * GROUPS:
        raise UsageError(f"repeats must be at least {2 * GROUPS}, got {repeats}", f"Give at least {2 * GROUPS}.")
    if not guide.has_density or not guide.infers or guide.is_certain:
        raise CompositionError(f"{guide.phrase} has no noise to compare", "Use a run with a density q(z|x).")
    if guide.takes_steps:
        raise CompositionError(
            f"{guide.phrase}: no gradient passes through these steps", "Use a run with an encoder, such as vae."
        )


def _cuts(of_guide: Sequence[Tensor], of_model: Sequence[Tensor]) -> tuple[slice, slice]:
    """Return the slices of the guide's and the model's parameters in a flat gradient."""
    first, second = (sum(p.numel() for p in parameters) for parameters in (of_guide, of_model))
    return slice(first), slice(first, first + second)


@dataclass(frozen=True)
class _Drawn(Corruption):
    """A corruption that returns the same corrupted data every time."""

    x: Tensor

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.x

    @property
    def phrase(self) -> str:
        return "noise drawn once"


def _of_all_weights(objective: Objective) -> bool:
    """Return whether the expectation depends on the number of points."""
    return any(term.kind is TermKind.IMPORTANCE_WEIGHTED for _, term in objective.terms)


def _candidates(objective: Objective, points: int) -> list[GradientEstimator]:
    """Return the estimators of the gradient of one expectation."""
    if _of_all_weights(objective):  # by enumeration the expectation would be another one: the evidence itself
        return [Pathwise(points), DoublyReparameterized(points), Score(max(points, 2))][: 3 if points > 1 else 2]
    sampled = [Pathwise(points), Stratified(points), StickTheLanding(points), Score(max(points, 2))]
    return [*sampled, Enumerate(), Quadrature(32)]


def _side(sample: GradientSample, reference: Tensor, along: Tensor, number: int, part: slice) -> Side | None:
    """Return an estimator's statistics against the reference; None where there are no parameters."""
    means, reference = sample.means[:, part], reference[:, part]
    size = means.shape[1]
    if not size:
        return None
    variance = float(sample.variance[part].sum())
    signal, _ = squared_length(means)
    ratio = math.sqrt(max(signal, 0.0) / variance) if variance > 0 else None
    length, error = squared_length(reference)
    if length <= SURE_BY_GROUPS * error or length == 0:
        return Side(size, variance, ratio, None, None, None, None)
    squared, squared_error = squared_length(means - reference)
    pair, root = (sample.along[:, number], along[:, number]), math.sqrt(length)
    bias = float(pair[0].mean() - pair[1].mean())
    noise = math.sqrt(sum(float(t.var()) / len(t) for t in pair if len(t) > 1))
    return Side(size, variance, ratio, bias / root, noise / root, squared / length, squared_error / length)


def _recommend(measured: Sequence[Measured]) -> tuple[str, str]:
    """Return the estimator with the least work among those without a significant bias, and the reason."""
    if len(measured) == 1:
        return measured[0].estimator, f"{measured[0].estimator} alone suits this model: there is nothing to choose."
    unbiased = [m for m in measured if not m.biased]
    if not unbiased:
        return measured[0].estimator, f"Keep {measured[0].estimator}: every other estimator is further from it."
    best, base = min(unbiased, key=lambda m: m.work), unbiased[0]
    gain = base.work / best.work
    if best is base or gain < WORTH:
        return base.estimator, f"Use {base.estimator}: no other has clearly less variance for its time."
    noiseless = all(side.variance == 0 for side in (best.guide, best.model) if side)
    times = f"{gain:.1f}" if gain < 1000 else "over 1,000"
    reason = "has no noise" if noiseless else f"needs {times} times less work than {base.estimator} for the same noise"
    return best.estimator, f"Use {best.estimator}: it {reason}, and no bias is seen."
