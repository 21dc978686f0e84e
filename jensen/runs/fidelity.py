"""Fidelity: the distance of a model's samples to data, also for a model that only samples.

Frechet distance, precision and recall in learned features (see `jensen.analysis.features`); each beside its value for
as many real data, against other real data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..analysis import latents
from ..analysis.features import Features, learn_features
from ..core.batch import Rows
from ..core.errors import DataError, UsageError
from ..core.random import stream
from ..core.validation import require_integer
from ..evaluate.estimate import ProgressCallback
from ..evaluate.simulated import like_rows, masks_of, simulate_like
from .data import Source, Targets
from .evaluation import Part
from .run import Run

__all__ = ["Fidelity", "FidelityScore", "fidelity", "frechet", "precision_recall"]

NEIGHBOURS = 3
HOLED = " with entries missing as in the rows"
REPEATS = 5
FEWEST, MOST = 10, 5000  # points of each kind; the most where n is not given
CHUNK = 1024


def frechet(a: Tensor, b: Tensor) -> float:
    r"""Frechet distance between Gaussians with the moments of two sets of points [N, F] and [M, F].

    .. math:: |\mu_a - \mu_b|^2 + \mathrm{tr}\big(C_a + C_b - 2 (C_a C_b)^{1/2}\big)

    In squared units of the features. Of finite sets it is biased upwards, by a term of order 1/N: two sets from one
    distribution do not have distance 0. Compare distances of sets of one size only.

    Sources: Frechet, 1957; Dowson & Landau, 1982; Heusel et al., "GANs trained by a two time-scale update rule", 2017.

    Raises:
        DataError: fewer than two points.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
        >>> round(frechet(x, x + 3.0), 4)
        18.0
    """
    if min(len(a), len(b)) < 2:
        raise DataError(f"{min(len(a), len(b))} points have no covariance", "Give at least two.")
    a, b = a.double(), b.double()
    first, second = (torch.cov(x.mT).reshape(x.shape[1], x.shape[1]) for x in (a, b))
    values, vectors = torch.linalg.eigh(first)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.mT
    overlap = torch.linalg.eigvalsh(root @ second @ root).clamp_min(0).sqrt().sum()
    far = (a.mean(0) - b.mean(0)).square().sum()
    return float((far + first.trace() + second.trace() - 2 * overlap).clamp_min(0))


def precision_recall(real: Tensor, sampled: Tensor, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Return the share of sampled points [M, F] among real ones [N, F], and of real points among sampled ones.

    A point is among others if it is within the distance of one of them to its k-th nearest neighbour of its own kind.
    Low precision: samples that resemble no datum. Low recall: data that no sample resembles.

    Source: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models", 2019.

    Raises:
        UsageError: k < 1.
        DataError: not more than k points of either kind.

    Example:
        >>> real = torch.arange(8.0)[:, None]
        >>> precision_recall(real, torch.cat([real[:4], real[:4] + 100]), k=1)
        (0.5, 0.625)
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}", "Give at least 1 neighbour, such as 3.")
    if min(len(real), len(sampled)) <= k:
        raise DataError(f"{min(len(real), len(sampled))} points have no {k} neighbours each", "Give more.")
    return _among(sampled, real, k), _among(real, sampled, k)


def _among(points: Tensor, others: Tensor, k: int) -> float:
    """Return the share of points [M, F] within the k-th neighbour's distance of one of the others [N, F]."""
    exact = "donot_use_mm_for_euclid_dist"
    parts = others.split(CHUNK)
    # the nearest is the point itself
    radius = torch.cat([torch.cdist(p, others, compute_mode=exact).kthvalue(k + 1).values for p in parts])
    inside = [(torch.cdist(p, others, compute_mode=exact) <= radius).any(1) for p in points.split(CHUNK)]
    return float(torch.cat(inside).double().mean())


@dataclass(frozen=True)
class FidelityScore:
    """One measure, averaged over repeats.

    Attributes:
        value: of the model's samples against data.
        spread: its standard deviation over repeats, which share rows: roughly that over draws.
        real: the measure of as many data against other data; `real_spread`: its standard deviation.
    """

    value: float
    spread: float
    real: float
    real_spread: float

    @staticmethod
    def of(values: Sequence[float], real: Sequence[float]) -> FidelityScore:
        """Return the score of one value per repeat, of samples and of real data."""
        pair = [torch.tensor(list(v), dtype=torch.float64) for v in (values, real)]
        (a, b), (c, d) = ((float(v.mean()), float(v.std())) for v in pair)
        return FidelityScore(a, b, c, d)

    def to_dict(self) -> dict[str, float]:
        """Return a JSON-serialisable record."""
        return {"value": self.value, "spread": self.spread, "real": self.real, "real_spread": self.real_spread}


@dataclass(frozen=True)
class Fidelity:
    """The distance of samples to data.

    Attributes:
        frechet, precision, recall: see the functions of these names.
        n: points of each kind in every comparison.
        repeats: of the comparison, with other samples and other halves of the data.
        features: the space of the distances.
        data: the name of the rows.
        sampled: "samples", or "means" of p(x | z), and whether entries are missing from them.
        seed: of all randomness but the features'.
    """

    frechet: FidelityScore
    precision: FidelityScore
    recall: FidelityScore
    n: int
    repeats: int
    features: Features
    data: str
    sampled: str
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        scores = {name: getattr(self, name).to_dict() for name in ("frechet", "precision", "recall")}
        return {
            **scores,
            "n": self.n,
            "repeats": self.repeats,
            "features": self.features.to_dict(),
            "data": self.data,
            "sampled": self.sampled,
            "seed": self.seed,
            "neighbours": NEIGHBOURS,
        }


def fidelity(
    run: Run,
    data: Source | Part | None = None,
    *,
    labels: Targets | None = None,
    n: int | None = None,
    mean: bool = False,
    repeats: int = REPEATS,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Fidelity:
    """Compare samples of a run with rows that it was not trained on, in features of a classifier trained here.

    In every repeat the rows are halved at random, and samples of the model as well as one half are compared with the
    other half. The features are learned from the run's training rows, by their labels where they have some, with a
    fixed seed: runs on the same data and split are compared in the same features.

    Where entries of the rows are missing, samples lack the entries of rows drawn at random, and both are filled alike.
    So they are alike if the model is right and entries are missing at random, whatever their values.

    Args:
        run: see `jensen.load`.
        data: other rows than the run's own test rows.
        labels: of these rows, where they do not hold them.
        n: points of each kind; by default half the rows. The distance depends on it: compare at one n.
        mean: take the mean of p(x | z) at z from the prior instead of samples.
        repeats: two or more, whose spread is reported.
        seed: of samples and halves.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        DataError: the training rows cannot be read, or there are too few rows.
        UsageError: n is larger than half the rows, or too small.
    """
    part = run.chosen(data, seed, missing=True, labels=labels)
    size = _size(run, part, n)
    require_integer(2, repeats=repeats)
    features = _features(run, part)
    real = features(torch.cat([b.x for b in part.rows.batches(CHUNK, stream(seed, "fidelity rows", run.device))]))
    scores: list[tuple[tuple[float, float, float], tuple[float, float, float]]] = []
    for i in range(repeats):
        order = torch.randperm(len(real), generator=stream(seed, f"halves:{i}"))
        reference, other = real[order[:size]], real[order[size : 2 * size]]
        sampled = features(_samples(run, size, seed, i, mean, part.rows))
        scores.append((_compared(reference, sampled), _compared(reference, other)))
        if watch is not None:
            watch((i + 1) / repeats)
    model, floor = (list(zip(*side, strict=True)) for side in zip(*scores, strict=True))
    distance, precision, recall = (FidelityScore.of(ours, theirs) for ours, theirs in zip(model, floor, strict=True))
    return Fidelity(
        frechet=distance,
        precision=precision,
        recall=recall,
        n=size,
        repeats=repeats,
        features=features,
        data=part.name,
        sampled=("means" if mean else "samples") + ("" if part.mask is None else HOLED),
        seed=seed,
    )


def _size(run: Run, part: Part, n: int | None) -> int:
    """Return the number of points of each kind: n, or by default half the rows and at most 5,000.

    Raises:
        DataError: there are too few rows.
        UsageError: n is larger than half the rows, or too small.
    """
    half = len(part.rows) // 2
    if half < FEWEST:
        raise DataError(f"{len(part.rows)} rows are too few to be halved", f"Give at least {2 * FEWEST}: DATA.")
    size = min(half, MOST) if n is None else n
    if not FEWEST <= size <= half:
        raise UsageError(
            f"-n must be from {FEWEST} to {half} with {len(part.rows)} rows, got {size}",
            f"Give -n from {FEWEST} to {half}.",
        )
    return size


def _compared(reference: Tensor, points: Tensor) -> tuple[float, float, float]:
    """Return Frechet distance, precision and recall of points against reference points."""
    return frechet(reference, points), *precision_recall(reference, points)


def _samples(run: Run, n: int, seed: int, repeat: int, mean: bool, like: Rows) -> Tensor:
    """Return samples [n, D], prepared as the model sees data: with the missing entries of rows drawn from `like`."""
    name = f"samples:{repeat}"
    index = masks_of(like, n, seed, name)
    z, batch = simulate_like(run.model, n, stream(seed, name, run.device), like, index)
    if not mean:
        return batch.x
    return like_rows(replace(batch, x=latents.decode(run.model, z, batch.context)), like, index).x


def _features(run: Run, part: Part) -> Features:
    """Return features learned from the training rows, and tested on the rows of `part`."""
    train = run.part("train")
    labels, test_labels = (None if p.labels is None else torch.as_tensor(p.labels) for p in (train, part))
    return learn_features(train.rows, labels, part.rows, test_labels, run.schema.shape)
