"""Classification: the accuracy, on other rows, of a run that learned from some labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..analysis import latents
from ..data import UNKNOWN, Labels
from .data import RunData
from .evaluation import Part

__all__ = ["Classified", "classified", "confusion"]


@dataclass(frozen=True)
class Classified:
    """The guide's classes against the known ones.

    Attributes:
        accuracy: the share of rows whose most probable class by q(y | x) is the right one.
        n: rows with a label.
        labels: training rows of known class.

    Example:
        >>> str(Classified(0.9, 400, 100))
        'accuracy 90.0 % ± 1.5 % on 400 rows, with 100 labels in training'
        >>> str(Classified(1.0, 6, 51))
        'accuracy 100.0 % ± 12.6 % on 6 rows, with 51 labels in training'
    """

    accuracy: float
    n: int
    labels: int

    @staticmethod
    def of(table: np.ndarray, classes: Labels) -> Classified:
        """Return the accuracy in a confusion matrix [C, C]: rows of each class (down) classified as each (across)."""
        n = int(table.sum())
        return Classified(float(table.trace() / n), n, sum(classes.counts))

    @property
    def stderr(self) -> float:
        """The standard error of the accuracy, as if two more rows were right and two wrong: never 0 for few rows.

        Source: Agresti & Coull, "Approximate is better than exact for interval estimation", 1998.
        """
        share = (self.accuracy * self.n + 2) / (self.n + 4)
        return (share * (1 - share) / (self.n + 4)) ** 0.5

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        return {"accuracy": self.accuracy, "stderr": self.stderr, "n": self.n, "labels_in_training": self.labels}

    def __str__(self) -> str:
        share = f"accuracy {self.accuracy:.1%} ± {self.stderr:.1%} on {self.n:,} rows".replace("%", " %")
        return f"{share}, with {self.labels:,} labels in training"


def classified(run: RunData, part: Part) -> Classified | None:
    """Return the guide's accuracy on these rows; None where the class is no latent, or no row has a label."""
    table, classes = confusion(run, part), run.classes
    return None if table is None or classes is None else Classified.of(table, classes)


def confusion(run: RunData, part: Part) -> np.ndarray | None:
    """Return the number of rows [C, C] of each class (down) whose most probable class by q(y | x) is each (across).

    None where the class is no latent, or no row has a label.
    """
    classes = run.classes
    if classes is None or classes.role != "partial" or part.labels is None:
        return None
    labelled = np.flatnonzero(part.labels != UNKNOWN)
    if not len(labelled):
        return None
    truth = classes.index(part.labels[labelled], part.name)
    codes = latents.encode(run.model, run.guide, part.rows)[:, : len(classes)].argmax(-1).cpu().numpy()
    table = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(table, (truth, codes[labelled]), 1)
    return table
