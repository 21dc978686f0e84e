"""Over-fitting: scores of training rows against those of others, and of validation rows along training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .estimate import Estimate, format_nats
from .quantity import EVIDENCE, Quantity

__all__ = ["ERRORS", "GeneralisationGap", "ValidationCurve", "some_rows"]

ERRORS = 3.0  # standard errors beyond which a difference is not due to the choice of rows
# standard deviations of the score over data, which do not depend on units: a gap worth mentioning, and a large one
# (Cohen, 1988), since with enough rows every model has a small one
VISIBLE, LARGE = 0.3, 0.8


@dataclass(frozen=True)
class GeneralisationGap:
    """The scores of training rows and of others, by the same evaluator and in the same units.

    Attributes:
        train, test: [N], [M], nats per datum: log p(x), a bound on it, or minus the distortion.
        name: name of the score, in words.
    """

    train: Tensor
    test: Tensor
    name: str = "log p(x)"

    @staticmethod
    def of(train: Estimate, test: Estimate, quantity: Quantity = EVIDENCE) -> GeneralisationGap | None:
        """Compare two estimates of a quantity; None where there is no number to compare."""
        if train.nats is None or test.nats is None or bool(torch.isnan(train.nats).any()):
            return None
        points = "" if test.k is None else f", K = {test.k}"
        return GeneralisationGap(train.nats, test.nats, f"{quantity} ({test.kind}{points})")

    @property
    def difference(self) -> float:
        """The difference of the means, training rows minus others."""
        return float(self.train.double().mean() - self.test.double().mean())

    @property
    def stderr(self) -> float | None:
        """The standard error of the difference, over the choice of rows; None where a side has a single row."""
        if min(len(self.train), len(self.test)) < 2:
            return None
        return math.sqrt(sum(float(side.double().var()) / len(side) for side in (self.train, self.test)))

    @property
    def deviations(self) -> float:
        """The difference in standard deviations over training rows, which does not depend on units."""
        spread = float(self.train.double().std()) if len(self.train) > 1 else 0.0
        return self.difference / max(spread, 1e-12)

    @property
    def over_fitting(self) -> bool:
        """True if the difference is above 3 standard errors, and above 0.3 standard deviations over rows."""
        return self.beyond_chance and self.deviations > VISIBLE

    @property
    def beyond_chance(self) -> bool:
        """True if the training rows score higher by more than 3 standard errors, however little that is."""
        return self.stderr is not None and self.difference > ERRORS * self.stderr

    @property
    def is_unclear(self) -> bool:
        """True if there may be over-fitting that so few rows do not show.

        The difference is above one standard error, not above 3, and at the upper end of these above 0.3 standard
        deviations over rows.
        """
        if self.stderr is None or self.beyond_chance or not self.difference > self.stderr:
            return False
        return self.deviations * (1.0 + ERRORS * self.stderr / self.difference) > VISIBLE

    @property
    def is_large(self) -> bool:
        """True if there is over-fitting, and the difference is above 0.8 standard deviations over rows."""
        return self.over_fitting and self.deviations > LARGE

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        if self.stderr is None:
            return "too few rows to detect over-fitting"
        if not math.isfinite(self.difference):
            return "over-fitting cannot be detected: a score is not finite"
        size = format_nats(abs(self.difference), self.stderr)
        where = f"training rows score {size} nats {'higher' if self.difference >= 0 else 'lower'} than other rows"
        if self.over_fitting:
            return f"over-fitting: {where}"
        if self.beyond_chance:
            return f"a small gap, below what is called over-fitting: {where}"
        if self.is_unclear:
            return f"over-fitting is not clear: {where}, which is less than {ERRORS:.0f} standard errors"
        if self.difference < -ERRORS * self.stderr:
            return f"the opposite of over-fitting, the two sets of rows differ: {where}"
        return f"no sign of over-fitting: {where}"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        return {
            "score": self.name,
            "train": float(self.train.double().mean()),
            "test": float(self.test.double().mean()),
            "difference": self.difference,
            "stderr": self.stderr,
            "deviations": self.deviations,
            "train_rows": len(self.train),
            "test_rows": len(self.test),
            "over_fitting": self.over_fitting,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class ValidationCurve:
    """The score of validation rows by epoch; a fall after its best epoch is a symptom of over-fitting.

    Attributes:
        scores: by epoch, to be maximised; not empty.
        kept: the epoch whose weights were kept.
        stderr: of a score, over rows; None where it is unknown.
    """

    scores: Mapping[int, float]
    kept: int
    stderr: float | None

    @property
    def best(self) -> int:
        """The epoch of the highest score."""
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def fallen(self) -> float:
        """Nats by which the score of the kept weights, or else of the last epoch, is below the highest."""
        return self.scores[self.best] - self.scores.get(self.kept, self.scores[max(self.scores)])

    @property
    def fallen_later(self) -> float:
        """Nats by which the score of the last epoch is below the highest."""
        return self.scores[self.best] - self.scores[max(self.scores)]

    @property
    def has_fallen(self) -> bool:
        """True if the kept weights score lower than the best epoch, by more than 3 standard errors."""
        return self._is_beyond_chance(self.fallen)

    @property
    def has_fallen_later(self) -> bool:
        """True if the last epoch scores lower than the best, by more than 3 standard errors."""
        return self._is_beyond_chance(self.fallen_later)

    def _is_beyond_chance(self, fall: float) -> bool:
        return self.stderr is not None and fall > ERRORS * self.stderr


def some_rows(n: int, most: int, noise: torch.Generator) -> Tensor:
    """Return at most `most` of n row numbers, drawn without replacement, in order."""
    if n <= most:
        return torch.arange(n)
    return torch.randperm(n, generator=noise)[:most].sort().values
