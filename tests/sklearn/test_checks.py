"""The checks of scikit-learn's own for every estimator: none fails, and none is expected to.

In the quick suite each check runs for one of the estimators, in turn; `make test-all` runs all of them for all.
"""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from jensen.sklearn import LatentAnomalyDetector, LatentImputer, LatentMixture, LatentModel

FAST = {"threads": 1, "device": "cpu"}
NETS = {**FAST, "hidden": (4,)}
QUICK = [
    LatentModel("ppca", latent=1, epochs=1, options=FAST),
    LatentAnomalyDetector(recipe="gmm", epochs=1, options={**FAST, "components": 2}),
    LatentMixture(2, max_iter=2, options=FAST),
]
IMPUTER = LatentImputer(recipe="table-gmm", epochs=1, options={**FAST, "components": 2})
SLOW = [
    LatentImputer(latent=1, epochs=1, options={**NETS, "points": 1}),
    LatentModel("vae", latent=1, epochs=1, options=NETS),
    LatentAnomalyDetector(measure="regret", recipe="vae", latent=1, epochs=1, options=NETS),
]
OF_IMPUTER = {"check_estimators_pickle", "check_transformers_unfitted"}  # in the quick suite


def name_of(check: object) -> str:
    return getattr(check, "func", check).__name__


def pairs_of(*estimators: object) -> list[tuple[object, object]]:
    return parametrize_with_checks(list(estimators)).args[1]


def cases() -> list[object]:
    """Return all pairs of an estimator and a check; those that are not in the quick suite are slow."""
    of_each = [pairs_of(estimator) for estimator in QUICK]
    names = dict.fromkeys(name_of(check) for pairs in of_each for _, check in pairs)
    turns = {name: i for i, name in enumerate(names)}
    params: list[object] = []
    for number, pairs in enumerate(of_each):
        for estimator, check in pairs:
            name = name_of(check)
            have = [n for n, others in enumerate(of_each) if any(name_of(c) == name for _, c in others)]
            is_turn = have[turns[name] % len(have)] == number and name not in OF_IMPUTER
            params.append(pytest.param(estimator, check, marks=() if is_turn else pytest.mark.slow))
    for estimator, check in pairs_of(IMPUTER):
        is_turn = name_of(check) in OF_IMPUTER
        params.append(pytest.param(estimator, check, marks=() if is_turn else pytest.mark.slow))
    return params + [pytest.param(*pair, marks=pytest.mark.slow) for pair in pairs_of(*SLOW)]


CASES = cases()


def ids(value: object) -> str:
    return type(value).__name__ if type(value).__module__.startswith("jensen") else name_of(value)


@pytest.mark.parametrize(("estimator", "check"), CASES, ids=ids)
@pytest.mark.filterwarnings("ignore")  # those that the checks provoke
def test_estimator_passes_the_check(estimator, check):
    check(estimator)  # which asserts
    assert type(estimator).__sklearn_tags__(estimator).requires_fit


def test_every_check_is_in_the_quick_suite():
    quick = {name_of(case.values[1]) for case in CASES if not case.marks}
    assert quick == {name_of(case.values[1]) for case in CASES}
