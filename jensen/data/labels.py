"""Labels as a model sees them: one of C classes as a one-hot row, or zeros if the class is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..core.errors import CorruptRunError, DataError, UsageError
from .label_numbers import UNKNOWN
from .schema import Schema

__all__ = ["Labels", "Role", "hide_labels"]

Role = Literal["context", "partial"]
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Labels:
    """The classes that a model was trained with.

    Attributes:
        role: "context": the model is conditioned on the class, and every row has one; "partial": the class is a latent
            that is known for some rows.
        values: [C], the numbers of the classes in `Dataset.labels`.
        names: [C].
        counts: [C], labelled training rows of each class.
        called: what a class is: a "label", or a "batch" of an experiment.

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
    called: Literal["label", "batch"] = "label"

    @staticmethod
    def of(
        labels: np.ndarray,
        schema: Schema,
        role: Role,
        train: np.ndarray | None = None,
        called: Literal["label", "batch"] = "label",
    ) -> Labels:
        """Return the classes of labels [N], counted in those of the training rows.

        Raises:
            DataError: there are fewer than two classes, or too many.
        """
        present = labels[labels != UNKNOWN]
        values = np.unique(present) if schema.classes is None else np.arange(len(schema.classes))
        if not 2 <= len(values) <= MOST_CLASSES:
            raise _number_of_classes(len(values), called)
        names = schema.classes or tuple(str(v) for v in values)
        training_labels = labels if train is None else train
        counts = tuple(int((training_labels == v).sum()) for v in values)
        return Labels(role, tuple(int(v) for v in values), names, counts, called)

    def __len__(self) -> int:
        return len(self.values)

    def index(self, labels: np.ndarray, what: str = "the data") -> np.ndarray:
        """Return the number of each label's class [N], from 0, or `UNKNOWN`.

        Raises:
            DataError: a label does not occur in the training data.
        """
        values = np.asarray(self.values)
        position = np.searchsorted(values, labels).clip(0, len(values) - 1)
        is_new = (values[position] != labels) & (labels != UNKNOWN)
        if is_new.any():
            raise DataError(
                f"the {self.called} {labels[is_new][0]} of {what} does not occur in the training data",
                f"{'Its classes' if self.called == 'label' else 'The batches'} are {_first(self.names)}.",
            )
        return np.where(labels == UNKNOWN, UNKNOWN, position)

    def one_hot(
        self, labels: np.ndarray | None, what: str = "the data", numbers: np.ndarray | None = None
    ) -> np.ndarray:
        """Return one-hot rows [N, C], all zero where the class is unknown.

        Args:
            labels: [N].
            what: names the rows.
            numbers: [N] of the rows in their file, from 0; by default those of a whole file.

        Raises:
            DataError: there are no labels, or the role is "context" and a row has none.
        """
        if self.role == "context" and labels is None:
            raise DataError(f"the model is conditioned on {self._many}, and {what} have none", self._how_named)
        if labels is None:
            raise DataError(f"{what} have no labels", "Name them: --labels FILE, or a column or key of DATA.")
        index = self.index(labels, what)
        if self.role == "context" and (index == UNKNOWN).any():
            rows = np.flatnonzero(index == UNKNOWN)
            row = int((rows if numbers is None else numbers[rows]).min())
            raise DataError(
                f"the model is conditioned on {self._many}, and row {row} of {what} has none (rows from 0)",
                "Give its label, drop the row, or train --recipe semi-supervised."
                if self.called == "label"
                else "Give its batch, or drop the row.",
            )
        return (index[:, None] == np.arange(len(self))).astype(np.float32)

    def find(self, name: str | int) -> int:
        """Return the number of a class from its name.

        Raises:
            UsageError: there is no such class, or no training row had its label.
        """
        if str(name) not in self.names:
            what = "--label must be a class" if self.called == "label" else "a batch must be one"
            raise UsageError(f"{what} of this run, got {name}", f"Choose from {_first(self.names)}.")
        number = self.names.index(str(name))
        if not self.counts[number]:
            what = f"no training row was {'labelled' if self.called == 'label' else 'of batch'} {name}"
            raise UsageError(what, f"The model knows {_first(self.trained)}.")
        return number

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of the classes that training rows had."""
        return tuple(name for name, count in zip(self.names, self.counts, strict=True) if count)

    @property
    def _many(self) -> str:
        return "labels" if self.called == "label" else "batches"

    @property
    def _how_named(self) -> str:
        """The remedy for rows without them."""
        if self.called == "label":
            return "Name them: --labels FILE, or a column or key of DATA."
        return "Give data with the column of batches that the run was trained with; or name another: --labels COLUMN."

    def to_dict(self) -> dict[str, Any]:
        """Return the classes as JSON-serialisable values, for a specification."""
        plain = {"values": list(self.values), "names": list(self.names), "counts": list(self.counts)}
        called = {} if self.called == "label" else {"called": self.called}
        return {"role": self.role, **plain, **called}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Labels:
        """Return the classes from the result of `to_dict`.

        Raises:
            CorruptRunError: an entry is missing or of the wrong type.
        """
        try:
            values, counts = (tuple(int(v) for v in plain[key]) for key in ("values", "counts"))
            names = tuple(str(n) for n in plain["names"])
            if plain["role"] not in get_args(Role) or not len(values) == len(names) == len(counts):
                raise ValueError("the classes do not agree")
            return Labels(plain["role"], values, names, counts, plain.get("called", "label"))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptRunError(
                f"the record of the labels cannot be read ({error!r})", "The specification is damaged."
            ) from error


def hide_labels(labels: np.ndarray, keep: int, seed: int) -> np.ndarray:
    """Return labels [N] with all but `keep` of them unknown, about as many of each class.

    Raises:
        UsageError: there are fewer labels, or more classes than labels to keep.

    Example:
        >>> hidden = hide_labels(np.repeat([0, 1], 50), 4, seed=0)
        >>> np.bincount(hidden[hidden >= 0])
        array([2, 2])
    """
    labelled = np.flatnonzero(labels != UNKNOWN)
    values = np.unique(labels[labelled])
    if not len(values) <= keep <= len(labelled):
        raise UsageError(
            f"--labelled must be from the number of classes, {len(values)}, to that of labelled training rows,"
            f" {len(labelled)}, got {keep}",
            f"Give a number from {len(values)} to {len(labelled)}.",
        )
    rng = np.random.default_rng(seed)
    # round-robin over the classes: the first row of each, then the second of each, ...
    shuffled = [rng.permutation(np.flatnonzero(labels == v)) for v in values]
    order = sorted((turn, number, row) for number, rows in enumerate(shuffled) for turn, row in enumerate(rows))
    kept = np.array([row for _, _, row in order[:keep]], dtype=np.int64)
    hidden = np.full_like(labels, UNKNOWN)
    hidden[kept] = labels[kept]
    return hidden


def _first(names: tuple[str, ...]) -> str:
    """Return the first names, and their number if there are more."""
    return ", ".join(names[:12]) + (f", ... {len(names)} in all" if len(names) > 12 else "")


def _number_of_classes(n: int, called: Literal["label", "batch"]) -> DataError:
    """Return the error of a number of classes, or of batches, that is too small or too large."""
    if called == "batch":
        few = "all rows are of a single batch, which tells none apart" if n else "no row has a batch"
        many = f"there must be at most {MOST_CLASSES:,} batches, got {n:,}"
        remedy = f"Name a column of 2 to {MOST_CLASSES:,} batches: --batch-key COLUMN; or leave --batch-key out."
    else:
        few = "all labels are of a single class, which tells no rows apart" if n else "no row has a label"
        many = f"labels must have at most {MOST_CLASSES:,} classes, got {n:,}"
        remedy = f"Give labels of 2 to {MOST_CLASSES:,} classes: --labels; or use a recipe without labels, such as vae."
    return DataError(many if n > MOST_CLASSES else few, remedy)
