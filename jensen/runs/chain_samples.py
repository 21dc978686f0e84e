"""Samples of a run whose prior is the chain of a diffusion: the ways to draw them."""

from __future__ import annotations

from ..core.errors import UsageError
from ..models.descents import Descent, chain_prior, check_time, with_descent
from ..models.diffusion import SAMPLING_STEPS
from ..models.model import LatentVariableModel
from .data import RunData

__all__ = ["descending_model", "descent_notes", "noise_option"]


def descending_model(
    run: RunData, steps: int | None = None, ddim: bool = False, guidance: float = 1.0
) -> LatentVariableModel:
    """Return the model of a run, or one of the same chain that samples are drawn from in another way.

    Args:
        run: of the model.
        steps: that the noise is taken off in; None for those of the chain.
        ddim: True for steps without noise.
        guidance: multiple of what a label adds.

    Raises:
        UsageError: a number is outside its range.
        CompositionError: the model is no diffusion, or guidance is asked of one without labels.
    """
    descent = Descent(steps, 0.0 if ddim else 1.0, guidance)
    return run.model if descent == Descent() else with_descent(run.model, descent)


def descent_notes(model: LatentVariableModel) -> tuple[str, ...]:
    """Return a note on samples that are not of the model whose log p(x) is estimated; empty of others."""
    prior = chain_prior(model)
    if prior is None:
        return ()
    ways = []
    if prior.guidance != 1:
        ways.append(f"guidance {prior.guidance:g}")
    if prior.noise != 1:
        ways.append("steps without noise (DDIM)")
    usual = prior.diffusion.levels or SAMPLING_STEPS
    if prior.steps is not None and prior.steps != usual and prior.noise == 1:
        ways.append(f"{prior.steps:,} steps in place of {usual:,}")
    if not ways:
        return ()
    return (f"with {' and '.join(ways)} these are not samples of the model whose log p(x) jensen evaluate estimates",)


def noise_option(run: RunData, from_noise: float | None, steps: int | None, ddim: bool) -> tuple[float, Descent] | None:
    """Return the time that noise is added up to, and how it is taken off again; None where none is added.

    Raises:
        UsageError: there is no such time, or steps are given without one.
        CompositionError: the model is no diffusion.
    """
    descent = Descent(steps, 0.0 if ddim else 1.0)
    if from_noise is None:
        if descent != Descent():
            raise UsageError("--steps and --ddim take noise off, and none is added", "Add --from-noise 0.5.")
        return None
    check_time(from_noise)
    with_descent(run.model, descent)  # refuses a model without a chain
    return from_noise, descent
