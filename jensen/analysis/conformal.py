"""Conformal p-values: how many rows that did not train the model are as unlikely as this one, also with holes."""

from __future__ import annotations

import numpy as np

__all__ = ["hole_offsets", "p_values", "with_offsets"]


def p_values(scores: np.ndarray, held_out: np.ndarray, *, own: bool = False) -> np.ndarray:
    r"""Return the conformal p-value of each score against those of M held-out rows.

    .. math:: p = \frac{1 + \#\{i : s_i \le s\}}{1 + M}

    If the row and the held-out rows are exchangeable, P(p <= a) <= a for every a, whatever the model: among rows of the
    same kind, one in twenty has a p-value below 0.05.

    Args:
        scores: [N] or [N, D], such as log p(x); NaN where there is none.
        held_out: [M] or [M, D], of rows that did not train the model; NaN is left out.
        own: whether the scores are among those of the held-out rows, so that each is compared with the M - 1 others.

    Returns:
        p-values of the shape of `scores`; NaN where a score, or all of the held-out rows' scores, are NaN.

    Source: Vovk, Gammerman & Shafer, "Algorithmic learning in a random world", 2005; Laxhammar & Falkman, "Conformal
    prediction for distribution-independent anomaly detection", 2010.

    Example:
        >>> p_values(np.array([0.5, -9.0]), np.array([0.0, 1.0, 2.0, 3.0])).tolist()
        [0.4, 0.2]
    """
    if scores.ndim == 2:
        columns = [p_values(s, h, own=own) for s, h in zip(scores.T, held_out.T, strict=True)]
        return np.stack(columns, -1) if columns else np.empty(scores.shape)
    ordered = np.sort(held_out[~np.isnan(held_out)])
    if not len(ordered):
        return np.full(len(scores), np.nan)
    itself = 0 if own else 1
    p = (itself + np.searchsorted(ordered, scores, side="right")) / (itself + len(ordered))
    return np.where(np.isnan(scores), np.nan, p)


def hole_offsets(given_others: np.ndarray) -> np.ndarray:
    r"""Return what stands for a missing entry of each column [D], so that rows with and without it can be compared.

    It is the mean of :math:`\log p(x_d \mid x_{-d})` over rows in which x_d is observed: what its entry would add to
    log p(x) on average. It must come from rows that are not compared, so that p-values stay valid.

    Args:
        given_others: [M, D] of rows that are not compared; NaN where an entry is missing.

    Returns:
        offsets [D] in nats; 0 for a column that is observed in none of these rows.

    Example:
        >>> hole_offsets(np.array([[-1.0, np.nan], [-3.0, np.nan]])).tolist()
        [-2.0, 0.0]
    """
    known = np.isfinite(given_others)
    return np.where(known, given_others, 0.0).sum(0) / np.maximum(known.sum(0), 1)


def with_offsets(log_px: np.ndarray, seen: np.ndarray | None, offsets: np.ndarray | None) -> np.ndarray:
    """Return log p of the observed entries [N] plus the offsets of those that are missing.

    Args:
        log_px: [N] log p of the observed entries.
        seen: [N, D], True where observed; None where everything is.
        offsets: [D]; see `hole_offsets`. None adds nothing.

    Example:
        >>> seen = np.array([[True, True], [True, False]])
        >>> with_offsets(np.array([-5.0, -4.0]), seen, np.array([-2.0, -1.5])).tolist()
        [-5.0, -5.5]
    """
    return log_px if seen is None or offsets is None else log_px + (~seen) @ offsets
