"""Measures of disentanglement on planted codes: what each is where its formula can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jensen.analysis import disentanglement as measures
from jensen.analysis.disentanglement import FactorCodes, dci, disentanglement, factor_vae_score, informations, mig, sap
from jensen.core.errors import DataError
from jensen.data import Factors

LEVELS = (3, 4, 4)
GRID = np.stack(np.meshgrid(*map(range, LEVELS), indexing="ij"), -1).reshape(-1, 3)
FACTORS = Factors.of(np.repeat(GRID, 20, axis=0), ("kind", "size", "place"), (False, True, True))  # 960 rows
PERFECT = FACTORS.values.astype(np.float64)
NAMES = ("MIG", "SAP", "DCI disentanglement", "DCI completeness", "DCI informativeness", "FactorVAE score")


def both(codes: np.ndarray) -> tuple[FactorCodes, FactorCodes]:
    """The same codes of every second row, fitted, and of the others, scored: the whole grid is in either."""
    return tuple(FactorCodes(codes[i::2], FACTORS.rows(np.arange(i, len(codes), 2))) for i in (0, 1))


def entropy(*p: float) -> float:
    return -sum(v * math.log(v) for v in p if v)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Fewer trees and votes, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "TREES", 8)
        patch.setattr(measures, "VOTES", 300)
        yield


def test_the_factors_themselves_are_the_best_codes():
    """In any order, of any scale, with a constant feature beside them; SAP is held against the chance of the name."""
    codes = np.column_stack([5 - 3 * PERFECT[:, 2], 0.01 * PERFECT[:, 0], np.full(len(PERFECT), 7.0), PERFECT[:, 1]])
    found = disentanglement(*both(codes))
    assert tuple(found) == NAMES
    # others know nothing of an order (R^2 is 0 on a whole grid), and guess one name of three
    assert found == pytest.approx(dict.fromkeys(NAMES, 1.0) | {"SAP": (2 / 3 + 1 + 1) / 3}, abs=1e-9)


def test_duplicates_have_no_gap_but_are_as_disentangled():
    """MIG and SAP fall to 0; each of the twins stands for one factor alone, so DCI disentanglement stays 1."""
    fitted, scored = both(np.hstack([PERFECT, PERFECT]))
    assert mig(scored) == pytest.approx(0.0, abs=1e-12)
    assert sap(fitted, scored) == pytest.approx(0.0, abs=1e-12)
    disentangled, complete, informative = dci(fitted, scored)
    assert (disentangled, informative) == (pytest.approx(1.0), 1.0)
    assert complete < 1
    assert factor_vae_score(fitted, scored) == 1.0


def test_the_gap_of_information_by_hand():
    """A second feature tells whether v_1 = 0 while v_2 < 2: I = H(z) - H(z | v), worked out for both factors."""
    extra = ((PERFECT[:, 0] == 0) & (PERFECT[:, 1] < 2)).astype(float)
    coded = FactorCodes(np.column_stack([PERFECT, extra]), FACTORS)
    shared, entropies = informations(coded)
    assert entropies == pytest.approx([math.log(3), math.log(4), math.log(4)])
    kind = entropy(1 / 6, 5 / 6) - math.log(2) / 3
    size = entropy(1 / 6, 5 / 6) - entropy(1 / 3, 2 / 3) / 2
    assert shared[3] == pytest.approx([kind, size, 0.0], abs=1e-12)
    assert shared[:3] == pytest.approx(np.diag(entropies), abs=1e-12)
    assert mig(coded) == pytest.approx((1 - kind / math.log(3) + 1 - size / math.log(4) + 1) / 3, abs=1e-12)


def test_squared_correlations_by_hand():
    """Of v + c w, for independent v and w of one variance: 1/(1 + c^2) with v, c^2/(1 + c^2) with w."""
    fitted, scored = both(np.column_stack([PERFECT[:, 1] + 2 * PERFECT[:, 2], np.zeros(len(PERFECT))]))
    found = measures._squared_correlations(scored.codes, scored.factors.values[:, 1])
    assert found == pytest.approx([1 / 5, 0.0])
    named, orders = 0.0, (1 / 5, 4 / 5)  # nothing is told of the name: both features are at 1/3
    assert sap(fitted, scored) == pytest.approx((named + sum(orders)) / 3, abs=0.02)


def test_shares_by_hand():
    """Disentanglement and completeness of given weights: Eastwood and Williams' formulas."""
    even = np.full((4, 3), 0.25)
    assert measures._entropic(even) == pytest.approx((0.0, 0.0))
    weights = np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 0.5]])
    assert measures._entropic(weights) == pytest.approx((1.0, (1 + 1 - math.log(2) / math.log(3)) / 2))
    mixed = np.array([[0.5, 0.5], [0.5, 0.0], [0.0, 0.5]])  # half of the weight on a feature of both
    assert measures._entropic(mixed) == pytest.approx((0.5, 1 - math.log(2) / math.log(3)))
    assert measures._entropic(np.zeros((3, 2))) == (0.0, 0.0)


def test_a_rotation_hides_the_factors():
    """Nothing is lost, and no feature stands for one factor: every measure is below that of the factors by 0.3."""
    turn = np.linalg.qr(noise((3, 3), 2))[0]
    ours, rotated = disentanglement(*both(PERFECT)), disentanglement(*both(PERFECT @ turn.T))
    for name in ("MIG", "SAP", "DCI disentanglement", "DCI completeness"):
        assert rotated[name] < ours[name] - 0.3, name
    assert rotated["DCI informativeness"] > 0.9


def test_noise_is_at_chance():
    """Codes that know nothing, and shuffled ones: no gap, and a factor is told about as often as it is guessed."""
    fitted, scored = both(noise(PERFECT.shape))
    found = disentanglement(fitted, scored)
    assert found["MIG"] < 0.03
    assert found["SAP"] < 0.05
    assert found["DCI disentanglement"] < 0.1
    assert found["DCI completeness"] < 0.1
    # accuracy of a guess: the mean of 1/3, 1/4 and 1/4, within 4 standard errors of 480 rows and 3 factors
    guess = np.mean([1 / n for n in LEVELS])
    assert abs(found["DCI informativeness"] - guess) < 4 * (guess * (1 - guess) / (3 * 480)) ** 0.5
    assert abs(found["FactorVAE score"] - 1 / 3) < 4 * (2 / 9 / 300) ** 0.5
    rng = np.random.default_rng(0)
    shuffled = disentanglement(*(half.shuffled(rng) for half in both(PERFECT)))
    assert shuffled["MIG"] < 0.03
    assert abs(shuffled["FactorVAE score"] - 1 / 3) < 4 * (2 / 9 / 300) ** 0.5


def test_noise_tells_too_much_by_about_what_is_stated():
    """The bias of binned information, (bins - 1)(values - 1)/(2N) nats: within a third, over 40 draws of 960 rows."""
    codes = np.random.default_rng(1).random((960, 40))
    shared, _ = informations(FactorCodes(codes, FACTORS), bins=10)
    expected = np.array([9 * (n - 1) / (2 * 960) for n in LEVELS])
    assert shared.mean(0) == pytest.approx(expected, rel=1 / 3)


def test_collapsed_codes_know_nothing():
    fitted, scored = both(np.ones((960, 2)))
    found = disentanglement(fitted, scored)
    assert found["MIG"] == 0
    assert found["SAP"] == 0
    assert (found["DCI disentanglement"], found["DCI completeness"]) == (0, 0)
    assert found["FactorVAE score"] < 0.45


def test_one_feature_is_held_against_none():
    """Of a lone feature the second best knows nothing: 0, and the chance of a name."""
    fitted, scored = both(PERFECT[:, :1])
    assert mig(scored) == pytest.approx(1 / 3, abs=1e-9)
    assert sap(fitted, scored) == pytest.approx((1 - 1 / 3) / 3, abs=1e-9)


def test_the_seed_is_all_there_is():
    pair = both(PERFECT + 0.5 * noise(PERFECT.shape))
    assert disentanglement(*pair, seed=3) == disentanglement(*pair, seed=3)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((5, 2)), "do not match"),
        (np.full((960, 2), np.nan), "not finite"),
        (np.zeros((960, 0)), "do not match"),
    ],
)
def test_codes_that_cannot_be_judged(codes, message):
    with pytest.raises(DataError, match=message):
        FactorCodes(codes, FACTORS)


def test_factors_that_cannot_be_judged():
    with pytest.raises(DataError, match="one value"):
        FactorCodes(np.zeros((4, 1)), Factors.of(np.array([[0, 1], [0, 2], [0, 3], [0, 4]])))
    with pytest.raises(DataError, match="must be a table of numbers"):
        Factors.of(np.arange(3))
    with pytest.raises(DataError, match="Give one for each"):
        Factors.of(GRID, ("a", "b"))
