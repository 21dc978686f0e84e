"""Checks of rows of a mixed table: hidden cells imputed, rows of the model told from data, and near training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ..analysis.hidden_cells import DRAWS, CellScore, hidden_cells, score_cells
from ..analysis.imputation import impute
from ..analysis.row_checks import Distinguished, Nearness, distinguish, nearness
from ..core.characters import as_one_line
from ..core.errors import JensenError
from ..core.rows import evenly_spaced
from ..core.wording import digits, fixed, plural
from ..data.table_values import as_written
from ..evaluate.estimate import ProgressCallback
from ..runs.impute import hide
from .effort import Effort, affordable, work_of
from .facts import Facts, some
from .mixed_rows import MixedRows
from .panels import Section, Table

__all__ = ["imputation_check", "rows_apart"]

SEED = 0
PARTS = 5  # of the observed cells, of which one is hidden at a time
IMPUTING = 2.0e10  # multiplications; see `effort`
MOST_IMPUTED, LEAST_IMPUTED = Effort(500, 200), Effort(100, 100)
MOST_TOLD, FEWEST_TOLD = 2000, 100  # rows of each side that a classifier tells apart
MOST_NEAR, FEWEST_NEAR, DISTANCES = 500, 40, 5.0e8  # rows of each side whose nearest training row is looked for
ERRORS = 3.0  # standard errors from chance that are more than noise


def imputation_check(facts: Facts, rows: MixedRows, numbers: dict[str, Any], watch: ProgressCallback) -> Section:
    """Return the errors of imputed cells of held-out rows that were hidden; empty where the model cannot impute."""
    section, run, part = Section("Cells hidden on purpose"), facts.run, facts.part
    if part is None or rows.training is None or len(rows.columns) < 2:
        return section
    copies = int(np.clip(MOST_IMPUTED.rows // max(len(part.rows), 1), 1, PARTS))
    work = work_of(run.model, run.guide, part.rows)
    effort = affordable(IMPUTING, work, copies * len(part.rows), MOST_IMPUTED, LEAST_IMPUTED)
    index = facts.index(max(effort.rows // copies, 1))
    own = facts.originals(index.cpu().numpy())
    parts = hidden_cells(~np.isnan(own), PARTS, SEED)
    truth, hidden = np.tile(own, (copies, 1)), np.concatenate([parts == i for i in range(copies)])
    holed = hide(part.subset(index.repeat(copies), part.name), hidden, run.preparation)
    try:
        drawn = impute(run.model, run.guide, holed.rows, DRAWS, k=effort.points, seed=SEED, watch=watch)
    except JensenError:  # the likelihood does not factorise, or there is no density
        return section
    draws = as_written(rows.columns, run.preparation.invert(drawn.x))
    scores = [s for s in score_cells(rows.columns, truth, draws, hidden, rows.training) if s is not None]
    if not scores:
        return section
    words = some(len(own), facts.held_out, "held-out row")
    about = {"rows": len(own), "parts": copies, "share": 1 / PARTS, "draws": DRAWS, "k": effort.points, "seed": SEED}
    numbers["hidden_cells"] = about | {"columns": [asdict(s) for s in scores]}
    of_numbers = [s for s in scores if s.measure == "RMSE"]
    of_names = [s for s in scores if s.measure != "RMSE"]
    tables = [table(some_scores) for table, some_scores in ((_numbers, of_numbers), (_names, of_names)) if some_scores]
    tables[-1] = replace(tables[-1], caption=_how(words, copies, effort.points))
    return Section(section.title, (), tuple(tables), tuple(_summary(scores)))


def _summary(scores: Sequence[CellScore]) -> list[str]:
    """Return sentences on all columns of numbers, and on all with levels."""
    of_numbers = [s for s in scores if s.coverage is not None]
    of_levels = [s for s in scores if s.coverage is None]
    sentences = []
    if of_numbers:
        error, simple = (np.mean([getattr(s, name) for s in of_numbers]) for name in ("error", "simple"))
        n = np.array([s.n for s in of_numbers])
        share = float(np.average([s.coverage or 0.0 for s in of_numbers], weights=n))
        stderr = float(np.sqrt(np.square(n * [s.coverage_stderr or 0.0 for s in of_numbers]).sum()) / n.sum())
        sentences.append(
            f"Hidden numbers are imputed with a root mean square error of {error:.2f} standard deviations, on average "
            f"over {plural(len(of_numbers), 'column')}; the mean of each column has {simple:.2f}. Intervals of 90 % "
            f"cover {100 * share:.1f} ± {100 * stderr:.1f} % of them."
        )
    if of_levels:
        error, simple = (np.mean([getattr(s, name) for s in of_levels]) for name in ("error", "simple"))
        sentences.append(
            f"Of hidden names {error:.0%} are imputed wrongly, on average over {plural(len(of_levels), 'column')}; by "
            f"the most frequent name of each column {simple:.0%} would be."
        )
    return [" ".join(sentences)]


def _numbers(scores: Sequence[CellScore]) -> Table:
    """Return the errors of columns of numbers, with the coverage of intervals."""
    head = ("numbers", "hidden cells", "RMSE, s.d.", "±", "expected", "by the mean", "90 % cover", "±")
    cells = (
        (*_error(s), f"{100 * (s.coverage or 0.0):.1f} %", f"{100 * (s.coverage_stderr or 0.0):.1f}") for s in scores
    )
    return Table(head, tuple(cells))


def _names(scores: Sequence[CellScore]) -> Table:
    """Return the share of wrong names of columns with levels."""
    head = ("names", "hidden cells", "wrong", "±", "expected", "by the mode")
    return Table(head, tuple(_error(s) for s in scores))


def _error(s: CellScore) -> tuple[str, ...]:
    values = (s.error, s.stderr, s.expected, s.simple)
    texts = (fixed(v, 2) if s.measure == "RMSE" else f"{100 * v:.1f} %" for v in values)
    return (as_one_line(s.name), f"{s.n:,}", *texts)


def _how(words: str, copies: int, k: int) -> str:
    """Return how cells were hidden and imputed, and how to read their errors."""
    times = "" if copies == 1 else f", in {copies} rounds that hide different ones"
    return (
        f"Of each of {words}, {1 / PARTS:.0%} of the observed cells were hidden at random (seed {SEED}){times}, and "
        f"imputed from the others by {DRAWS} draws from K = {k:,} weighted points: by their mean, with its root mean "
        "square error (RMSE) in standard deviations of the training rows, or by the most frequent name. Expected is "
        "the error that the spread of the draws promises: a calibrated model keeps it, and its intervals cover 90 % "
        "(of ties, in part). An error above that of the column's mean or mode would show a column that the model harms."
    )


def rows_apart(rows: MixedRows, numbers: dict[str, Any], watch: ProgressCallback) -> Section:
    """Return how well rows of the model are told from held-out rows, and how near they are to training rows."""
    title, drawn = "Rows of the model beside held-out rows", rows.drawn
    if drawn is None:
        return Section(title)
    text, tables = [], []
    n = min(len(rows.held_out), MOST_TOLD)
    if n >= FEWEST_TOLD:
        index = evenly_spaced(len(rows.held_out), n).numpy()
        apart = distinguish(rows.columns, rows.held_out[index], drawn[:n], seed=SEED)
        numbers["real_or_drawn"] = asdict(apart) | {"seed": SEED}
        text.append(_told(apart))
    watch(0.6)
    if rows.training is not None and len(rows.held_out) >= FEWEST_NEAR:
        n = int(min(DISTANCES / max(rows.training.size, 1), MOST_NEAR))
        index = evenly_spaced(len(rows.held_out), max(n, FEWEST_NEAR)).numpy()
        near = nearness(rows.columns, drawn[: len(index)], rows.held_out[index], rows.training)
        numbers["nearest_training_row"] = asdict(near)
        text.append(_privacy(near))
        tables.append(_distances(near))
    return Section(title, (), tuple(tables), tuple(text))


def _told(apart: Distinguished) -> str:
    """Return the result of the two-sample test in words."""
    places = max(digits(apart.stderr), 2)
    number = f"{fixed(apart.auc, places)} ± {fixed(apart.stderr, places)}"
    if abs(apart.auc - 0.5) <= ERRORS * apart.stderr:
        verdict = "so that it cannot tell them apart"
    else:
        verdict = "where 0.5 would be chance and 1 would tell all of them apart"
    named = ", ".join(f"{as_one_line(name)} ({loss:.2f})" for name, loss in apart.columns)
    is_told = bool(named) and apart.auc > 0.5 + ERRORS * apart.stderr
    columns = f" Most is lost when they are given other values of {named}." if is_told else ""
    return (
        f"Real or drawn? Gradient-boosted trees, fitted to four fifths of {apart.n:,} held-out rows and as many rows "
        f"of the model, rank the others with an AUC of {number}, {verdict} (five folds, seed {SEED}; with more rows "
        f"trees tell more).{columns}"
    )


def _privacy(near: Nearness) -> str:
    """Return whether rows of the model are nearer to training rows than rows that were not trained on."""
    places = max(digits(near.stderr), 2)
    number = f"{fixed(near.nearer, places)} ± {fixed(near.stderr, places)}"
    if near.nearer > 0.5 + ERRORS * near.stderr:
        verdict = "so they are nearer to the training rows than new rows of the data are"
    elif near.nearer < 0.5 - ERRORS * near.stderr:
        verdict = "so they keep further from the training rows than new rows of the data do"
    else:
        verdict = "so they are as far from the training rows as new rows of the data are"
    return (
        f"Copies? A row of the model is nearer to its nearest training row than a held-out row is to its own with "
        f"probability {number}, {verdict}."
    )


def _distances(near: Nearness) -> Table:
    rows = (
        ("median", f"{near.drawn:.3f}", f"{near.held_out:.3f}"),
        ("nearest 5 %", f"{near.drawn_low:.3f}", f"{near.held_out_low:.3f}"),
        ("equal to one", f"{near.drawn_copies:.1%}", f"{near.held_out_copies:.1%}"),
    )
    caption = (
        f"Distance to the nearest of {near.n_training:,} training rows, of {near.n:,} rows of the model and "
        f"{near.n_held_out:,} held-out rows: the mean over columns, from 0 to 1, of the share of training rows between "
        "two numbers, and of 1 for names that differ (Gower, 1971). Much smaller numbers for rows of the model, or "
        "copies where held-out rows have none, would show rows that give away training data."
    )
    return Table(("to the nearest training row", "model", "held out"), rows, (), caption)
