"""Findings about a mixed table, from the measures of its sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.characters import as_one_line
from ..core.wording import plural
from .findings import Remark

__all__ = ["table_findings"]

ERRORS = 3.0  # standard errors
TIMES = 3.0  # the distance of halves of the data: a column further away was not learned
TOLD = 0.75  # AUC above which rows of the model are told from data
COVERED = 0.8  # share within intervals of 90 %, below which they are too narrow
COPY = 0.5  # of the distance of held-out rows to the training rows
NAMED = 5


def table_findings(numbers: Mapping[str, Any]) -> list[Remark]:
    """Return what the measures of a mixed table have to say; nothing of other data.

    Args:
        numbers: of the page, by section.
    """
    checks = (_copies, _columns, _rows, _intervals)
    return [remark for check in checks for remark in check(numbers)]


def _copies(numbers: Mapping[str, Any]) -> Iterator[Remark]:
    near = numbers.get("nearest_training_row") or {}
    if "drawn_copies" not in near:
        return
    n = near["n"]
    more = near["drawn_copies"] - near["held_out_copies"]
    is_nearer = near["nearer"] - 0.5 > ERRORS * near["stderr"] and near["drawn"] < COPY * near["held_out"]
    if is_nearer or more > ERRORS / n**0.5:
        text = (
            f"Rows of the model lie {near['drawn']:.3f} from the nearest training row, held-out rows "
            f"{near['held_out']:.3f}; {near['drawn_copies']:.1%} equal one, of held-out rows "
            f"{near['held_out_copies']:.1%}. They may give away training data: train a smaller model, or with more "
            "rows."
        )
        yield Remark("alarm", "rows like those of the training", text)


def _columns(numbers: Mapping[str, Any]) -> Iterator[Remark]:
    compared = [c for c in numbers.get("columns") or () if "distance" in c]
    off = [c for c in compared if c["beyond_noise"] and c["distance"] > TIMES * c["halves"]]
    if off:
        off = sorted(off, key=lambda c: -c["distance"] / max(c["halves"], 1e-9))
        named = ", ".join(as_one_line(c["name"]) for c in off[:NAMED])
        more = f" and {len(off) - NAMED} more" if len(off) > NAMED else ""
        text = (
            f"In {plural(len(off), 'column')} of {len(compared)} the model is more than {TIMES:g} times as far from "
            f"the data as halves of the data are from each other: {named}{more}. Train longer, or a larger model, or "
            "name another family for them in a schema (--schema)."
        )
        yield Remark("note", "columns that differ from the data", text)


def _rows(numbers: Mapping[str, Any]) -> Iterator[Remark]:
    apart = numbers.get("real_or_drawn")
    if apart is not None and apart["auc"] - ERRORS * apart["stderr"] > TOLD:
        text = (
            f"Boosted trees tell rows of the model from held-out rows with an AUC of {apart['auc']:.2f} (0.5 is "
            "chance), so results from drawn rows may differ from those from data. Train longer, or a larger model."
        )
        yield Remark("note", "rows that are told from data", text)


def _intervals(numbers: Mapping[str, Any]) -> Iterator[Remark]:
    scores = [s for s in (numbers.get("hidden_cells") or {}).get("columns", ()) if s["coverage"] is not None]
    n = sum(s["n"] for s in scores)
    if not n:
        return
    share = sum(s["n"] * s["coverage"] for s in scores) / n
    stderr = sum((s["n"] * s["coverage_stderr"]) ** 2 for s in scores) ** 0.5 / n
    if share + ERRORS * stderr < COVERED:
        text = (
            f"Intervals of 90 % cover {share:.0%} of the numbers that were hidden on purpose: imputed values are less "
            "certain than the model says. Over-fitting does this: train a smaller model, or with more rows."
        )
        yield Remark("alarm", "intervals that are too narrow", text)
