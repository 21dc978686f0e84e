"""The quantity that a number is of: log p(x), or log p(x | label)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EVIDENCE", "Quantity"]


@dataclass(frozen=True)
class Quantity:
    """The logarithm of a density or mass of x, given nothing or one condition.

    Attributes:
        condition: "label" of a model that is conditional on labels; None of log p(x).

    Example:
        >>> str(Quantity()), str(Quantity("label"))
        ('log p(x)', 'log p(x | label)')
    """

    condition: str | None = None

    def __str__(self) -> str:
        return "log p(x)" if self.condition is None else f"log p(x | {self.condition})"


EVIDENCE = Quantity()
