"""Representation quality of a run's codes: linear probes, clusters, disentanglement.

Each number stands beside its value at chance. Rows that a probe or a clustering is fitted to are never scored.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ..analysis.disentanglement import FactorCodes, disentanglement
from ..core.errors import CompositionError, DataError
from ..core.random import stream
from ..data import UNKNOWN, duplicates
from ..evaluate.estimate import ProgressCallback
from ..evaluate.generalisation import some_rows
from .data import Source, Targets
from .evaluation import Part
from .run import Run
from .trained_rows import trained_rows

__all__ = ["Representation", "RepresentationScore", "clusters", "probe", "represent"]

MOST = 10_000  # rows to fit, and rows to score
FEWEST = 10
SHUFFLES = 3


@dataclass(frozen=True)
class RepresentationScore:
    """One measure of a representation.

    Attributes:
        name: of the measure.
        of: its target: "labels", a factor's name, or "factors" for all of them.
        value: on the scored rows.
        chance: the value of codes without information: of a probe the share of the most frequent class, of others the
            mean over three shuffles of the codes.
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
        fitted, scored: the number of rows, and their name.
        seed: of the choice of rows, clusters, forests, votes and shuffles.
        notes: for the user.
    """

    scores: tuple[RepresentationScore, ...]
    size: int
    fitted: tuple[int, str]
    scored: tuple[int, str]
    seed: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        rows = {name: {"n": n, "data": data} for name, (n, data) in (("fitted", self.fitted), ("scored", self.scored))}
        return {
            "scores": [asdict(score) for score in self.scores],
            "size": self.size,
            **rows,
            "seed": self.seed,
            "notes": list(self.notes),
        }


def represent(
    run: Run,
    data: Source | None = None,
    *,
    labels: Targets | None = None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Representation:
    """Evaluate the codes of a run, the means of q(z | x), by the labels and the factors of its data.

    Probes and clusters are fitted to the run's training rows and scored on its test rows; of other data, on two halves
    drawn by the seed. At most 10,000 rows of each are used.

    Args:
        run: see `jensen.load`.
        data: other rows.
        labels: of these rows, where they do not hold them.
        seed: of all randomness.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        DataError: the data have neither labels nor factors, there are too few rows, or rows cannot be read.
        CompositionError: the model has no encoder, or one that is given the label.
    """
    fit, score, notes = _halves(run, data, labels, seed)
    if run.conditional:
        raise CompositionError(
            "this model's encoder is given the label, so its codes hold the label whatever x is",
            "Use a model whose encoder is not given the label, such as --recipe vae or semi-supervised.",
        )
    targets = _targets(fit, score)
    if not targets:
        raise DataError(
            f"{score.name} have neither labels nor factors to compare codes with",
            "Give data with labels, or train on sprites, whose factors are known: jensen train sprites",
        )
    codes = tuple(run.encode(half, seed=seed).astype(np.float64) for half in (fit, score))
    repeated = int(duplicates(fit.x, score.x[:], fit.mask, score.mask).sum())
    notes += (f"{repeated} of the scored rows occur among the fitted ones too",) if repeated else ()
    notes += tuple(note for target in targets if (note := target.incomplete))
    scores: list[RepresentationScore] = []
    for target in targets:
        fitted, scored = target.fitted != UNKNOWN, target.scored != UNKNOWN
        pair, truth = (codes[0][fitted], codes[1][scored]), (target.fitted[fitted], target.scored[scored])
        scores.append(probe(target.name, pair, truth))
        scores += clusters(target.name, pair, truth, seed) if target.are_labels else []
    if watch is not None:
        watch(0.3)
    if fit.factors is not None and score.factors is not None:
        scores += _factors(FactorCodes(codes[0], fit.factors), FactorCodes(codes[1], score.factors), seed, watch)
    return Representation(
        scores=tuple(scores),
        size=codes[0].shape[1],
        fitted=(len(fit.x), fit.name),
        scored=(len(score.x), score.name),
        seed=seed,
        notes=notes,
    )


def _halves(run: Run, data: Source | None, labels: Targets | None, seed: int) -> tuple[Part, Part, tuple[str, ...]]:
    """Return rows to fit, rows to score, and notes on them."""
    if data is None:
        score = run.chosen(None, seed, labels=labels)
        pair, notes = (run.part("train", seed), score), score.notes
    elif (score := run.chosen(data, seed, labels=labels)).own is not None:
        pair, notes = (run.chosen(data, seed, labels=labels, own="train"), score), score.notes
    else:
        part = score
        if part.is_streamed:  # of whose halves no more would be used
            index = some_rows(len(part.x), 2 * MOST, stream(seed, "representation rows of a file"))
            part = part.subset(index, f"{len(index):,} of {part.name}")
        notes = (*part.notes, *trained_rows(run, part, data).notes)
        order = torch.randperm(len(part.x), generator=stream(seed, "representation halves")).to(run.device)
        half = len(part.x) // 2
        names = (f"one half of {part.name}", f"the other half of {part.name}")
        pair = (part.subset(order[:half], names[0]), part.subset(order[half:], names[1]))
    if min(len(p.x) for p in pair) < FEWEST:
        raise DataError(f"{len(pair[0].x)} and {len(pair[1].x)} rows are too few", f"Give at least {2 * FEWEST}: DATA.")
    return _few(pair[0], seed), _few(pair[1], seed), notes


def _few(part: Part, seed: int) -> Part:
    if len(part.x) <= MOST:
        return part.loaded()
    index = some_rows(len(part.x), MOST, stream(seed, "representation rows")).to(part.rows.device)
    return part.subset(index, f"{MOST} of {part.name}")


@dataclass(frozen=True)
class _Target:
    """A variable to predict from codes.

    Attributes:
        name: "labels", or the name of a factor.
        fitted, scored: [N] and [M] its values in the fitted and in the scored rows.
        are_labels: True if these are the labels.
    """

    name: str
    fitted: np.ndarray
    scored: np.ndarray
    are_labels: bool

    @property
    def incomplete(self) -> str:
        """The number of rows that have a value, in words; nothing where all have."""
        (a, n), (b, m) = ((int((side != UNKNOWN).sum()), len(side)) for side in (self.fitted, self.scored))
        known = f"{self.name} are known of {a:,} of {n:,} fitted rows and {b:,} of {m:,} scored rows, which are used"
        return known if (a, b) != (n, m) else ""


def _targets(fit: Part, score: Part) -> list[_Target]:
    """Return every factor, and the labels, unless these are one of the factors."""
    targets = []
    if fit.factors is not None and score.factors is not None:
        columns = zip(fit.factors.names, fit.factors.values.T, score.factors.values.T, strict=True)
        targets = [_Target(n, a, b, fit.labels is not None and np.array_equal(a, fit.labels)) for n, a, b in columns]
    have_labels = all(part.labels is not None and (part.labels != UNKNOWN).any() for part in (fit, score))
    if have_labels and not any(target.are_labels for target in targets):
        targets.append(_Target("labels", np.asarray(fit.labels), np.asarray(score.labels), True))
    return targets


# ---------------------------------------------------------------- labels


def probe(of: str, codes: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray]) -> RepresentationScore:
    """Return the accuracy of logistic regression (L2, C = 1) on codes standardised by the fitted rows.

    Chance is the share, in the scored rows, of the most frequent class of the fitted rows.

    Source: Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016.

    Args:
        of: the name of the target.
        codes: [N, Z] of the fitted and [M, Z] of the scored rows.
        truth: [N] and [M], their classes.

    Raises:
        DataError: the fitted rows are of one class.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, counts = np.unique(truth[0], return_counts=True)
    if len(values) < 2:
        single = (
            "labels of the fitted rows are of a single class" if of == "labels" else f"fitted rows have a single {of}"
        )
        raise DataError(f"the {single}, so a score would mean nothing", "Give rows of two classes at least: DATA.")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of a probe that is not quite at its optimum
        model.fit(codes[0], truth[0])
    right = float((model.predict(codes[1]) == truth[1]).mean())
    guess = float((truth[1] == values[counts.argmax()]).mean())
    error = (right * (1 - right) / len(truth[1])) ** 0.5
    return RepresentationScore(name="linear probe", of=of, value=right, chance=guess, stderr=error)


def clusters(
    of: str, codes: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray], seed: int = 0
) -> list[RepresentationScore]:
    """Compare k-means with labels: accuracy, normalised mutual information and adjusted Rand index of the scored rows.

    As many clusters as classes are fitted to the codes of the fitted rows, which are not standardised; each scored row
    belongs to the nearest. For the accuracy, clusters are matched to classes, one to one, by the labels of the fitted
    rows. Chance is measured with labels shuffled within either set of rows.

    Args:
        of, codes, truth: as of `probe`.
        seed: of the ten starts and of the shuffles.

    Raises:
        DataError: there are fewer rows than classes.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    classes, index = np.unique(truth[0], return_inverse=True)
    if len(classes) > len(np.unique(codes[0], axis=0)):
        raise DataError(f"fewer different codes than {len(classes)} classes", "Give more rows.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of codes that differ by less than the tolerance
        fitted = KMeans(len(classes), random_state=seed, n_init=10).fit(codes[0])  # pyright: ignore[reportArgumentType]
    place = np.searchsorted(classes, truth[1]).clip(0, len(classes) - 1)
    real = np.where(classes[place] == truth[1], place, len(classes))  # a class that was not fitted is never right
    numbers = (np.asarray(fitted.labels_), np.asarray(fitted.predict(codes[1])))
    ours, rng = _agreement(numbers, (index, real)), np.random.default_rng([seed, 1])
    chance = np.mean(
        [_agreement(numbers, (rng.permutation(index), rng.permutation(real))) for _ in range(SHUFFLES)], axis=0
    )
    names = ("k-means accuracy", "k-means NMI", "k-means ARI")
    errors = ((ours[0] * (1 - ours[0]) / len(real)) ** 0.5, None, None)
    columns = zip(names, ours, chance, errors, strict=True)
    return [RepresentationScore(name, of, value, float(guess), error) for name, value, guess, error in columns]


def _agreement(
    numbers: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float, float]:
    """Return accuracy by the best matching on the fitted rows, NMI and ARI, all of the scored rows."""
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


def _factors(
    fitted: FactorCodes, scored: FactorCodes, seed: int, watch: ProgressCallback | None
) -> list[RepresentationScore]:
    """Return the measures of disentanglement, beside those of shuffled codes."""
    ours, rng, chance = disentanglement(fitted, scored, seed), np.random.default_rng([seed, 2]), []
    for i in range(SHUFFLES):
        if watch is not None:
            watch(0.3 + 0.7 * (i + 1) / (SHUFFLES + 1))
        chance.append(disentanglement(fitted.shuffled(rng), scored.shuffled(rng), seed))
    means = {name: float(np.mean([each[name] for each in chance])) for name in ours}
    return [RepresentationScore(name, "factors", value, means[name]) for name, value in ours.items()]
