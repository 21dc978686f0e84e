"""Rows that carry a mean are named, and rows of an ordinary sample are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import jensen
from jensen.core.random import stream
from jensen.evaluate.outliers import carrying_rows
from jensen.runs.compare import compare


def sample(n: int, kind: str) -> torch.Tensor:
    noise = torch.randn(n, 4, generator=stream(n, kind)).double()
    return {
        "chi-squared": -0.5 * noise.square().sum(-1),
        "Laplace": noise[:, 0].sign() * noise[:, 1].square(),
        "Student, 4 degrees": noise[:, 0] / noise.square().mean(-1).sqrt(),
    }[kind]


@pytest.mark.parametrize("kind", ["chi-squared", "Laplace", "Student, 4 degrees"])
@pytest.mark.parametrize("n", [8, 40, 1000, 10_000])
def test_ordinary_rows_carry_nothing(n, kind):
    assert carrying_rows(sample(n, kind)) is None


@pytest.mark.parametrize("rows", [(7,), (3, 30), (0, 5, 17, 39)])
@pytest.mark.parametrize("far", [1e3, 1e10, 1e19])
def test_outlying_rows_are_named_and_the_mean_is_that_of_the_others(rows, far):
    nats = sample(40, "chi-squared")
    rest = nats[[i for i in range(40) if i not in rows]]
    nats[list(rows)] -= far
    carriers = carrying_rows(nats)
    assert set(carriers.rows) == set(rows)
    assert carriers.mean == pytest.approx(float(rest.mean()), rel=1e-9)
    assert carriers.stderr == pytest.approx(float(rest.std() / len(rest) ** 0.5), rel=1e-9)


def test_few_rows_and_numbers_that_are_not_finite_are_left_alone():
    assert carrying_rows(torch.tensor([0.0, -1e9, 1.0])) is None
    assert carrying_rows(torch.tensor([0.0] * 20 + [-torch.inf])) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    x = np.random.default_rng(0).normal(size=(400, 3))
    x[[11, 222]] = [[1e7, 0, 0], [0, -1e8, 0]]
    return jensen.train(x, recipe="gaussian", out=tmp_path_factory.mktemp("outliers") / "run", split=(0.5, 0.0, 0.5))


def test_an_evaluation_names_them_by_their_numbers_in_the_file(run):
    test = run.split().test
    expected = [i for i in (11, 222) if i in test]
    notes = [n for n in run.evaluate().notes if "the mean" in n]
    assert len(notes) == bool(expected)
    for note in notes:
        assert all(str(i) in note for i in expected)


def test_other_data_are_counted_from_zero_and_large_numbers_are_short(run):
    rows = np.random.default_rng(1).normal(size=(40, 3))
    rows[9] = 1e15
    evaluation = run.evaluate(rows)
    (note,) = (n for n in evaluation.notes if "carries the mean" in n)
    assert note.startswith("row 9 carries the mean (1 of 40 rows; numbers from 0)")
    assert "e+" in str(evaluation)
    assert len(str(evaluation.estimate)) < 90


def test_a_comparison_names_the_rows_that_decide_it(run, tmp_path):
    x = np.random.default_rng(2).normal(size=(300, 3))
    other = jensen.train(x, recipe="gaussian", out=tmp_path / "other")
    rows = np.random.default_rng(3).normal(size=(40, 3))
    rows[4] = 1e6
    comparison = compare(run, other, rows)
    assert any(n.startswith("row 4 carries the mean") and "A - B" in n for n in comparison.notes)


@pytest.mark.parametrize(("deviations", "is_named"), [(19.0, False), (21.0, True)])
def test_a_row_is_far_from_twenty_deviations_on(deviations, is_named):
    rest = torch.linspace(-1, 1, 7).double()
    nats = torch.cat([rest, (rest.mean() - deviations * rest.std())[None]])
    carriers = carrying_rows(nats)
    assert (carriers is not None) is is_named
    assert carriers is None or carriers.rows == (7,)
