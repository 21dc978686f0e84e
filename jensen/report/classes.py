"""Models that learned from labels: what they make of each class, and how often they are right about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..analysis import latents
from ..runs.classify import Classified, confusion
from .facts import Facts
from .grids import Shades, columns, sheet
from .panels import Panel, Table
from .words import count

__all__ = ["by_class", "right"]

MOST = 12  # classes with a row of their own


def _shown(counts: tuple[int, ...]) -> list[int]:
    """Return the most frequent classes, in their order."""
    return sorted(np.argsort(-np.asarray(counts), kind="stable")[:MOST].tolist())


def by_class(facts: Facts, shades: Shades) -> Panel | None:
    """Return a row of samples for each class."""
    run, classes = facts.run, facts.run.classes
    if classes is None:
        return None
    n, chosen, rows = columns(shades.shape), _shown(classes.counts), []
    for c in chosen:
        z, _, known = latents.simulate_classes(run.model, n, facts.stream("classes"), c, len(classes))
        rows.append(shades(run.shaped(latents.decode(run.model, z, known if run.conditional else None))))
    names = ", ".join(classes.names[c] for c in chosen)
    few = f"The {len(chosen)} most frequent of {len(classes)} classes. " if len(chosen) < len(classes) else ""
    return Panel(
        (sheet(rows, f"{n} samples of each class, one class to a row: {names}."),),
        f"{few}One row for each class, from the top: {names}. The mean of p(x|z) of that class, at z from the prior by "
        "the same noise in every row. Every image should be of the class of its row; what a column has in common is "
        "what the features hold beside the class. Rows that look alike would show a label that is ignored.",
    )


def right(facts: Facts, numbers: dict[str, Any]) -> Table | None:
    """Return a table of the guide's accuracy on each class; None where the class is no latent or no label is known."""
    classes = facts.run.classes
    table = None if facts.part is None else confusion(facts.run, facts.part)
    if facts.part is None or classes is None or table is None:
        return None
    classified = Classified.of(table, classes)
    numbers["classified"] = {**classified.to_dict(), "confusion": table.tolist()}
    rows = [_row("all", sum(classes.counts), int(table.sum()), int(table.trace()), "")]
    for c in _shown(classes.counts):
        wrong = table[c].copy()
        wrong[c] = 0
        most = f"{classes.names[wrong.argmax()]} ({wrong.max()})" if wrong.any() else ""
        rows.append(_row(classes.names[c], classes.counts[c], int(table[c].sum()), int(table[c, c]), most))
    usual = table.sum(1).max() / table.sum()
    caption = (
        f"Of {facts.part.name}, {count(classified.n, 'row')} with a label: the share whose most probable class by "
        "q(y|x) is the right one, and the most frequent wrong one; the column of labels counts training rows. Always "
        f"predicting the most frequent class would be right in {usual:.1%}.".replace("%", " %")
    )
    return Table(("class", "labels", "rows", "right", "±", "or taken for"), tuple(rows), (5,), caption)


def _row(name: str, labels: int, n: int, hits: int, taken: str) -> tuple[str, ...]:
    if not n:
        return (name, f"{labels:,}", "0", "", "", taken)
    share = Classified(hits / n, n, labels)
    percentages = (f"{value:.1%}".replace("%", " %") for value in (share.accuracy, share.stderr))
    return (name, f"{labels:,}", f"{n:,}", *percentages, taken)
