"""Missing entries of a run's data, and draws of them, in the data's own units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..analysis.imputation import Imputation
from ..data import Preparation, Schema
from .evaluation import Part

__all__ = ["Completion", "complete", "hide"]


@dataclass(frozen=True)
class Completion:
    """m imputations of each datum, equal where it is observed.

    Attributes:
        x: [m, N, D] in the data's own units and type: observed entries are bit-identical to the data.
        mean: [N, D] float64, E[x | x_observed]; not rounded where the data are integers or bits.
        mask: [N, D], True where observed.
        truth: [N, D], the data with the entries that were hidden, NaN where missing; None where none were hidden.
        drawn: the draws in the model's space, with their diagnostics.
        data: the name of the rows.
        notes: for the user.
    """

    x: np.ndarray
    mean: np.ndarray
    mask: np.ndarray
    truth: np.ndarray | None
    drawn: Imputation
    data: str
    notes: tuple[str, ...] = ()

    @property
    def rmse(self) -> float | None:
        """The root mean square difference between the mean and the hidden entries, where these are known."""
        if self.truth is None:
            return None
        errors = (self.mean - self.truth)[~self.mask]
        return float(np.sqrt(np.mean(errors[~np.isnan(errors)] ** 2)))


def hide(part: Part, hidden: np.ndarray, preparation: Preparation) -> Part:
    """Return the rows with more entries missing: those where `hidden` [N, D] or [D] is True.

    They are remembered as observed: a model of which entries are observed does not take them for missing ones.
    """
    observed = np.broadcast_to(True if part.mask is None else part.mask, part.x.shape)
    mask, own = observed & ~hidden, torch.from_numpy(observed & hidden).to(part.rows.device)
    own = own if part.rows.hidden is None else own | part.rows.hidden
    rows = replace(preparation.masked(part.rows, mask), hidden=own if bool(own.any()) else None)
    return replace(part, mask=mask, rows=rows)


def complete(part: Part, drawn: Imputation, original: Part, schema: Schema, preparation: Preparation) -> Completion:
    """Return draws in the data's own units.

    Dequantised integers are rounded down again, since the model is of x + u with u in [0, 1), and 1/2 is subtracted
    from their mean; bits of binarised data stand for the ends of the range.

    Args:
        part: the rows, with a mask.
        drawn: the draws for them.
        original: the rows before anything was hidden.
        schema: of the data.
        preparation: of the run.
    """
    mask = np.ones(part.x.shape, dtype=bool) if part.mask is None else part.mask
    x = _own_units(drawn.x, schema, preparation)
    mean = _own_units(drawn.mean, schema, preparation)
    top = (schema.levels or 2) - 1
    if schema.kind != "real":
        x = np.clip(np.floor(x) if preparation.dequantize else np.rint(x), 0, top)
        mean = np.clip(mean - (0.5 if preparation.dequantize else 0.0), 0, top)
    own = part.x[:]
    x = np.where(mask, own, x.astype(own.dtype))
    truth = None
    if not (mask if original.mask is None else mask | ~original.mask).all():
        truth = np.where(True if original.mask is None else original.mask, original.x[:], np.nan)
    notes = list(part.notes)
    if preparation.binarize is not None:
        notes.append(f"the run models bits: imputed values are 0 or {top}, and observed ones may lie between")
    if drawn.warning is not None:
        notes.append(drawn.warning)
    return Completion(
        x=x,
        mean=np.where(mask, own, mean),
        mask=mask,
        truth=truth,
        drawn=drawn,
        data=part.name,
        notes=tuple(notes),
    )


def _own_units(x: Tensor, schema: Schema, preparation: Preparation) -> np.ndarray:
    bits = preparation.binarize is not None and schema.kind == "integers"
    return preparation.invert(x).astype(np.float64) * ((schema.levels or 2) - 1 if bits else 1)
