"""Rows of a model beside rows of data: areas by hand, 0.5 where there is nothing to tell, distances by hand, copies."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jensen.analysis.row_checks import distinguish, nearest_distances, nearness, ranked
from jensen.data.columns import Column

REAL = Column("a", "real")
THREE = Column("three", "categorical", levels=("x", "y", "z"))
HOUR = Column("hour", "circular", low=0, high=24)
COLUMNS = [REAL, THREE, HOUR]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rows(rng: np.random.Generator, n: int) -> np.ndarray:
    level = rng.integers(0, 3, n)
    return np.stack([level + rng.normal(size=n), level, (3 * level + rng.normal(size=n)) % 24], -1)


def test_the_area_and_its_error(rng):
    a, b = rng.integers(0, 9, 300).astype(float), rng.integers(1, 9, 200).astype(float)
    area, stderr = ranked(a, b)
    assert area == pytest.approx(roc_auc_score(np.repeat([1, 0], [300, 200]), np.append(a, b)), abs=1e-12)
    many = [ranked(rng.integers(0, 9, 300), rng.integers(1, 9, 200))[0] for _ in range(400)]
    assert stderr == pytest.approx(np.std(many), rel=0.15)


def test_rows_of_one_distribution_are_not_told_apart(rng):
    result = distinguish(COLUMNS, rows(rng, 300), rows(rng, 300))
    assert abs(result.auc - 0.5) < 3 * result.stderr
    assert 0.01 < result.stderr < 0.03
    assert result.n == 300


def test_what_gives_a_model_away_is_named(rng):
    drawn = rows(rng, 400)
    drawn[:, 1] = rng.permutation(drawn[:, 1])  # the right column, without its associations
    result = distinguish(COLUMNS, rows(rng, 400), drawn)
    assert result.auc > 0.7
    assert result.columns[0][0] == "three"


def test_missing_cells_do_not_give_a_model_away(rng):
    data = rows(rng, 400)
    data[rng.random(data.shape) < 0.4] = np.nan
    result = distinguish(COLUMNS, data, rows(rng, 400))
    assert abs(result.auc - 0.5) < 3 * result.stderr


def test_distances_by_hand():
    training = np.array([[0.0, 0, 23.0], [1.0, 1, 6.0], [2.0, 1, 12.0], [3.0, 2, 18.0]])
    # the second row: one of four training rows lies between, the same name, a quarter turn
    assert nearest_distances(COLUMNS, np.array([[0.0, 1.0, 0.0]]), training) == pytest.approx((0.25 + 0 + 0.5) / 3)
    # the first row: no row between, another name, an hour of twelve
    assert nearest_distances(COLUMNS, np.array([[0.0, 1.0, 0.0]]), training[:1]) == pytest.approx((1 + 1 / 12) / 3)
    assert nearest_distances(COLUMNS, np.array([[0.5, 0.0, 23.0]]), training) == pytest.approx(0.125 / 3)
    assert nearest_distances(COLUMNS, training, training) == pytest.approx(0.0)
    assert nearest_distances(COLUMNS, np.array([[np.nan, 1.0, np.nan]]), training) == pytest.approx(0.0)
    assert np.isinf(nearest_distances(COLUMNS, np.full((1, 3), np.nan), training)).all()


def test_distances_do_not_depend_on_units_or_pieces(rng, monkeypatch):
    training, some = rows(rng, 200), rows(rng, 30)
    plain = nearest_distances(COLUMNS, some, training)
    monkeypatch.setattr("jensen.analysis.row_checks.CHUNK", 1000)
    assert np.array_equal(plain, nearest_distances(COLUMNS, some, training))
    feet = np.array([3.28, 1.0, 1.0])
    assert nearest_distances(COLUMNS, some * feet, training * feet) == pytest.approx(plain, abs=1e-6)


def test_new_rows_are_as_near_as_held_out_ones_and_copies_are_seen(rng):
    training, held_out = rows(rng, 600), rows(rng, 200)
    new = nearness(COLUMNS, rows(rng, 200), held_out, training)
    assert abs(new.nearer - 0.5) < 3 * new.stderr
    assert (new.drawn_copies, new.held_out_copies) == (0.0, 0.0)
    copies = nearness(COLUMNS, training[:200], held_out, training)
    assert (copies.drawn_copies, copies.nearer) == (1.0, 1.0)
    assert copies.drawn == 0.0 < copies.held_out


def test_rows_of_the_model_lack_what_held_out_rows_lack(rng):
    training, held_out = rows(rng, 300), rows(rng, 200)
    held_out[:, 0] = np.nan
    result = nearness(COLUMNS, rows(rng, 200), held_out, training)
    assert abs(result.nearer - 0.5) < 3 * result.stderr
