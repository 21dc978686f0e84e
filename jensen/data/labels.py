"""Labels as a model sees them: one of C classes in a one-hot row, or no class at all where nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..core.errors import CorruptRunError, DataError, UsageError
from .dataset import UNKNOWN
from .schema import Schema

__all__ = ["Labels", "Role", "hide_labels"]

Role = Literal["context", "partial"]
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Labels:
    """The classes that a model was trained with.

    Attributes:
        role: "context": the model is conditioned on the class, and every row has one; "partial": the class is a latent
            that is known of some rows.
        values: [C] the numbers of the classes in `Dataset.labels`.
        names: [C] what to call them.
        counts: [C] training rows of each class, of those whose class was known.

    Example:
        >>> labels = Labels.of(np.array([3, 5, 5, -1]), Schema("binary", (2,)), "partial")
        >>> labels.names, labels.counts
        (('3', '5'), (1, 2))
        >>> labels.one_hot(np.array([5, -1]))
        array([[0., 1.],
               [0., 0.]], dtype=float32)
    """

    role: Role
    values: tuple[int, ...]
    names: tuple[str, ...]
    counts: tuple[int, ...]

    @staticmethod
    def of(labels: np.ndarray, schema: Schema, role: Role, train: np.ndarray | None = None) -> Labels:
        """The classes that occur among labels [N], counted in those of the training rows.

        Raises:
            DataError: there are fewer than two classes, or too many to be any.
        """
        known = labels[labels != UNKNOWN]
        values = np.unique(known) if schema.classes is None else np.arange(len(schema.classes))
        if not 2 <= len(values) <= MOST_CLASSES:
            raise DataError(
                f"the labels are of {len(values):,} classes", f"Give labels of 2 to {MOST_CLASSES:,} classes: --labels."
            )
        names = schema.classes or tuple(str(v) for v in values)
        counted = labels if train is None else train
        counts = tuple(int((counted == v).sum()) for v in values)
        return Labels(role, tuple(int(v) for v in values), names, counts)

    def __len__(self) -> int:
        return len(self.values)

    def index(self, labels: np.ndarray, what: str = "the data") -> np.ndarray:
        """The number of each label's class [N], from 0; `UNKNOWN` where it is not known.

        Raises:
            DataError: a label is of no class that was trained on.
        """
        values = np.asarray(self.values)
        place = np.searchsorted(values, labels).clip(0, len(values) - 1)
        strange = (values[place] != labels) & (labels != UNKNOWN)
        if strange.any():
            raise DataError(
                f"the label {labels[strange][0]} of {what} does not occur in the training data",
                f"Its classes are {_few(self.names)}.",
            )
        return np.where(labels == UNKNOWN, UNKNOWN, place)

    def one_hot(self, labels: np.ndarray | None, what: str = "the data") -> np.ndarray:
        """Rows [N, C] of zeros and ones, all zero where the class is not known.

        Raises:
            DataError: the role is that of a context, and a row has no label.
        """
        if self.role == "context" and labels is None:
            raise DataError(
                f"the model is conditioned on labels, and {what} have none",
                "Name them: --labels FILE, or a column or key of DATA.",
            )
        if labels is None:
            raise DataError(f"{what} have no labels", "Name them: --labels FILE, or a column or key of DATA.")
        found = self.index(labels, what)
        if self.role == "context" and (found == UNKNOWN).any():
            row = int(np.flatnonzero(found == UNKNOWN)[0])
            raise DataError(
                f"the model is conditioned on labels, and row {row} of {what} has none",
                "Give its label, drop the row, or train --recipe semi-supervised.",
            )
        return (found[:, None] == np.arange(len(self))).astype(np.float32)

    def find(self, name: str | int) -> int:
        """The number of a class from its name.

        Raises:
            UsageError: there is no such class, or no training row had its label.
        """
        if str(name) not in self.names:
            raise UsageError(f"--label {name} is no class of this run", f"Its classes are {_few(self.names)}.")
        found = self.names.index(str(name))
        if not self.counts[found]:
            seen = tuple(n for n, count in zip(self.names, self.counts, strict=True) if count)
            raise UsageError(f"no training row was labelled {name}", f"The model knows {_few(seen)}.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as they are written to a specification."""
        plain = {"values": list(self.values), "names": list(self.names), "counts": list(self.counts)}
        return {"role": self.role, **plain}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Labels:
        """The inverse of `to_dict`.

        Raises:
            CorruptRunError: an entry is missing or of the wrong type.
        """
        try:
            values, counts = (tuple(int(v) for v in plain[key]) for key in ("values", "counts"))
            names = tuple(str(n) for n in plain["names"])
            if plain["role"] not in get_args(Role) or not len(values) == len(names) == len(counts):
                raise ValueError("the classes do not agree")
            return Labels(plain["role"], values, names, counts)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptRunError(
                f"the record of the labels cannot be read ({error!r})", "The specification is damaged."
            ) from error


def hide_labels(labels: np.ndarray, keep: int, seed: int) -> np.ndarray:
    """The labels [N] with all but `keep` of them unknown, about as many of each class.

    Raises:
        UsageError: there are fewer labels, or classes than could each keep one.

    Example:
        >>> hidden = hide_labels(np.repeat([0, 1], 50), 4, seed=0)
        >>> np.bincount(hidden[hidden >= 0])
        array([2, 2])
    """
    known = np.flatnonzero(labels != UNKNOWN)
    values = np.unique(labels[known])
    if not len(values) <= keep <= len(known):
        raise UsageError(
            f"--labelled {keep} of {len(known)} labelled training rows of {len(values)} classes cannot be kept",
            f"Give a number from {len(values)} to {len(known)}.",
        )
    rng = np.random.default_rng(seed)
    # in turns through the classes: the first of each, then the second of each, ...
    turns = [rng.permutation(np.flatnonzero(labels == v)) for v in values]
    order = sorted((turn, number, row) for number, rows in enumerate(turns) for turn, row in enumerate(rows))
    kept = np.array([row for _, _, row in order[:keep]], dtype=np.int64)
    hidden = np.full_like(labels, UNKNOWN)
    hidden[kept] = labels[kept]
    return hidden


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + (f", ... {len(names)} in all" if len(names) > 12 else "")
