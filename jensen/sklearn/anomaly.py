"""An anomaly detector by log p(x), typicality or likelihood regret, whose p-values hold in finite samples."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from ..analysis.conformal import p_values
from ..core.errors import CompositionError, DataError, UsageError
from ..data import from_memory
from ..recipes import find
from ..runs.default_recipe import default_recipe
from ..runs.row_measures import MEASURES, Ordinary
from .base import LatentEstimator
from .inputs import checked_input
from .parameters import AUTO, recipe_of
from .turns import in_turn

__all__ = ["LatentAnomalyDetector"]

LOG_PROB = "log_prob"
PLAIN, CLUSTERED = "vae", "mixture-prior"  # the recipe of jensen for plain numbers, and the one that is used instead
ENOUGH = 200  # rows, from which it is
ATOM, FLOOR = 0.5, 0.3  # share of rows with the same value in a column, and the floor of scales where it is higher
LEVEL = 0.05  # of false alarms, where no contamination is given


class LatentAnomalyDetector(OutlierMixin, LatentEstimator):
    """An anomaly detector with the interface of `sklearn.ensemble.IsolationForest`: by log p(x), or another measure.

    Rows that did not train the model say how likely rows of the same kind are: a tenth of those that `fit` is given,
    unless `options={"split": "0.7,0.1,0.2"}` says otherwise. Hence p-values and, with `contamination="auto"`, the rate
    of false alarms hold in finite samples, whatever the model. A missing entry adds the mean log p of its column
    given the others, over training rows, as `jensen score` has it (see `jensen.analysis.conformal.hole_offsets`).

    log p(x) misleads where anomalies are simpler than other rows, as images with few edges are: they are more likely.
    "typicality", -|log p(x) + H| with H the mean of -log p(x) over validation rows, finds rows that are too likely too.
    "regret", the negative of the likelihood regret, asks only whether the encoder knows such rows.

    With recipe "auto", plain numbers have "mixture-prior", a VAE whose prior clusters the rows, from 200 rows on, and
    "vae" below. Where more than half of the rows have the same value in a column, as pixels of a background do, that
    column has no density, and a scale that shrinks onto the value would outweigh all other columns: unless `options`
    has "floor", no scale is then below 0.3 standard deviations of its column.

    Args:
        measure: "log_prob", "typicality" or "regret"; see `jensen.runs.row_measures.RowMeasure`.
        contamination: "auto" for a threshold that at most one in twenty rows of the same kind falls below (with fewer
            than 19 rows held out, at most one in as many plus one); or the share of the training rows that do, above 0
            and at most 0.5.
        recipe, latent, epochs, batch, lr, options, out, force, progress, random_state: as of `LatentModel`, but for
            "auto".

    Attributes:
        offset_: of `decision_function`: the threshold of the scores.
        held_out_scores_: scores of rows that did not train the model, at most 2,000; None where there are none.
        entropy_: H, the mean of -log p(x) over typical rows in nats; None but for typicality.
        hole_offsets_: [D] what stands for a missing entry of each column, in nats; None where none is missing, or where
            the likelihood does not factorise over columns.
        run_, seed_, n_features_in_, feature_names_in_: as of `LatentModel`.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(400, 3))
        >>> detector = LatentAnomalyDetector(recipe="gmm", epochs=9, options={"components": 2}, random_state=0).fit(x)
        >>> detector.predict(np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]])).tolist()
        [1, -1]
        >>> detector.p_values(np.array([[9.0, 9.0, 9.0]])).round(3).tolist()  # 1 / (1 + 40)
        [0.024]
    """

    offset_: float
    held_out_scores_: np.ndarray | None
    entropy_: float | None
    hole_offsets_: np.ndarray | None

    def __init__(
        self,
        *,
        measure: Any = LOG_PROB,
        contamination: Any = AUTO,
        recipe: Any = AUTO,
        latent: Any = None,
        epochs: Any = None,
        batch: Any = None,
        lr: Any = None,
        options: Any = None,
        out: Any = None,
        force: Any = False,
        progress: Any = False,
        random_state: Any = None,
    ) -> None:
        self.measure = measure
        self.contamination = contamination
        self.recipe = recipe
        self.latent = latent
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.options = options
        self.out = out
        self.force = force
        self.progress = progress
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> LatentAnomalyDetector:
        """Train the model, and choose the threshold.

        Args:
            X: array [N, D], or a DataFrame, whose columns may be of mixed kinds.
            y: ignored.

        Raises:
            UsageError: the contamination is out of its range, or there is no such measure.
            CompositionError: the recipe needs labels, or has no regret.
        """
        self._check_contamination()
        self._check_measure()
        recipe = recipe_of(self.recipe)
        if recipe is not None and recipe.labels is not None:
            raise CompositionError(f"recipe {recipe.name} needs labels, and anomalies have none", "Use vae, or table.")
        rows = checked_input(self, X, reset=True, missing=self._allows_missing())
        recipe, floor = self._defaults(rows)
        self._train(rows, default=recipe, **floor)
        self._set_ordinary()
        self._set_threshold(self._held_out(), X)
        return self

    def _check_measure(self) -> None:
        """Refuse a measure that there is not.

        Raises:
            UsageError: there is none of this name.
        """
        names = (LOG_PROB, *MEASURES)
        if self.measure not in names:
            raise UsageError(f"measure must be one of {', '.join(names)}, got {self.measure!r}", "Name one of them.")

    def _check_contamination(self) -> None:
        """Refuse a contamination that is neither "auto" nor above 0 and at most 0.5.

        Raises:
            UsageError: it is.
        """
        share = self.contamination
        if isinstance(share, str) and share == AUTO:
            return
        if not isinstance(share, Real) or isinstance(share, bool) or not 0 < float(share) <= 0.5:
            what = f"contamination must be 'auto', or above 0 and at most 0.5, got {share!r}"
            raise UsageError(what, "Give the share of anomalies among the rows of fit.")

    def _defaults(self, rows: Any) -> tuple[str | None, dict[str, Any]]:
        """Return the recipe for "auto" where it is not jensen's, and the floor of scales where a column has an atom.

        Args:
            rows: checked.
        """
        given = {} if self.options is None else self.options
        if self.recipe != AUTO or not isinstance(given, Mapping) or default_recipe(rows, {})[0] != PLAIN:
            return None, {}
        own, clustered = find(PLAIN).options, find(CLUSTERED).options
        dataset = from_memory(rows, missing=True)
        fits = len(dataset) >= ENOUGH and all(name in clustered for name in given if name in own)
        recipe = CLUSTERED if fits else PLAIN
        if dataset.schema.kind != "real" or {"floor", "likelihood"} & given.keys():
            return recipe, {}
        shares = [np.unique(column, return_counts=True)[1].max() / len(dataset) for column in np.asarray(dataset.x).T]
        return recipe, {"floor": FLOOR} if max(shares) > ATOM else {}

    def _set_ordinary(self) -> None:
        """Measure what scores rest on: the entropy of typical rows, and the offsets of missing entries."""
        with in_turn():
            ordinary = Ordinary.of(self.run_, self.measure, self.seed_, self._allows_missing())
        self.entropy_, self.hole_offsets_ = ordinary.entropy, ordinary.offsets

    @property
    def _ordinary(self) -> Ordinary:
        own = vars(self)  # an estimator that was saved by an earlier version has neither
        return Ordinary(self.measure, own.get("hole_offsets_"), own.get("entropy_"))

    def _ordinary_scores(self, X: Any) -> np.ndarray:
        """Return the scores of rows [N]."""
        part = self._part(X, missing=True)
        with in_turn():
            return self._ordinary.scores(self.run_, part, self.seed_)

    def _held_out(self) -> np.ndarray | None:
        """Return the scores of rows that were held out [M]; None where there are none."""
        with in_turn():
            return self._ordinary.held_out(self.run_, self.seed_)

    def _set_threshold(self, held: np.ndarray | None, X: Any) -> None:
        """Choose the threshold.

        Args:
            held: scores of rows that were held out; None where there are none.
            X: the rows of `fit`.
        """
        self.held_out_scores_ = held
        if not isinstance(self.contamination, str):
            self.offset_ = float(np.percentile(self._ordinary_scores(X), 100.0 * self.contamination))
        elif held is None:
            self.offset_ = float(np.percentile(self._ordinary_scores(X), 100.0 * LEVEL))
        else:  # at most j of M are below: p <= (1 + j) / (1 + M)
            below = max(int(LEVEL * (len(held) + 1)) - 1, 0)
            self.offset_ = float(np.sort(held)[below])

    def _complete(self) -> None:
        self._set_ordinary()
        held = self._held_out()
        if held is None:
            raise DataError(f"{self.run_.path} has no rows that were held out, or not the data", "Fit a detector.")
        self._set_threshold(held, None)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the score of each row [N] in nats, the lower, the more anomalous: log p(x) or the bound on it, with
        the offsets of missing entries; or the negative of typicality or regret."""
        check_is_fitted(self)
        return self._ordinary_scores(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return `score_samples` less `offset_` [N]: below 0 for anomalies."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return -1 for anomalies and 1 for other rows [N]."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """Return the conformal p-value of each row [N]: the share of held-out rows that are as unlikely.

        Among rows of the same kind at most the share a has a p-value of a or less, for every a; see
        `jensen.analysis.conformal.p_values`.

        Raises:
            DataError: no rows were held out.
        """
        scores = self.score_samples(X)
        if self.held_out_scores_ is None:
            remedy = 'Fit with a test part: options={"split": "0.8,0.1,0.1"}.'
            raise DataError("no rows were held out of training, so there are no p-values", remedy)
        return p_values(scores, self.held_out_scores_)
