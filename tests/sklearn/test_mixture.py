"""The mixture beside scikit-learn's own, from which its numbers are recomputed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
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


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_every_covariance_is_that_of_scikit_learn(kind):
    """At the same parameters log p(x) is equal to 1e-8; on iris its own fit is not worse by 2 standard errors."""
    x = load_iris().data
    ours = LatentMixture(3, covariance_type=kind, options=FAST, random_state=0).fit(x)
    same = GaussianMixture(3, covariance_type=kind)
    fitted = GaussianMixture(3, covariance_type=kind, random_state=0, tol=1e-6).fit(x)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(ours, name).shape == getattr(fitted, name).shape
        setattr(same, name, getattr(ours, name))
    same.n_features_in_ = 4
    np.testing.assert_allclose(ours.score_samples(x), same.score_samples(x), rtol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(x), same.predict_proba(x), atol=1e-8)
    assert ours.bic(x) == pytest.approx(same.bic(x))
    assert ours.aic(x) == pytest.approx(same.aic(x))
    theirs = precisions_of(ours.covariances_, kind)
    np.testing.assert_allclose(ours.precisions_, theirs, rtol=1e-6)
    difference = ours.score_samples(x) - fitted.score_samples(x)
    assert difference.mean() > -2 * difference.std() / len(x) ** 0.5 - 1e-4
    opened = ours.run_.as_estimator("mixture")
    assert opened.covariance_type == kind
    np.testing.assert_allclose(opened.covariances_, ours.covariances_)


def precisions_of(covariances: np.ndarray, kind: str) -> np.ndarray:
    return np.linalg.inv(covariances) if kind in ("full", "tied") else 1 / covariances


def test_no_direction_is_narrower_than_the_floor():
    """Two columns that are nearly one: the covariance has no eigenvalue below `reg_covar`, of standardised columns."""
    u = np.random.default_rng(0).normal(size=(80, 2))
    x = np.column_stack([u[:, 0], u[:, 0] + 1e-6 * u[:, 1]])
    model = LatentMixture(1, covariance_type="full", reg_covar=1e-2, max_iter=2, options=FAST).fit(x)
    correlated = model.covariances_[0] / np.outer(x.std(0), x.std(0))
    assert np.linalg.eigvalsh(correlated)[0] == pytest.approx(1e-2, rel=1e-6)
    assert np.isfinite(model.score_samples(x)).all()


def test_one_variance_for_all_columns_is_that_of_their_own_units(x):
    with pytest.raises(UsageError, match="standardize"):
        LatentMixture(2, covariance_type="spherical", options=FAST | {"standardize": "feature"}).fit(x)


@pytest.mark.parametrize("parameters", [{"covariance_type": "wide"}, {"n_components": 0}, {"tol": -1}, {"max_iter": 0}])
def test_parameters_that_cannot_work_are_refused(x, parameters):
    with pytest.raises(UsageError, match=next(iter(parameters))):
        LatentMixture(**({"n_components": 2, "options": FAST} | parameters)).fit(x)


def test_a_constant_column_needs_a_floor(x):
    flat = np.column_stack([x, np.ones(150)])
    with pytest.raises(DataError, match="constant"):
        LatentMixture(2, max_iter=2, options=FAST).fit(flat)
    model = LatentMixture(2, max_iter=2, reg_covar=1e-4, options=FAST).fit(flat)
    assert np.isfinite(model.score_samples(flat)).all()
    np.testing.assert_allclose(model.covariances_[:, 3], 1e-4, rtol=1e-6)


def test_integers_are_reals(x):
    whole = x.astype(int)
    np.testing.assert_allclose(
        LatentMixture(2, max_iter=2, options=FAST, random_state=0).fit(whole).means_,
        LatentMixture(2, max_iter=2, options=FAST, random_state=0).fit(whole.astype(float)).means_,
    )


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@pytest.mark.parametrize("gap", [0.0142, 0.01, 1e-3])
def test_nearly_collinear_columns_have_the_maximum_likelihood_of_scikit_learn(gap, covariance_type):
    """Correlations up to 1 - 5e-7: one component's maximum, above the floors of both."""
    a, b, c = np.random.default_rng(0).normal(size=(3, 300))
    x = np.stack([a, a + gap * b, c], 1)
    own = LatentMixture(1, covariance_type=covariance_type, options=FAST, random_state=0).fit(x)
    theirs = GaussianMixture(1, covariance_type=covariance_type, reg_covar=0.0).fit(x)
    assert own.score(x) == pytest.approx(theirs.score(x), abs=1e-5)
    assert str(own.run_.evaluate(x).estimate.kind) == "exact"


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_collinear_columns_are_at_the_floor_as_in_scikit_learn(covariance_type):
    """Of exactly collinear columns the least variance is the floor's: scikit-learn's of that number added to variances
    of standardised columns, whose other two differ by 4e-8 of themselves."""
    a, b = np.random.default_rng(0).normal(size=(2, 300))
    x = np.stack([a, b, a + b], 1)
    own = LatentMixture(1, covariance_type=covariance_type, options=FAST, random_state=0).fit(x)
    least = own.run_.model.likelihood.family.smallest**2
    theirs = GaussianMixture(1, covariance_type=covariance_type, reg_covar=least).fit((x - x.mean(0)) / x.std(0))
    assert own.score(x) == pytest.approx(theirs.score((x - x.mean(0)) / x.std(0)) - np.log(x.std(0)).sum(), abs=1e-3)
    evaluation = own.run_.evaluate(x)
    assert "exact" not in str(evaluation.estimate.kind)
    assert any("lower limit" in note for note in evaluation.notes)
