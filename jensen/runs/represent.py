"""Representation quality of a run's codes: linear probes, clusters, disentanglement.

Each number stands beside what it would be by chance. Rows that something is fitted on are never scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ..analysis.disentanglement import Coded, disentanglement
from ..core.errors import CompositionError, DataError
from ..core.random import stream
from ..data import UNKNOWN, duplicates
from ..evaluate.generalisation import some_rows
from .data import Source, Targets
from .evaluation import Part
from .run import Run

__all__ = ["Representation", "Score", "clusters", "probe", "represent"]

MOST = 10_000  # rows to fit, and rows to score
FEWEST = 10
SHUFFLES = 3


@dataclass(frozen=True)
class Score:
    """One measure.

    Attributes:
        name: of the measure.
        of: what it is about: "labels", a factor's name, or "factors" for all of them.
        value: on the scored rows.
        chance: what codes that know nothing reach: of a probe the share of the most frequent class, of others the mean
            over three shuffles of the codes.
        stderr: over scored rows, of accuracies.
    """

    name: str
    of: str
    value: float
    chance: float
    stderr: float | None = None

    def __str__(self) -> str:
        error = "" if self.stderr is None else f" ± {self.stderr:.3f}"
        return f"{self.name} of {self.of}: {self.value:.3f}{error} (chance {self.chance:.3f})"


@dataclass(frozen=True)
class Representation:
    """The scores of a representation.

    Attributes:
        scores: all measures.
        size: Z, the features of a code.
        fitted, scored: how many rows, and which.
        seed: of the choice of rows, clusters, forests, votes and shuffles.
        notes: what the user should be told.
    """

    scores: tuple[Score, ...]
    size: int
    fitted: tuple[int, str]
    scored: tuple[int, str]
    seed: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        rows = {name: {"n": n, "data": data} for name, (n, data) in (("fitted", self.fitted), ("scored", self.scored))}
        about = {"size": self.size, **rows, "seed": self.seed, "notes": list(self.notes)}
        return {"scores": [asdict(score) for score in self.scores], **about}


def represent(
    run: Run,
    data: Source | None = None,
    *,
    labels: Targets | None = None,
    seed: int = 0,
    watch: Callable[[float], None] | None = None,
) -> Representation:
    """Judge the codes of a run, the means of q(z | x), by the labels and the factors of its data.

    Fitted are the run's training rows and scored its test rows; of other data, two halves drawn by the seed. Of each at
    most 10,000 rows.

    Args:
        run: see `jensen.load`.
        data: other rows.
        labels: of these rows, where they do not hold them.
        seed: of all randomness.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        DataError: the data have neither labels nor factors, there are too few rows, or rows cannot be read.
        CompositionError: the model has no encoder, or one that is told the label.
    """
    fit, score, notes = _halves(run, data, labels, seed)
    if run.conditional:
        raise CompositionError(
            "this model's encoder is told the label, so that its codes give the label back whatever x is",
            "Look at one that is not told, such as --recipe vae or semi-supervised.",
        )
    targets = _targets(fit, score)
    if not targets:
        raise DataError(
            f"{score.name} have neither labels nor factors to hold codes against",
            "Give data with labels, or train on sprites, whose factors are known: jensen train sprites",
        )
    codes = tuple(run.encode(half, seed=seed).astype(np.float64) for half in (fit, score))
    repeated = int(duplicates(fit.x, score.x).sum())
    notes += (f"{repeated} of the scored rows occur among the fitted ones too",) if repeated else ()
    scores: list[Score] = []
    for target in targets:
        fitted, scored = target.known != UNKNOWN, target.truth != UNKNOWN
        given = ((codes[0][fitted], codes[1][scored]), (target.known[fitted], target.truth[scored]))
        scores.append(probe(target.name, *given))
        scores += clusters(target.name, *given, seed) if target.labels else []
    if watch is not None:
        watch(0.3)
    if fit.factors is not None and score.factors is not None:
        scores += _factors(Coded(codes[0], fit.factors), Coded(codes[1], score.factors), seed, watch)
    where = ((len(fit.x), fit.name), (len(score.x), score.name))
    return Representation(tuple(scores), codes[0].shape[1], *where, seed, notes)


def _halves(run: Run, data: Source | None, labels: Targets | None, seed: int) -> tuple[Part, Part, tuple[str, ...]]:
    """Return rows to fit, rows to score, and what to say about them."""
    if data is None:
        score = run.chosen(None, seed, labels=labels)
        pair, notes = (run.part("train", seed), score), score.notes
    else:
        part = run.chosen(data, seed, labels=labels)
        notes = (*part.notes, *run.overlap(part, data))
        order = torch.randperm(len(part.x), generator=stream(seed, "representation halves")).to(run.device)
        half = len(part.x) // 2
        names = (f"one half of {part.name}", f"the other half of {part.name}")
        pair = (part.subset(order[:half], names[0]), part.subset(order[half:], names[1]))
    if min(len(p.x) for p in pair) < FEWEST:
        raise DataError(f"{len(pair[0].x)} and {len(pair[1].x)} rows are too few", f"Give at least {2 * FEWEST}: DATA.")
    return _few(pair[0], seed), _few(pair[1], seed), notes


def _few(part: Part, seed: int) -> Part:
    if len(part.x) <= MOST:
        return part
    index = some_rows(len(part.x), MOST, stream(seed, "representation rows")).to(part.rows.device)
    return part.subset(index, f"{MOST} of {part.name}")


@dataclass(frozen=True)
class _Target:
    """A target to read off codes: its values in the fitted and in the scored rows, and whether they are the labels."""

    name: str
    known: np.ndarray
    truth: np.ndarray
    labels: bool


def _targets(fit: Part, score: Part) -> list[_Target]:
    """Return every factor, and the labels, unless these are one of the factors."""
    targets = []
    if fit.factors is not None and score.factors is not None:
        columns = zip(fit.factors.names, fit.factors.values.T, score.factors.values.T, strict=True)
        targets = [_Target(n, a, b, fit.labels is not None and np.array_equal(a, fit.labels)) for n, a, b in columns]
    given = all(part.labels is not None and (part.labels != UNKNOWN).any() for part in (fit, score))
    if given and not any(target.labels for target in targets):
        targets.append(_Target("labels", np.asarray(fit.labels), np.asarray(score.labels), True))
    return targets


# ---------------------------------------------------------------- labels


def probe(of: str, codes: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray]) -> Score:
    """Accuracy of logistic regression (L2, C = 1) on codes standardised by the fitted rows; guessing is right as often
    as the most frequent class of the fitted rows occurs in the scored ones.

    Source: Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016.

    Args:
        of: the name of what is predicted.
        codes: [N, Z] of the fitted and [M, Z] of the scored rows.
        truth: [N] and [M], their classes.

    Raises:
        DataError: the fitted rows are of one class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, counts = np.unique(truth[0], return_counts=True)
    if len(values) < 2:
        raise DataError(f"all fitted rows have the same {of}", "Give rows of two classes at least.")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    right = float((model.fit(codes[0], truth[0]).predict(codes[1]) == truth[1]).mean())
    guess = float((truth[1] == values[counts.argmax()]).mean())
    return Score("linear probe", of, right, guess, (right * (1 - right) / len(truth[1])) ** 0.5)


def clusters(
    of: str, codes: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray], seed: int = 0
) -> list[Score]:
    """k-means against labels: accuracy, normalised mutual information and adjusted Rand index of the scored rows.

    As many clusters as classes, found in the codes of the fitted rows as they are; each scored row belongs to the
    nearest. For the accuracy clusters are matched to classes, one to one, by the labels of the fitted rows. Chance is
    measured with labels shuffled within either set of rows.

    Args:
        of, codes, truth: as of `probe`.
        seed: of the ten starts and of the shuffles.

    Raises:
        DataError: there are fewer rows than classes.
    """
    from sklearn.cluster import KMeans

    classes, known = np.unique(truth[0], return_inverse=True)
    if len(classes) > len(np.unique(codes[0], axis=0)):
        raise DataError(f"fewer different codes than {len(classes)} classes", "Give more rows.")
    starts: dict[str, Any] = {"n_init": 10}
    fitted = KMeans(len(classes), random_state=seed, **starts).fit(codes[0])
    place = np.searchsorted(classes, truth[1]).clip(0, len(classes) - 1)
    real = np.where(classes[place] == truth[1], place, len(classes))  # a class that was not fitted is never right
    numbers = (np.asarray(fitted.labels_), np.asarray(fitted.predict(codes[1])))
    ours, rng = _agreement(numbers, (known, real)), np.random.default_rng([seed, 1])
    chance = np.mean(
        [_agreement(numbers, (rng.permutation(known), rng.permutation(real))) for _ in range(SHUFFLES)], axis=0
    )
    names = ("k-means accuracy", "k-means NMI", "k-means ARI")
    errors = ((ours[0] * (1 - ours[0]) / len(real)) ** 0.5, None, None)
    return [Score(n, of, v, float(c), e) for n, v, c, e in zip(names, ours, chance, errors, strict=True)]


def _agreement(
    numbers: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float, float]:
    """Accuracy of the best matching on the fitted rows, NMI and ARI, of the scored rows."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    size = 1 + max(int(n.max()) for n in (numbers[0], truth[0]))
    table = np.zeros((size, size))
    np.add.at(table, (numbers[0], truth[0]), 1)
    match = linear_sum_assignment(table, maximize=True)[1]
    right = float((match[numbers[1]] == truth[1]).mean())
    nmi, ari = (f(truth[1], numbers[1]) for f in (normalized_mutual_info_score, adjusted_rand_score))
    return right, float(nmi), float(ari)


# ---------------------------------------------------------------- factors


def _factors(fitted: Coded, scored: Coded, seed: int, watch: Callable[[float], None] | None) -> list[Score]:
    """Disentanglement, beside that of shuffled codes."""
    ours, rng, chance = disentanglement(fitted, scored, seed), np.random.default_rng([seed, 2]), []
    for i in range(SHUFFLES):
        if watch is not None:
            watch(0.3 + 0.7 * (i + 1) / (SHUFFLES + 1))
        chance.append(disentanglement(fitted.shuffled(rng), scored.shuffled(rng), seed))
    return [Score(n, "factors", v, float(np.mean([c[n] for c in chance]))) for n, v in ours.items()]
