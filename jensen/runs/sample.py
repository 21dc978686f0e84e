"""New data from a run, of the whole model or given the values of some columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..analysis.conditional_samples import POINTS, ConditionalSample, conditional_sample
from ..core.random import stream
from ..core.wording import plural
from .condition import beyond_range, condition_of
from .data import RunData

__all__ = ["GivenSample", "sample_given"]


@dataclass(frozen=True)
class GivenSample:
    """Samples given the values of some columns.

    Attributes:
        x: [n, D] in the data's own units.
        given: the values, by column.
        log_px: log p(given columns) in nats, in the data's own units.
        drawn: the samples as the model sees them, with their diagnostics.
        beyond: notes on values that training has not seen the like of.
    """

    x: np.ndarray
    given: dict[str, str]
    log_px: float
    drawn: ConditionalSample
    beyond: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The condition, its log p, and how many points it rests on."""
        condition = ", ".join(f"{name} = {value}" for name, value in self.given.items())
        text = f"given {condition} (log p {self.log_px:.2f} nats"
        if self.drawn.ess is None or self.drawn.k is None:
            return f"{text}, exact)"
        return f"{text}; effective sample size {self.drawn.ess:,.0f} of {self.drawn.k:,} points)"

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on values out of the range of the data, and where fewer points carry the condition than there are
        samples."""
        n, drawn = len(self.x), self.drawn
        if drawn.ess is None or drawn.k is None or drawn.ess >= n:
            return self.beyond
        samples = f"{plural(n, 'sample')} are drawn at an effective {drawn.ess:,.0f} points of the latent space"
        return (*self.beyond, f"{samples}, so that some are alike: more points are -k {4 * drawn.k}")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of the condition."""
        drawn = self.drawn
        return {"given": self.given, "log_p_given": self.log_px, "k": drawn.k, "ess": drawn.ess, "k_hat": drawn.k_hat}


def sample_given(run: RunData, n: int, given: Mapping[str, Any], *, k: int | None = None, seed: int = 0) -> GivenSample:
    """Draw n data given the values of some columns; see `jensen.analysis.conditional_samples.conditional_sample`.

    Args:
        run: of the model.
        n: samples.
        given: values by column, as numbers or as texts such as a table holds.
        k: points that are weighted, where the latent is not finite; 16,384 by default.
        seed: of all randomness.

    Raises:
        UsageError: there is no such column or value, or the condition is too rare.
    """
    batch = condition_of(run, given)
    k = POINTS if k is None else k
    generator = stream(seed, "sample", run.device)
    drawn = conditional_sample(run.model, run.guide, batch, n, k=k, generator=generator)
    x = run.preparation.invert(drawn.x)
    shift = float(run.preparation.log_jacobians(torch.as_tensor(batch.mask).cpu().numpy())[0])
    values = {name: str(value) for name, value in given.items()}
    return GivenSample(x, values, drawn.log_px + shift, drawn, beyond_range(run, given))
