"""The benchmark of anomalies: its data sets, what it computes from scores, and its tables."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.anomaly import METHODS, PAGE, averages, false_alarms, judged, main, mean_ranks, place, pooled
from benchmarks.anomaly_data import ADULT, KINDS, NAMES, Case, cases, synthetic
from benchmarks.tables import filled


def test_choices_are_made_on_other_classes_and_splits(tmp_path):
    reported, tuned = ({(name, n) for name, n, _ in cases(tmp_path, tuning)} for tuning in (False, True))
    assert not reported & tuned
    assert {name for name, _ in reported} == {name for name, _ in tuned} == set(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_have_anomalies_of_their_kind(kind):
    case = synthetic(kind, 3, (2000, 1500, 1500))
    clean, odd = case.test[~case.anomalous], case.test[case.anomalous]
    assert case.train.shape == (2000, 6)
    assert (case.train[:, :3] > 0).all()
    ranks = [np.corrcoef(pd.DataFrame(x).rank().to_numpy().T) for x in (clean, odd)]
    away = [np.abs(r - np.eye(6)).max() for r in ranks]
    if kind == "dependency":  # each column as in clean rows, by Kolmogorov and Smirnov, and none with another
        most = max(np.abs(_shares(clean[:, d], odd[:, d])).max() for d in range(6))
        assert most < 0.07  # 1.9 sqrt(2 / 1500): chance has more in less than 1 in 1,000 of columns
        assert away[1] < 0.1 < away[0]
    else:
        middle = np.median(clean, 0)
        distance = [np.abs((x - middle) / clean.std(0)).mean() for x in (clean, odd)]
        assert distance[1] > 1.1 * distance[0]
    again = synthetic(kind, 3, (2000, 1500, 1500))
    np.testing.assert_array_equal(again.test, case.test)


def _shares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    at = np.sort(np.concatenate([a, b]))
    return np.searchsorted(np.sort(a), at, "right") / len(a) - np.searchsorted(np.sort(b), at, "right") / len(b)


def test_levels_are_columns_of_zeros_and_ones_and_numbers_are_standardised():
    train = pd.DataFrame({"age": [20.0, 30.0, 40.0], "job": ["a", None, "b"]})
    test = pd.DataFrame({"age": [30.0, 50.0], "job": ["b", "c"]})
    x, new = Case(ADULT, 0, train, test, np.array([False, True])).numbers()
    np.testing.assert_allclose(x[:, 0].std(), 1)
    np.testing.assert_allclose(new[0, 0], 0, atol=1e-12)
    np.testing.assert_array_equal(x[:, 1:], [[0, 1, 0], [1, 0, 0], [0, 0, 1]])  # "?", "a" and "b"
    np.testing.assert_array_equal(new[:, 1:], [[0, 0, 1], [0, 0, 0]])


def test_a_high_score_is_odd():
    scores, odd = np.array([0.1, 0.4, 0.3, 0.9]), np.array([False, True, False, True])
    assert judged(scores, odd) == {"auc": 1.0, "auprc": 1.0}
    assert judged(-scores, odd)["auc"] == roc_auc_score(odd, -scores) == 0.0


def test_rates_of_false_alarms_have_the_error_of_clean_and_of_held_out_rows():
    """Against the spread of simulated rates, whose standard deviation is known to 1 / sqrt(2 * 400) = 4 %."""
    rng, held, n = np.random.default_rng(0), 99, 200
    rates = []
    for _ in range(400):
        known, new = np.sort(rng.random(held)), rng.random(n)
        alarms = false_alarms((1 + np.searchsorted(known, new)) / (1 + held), held)
        rates.append([row["rate"] for row in pooled([alarms])])
    rows = pooled([alarms])
    assert [row["expected"] for row in rows] == [0.01, 0.05, 0.1]
    errors = np.array([row["stderr"] for row in rows])
    np.testing.assert_allclose(np.std(rates, axis=0), errors, rtol=4 * 0.04)
    assert (np.abs(np.mean(rates, 0) - [0.01, 0.05, 0.1]) < 4 * errors / 20).all()
    assert [row["expected"] for row in pooled([false_alarms(np.ones(5), 10)])] == [0, 0, 1 / 11]


def test_ranks_are_over_data_sets_and_equal_ones_are_shared():
    def result(data: str, number: int, method: str, auc: float, **more: object) -> dict:
        return {"data": data, "number": number, "method": method, "auc": auc, **more}

    results = [
        result("digits", 0, "jensen", 0.8, typicality={"auc": 0.5}),
        result("digits", 2, "jensen", 1.0, typicality={"auc": 0.7}),
        result("digits", 0, "LOF", 0.7),
        result("wdbc", 0, "jensen", 0.7),
        result("wdbc", 0, "LOF", 0.7001),
    ]
    means = averages(results, "auc")
    assert means["digits"] == {"jensen": pytest.approx(0.9), "typicality": pytest.approx(0.6), "LOF": 0.7}
    assert mean_ranks(means, ["jensen", "LOF"]) == {"jensen": 1.25, "LOF": 1.75}


def test_results_that_are_kept_are_not_measured_again(tmp_path, capsys):
    for number in (0, 1):
        for method in METHODS:
            kept = {"data": "wdbc", "number": number, "method": method, "auc": 0.9, "auprc": 0.8}
            kept |= {"anomalies": 10, "clean": 90, "seconds": 1.0}
            place(tmp_path, "wdbc", number, method).write_text(json.dumps(kept))
    assert main([str(tmp_path), "--out", str(tmp_path), "--table", "--json", str(tmp_path / "a.txt")]) == 0
    assert "| wdbc | 2 | 10% |" in capsys.readouterr().out
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page, {"figures": ""}) == page
    assert json.loads((tmp_path / "a.txt").read_text())["auc"]["ranks"]["jensen"] == 3.0
