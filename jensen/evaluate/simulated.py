"""Data that the model simulates, with missing entries where rows of the user's have theirs."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.random import drawing_from, stream
from ..models.model import LatentVariableModel

__all__ = ["MASKS", "like_rows", "masks_note", "masks_of", "simulate_like"]

MASKS = "entries are missing from simulated rows as from rows of the data, drawn at random"
DRAWN_MASKS = "entries are missing from simulated rows as the model says"


def masks_note(model: LatentVariableModel) -> str:
    """Return how entries are missing from simulated rows, in words: as the model says, or as from rows of the data."""
    return DRAWN_MASKS if model.likelihood.models_mask else MASKS


def masks_of(like: Rows | None, n: int, seed: int, name: str) -> Tensor | None:
    """Return the numbers [n] of rows, drawn with replacement, whose missing entries simulated rows take over.

    None where nothing is missing, so that complete data are simulated as ever.

    Args:
        like: the user's rows.
        n: rows to simulate.
        seed: of the choice; `name`: of its random stream.
    """
    if like is None or like.mask is None or not len(like):
        return None
    return torch.randint(len(like), (n,), generator=stream(seed, f"masks: {name}", like.device), device=like.device)


def like_rows(
    batch: Batch,
    like: Rows | None,
    index: Tensor | None,
    model: LatentVariableModel | None = None,
    noise: torch.Generator | None = None,
) -> Batch:
    """Return a simulated batch with the missing entries of the rows `index` [B]; hidden values are filled as theirs.

    The guide sees no entry that is hidden, and the likelihood scores none: log p(x) is of the observed entries. Where
    the model says which entries are missing, they are drawn from it; entries of the batch that are missing already are
    those.
    """
    if like is None or like.mask is None or index is None:
        return batch
    mask = like.mask.index_select(0, index) if batch.mask is None else batch.mask
    if batch.mask is None and model is not None and model.likelihood.models_mask:
        with drawing_from(noise):
            mask = torch.as_tensor(model.likelihood.draw_mask(batch.x))
    fill = torch.zeros_like(batch.x) if like.fill is None else like.fill.to(batch.x)
    return Batch(torch.where(mask, batch.x, fill), mask, batch.context, batch.index, batch.n_data)


def simulate_like(
    model: LatentVariableModel,
    n: int,
    noise: torch.Generator,
    like: Rows | None = None,
    index: Tensor | None = None,
) -> tuple[Tensor, Batch]:
    """Simulate latent points z [n, Z] and data with the missing entries of `like`, and then with its contexts too.

    z is an exact sample of p(z | x_observed) of its row: hiding entries at random does not change the pair.

    Args:
        like: the user's rows.
        index: which of them each simulated row is like (see `masks_of`); None leaves them complete.

    Example:
        >>> from jensen.families import Gaussian
        >>> from jensen.models.conditionals import Linear, Unconditional
        >>> model = LatentVariableModel(Unconditional(Gaussian(1)), Linear(1, 2))
        >>> holed = Rows(torch.zeros(1, 2), mask=torch.tensor([[True, False]]))
        >>> simulate_like(model, 3, stream(0, "x"), holed, torch.zeros(3, dtype=torch.long))[1].mask.tolist()
        [[True, False], [True, False], [True, False]]
    """
    context = None
    if index is not None and like is not None and like.context is not None:
        context = like.context.index_select(0, index)
    z, batch = model.simulate(n, noise, context)
    return z, like_rows(batch, like, index, model, noise)
