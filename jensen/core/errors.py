"""One tree of errors: each states what happened, and names the remedy.

Every error that a user can cause is a `JensenError`. It carries an exit code for the command line, and doubles as the
built-in exception a Python caller would expect (`ValueError`, `TypeError`, ...), so that `except ValueError` works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "CompositionError",
    "CorruptRunError",
    "DataError",
    "InterruptedRun",
    "JensenError",
    "LostProcess",
    "NoExactPosterior",
    "NotEnumerable",
    "NotInvertible",
    "NotNormalised",
    "NotReparameterizable",
    "NumericalError",
    "RunExistsError",
    "UsageError",
]


class JensenError(Exception):
    """The base of all errors: a message with its remedy.

    Args:
        what: what happened and where, in one sentence without a full stop.
        remedy: what to type or change next.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


class UsageError(JensenError, ValueError):
    """An option or an argument has a value that is not allowed (exit code 2)."""

    exit_code = 2


class RunExistsError(UsageError, FileExistsError):
    """The output exists and would be overwritten (exit code 2)."""


class DataError(JensenError, ValueError):
    """The data cannot be read, or do not fit their use (exit code 3)."""

    exit_code = 3


class CorruptRunError(JensenError, ValueError):
    """A run folder, its specification or its weights are damaged or do not belong together (exit code 4)."""

    exit_code = 4


class NumericalError(JensenError, ArithmeticError):
    """A number that must be finite is not (exit code 5)."""

    exit_code = 5


class InterruptedRun(JensenError):
    """Training was stopped by a signal; the run is readable (exit code 75).

    Args:
        what, remedy: see `JensenError`.
        reopen: returns what was trained so far, a run or a group of them; None where that is of no use.
    """

    exit_code = 75

    def __init__(self, what: str, remedy: str = "", reopen: Callable[[], Any] | None = None) -> None:
        super().__init__(what, remedy)
        self.reopen = reopen


class LostProcess(JensenError):
    """Another of several processes that work together has ended, or does not answer (exit code 1)."""


class CompositionError(UsageError, TypeError):
    """These parts do not go together; raised before the training loop starts (exit code 2)."""


class NoExactPosterior(CompositionError):
    """No closed form of p(z | x) is registered for this prior and likelihood."""


class NotReparameterizable(CompositionError):
    """The guide's samples carry no pathwise gradient."""


class NotEnumerable(CompositionError):
    """The latent space is not finite."""


class NotInvertible(CompositionError):
    """A map without a cheap inverse was asked for the density of a point that it did not produce."""


class NotNormalised(CompositionError):
    """A distribution without a density (such as a point mass over a continuous space) was asked for one."""
