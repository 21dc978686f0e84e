"""The oddest rows of a run: the held-out rows that are least likely, and the entries that make them so."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..core.characters import as_one_line
from ..core.errors import JensenError
from ..core.wording import fixed, plural
from ..data import UNKNOWN
from ..evaluate.exact import number_of_states
from ..plot.images import originals
from ..plot.shades import Shades, columns
from ..runs.evaluation import OwnRows
from ..runs.score import RowScores, Unlikely
from .effort import Effort, affordable, work_of
from .facts import Facts, some
from .grids import blocks
from .panels import Panel, Section, Table
from .summary import sign

__all__ = ["oddest_images", "oddest_rows"]

TITLE = "The oddest rows, and why"
SCORING = 1.0e10  # multiplications; see `effort`
MOST, LEAST = Effort(300, 500), Effort(50, 20)
FORMS, WIDEST_FORM = 5.0e8, 64  # rows times columns to the fourth, and columns, of closed forms
ROWS, IMAGES = 5, 10
ENTRIES, SURE, UNUSUAL = 3, 2, 0.1  # entries of a row at most; the first two always, the third below this p-value


def oddest_rows(facts: Facts, numbers: dict[str, Any]) -> Section:
    """Return the least likely held-out rows of a table, each with its least likely entries given the others.

    Empty where rows may not be shown or have no log p(x), and in a quick report.
    """
    scored = _scored(facts, images=False)
    if scored is None:
        return Section(TITLE)
    scores = scored[0]
    least = scores.least_likely(ROWS)
    why = {row: _entries(scores, row) for row in least}
    numbers["oddest"] = [_record(scores, row) | {"entries": [asdict(e) for e in why[row]]} for row in least]
    has_why = scores.columns is not None
    head = ("row", f"{facts.log_px} {sign(scores.estimate.kind)}", "p-value", *(("least likely entries",) * has_why))
    cells = tuple(
        (_place(scores, row), _nats(scores, row), _p(scores, row), *((_listed(why[row]),) * has_why)) for row in least
    )
    words = (3,) if has_why else ()
    return Section(
        TITLE, (), (Table(head, cells, words, _how(facts, scores)),), (_finding(facts, scores, least[0], why),)
    )


def _scored(facts: Facts, images: bool) -> tuple[RowScores, np.ndarray] | None:
    """Return the scores of a few hundred held-out rows, evenly spaced, and the numbers of these in the part."""
    run, part = facts.run, facts.part
    if part is None or not facts.examples or facts.quick or not facts.normalised or not len(part.rows):
        return None
    effort = affordable(SCORING, work_of(run.model, run.guide, part.rows), len(part.rows), MOST, LEAST)
    by_form, size = run.guide.is_exact and number_of_states(run.model) is None, run.schema.size
    if by_form:  # each entry is the difference of two evidences, with a matrix of their own for each row
        effort = replace(effort, rows=min(effort.rows, max(int(FORMS / size**4), LEAST.rows)))
    has_columns = False if images or (by_form and size > WIDEST_FORM) else None
    index = facts.index(effort.rows)
    rows, numbers = part.subset(index, some(len(index), facts.held_out, "held-out row")), index.cpu().numpy()
    rows = replace(rows, own=OwnRows("test", numbers))  # so that they are compared with each other, and with no others
    try:
        scores = run.score(rows, k=effort.points, columns=has_columns)
    except JensenError:  # a row whose log p(x) is not finite, which the findings say
        return None
    return scores, numbers


def _entries(scores: RowScores, row: int) -> list[Unlikely]:
    """Return the two or three entries that make a row unlikely."""
    if scores.columns is None:
        return []
    first = scores.why(row)[:ENTRIES]
    return [e for i, e in enumerate(first) if i < SURE or e.p_value is None or e.p_value <= UNUSUAL]


def _listed(entries: list[Unlikely]) -> str:
    return "; ".join(f"{_entry(e)}{'' if e.p_value is None else f' (p = {e.p_value:.2g})'}" for e in entries)


def _entry(entry: Unlikely) -> str:
    return as_one_line(f"{entry.column} = {entry.value}")


def _place(scores: RowScores, row: int) -> str:
    """Return the number or the file of a row, and what else it is found by."""
    by = scores.found_by(row)
    return as_one_line(scores.place(row) + ("" if by is None else f" ({by})"))


def _nats(scores: RowScores, row: int) -> str:
    return fixed(float(scores.log_px[row]), 1)


def _p(scores: RowScores, row: int) -> str:
    return "" if scores.p_value is None else f"{scores.p_value[row]:.2g}"


def _record(scores: RowScores, row: int) -> dict[str, Any]:
    """Return a row as JSON."""
    p = None if scores.p_value is None else float(scores.p_value[row])
    return {"row": scores.place(row), "log_px": float(scores.log_px[row]), "p_value": p}


def _finding(facts: Facts, scores: RowScores, row: int, why: dict[int, list[Unlikely]]) -> str:
    """Return which row is the least likely, and by which entries."""
    value = f"{sign(scores.estimate.kind)} {_nats(scores, row)} nats"
    where = _place(scores, row)
    entries = [_entry(e) for e in why[row]]
    because = ""
    if entries:
        because = f"; given its other entries, least likely {'is' if len(entries) == 1 else 'are'} "
        because += entries[0] if len(entries) == 1 else f"{', '.join(entries[:-1])} and {entries[-1]}"
    return f"{where[:1].upper()}{where[1:]} is the least likely of {scores.data}: {facts.log_px} {value}{because}."


def _how(facts: Facts, scores: RowScores) -> str:
    """Return how rows were scored, and how to read their p-values."""
    k, n = scores.estimate.k, len(scores.log_px)
    by = f"{scores.estimate.kind}{'' if k is None else f', K = {k:,}'}"
    parts = [f"The {min(ROWS, n)} least likely of {scores.data}, in nats per datum ({by})."]
    if scores.compared is not None:
        parts.append("Rows with missing cells are compared with others by the mean that such a cell adds.")
    if scores.p_value is not None:
        parts.append(
            f"A p-value is the share of these rows that are as unlikely: some row has to be the last of {n:,}, so that "
            "a small one alone is no error in the data."
        )
    if scores.columns is not None:
        parts.append(
            "Entries are as written in the data. Each is judged by log p of it given the others of its row; its p is "
            "the share of rows whose own entry in that column is as unlikely. An entry that cannot be true would show "
            "an error in the data; several rows of one kind, a group that the model has not learned."
        )
    command = f" jensen score scores all {facts.held_out:,}." if n < facts.held_out else ""
    return f"{' '.join(parts)}{command}"


def oddest_images(facts: Facts, shades: Shades, numbers: dict[str, Any]) -> Section:
    """Return the least likely held-out images above their reconstructions, with log p(x) of each.

    Empty where images may not be shown or have no log p(x), and in a quick report.
    """
    title = "The oddest images"
    scored = _scored(facts, images=True)
    if scored is None or facts.part is None:
        return Section(title)
    scores, index = scored
    least = scores.least_likely(columns(shades.shape, IMAGES))
    numbers["oddest"] = [_record(scores, row) for row in least]
    shown = index[least]
    content, below = [originals(facts, shown, shades)], ""
    if facts.latent != "none" and facts.run.guide.infers:
        rows = facts.part.rows.subset(torch.as_tensor(shown).to(facts.run.device))
        content.append(shades(facts.run.shaped(latents.reconstruct(facts.run.model, facts.run.guide, rows))))
        below = " Below each, its reconstruction (the mean of p(x|z) at the mean of q(z|x))."
    values = f"{facts.log_px} from {_nats(scores, least[0])} to {_nats(scores, least[-1])} nats"
    alt = f"The {plural(len(least), 'least likely image')}, {values}."
    key = tuple((str(i + 1), _told(facts, scores, row)) for i, row in enumerate(least))
    k = scores.estimate.k
    by = f"{scores.estimate.kind}{'' if k is None else f', K = {k:,}'}"
    caption = (
        f"The {len(least)} least likely of {scores.data}, the least likely first: {values} per datum ({by}).{below} "
        "Wrong, damaged or rare images should be here. log p(x) also falls with the number of strokes and edges: "
        "images that are merely busy say little, and odd but plain ones may be missing."
    )
    return Section(title, (Panel(blocks(content, alt), caption, tiles=True, key=key),))


def _told(facts: Facts, scores: RowScores, row: int) -> str:
    """Return the place of an image, its class, log p(x) and p-value."""
    names, labels = facts.run.schema.classes, scores.part.labels
    number = UNKNOWN if labels is None else int(labels[row])
    name = names[number] if names is not None and 0 <= number < len(names) else str(number)
    of = "" if number == UNKNOWN else f" (class {name})"
    p = "" if scores.p_value is None else f", p = {_p(scores, row)}"
    return as_one_line(f"{scores.place(row)}{of}: log p {_nats(scores, row)}{p}")
