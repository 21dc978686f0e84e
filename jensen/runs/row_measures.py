"""Measures beside log p(x) by which rows are odd: their distance from what is typical, and likelihood regret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..analysis.conformal import p_values, with_offsets
from ..core.errors import DataError, UsageError
from ..evaluate.regret import check_regret
from .data import RunData
from .evaluation import Part
from .row_scorer import HELD_OUT, RowScorer, array_of, some_rows

__all__ = [
    "MEASURES",
    "Ordinary",
    "RowMeasure",
    "checked_measures",
    "entropy_of",
    "held_out_rows",
    "measure_rows",
    "typical_rows",
]

MEASURES = ("typicality", "regret")
REGRET_ROWS = 500  # held-out rows at most whose regret that of others is compared with


@dataclass(frozen=True)
class RowMeasure:
    r"""A measure of rows: the higher, the odder.

    "typicality" is :math:`|\log p(x) + H|`, with H the mean of -log p(x) over rows that are not compared: a row is odd
    where it is less likely, or more likely, than rows of the same kind. "regret" is the likelihood regret; see
    `jensen.evaluate.regret.likelihood_regret`.

    Attributes:
        name: of it.
        values: [N] in nats.
        p_value: [N] conformal p-values against held-out rows; None where there are none.
        entropy: H in nats, of typicality.
        typical: the name of the rows that it is the mean of.

    Source: Nalisnick, Matsukawa, Teh & Lakshminarayanan, "Detecting out-of-distribution inputs to deep generative
    models using typicality", 2019; of groups of rows there, and of single ones here.
    """

    name: str
    values: np.ndarray = field(repr=False)
    p_value: np.ndarray | None = field(default=None, repr=False)
    entropy: float | None = None
    typical: str | None = None

    def some(self, start: int, stop: int) -> RowMeasure:
        """Return that of some rows."""
        p = None if self.p_value is None else self.p_value[start:stop]
        return replace(self, values=self.values[start:stop], p_value=p)

    def highest(self, n: int) -> list[int]:
        """Return the n rows in which it is highest, the highest first."""
        return np.argsort(-self.values, kind="stable")[:n].tolist()

    @property
    def sentence(self) -> str:
        """The definition in words, with its numbers."""
        if self.entropy is None:
            return "regret: the best ELBO of each row less the guide's, in nats"
        sign, value = ("-" if self.entropy >= 0 else "+"), abs(self.entropy)
        return f"typicality: |-log p(x) {sign} {value:.2f}| nats, from the mean of -log p(x) over {self.typical}"

    @property
    def table(self) -> dict[str, np.ndarray]:
        """The columns [N] of a table."""
        return {self.name: self.values} | ({} if self.p_value is None else {f"p_value_{self.name}": self.p_value})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of the means over rows."""
        low = None if self.p_value is None else float(np.mean(self.p_value < 0.05))
        own = {} if self.entropy is None else {"entropy": self.entropy, "of": self.typical}
        return {"mean": float(self.values.mean()), "p_value_below_0.05": low, **own}


def checked_measures(run: RunData, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of measures, each once.

    Raises:
        UsageError: there is no such measure. CompositionError: the model has none of this name.
    """
    names = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    for name in names:
        if name not in MEASURES:
            raise UsageError(f"there is no measure {name!r}", f"Choose from {', '.join(MEASURES)}.")
    if "regret" in names:
        check_regret(run.model, run.guide)
    return names


def typical_rows(run: RunData, held: Part | None, seed: int = 0) -> Part:
    """Return rows that say what is typical, at most 2,000: validation rows, or where there are none or these are
    compared, training rows, which look more likely than they are.

    Args:
        run: of them.
        held: rows that are compared; others are returned, so that p-values stay valid.
        seed: of their preparation.

    Raises:
        DataError: the run's data cannot be read.
    """
    validates = held is not None and (
        any("validation" in note for note in held.notes) or (held.own is not None and held.own.part == "valid")
    )
    if not validates and len(run.split().valid):
        return some_rows(run.part("valid", seed), HELD_OUT)
    return some_rows(run.part("train", seed), HELD_OUT)


def entropy_of(scorer: RowScorer, typical: Part, offsets: np.ndarray | None) -> float:
    """Return the mean of -log p(x) over rows in nats, with the offsets of their missing entries."""
    log_px = array_of(scorer.rows(typical, "scoring typical rows").nats)
    return -float(with_offsets(log_px, typical.mask, offsets).mean())


def measure_rows(
    scorer: RowScorer,
    names: Sequence[str],
    part: Part,
    held: Part | None,
    typical: Part | None,
    log_px: tuple[np.ndarray, np.ndarray | None],
    offsets: np.ndarray | None,
) -> dict[str, RowMeasure]:
    """Return the measures of rows, by their names.

    Args:
        scorer: of them.
        names: of the measures.
        part: the rows.
        held: other rows that they are compared with.
        typical: rows whose entropy is what is typical.
        log_px: log p(x) with offsets of the rows, and of those that they are compared with: the same object where these
            are each other; None where there are none.
        offsets: of missing entries.
    """
    measures: dict[str, RowMeasure] = {}
    (mine, theirs), own = log_px, log_px[0] is log_px[1]
    for name in names:
        entropy, others = None, None
        if name == "typicality" and typical is not None:
            entropy = entropy_of(scorer, typical, offsets)
            values = np.abs(mine + entropy)
            others = None if theirs is None else np.abs(theirs + entropy)
        else:
            values = scorer.regret(part, "regret of rows")
            if held is not None:
                others = scorer.regret(some_rows(held, REGRET_ROWS), "regret of held-out rows")
        others = values if own else others
        p = None if others is None else p_values(-values, -others, own=own)
        of = None if typical is None or entropy is None else typical.name
        measures[name] = RowMeasure(name, values, p, entropy, of)
    return measures


@dataclass(frozen=True)
class Ordinary:
    """A score of rows by one measure, which is the higher the more ordinary a row is.

    Attributes:
        measure: "log_prob" for log p(x), "typicality" or "regret" for the negative of it.
        offsets: [D] of missing entries, which are added to log p(x) of the observed ones; None adds nothing.
        entropy: the mean of -log p(x) over typical rows, where it is needed.
    """

    measure: str
    offsets: np.ndarray | None = None
    entropy: float | None = None

    @staticmethod
    def of(run: RunData, measure: str, seed: int, holes: bool) -> Ordinary:
        """Return that of a run.

        Args:
            run: of the model.
            measure: by name.
            seed: of all Monte Carlo.
            holes: whether rows may have missing entries.

        Raises:
            CompositionError: the model does not have the measure.
        """
        if measure == "regret":
            checked_measures(run, (measure,))
            return Ordinary(measure)
        scorer = RowScorer.of(run, seed=seed)
        offsets = scorer.offsets_where_known() if holes else None
        if measure == "log_prob":
            return Ordinary(measure, offsets)
        return Ordinary(
            measure, offsets, entropy_of(scorer, typical_rows(run, held_out_rows(run, seed), seed), offsets)
        )

    def scores(self, run: RunData, part: Part, seed: int) -> np.ndarray:
        """Return the scores of rows [N], in nats.

        Raises:
            NotNormalised: the model has no density.
        """
        scorer = RowScorer.of(run, seed=seed)
        if self.measure == "regret":
            return -scorer.regret(part)
        log_px = with_offsets(array_of(scorer.rows(part).nats), part.mask, self.offsets)
        return log_px if self.entropy is None else -np.abs(log_px + self.entropy)

    def held_out(self, run: RunData, seed: int) -> np.ndarray | None:
        """Return the scores of rows that did not train the model [M]; None where none were held out, or can be read."""
        held = held_out_rows(run, seed)
        return None if held is None else self.scores(run, held, seed)


def held_out_rows(run: RunData, seed: int = 0) -> Part | None:
    """Return rows that others are compared with, at most 2,000; None where none were held out, or can be read."""
    try:
        return some_rows(run.part("test", seed), HELD_OUT)
    except (DataError, UsageError):
        return None
