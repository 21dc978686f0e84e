"""Memorisation of the training set: distances of samples to their nearest training rows."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.rows import evenly_spaced
from .examination import Examination
from .findings import Finding, Outcome
from .two_sample import nearer

__all__ = ["memorised", "nearest_rows"]

SAMPLES = 400
FEWEST = 40  # rows of each part below which a rank test has no power
MOST_TRAINED = 60_000
LEVEL = 1e-3
COPY = 0.5  # ratio of typical relative distances, of samples and unseen rows; chance and smoothness do not explain it
CHUNK = 2048


def nearest_rows(
    x: Tensor, rows: Rows, index: Tensor, own: Tensor | None = None, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the distance [M] from each x [M, D] to the nearest of some rows, and the number of that row.

    Where entries are missing, the distance is that of the entries observed on both sides, scaled up to all of them:
    infinite where there are none.

    Args:
        index: numbers of the rows.
        own: [M] numbers of rows that are excluded, one for each x.
        mask: [M, D], True where x is observed; None where everything is.
    """
    best = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    which = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for some in index.split(CHUNK):
        batch = rows.take(some)
        if mask is None and batch.mask is None:
            distance = torch.cdist(x, batch.x, compute_mode="use_mm_for_euclid_dist").double()
        else:
            distance = _observed_distance(x, mask, batch)
        if own is not None:
            distance = distance.masked_fill(some == own[:, None], torch.inf)
        least, at = distance.min(1)
        which = torch.where(least < best, some[at], which)
        best = torch.minimum(best, least)
    return best, which


def _observed_distance(x: Tensor, mask: Tensor | None, batch: Batch) -> Tensor:
    """Return the Euclidean distances [M, B] over entries observed on both sides, as if these were all D of them."""
    seen, theirs = (torch.ones_like(t) if m is None else m.to(t) for t, m in ((x, mask), (batch.x, batch.mask)))
    seen, theirs = seen.double(), theirs.double()
    a, b = seen * x.double(), theirs * batch.x.double()  # filled values do not count
    squares = (a.square() @ theirs.mT - 2 * (a @ b.mT) + seen @ b.square().mT).clamp_min(0)
    both = seen @ theirs.mT
    return torch.where(both > 0, (squares * x.shape[1] / both.clamp_min(1)).sqrt(), torch.inf)


def _relative(x: Tensor, rows: Rows, index: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the distance to the nearest row over that row's own to the next: about 1 for new data, 0 for a copy.

    Rows of which nothing is comparable are left out.
    """
    near, which = nearest_rows(x, rows, index, mask=mask)
    known = near.isfinite()
    near, which = near[known], which[known]
    distinct, place = which.unique(return_inverse=True)
    nearest = rows.take(distinct)
    apart, _ = nearest_rows(nearest.x, rows, index, distinct, nearest.mask)
    apart = apart.nan_to_num(posinf=float(near.max()) if len(near) else 1.0)
    return near / apart[place].clamp_min(1e-6 * float(near.max().clamp_min(1e-30)))


@torch.no_grad()
def memorised(examination: Examination) -> Outcome | str:
    """Check that samples are not much nearer to training rows than unseen rows are.

    Each distance to the nearest training row is divided by that row's distance to its own nearest neighbour, so that a
    model that samples the dense regions of its data is not mistaken for one that copies. A problem needs both a rank
    test at level 0.001 and a median relative distance below half that of unseen rows.

    Source: Meehan, Chaudhuri & Dasgupta, "A non-parametric test to detect data-copying in generative models", 2020.
    """
    train, test = examination.train, examination.test
    if test is None or min(len(train), len(test)) < FEWEST:
        return f"it needs at least {FEWEST} rows that were not trained on"
    if train.context is not None:
        return "samples of the model cannot be compared with rows that have a context"
    if not examination.scored and examination.model.likelihood.has_density:
        return "the model's prior is not trained, so the model is not sampled"
    noise = examination.stream("samples")
    frozen = train.fixed(noise) if len(train) <= MOST_TRAINED else train
    index = evenly_spaced(len(train), MOST_TRAINED, train.device)
    x = examination.model.sample(SAMPLES, noise).to(torch.float32)
    unseen = test.take(evenly_spaced(len(test), SAMPLES, test.device), noise)
    # samples lack the entries that unseen rows lack, so that both have equally many to be compared by
    like = None if unseen.mask is None else unseen.mask[torch.arange(SAMPLES, device=x.device) % len(unseen)]
    frozen = _single(frozen)
    of_samples = _relative(x, frozen, index, like)
    of_unseen = _relative(unseen.x.to(torch.float32), frozen, index, unseen.mask)
    if min(len(of_samples), len(of_unseen)) < FEWEST:
        return f"fewer than {FEWEST} rows have an entry that training rows have too"
    typical = float(of_unseen.median())
    if typical < 1e-3:
        return "most rows that were not trained on also occur among the training rows"
    share, p = nearer(of_samples, of_unseen)
    ratio = float(of_samples.median()) / typical
    measures = {"sample_distance_ratio": ratio, "sample_nearer_share": share, "sample_nearer_p": p}
    if p >= LEVEL or ratio >= COPY:
        return Outcome(measures=measures)
    finding = Finding(
        "memorised-rows",
        "problem",
        f"samples lie at {ratio:.2f} of the distance from the training rows at which unseen rows lie (p = {p:.1g})",
        "the model reproduces its training rows rather than the distribution that they come from",
        examination.remedy("memorised-rows"),
    )
    return Outcome((finding,), measures)


def _single(rows: Rows) -> Rows:
    """Return the rows prepared in single precision, which is enough for distances."""
    inner = rows.prepare

    def prepare(x: Tensor, generator: torch.Generator | None) -> Tensor:
        return (x if inner is None else inner(x, generator)).to(torch.float32)

    return Rows(rows.stored, prepare, mask=rows.mask, fill=rows.fill)
