"""The choice of an evaluator for a model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..core.batch import Rows
from ..core.errors import CompositionError, NotNormalised, UsageError
from ..core.random import stream
from ..estimators.reparameterized import Pathwise
from ..models.diffused import DiffusionPrior
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..models.posteriors import has_posterior
from .annealed import Annealed
from .by_flow import ByFlow, chain_of_model
from .estimate import Estimate, Evaluator, Kind, ProgressCallback, concatenated, exact_products
from .exact import MOST_STATES, Enumerated, Exact, number_of_states
from .importance import NUMBERS, Importance, widest
from .quadrature import Quadrature, integrable
from .sampled_times import SampledTimes

__all__ = ["METHODS", "Evaluator", "Unnormalised", "choose"]

METHODS = ("auto", "exact", "importance", "annealed", "quadrature", "flow")
CHUNK = 1024


@dataclass(frozen=True)
class Unnormalised(Evaluator):
    """The evaluator of a guide without a density: the distortion alone, and no number for log p(x)."""

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        draws = (Pathwise(1).draw(model, guide, batch, noise) for batch in data.batches(CHUNK, noise))
        distortion = concatenated([draw.distortion for draw in draws])
        return Estimate(Kind.UNNORMALISED, None, distortion, seconds=time.monotonic() - started)


@dataclass(frozen=True)
class AtOneState(Evaluator):
    r"""log p(x, z) at the single state of a point-mass guide: a lower bound on log p(x), without Monte Carlo.

    The sum over states contains this one: :math:`\log p(x) = \log \sum_z p(x, z) \ge \log p(x, z^*)`.
    """

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        rows, parts = max(min(CHUNK, NUMBERS // widest(model)), 1), []
        with exact_products(data.device):
            for batch in data.batches(rows, noise):
                draw = Pathwise(1).draw(model, guide, batch, noise)
                parts.append((draw.distortion, draw.rate))
                if watch is not None:
                    watch(min(len(parts) * rows / len(data), 1.0))
        distortion, rate = (concatenated(list(column)) for column in zip(*parts, strict=True))
        return Estimate(Kind.LOWER, -distortion - rate, distortion, rate, seconds=time.monotonic() - started)


def choose(
    model: LatentVariableModel,
    guide: Guide,
    method: str = "auto",
    k: int | None = None,
    annealing: Annealed | None = None,
    tolerance: float | None = None,
    levels: Sequence[int] = (),
) -> Evaluator:
    """Return the evaluator for this model: exact where possible, quadrature of one or two features, else importance
    weighting; of a chain whose rate is sampled, the mean at random times.

    With a k, importance weighting is used wherever the evidence has no closed form. An autoencoder's prior is not
    trained, so its evidence is estimated only by a named method; annealing must then start from the prior.

    Args:
        method: "auto", "exact", "importance", "annealed", "quadrature" or "flow".
        k: points per datum, for importance; 5000 unless given. Of a chain, times per datum, or points of its flow.
        annealing: settings of the method "annealed"; `Annealed()` unless given.
        tolerance: of the solver of the method "flow"; 1e-4 unless given.
        levels: numbers of levels of a chain, whose bounds are estimated too.

    Raises:
        NotNormalised: the likelihood only samples.
        UsageError: there is no such method, k < 1, or a setting of another method.
        CompositionError: the model or the guide cannot be annealed, and annealing is asked for.
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}", f"Choose from {', '.join(METHODS)}.")
    importance = Importance(5000 if k is None else k)  # checks k for every method
    if not model.likelihood.has_density:
        raise NotNormalised(
            "this model only samples: p(x|z) has no density, so log p(x) cannot be estimated",
            "Compare samples with data instead: jensen fidelity RUN.",
        )
    if method == "annealed":
        return _annealed(model, guide, annealing or Annealed(), k)
    _refuse_other_settings(model, guide, method, annealing, tolerance, levels)
    if method == "flow":
        chain_of_model(model)
        return ByFlow(ByFlow.k if k is None else k, ByFlow.tolerance if tolerance is None else tolerance)
    if method == "quadrature":
        return Quadrature()
    if guide.samples_rate or model.prior.samples_density:
        return _sampled(method, k, tuple(levels))
    if method == "importance":
        return _noisy(guide, importance)
    if guide.is_exact or has_posterior(model.prior, model.likelihood):
        return Exact()
    if (states := number_of_states(model)) is not None and (states <= MOST_STATES or method == "exact"):
        return Enumerated()
    if method == "exact":
        return Exact()
    bounded = guide.bounds(model)
    if guide.is_certain and bounded:
        return AtOneState()
    if k is None and bounded and integrable(model):
        return Quadrature()
    return importance if bounded else Unnormalised()


def _refuse_other_settings(
    model: LatentVariableModel,
    guide: Guide,
    method: str,
    annealing: Annealed | None,
    tolerance: float | None,
    levels: Sequence[int],
) -> None:
    """Refuse settings of another method, or of other models.

    Raises:
        UsageError: annealing or a tolerance with another method, or levels with a method or a model that has none.
    """
    if annealing is not None:
        raise UsageError(
            f"temperatures, leapfrog steps, chains and start are options of annealing, and the method is {method}",
            "Add --method annealed.",
        )
    if tolerance is not None and method != "flow":
        raise UsageError(f"the tolerance is of the solver of flow, and the method is {method}", "Add --method flow.")
    if levels and method != "auto":
        raise UsageError(f"--levels is of the bound at sampled times, and the method is {method}", "Leave one out.")
    if levels and not (guide.samples_rate and isinstance(model.prior, DiffusionPrior)):
        raise UsageError(
            f"--levels asks for a chain evaluated in as many levels, and the prior is {model.prior.phrase}",
            "Leave --levels out; or train a diffusion: --recipe diffusion.",
        )


def _sampled(method: str, k: int | None, levels: tuple[int, ...]) -> SampledTimes:
    """Return the mean at sampled times, of k times per datum where these are given."""
    if method != "auto":
        raise CompositionError(
            "the rate of this model is an estimate by random times or probes, which makes no importance weights",
            "Leave --method out: its mean is a bound, and -k sets the times per datum.",
        )
    return SampledTimes(SampledTimes.n if k is None else k, levels)


def _noisy(guide: Guide, importance: Importance) -> Importance:
    """Return importance weighting, if the guide has noise."""
    if guide.is_certain:
        raise CompositionError(
            f"importance weighting needs noise in q(z|x), and there is none in {guide.phrase}",
            "Leave --method out: log p(x, z) at this point is a bound without noise.",
        )
    return importance


def _annealed(model: LatentVariableModel, guide: Guide, chain: Annealed, k: int | None) -> Annealed:
    """Return these chains, if this model can be annealed."""
    if k is not None:
        raise UsageError(f"-k {k} is an option of importance weighting, and annealing has chains", f"Use --chains {k}.")
    chain.check(model, guide)
    return chain
