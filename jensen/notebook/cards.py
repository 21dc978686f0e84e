"""The card of a value, by its kind."""

from __future__ import annotations

from ..core.shown import Shown
from ..evaluate import Estimate
from ..recipes import Recipe
from ..runs.evaluation import Evaluation
from ..runs.group import RunGroup
from ..runs.paired import PairedComparison
from ..runs.run import Run
from .card import Card, rendered
from .numbers import of_comparison, of_estimate, of_evaluation, of_recipe
from .runs import of_group, of_run

__all__ = ["as_html"]


def as_html(value: Shown) -> str | None:
    """Return the card of a value as HTML without any script; None of values that are shown as text."""
    card = _card(value)
    return None if card is None else rendered(card)


def _card(value: Shown) -> Card | None:
    match value:
        case Run():
            return of_run(value)
        case RunGroup():
            return of_group(value)
        case Evaluation():
            return of_evaluation(value)
        case Estimate():
            return of_estimate(value)
        case PairedComparison():
            return of_comparison(value)
        case Recipe():
            return of_recipe(value)
        case _:
            return None
