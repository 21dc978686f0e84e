"""A mixture of Gaussians with the parameters and attributes of `sklearn.mixture.GaussianMixture`."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import torch
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted

from ..analysis import latents
from ..core.errors import UsageError
from ..core.random import stream
from ..core.validation import require_finite, require_integer
from ..families import FullGaussian, Gaussian
from ..models.conditionals import Table
from ..recipes.classical import Covariance
from .base import LatentEstimator
from .inputs import checked_input
from .parameters import seed_of
from .turns import in_turn

__all__ = ["LatentMixture"]

DTYPES = (np.float64, np.float32)


class LatentMixture(DensityMixin, LatentEstimator):
    """A mixture of Gaussians by expectation-maximisation from k-means: the recipe `gmm`, on all rows given.

    Args:
        n_components: components.
        covariance_type: "diag" (a variance for each column), "full", "tied" (one full covariance for all components) or
            "spherical" (one variance for all columns, which are divided by one number then, not by one each).
        tol: change of the mean log p(x) in a step below which training counts as converged; the steps go on.
        reg_covar: the least variance in any direction, that of a column being 1; None for jensen's own.
        max_iter: steps.
        options, out, force, progress, random_state: as of `LatentModel`.

    Attributes:
        weights_: [K].
        means_: [K, D], in the data's own units.
        covariances_, precisions_, precisions_cholesky_: [K, D], [K, D, D], [D, D] or [K], as in scikit-learn.
        converged_, n_iter_: whether the change fell below `tol`, and after how many steps.
        lower_bound_: mean log p(x) of the rows before the last step.
        run_, seed_, n_features_in_, feature_names_in_: as of `LatentModel`.

    Example:
        >>> x = np.concatenate([np.random.default_rng(0).normal(c, 1.0, (50, 2)) for c in (0.0, 9.0)])
        >>> mixture = LatentMixture(2, random_state=0).fit(x)
        >>> sorted(mixture.means_.mean(1).round().tolist()), mixture.bic(x) < LatentMixture(1).fit(x).bic(x)
        ([0.0, 9.0], True)
    """

    _only_recipe = "gmm"
    _option_of = {"n_components": "components", "max_iter": "epochs", "covariance_type": "covariance"}

    weights_: np.ndarray
    means_: np.ndarray
    covariances_: np.ndarray
    precisions_: np.ndarray
    precisions_cholesky_: np.ndarray
    converged_: bool
    n_iter_: int
    lower_bound_: float

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "diag",
        tol: Any = 1e-3,
        reg_covar: Any = None,
        max_iter: Any = 100,
        options: Any = None,
        out: Any = None,
        force: Any = False,
        progress: Any = False,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.options = options
        self.out = out
        self.force = force
        self.progress = progress
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> LatentMixture:
        """Train the mixture on all rows.

        Args:
            X: numbers [N, D], without missing entries; integers are taken as reals.
            y: ignored.

        Raises:
            UsageError: a parameter that cannot work, such as a covariance that the recipe does not have.
            DataError: a column is constant and `reg_covar` is None.
        """
        floor = self._checked_floor()
        x = np.asarray(checked_input(self, X, reset=True, missing=False, dtype=DTYPES), dtype=np.float64)
        more: dict[str, Any] = {} if floor is None else {"floor": floor}
        given = self.options or {}
        more |= {} if "split" in given else {"split": (1.0, 0.0, 0.0)}
        if self.covariance_type == "spherical" and "standardize" not in given:
            more["standardize"] = "global"
        self._train(x, **more)
        self._complete()
        return self

    def _checked_floor(self) -> float | None:
        """Return the least standard deviation of standardised columns; None for jensen's own.

        Raises:
            UsageError: a parameter is out of its range.
        """
        if self.covariance_type not in get_args(Covariance):
            choices = ", ".join(get_args(Covariance))
            raise UsageError(f"covariance_type must be one of {choices}, got {self.covariance_type!r}", "Choose one.")
        if self.covariance_type == "spherical" and (self.options or {}).get("standardize") == "feature":
            what = "columns that are divided by a number each have no covariance of one variance in their own units"
            raise UsageError(f'covariance_type="spherical" excludes standardize="feature": {what}', "Leave it out.")
        require_integer(1, n_components=self.n_components, max_iter=self.max_iter)
        require_finite(0, tol=self.tol)
        if self.reg_covar is None:
            return None
        require_finite(0, reg_covar=self.reg_covar)
        return math.sqrt(self.reg_covar) / 2  # scales are raised to twice the floor, which none reaches

    def _complete(self) -> None:
        """Take the attributes from the run.

        Raises:
            UsageError: it is of another model.
        """
        run = self.run_
        table = run.model.likelihood
        if not isinstance(table, Table) or not isinstance(table.family, Gaussian | FullGaussian):
            raise UsageError(f"{run.path} is no mixture of Gaussians", "Use another estimator for it.")
        center, spread = run.preparation.center, run.preparation.scale
        spread = np.broadcast_to(1.0 if spread is None else spread, run.schema.size)
        with torch.no_grad():
            self.weights_ = run.model.prior.params().double().softmax(-1).cpu().numpy()
            loc, factor = (t.double().cpu().numpy() for t in _loc_scale(table))
        self.means_ = loc * spread + (0.0 if center is None else center)
        if isinstance(table.family, FullGaussian):
            factor = factor[0] if table.family.shared else factor
            factor = spread[:, None] * factor
            self.covariances_ = factor @ np.swapaxes(factor, -1, -2)
            self.precisions_cholesky_ = np.swapaxes(np.linalg.inv(factor), -1, -2)
            self.precisions_ = self.precisions_cholesky_ @ np.swapaxes(self.precisions_cholesky_, -1, -2)
        else:
            own = factor[:, 0] * spread[0] if table.family.scale == "one" else factor * spread
            self.covariances_, self.precisions_cholesky_, self.precisions_ = own**2, 1 / own, 1 / own**2
        bounds = [line["train"]["bound"] for line in run.metrics if line["event"] == "epoch"]
        small = np.flatnonzero(np.abs(np.diff(bounds)) < self.tol)
        self.converged_ = bool(len(small))
        self.n_iter_ = int(small[0]) + 2 if len(small) else len(bounds)
        self.lower_bound_ = float(bounds[-1])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each component [N, K]."""
        part = self._part(X, np.float64)
        return latents.encode(self.run_.model, self.run_.guide, part.rows).double().cpu().numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable component [N]."""
        return self.predict_proba(X).argmax(1)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Train the mixture, and return the most probable component of each row [N]."""
        return self.fit(X).predict(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return log p(x) of each row [N] in nats, exactly."""
        return self._score_samples(X, np.float64)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`."""
        return float(self.score_samples(X).mean())

    def bic(self, X: Any) -> float:
        """Return the Bayesian information criterion of rows: the lower, the better."""
        log_px = self.score_samples(X)
        return float(-2 * log_px.sum() + self._n_parameters * math.log(len(log_px)))

    def aic(self, X: Any) -> float:
        """Return Akaike's information criterion of rows: the lower, the better."""
        return float(-2 * self.score_samples(X).sum() + 2 * self._n_parameters)

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return new rows [n, D] and the component of each [n].

        With a whole number as `random_state` each call returns the same rows.
        """
        check_is_fitted(self)
        require_integer(1, n_samples=n_samples)
        run, noise = self.run_, stream(seed_of(self.random_state), "sample", self.run_.device)
        with in_turn():
            z, batch = run.model.simulate(n_samples, noise)
        return run.shaped(batch.x).reshape(n_samples, -1), z.argmax(-1).cpu().numpy()

    @property
    def _n_parameters(self) -> int:
        """The number of free parameters: weights, means and variances."""
        check_is_fitted(self)
        k, d = self.means_.shape
        triangle = d * (d + 1) // 2
        of = {"diag": k * d, "full": k * triangle, "tied": triangle, "spherical": k}[self.covariance_type]
        return self.means_.size + of + k - 1


def _loc_scale(table: Table) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the means [K, D] of the components, and their standard deviations, or the factors of their covariances."""
    family = table.family
    return family.loc_factor(table.rows()) if isinstance(family, FullGaussian) else family.loc_scale(table.rows())  # pyright: ignore[reportAttributeAccessIssue]
