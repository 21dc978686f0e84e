"""The mixture beside scikit-learn's own, from which its numbers are recomputed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from jensen.core.errors import DataError, UsageError
from jensen.sklearn import LatentMixture

FAST = {"threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 100.0, 1.0], [8.0, 60.0, 1.5], [-8.0, 140.0, 0.5]])
    return centres[np.arange(150) % 3] + rng.normal(size=(150, 3)) * [1.0, 5.0, 0.1]


@pytest.fixture(scope="module")
def fitted(x) -> LatentMixture:
    return LatentMixture(3, max_iter=60, options=FAST, random_state=0).fit(x)


@pytest.fixture(scope="module")
def theirs(fitted) -> GaussianMixture:
    """Return scikit-learn's mixture with the attributes of ours."""
    other = GaussianMixture(3, covariance_type="diag")
    other.weights_, other.means_, other.covariances_ = fitted.weights_, fitted.means_, fitted.covariances_
    other.precisions_cholesky_, other.n_features_in_ = fitted.precisions_cholesky_, 3
    return other


def test_attributes_give_the_same_numbers_in_scikit_learn(fitted, theirs, x):
    assert fitted.weights_.sum() == pytest.approx(1)
    np.testing.assert_allclose(fitted.score_samples(x), theirs.score_samples(x), rtol=1e-8)
    np.testing.assert_allclose(fitted.predict_proba(x), theirs.predict_proba(x), atol=1e-8)
    np.testing.assert_array_equal(fitted.predict(x), theirs.predict(x))
    assert fitted.bic(x) == pytest.approx(theirs.bic(x))
    assert fitted.aic(x) == pytest.approx(theirs.aic(x))
    assert fitted.score(x) == pytest.approx(theirs.score(x))


def test_it_finds_the_components_that_scikit_learn_finds(fitted, x):
    other = GaussianMixture(3, covariance_type="diag", random_state=0, tol=1e-6).fit(x)
    order, theirs = fitted.means_[:, 0].argsort(), other.means_[:, 0].argsort()
    np.testing.assert_allclose(fitted.means_[order], other.means_[theirs], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(fitted.covariances_[order], other.covariances_[theirs], rtol=1e-2)
    assert fitted.converged_
    assert 2 <= fitted.n_iter_ <= 60
    assert fitted.lower_bound_ == pytest.approx(fitted.score(x), abs=1e-4)
    assert len(fitted.run_.split().train) == 150


def test_samples_have_their_components(fitted):
    x, y = fitted.sample(200)
    assert x.shape == (200, 3)
    assert set(y) == {0, 1, 2}
    assert (fitted.predict(x) == y).mean() > 0.95
    np.testing.assert_array_equal(fitted.fit_predict(x), fitted.predict(x))


@pytest.mark.parametrize("parameters", [{"covariance_type": "full"}, {"n_components": 0}, {"tol": -1}, {"max_iter": 0}])
def test_parameters_that_cannot_work_are_refused(x, parameters):
    with pytest.raises(UsageError, match=next(iter(parameters))):
        LatentMixture(**({"n_components": 2, "options": FAST} | parameters)).fit(x)


def test_a_constant_column_needs_a_floor(x):
    flat = np.column_stack([x, np.ones(150)])
    with pytest.raises(DataError, match="constant"):
        LatentMixture(2, max_iter=2, options=FAST).fit(flat)
    model = LatentMixture(2, max_iter=2, reg_covar=1e-4, options=FAST).fit(flat)
    assert np.isfinite(model.score_samples(flat)).all()
    assert (model.covariances_[:, 3] >= 1e-4 - 1e-12).all()


def test_integers_are_reals(x):
    whole = x.astype(int)
    np.testing.assert_allclose(
        LatentMixture(2, max_iter=2, options=FAST, random_state=0).fit(whole).means_,
        LatentMixture(2, max_iter=2, options=FAST, random_state=0).fit(whole.astype(float)).means_,
    )
