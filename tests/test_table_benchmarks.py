"""The benchmarks of mixed tables: scores against known answers, masks, codes of levels, and ranks."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.imputation import central, crps, means, ranks, scores, worse_than_marginal
from benchmarks.imputers import Answer, by_iteration, marginal
from benchmarks.mixed_tables import HIDINGS, UCI, MixedTable, hide
from benchmarks.report_time import mixed
from benchmarks.synthesis import calibration_error
from benchmarks.table_density import by_independent_columns, decimals, gaussian_mixture
from jensen.data import read


def table(n: int = 400, name: str = "mixed") -> MixedTable:
    """A number, an ordinal column that follows it, and a category of three levels that does not."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(n)
    x = np.stack([10 + 3 * z, np.digitize(z, [-1, 0, 1]), rng.integers(0, 3, n)], 1).astype(float)
    kinds = ("real", "ordinal", "categorical")
    return MixedTable(name, x, np.ones(x.shape, dtype=bool), ("a", "b", "c"), kinds, (0, 4, 3))


def test_crps_is_that_of_a_normal_distribution():
    draws = np.random.default_rng(0).standard_normal((4000, 1))
    # at its mean, that of N(0, 1) is sqrt(2 / pi) - 1 / sqrt(pi)
    assert crps(draws, np.zeros(1))[0] == pytest.approx(np.sqrt(2 / np.pi) - 1 / np.sqrt(np.pi), abs=0.02)


def test_central_ranks_of_calibrated_counts_are_nine_in_ten():
    rng = np.random.default_rng(0)
    truth, draws = rng.poisson(0.5, 20_000), rng.poisson(0.5, (100, 20_000))
    assert central(draws, truth).mean() == pytest.approx(0.9, abs=0.005)  # an interval of counts covers more
    assert central(draws, truth + 5).mean() < 0.1


def test_errors_have_the_protocol_of_the_paper():
    t = table()
    observed = np.ones(t.x.shape, dtype=bool)
    observed[:2] = False
    point = t.x.copy()
    point[0, 0] += 2
    point[0, 1] = (point[0, 1] + 1) % 4
    point[0, 2] = (point[0, 2] + 1) % 3
    number, ordinal, nominal = scores(t, observed, Answer(point))
    assert number["error"] == pytest.approx(np.sqrt(2) / np.ptp(t.x[:, 0]))
    assert ordinal["error"] == pytest.approx(abs(point[0, 1] - t.x[0, 1]) / 4 / 2)
    assert nominal["error"] == 0.5


def test_cells_that_the_file_lacks_are_not_scored():
    t = table()
    t.known[:, 2] = False
    rows = scores(t, np.zeros(t.x.shape, dtype=bool), Answer(t.x))
    assert [row["column"] for row in rows] == ["a", "b"]


def test_levels_come_back_from_their_codes():
    t = table()
    observed = np.random.default_rng(1).random(t.x.shape) < 0.7
    filled, plain = by_iteration(t, observed, 0).point, marginal(t, observed, 0).point
    assert (filled[observed] == t.x[observed]).all()
    assert set(np.unique(filled[:, 1])) <= {0, 1, 2, 3}
    assert set(np.unique(filled[:, 2])) <= {0, 1, 2}
    a, b = (means({"columns": scores(t, observed, Answer(p))}, "error") for p in (filled, plain))
    assert a["numeric"] < 0.8 * b["numeric"]
    assert a["ordinal"] < 0.8 * b["ordinal"]


def test_cells_are_hidden_at_random_given_a_column_that_is_observed():
    z = np.random.default_rng(0).standard_normal((3000, len(UCI["concrete"][1])))
    t = MixedTable("concrete", z, np.ones(z.shape, dtype=bool), UCI["concrete"][1], ("real",) * 9, (0,) * 9)
    observed = hide(t, HIDINGS[2], seed=0)
    assert observed[:, 8].all()
    assert (~observed[:, :8]).mean() == pytest.approx(0.3, abs=0.03)
    low, high = z[:, 8] < -1, z[:, 8] > 1
    difference = np.abs(observed[low].mean(0) - observed[high].mean(0))[:8]
    assert difference.min() > 0.3
    assert (~hide(t, HIDINGS[1], seed=0)).mean() == pytest.approx(0.5, abs=0.02)


def test_missing_cells_of_a_frame_are_those_that_are_not_observed():
    t = table(50)
    observed = np.random.default_rng(1).random(t.x.shape) < 0.5
    assert (t.frame(observed).isna().to_numpy() == ~observed).all()
    assert t.frame()["b"].cat.ordered
    assert not t.frame()["c"].cat.ordered


def test_ranks_and_columns_that_are_worse():
    def result(error: float) -> dict:
        return {"columns": [{"column": "a", "kind": "numeric", "error": error, "stderr": 0.01}]}

    case = {("t", "m"): {"jensen": result(0.3), "mean/mode": result(0.2), "ridge": result(0.1)}}
    assert ranks(case, ["jensen", "mean/mode", "ridge"]) == {"jensen": [3.0], "mean/mode": [2.0], "ridge": [1.0]}
    assert len(worse_than_marginal(case)) == 1


def test_densities_are_in_own_units():
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((400, 2)), rng.standard_normal((1000, 2))
    nats = gaussian_mixture(train, test, 0)
    assert nats.mean() == pytest.approx(-np.log(2 * np.pi) - 1, abs=0.15)
    assert gaussian_mixture(10 * train, 10 * test, 0).mean() == pytest.approx(nats.mean() - 2 * np.log(10), abs=1e-6)
    assert decimals(np.array([0.25, 3.5])) == 2
    assert decimals(np.array([2.0, 30.0])) == 0


def test_independent_columns_know_frequencies():
    t = table(4000)
    levels = MixedTable("levels", t.x[:, 1:], t.known[:, 1:], t.columns[1:], t.kinds[1:], t.levels[1:])
    p = np.bincount(levels.x[:, 0].astype(int)) / 4000
    expected = (p * np.log(p)).sum() - np.log(3)
    assert by_independent_columns(levels, levels, 0).mean() == pytest.approx(expected, abs=0.01)


def test_calibration_error():
    p, rng = np.linspace(0, 1, 20_000), np.random.default_rng(0)
    assert calibration_error(p, rng.random(20_000) < p) < 0.02
    assert calibration_error(p, rng.random(20_000) < p**3) > 0.1


def test_reports_are_timed_on_a_mixed_table_with_holes(tmp_path):
    mixed(np.random.default_rng(0), tmp_path / "mixed.csv")
    dataset = read(tmp_path / "mixed.csv", typed=True)
    kinds = [column.kind for column in dataset.schema.columns]
    own = ["integer", "positive", "count", "categorical", "boolean", "ordinal", "datetime", "real"]
    assert (len(dataset), kinds) == (1500, own)
    assert 0.05 < (~dataset.mask).mean() < 0.11
