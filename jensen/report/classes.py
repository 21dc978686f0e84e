"""Models that learned from labels: samples of each class, and the accuracy on each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..analysis import latents
from ..core.wording import plural
from ..plot.shades import Shades, columns
from ..runs.classify import Classified, confusion
from .facts import Facts
from .grids import blocks
from .panels import Panel, Table

__all__ = ["accuracy_by_class", "samples_by_class"]

MOST = 12  # classes with a row of their own


def _shown(counts: tuple[int, ...]) -> list[int]:
    """Return the most frequent classes, in their order."""
    return sorted(np.argsort(-np.asarray(counts), kind="stable")[:MOST].tolist())


def samples_by_class(facts: Facts, shades: Shades) -> Panel | None:
    """Return a row of samples for each class."""
    run, classes = facts.run, facts.run.classes
    if classes is None:
        return None
    n, chosen, rows = columns(shades.shape), _shown(classes.counts), []
    for c in chosen:
        z, _, context = latents.simulate_classes(facts.drawing, n, facts.stream("classes"), c, len(classes))
        rows.append(shades(run.shaped(latents.decode(run.model, z, context if run.conditional else None))))
    names = ", ".join(classes.names[c] for c in chosen)
    few = f"The {len(chosen)} most frequent of {len(classes)} classes. " if len(chosen) < len(classes) else ""
    return Panel(
        blocks(rows, f"{n} samples of each class, one class to a row: {names}."),
        f"{few}One row for each class, from the top: {names}. The mean of p(x|z) of that class, at z from the prior "
        "with the same noise in every row. Every image should be of the class of its row; what is common to a column "
        "is what the features hold beside the class. Rows that look alike would show a label that is ignored.",
        tiles=True,
    )


def accuracy_by_class(facts: Facts, numbers: dict[str, Any]) -> Table | None:
    """Return the guide's accuracy on each class; None where the class is no latent, or no row has a label."""
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
        mistaken = f"{classes.names[wrong.argmax()]} ({wrong.max()})" if wrong.any() else ""
        rows.append(_row(classes.names[c], classes.counts[c], int(table[c].sum()), int(table[c, c]), mistaken))
    baseline = table.sum(1).max() / table.sum()
    caption = (
        f"Of {facts.part.name}, {plural(classified.n, 'row')} with a label: the share whose most probable class by "
        "q(y|x) is correct, and the most frequent wrong class; the column of labels counts training rows. Predicting "
        f"the most frequent class always would have an accuracy of {baseline:.1%}.".replace("%", " %")
    )
    return Table(("class", "labels", "rows", "accuracy", "±", "most often mistaken for"), tuple(rows), (5,), caption)


def _row(name: str, labels: int, n: int, hits: int, mistaken: str) -> tuple[str, ...]:
    if not n:
        return (name, f"{labels:,}", "0", "", "", mistaken)
    share = Classified(hits / n, n, labels)
    percentages = (f"{value:.1%}".replace("%", " %") for value in (share.accuracy, share.stderr))
    return (name, f"{labels:,}", f"{n:,}", *percentages, mistaken)
