"""The quantity that a number is of: log p(x), log p(x | label), or log p(x_o, s), of what is missing too."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EVIDENCE", "Quantity"]


@dataclass(frozen=True)
class Quantity:
    """The logarithm of a density or mass of x, given nothing or one condition.

    Attributes:
        condition: "label" of a model that is conditional on labels, "batch" on batches, the names of several labels;
            None of log p(x).
        of_pattern: True if it is of the observed entries x_o and of s, which entries these are, together: another
            quantity than log p(x_o), to which it cannot be compared.

    Example:
        >>> str(Quantity()), str(Quantity("label")), str(Quantity(of_pattern=True))
        ('log p(x)', 'log p(x | label)', 'log p(x_o, s)')
    """

    condition: str | None = None
    of_pattern: bool = False

    def __str__(self) -> str:
        of = "x_o, s" if self.of_pattern else "x"
        return f"log p({of})" if self.condition is None else f"log p({of} | {self.condition})"


EVIDENCE = Quantity()
