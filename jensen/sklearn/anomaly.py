"""An anomaly detector by log p(x), whose p-values hold in finite samples."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from ..analysis.conformal import p_values
from ..core.errors import CompositionError, DataError, UsageError
from ..runs.score import held_out_evidence
from .base import LatentEstimator
from .inputs import checked_input
from .parameters import AUTO, recipe_of
from .turns import in_turn

__all__ = ["LatentAnomalyDetector"]

LEVEL = 0.05  # of false alarms, where no contamination is given


class LatentAnomalyDetector(OutlierMixin, LatentEstimator):
    """An anomaly detector by log p(x), with the interface of `sklearn.ensemble.IsolationForest`.

    Rows that did not train the model say how likely rows of the same kind are: a tenth of those that `fit` is given,
    unless `options={"split": "0.7,0.1,0.2"}` says otherwise. Hence p-values and, with `contamination="auto"`, the rate
    of false alarms hold in finite samples, whatever the model. They compare log p of the observed entries, so a row
    with holes looks more likely than a whole one; `jensen score` allows for that.

    Args:
        contamination: "auto" for a threshold that at most one in twenty rows of the same kind falls below (with fewer
            than 19 rows held out, at most one in as many plus one); or the share of the training rows that do, above 0
            and at most 0.5.
        recipe, latent, epochs, batch, lr, options, out, force, random_state: as of `LatentModel`.

    Attributes:
        offset_: of `decision_function`: the threshold of log p(x).
        held_out_scores_: log p(x) of rows that did not train the model, at most 2,000; None where there are none.
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

    def __init__(
        self,
        *,
        contamination: Any = AUTO,
        recipe: Any = AUTO,
        latent: Any = None,
        epochs: Any = None,
        batch: Any = None,
        lr: Any = None,
        options: Any = None,
        out: Any = None,
        force: Any = False,
        random_state: Any = None,
    ) -> None:
        self.contamination = contamination
        self.recipe = recipe
        self.latent = latent
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.options = options
        self.out = out
        self.force = force
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> LatentAnomalyDetector:
        """Train the model, and choose the threshold.

        Args:
            X: array [N, D], or a DataFrame, whose columns may be of mixed kinds.
            y: ignored.

        Raises:
            UsageError: the contamination is out of its range.
            CompositionError: the recipe needs labels.
        """
        self._check_contamination()
        recipe = recipe_of(self.recipe)
        if recipe is not None and recipe.labels is not None:
            raise CompositionError(f"recipe {recipe.name} needs labels, and anomalies have none", "Use vae, or table.")
        rows = checked_input(self, X, reset=True, missing=self._allows_missing())
        self._train(rows)
        self._set_threshold(self._held_out(), X)
        return self

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

    def _held_out(self) -> np.ndarray | None:
        """Return log p(x) of rows that were held out [M]; None where there are none."""
        with in_turn():
            return held_out_evidence(self.run_, seed=self.seed_)

    def _set_threshold(self, held: np.ndarray | None, X: Any) -> None:
        """Choose the threshold.

        Args:
            held: log p(x) of rows that were held out; None where there are none.
            X: the rows of `fit`.
        """
        self.held_out_scores_ = held
        if not isinstance(self.contamination, str):
            self.offset_ = float(np.percentile(self._score_samples(X), 100.0 * self.contamination))
        elif held is None:
            self.offset_ = float(np.percentile(self._score_samples(X), 100.0 * LEVEL))
        else:  # at most j of M are below: p <= (1 + j) / (1 + M)
            below = max(int(LEVEL * (len(held) + 1)) - 1, 0)
            self.offset_ = float(np.sort(held)[below])

    def _complete(self) -> None:
        held = self._held_out()
        if held is None:
            raise DataError(f"{self.run_.path} has no rows that were held out, or not the data", "Fit a detector.")
        self._set_threshold(held, None)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return log p(x) of each row [N], or the bound on it, in nats: the lower, the more anomalous."""
        check_is_fitted(self)
        return self._score_samples(X)

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
