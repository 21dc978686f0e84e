"""Has the model learned its training rows by heart? Samples are held against the rows nearest to them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.rows import evenly_spaced
from .examination import Examination
from .findings import Finding, Outcome
from .two_sample import nearer

__all__ = ["memorised", "nearest"]

SAMPLES = 400
FEWEST = 40  # rows of each part below which a rank test says nothing
MOST_TRAINED = 60_000
LEVEL = 1e-3
COPY = 0.5  # samples typically at half the relative distance of unseen rows: chance and smoothness do not do that
CHUNK = 2048


def nearest(x: Tensor, rows: Rows, index: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance [M] from each x [M, D] to the nearest of some rows, and which number of the data set that has.

    Args:
        index: which rows are looked at.
        own: [M] row numbers that do not count, each for its own x.
    """
    best = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    which = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for some in index.split(CHUNK):
        distance = torch.cdist(x, rows.take(some).x, compute_mode="use_mm_for_euclid_dist").double()
        if own is not None:
            distance = distance.masked_fill(some == own[:, None], torch.inf)
        least, at = distance.min(1)
        which = torch.where(least < best, some[at], which)
        best = torch.minimum(best, least)
    return best, which


def _relative(x: Tensor, rows: Rows, index: Tensor) -> Tensor:
    """Distance to the nearest row, over that row's own distance to the next: about 1 for new data, 0 for a copy."""
    near, which = nearest(x, rows, index)
    distinct, place = which.unique(return_inverse=True)
    apart, _ = nearest(rows.take(distinct).x, rows, index, distinct)
    return near / apart[place].clamp_min(1e-6 * float(near.max().clamp_min(1e-30)))


@torch.no_grad()
def memorised(patient: Examination) -> Outcome | str:
    """Return whether samples lie much nearer to training rows than unseen rows do.

    Each distance to the nearest training row is divided by that row's distance to its own nearest neighbour, so that a
    model that likes the dense regions of its data is not taken for one that copies. A problem needs both a rank test
    at level 0.001 and a median relative distance below half that of unseen rows.

    Source: Meehan, Chaudhuri & Dasgupta, "A non-parametric test to detect data-copying in generative models", 2020.
    """
    train, test = patient.train, patient.test
    if test is None or min(len(train), len(test)) < FEWEST:
        return f"it needs at least {FEWEST} rows that were not trained on"
    if train.mask is not None or train.context is not None:
        return "samples of the model cannot be held against rows with gaps or a context"
    if not patient.scored and patient.model.likelihood.has_density:
        return "the model's prior is not trained, so nobody samples from it"
    noise = patient.stream("samples")
    frozen = train.fixed(noise) if len(train) <= MOST_TRAINED else train
    index = evenly_spaced(len(train), MOST_TRAINED, train.device)
    x = patient.model.sample(SAMPLES, noise).to(torch.float32)
    unseen = test.take(evenly_spaced(len(test), SAMPLES, test.device), noise).x.to(torch.float32)
    frozen = _single(frozen)
    of_samples, of_unseen = _relative(x, frozen, index), _relative(unseen, frozen, index)
    typical = float(of_unseen.median())
    if typical < 1e-3:
        return "most rows that were not trained on occur among the training rows as well"
    share, p = nearer(of_samples, of_unseen)
    ratio = float(of_samples.median()) / typical
    measures = {"sample_distance_ratio": ratio, "sample_nearer_share": share, "sample_nearer_p": p}
    if p >= LEVEL or ratio >= COPY:
        return Outcome(measures=measures)
    finding = Finding(
        "memorised-rows",
        "problem",
        f"samples lie at {ratio:.2f} of the distance from the training rows at which unseen rows lie (p = {p:.1g})",
        "the model reproduces its training rows rather than the distribution that they came from",
        "Use a smaller model (--hidden, --latent, --components), more data, or fewer epochs with --keep best.",
    )
    return Outcome((finding,), measures)


def _single(rows: Rows) -> Rows:
    """Return rows that are prepared in single precision, which is enough for distances."""
    inner = rows.prepare

    def prepare(x: Tensor, generator: torch.Generator | None) -> Tensor:
        return (x if inner is None else inner(x, generator)).to(torch.float32)

    return Rows(rows.stored, prepare)
