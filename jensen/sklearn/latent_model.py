"""A latent-variable model as a transformer and a density estimator of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from ..analysis import latents
from ..core.errors import CompositionError, DataError
from .base import LatentEstimator
from .inputs import checked_input
from .parameters import AUTO, recipe_of, seed_of
from .turns import in_turn

__all__ = ["LatentModel"]

LINEAR = ("ppca", "factor-analysis")  # which have fewer latent features than there are columns
MULTIPLE = 64  # rows that are encoded together: products of other sizes may differ in their last bits


class LatentModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, LatentEstimator):
    """A latent-variable model: `transform` gives posterior means, `score_samples` log p(x).

    It is trained as `jensen.train` and `jensen train` do it with the same options, on the same rows: of the rows given,
    a tenth is kept aside for validation and a tenth for tests, unless `options={"split": "0.9,0.1,0"}` says otherwise.

    Args:
        recipe: a name from `jensen recipes`; "auto" is "table" or "table-gmm" for a DataFrame of mixed kinds or with
            holes, and "vae" for other data.
        latent: latent features; None for the recipe's number.
        epochs, batch, lr: passes over the data, rows per step and learning rate; None for jensen's own.
        options: other options of `jensen.train` by name, such as {"hidden": (64, 64), "likelihood": "gaussian"}.
        out: the run folder; by default a temporary one, which is removed with the estimator.
        force: replace a run that is there.
        progress: True for a line that shows how far training is, and for notices as warnings of the logger "jensen",
            which are of level INFO otherwise; None for this in notebooks and interactive sessions.
        random_state: the seed, a RandomState to draw it from, or None.

    Attributes:
        run_: the `jensen.Run`, with all that it can do.
        seed_: of the training.
        n_features_in_, feature_names_in_: of the columns.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 4)) @ np.diag([3.0, 1.0, 1.0, 1.0])
        >>> model = LatentModel("ppca", latent=1, random_state=0).fit(x)
        >>> model.transform(x).shape, model.score_samples(x).shape, model.sample(2).shape
        ((100, 1), (100,), (2, 4))
    """

    def __init__(
        self,
        recipe: Any = AUTO,
        *,
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

    def fit(self, X: Any, y: Any = None) -> LatentModel:
        """Train the model.

        Args:
            X: array [N, D], or a DataFrame, whose columns may be of mixed kinds.
            y: ignored, but by a recipe that learns from some labels (-1 is an unknown one).

        Raises:
            CompositionError: the recipe needs the label of every row that it is asked about.
            JensenError: of a kind that says what is wrong with data or parameters; most are a ValueError.
        """
        recipe = recipe_of(self.recipe)
        if recipe is not None and recipe.labels == "context":
            remedy = "Use jensen.train, or a recipe that takes the label as a latent, such as semi-supervised."
            raise CompositionError(f"recipe {recipe.name} is of p(x | label), and transform is given no labels", remedy)
        least = 2 if recipe is not None and recipe.name in LINEAR else 1
        rows = checked_input(self, X, reset=True, missing=self._allows_missing(), least_columns=least)
        is_labelled = recipe is not None and recipe.labels is not None
        self._train(rows, y if is_labelled else None)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the mean of q(z | x) [N, Z]; of a mixture, the probabilities of its components.

        Raises:
            CompositionError: the model does not infer z from x.
        """
        part = self._part(X)
        n = len(part.rows)
        index = torch.cat([torch.arange(n), torch.zeros(-n % MULTIPLE, dtype=torch.long)]).to(part.rows.device)
        rows = part.rows if n % MULTIPLE == 0 else part.rows.subset(index)
        return latents.encode(self.run_.model, self.run_.guide, rows)[:n].double().cpu().numpy()

    def inverse_transform(self, Z: Any) -> Any:
        """Return the mean of p(x | z) [N, D] in the data's own units; of a mixed table, a DataFrame.

        Args:
            Z: points of the latent space [N, Z].

        Raises:
            DataError: they have another number of features.
        """
        check_is_fitted(self)
        z, size = np.asarray(check_array(Z, input_name="Z"), dtype=np.float64), self._n_features_out
        if z.shape[1] != size:
            raise DataError(f"Z has {z.shape[1]} features, and the latent space {size}", "Give what transform returns.")
        x = self.run_.decode(z)
        return x.reshape(len(x), -1) if isinstance(x, np.ndarray) else x

    def sample(self, n_samples: int = 1) -> Any:
        """Return new rows [n, D] from the model, in the data's own units; of a mixed table, a DataFrame.

        With a whole number as `random_state` each call returns the same rows.
        """
        check_is_fitted(self)
        with in_turn():
            x = self.run_.sample(n_samples, seed=seed_of(self.random_state))
        return x.reshape(len(x), -1) if isinstance(x, np.ndarray) else x

    def score_samples(self, X: Any) -> np.ndarray:
        """Return log p(x) of each row [N] in nats, in the data's own units, as `jensen score` does.

        It is exact for mixtures and linear models, and accurate for one or two latent features; for other models it is
        the importance-weighted lower bound of 1,000 points, whose noise is that of the rows together.
        """
        check_is_fitted(self)
        return self._score_samples(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`."""
        return float(self.score_samples(X).mean())

    def _complete(self) -> None:
        """A model has nothing but its run."""

    @property
    def _n_features_out(self) -> int:
        """The number of latent features."""
        return self.run_.model.latent
