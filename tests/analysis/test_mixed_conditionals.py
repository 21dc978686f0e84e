"""Conditionals of a mixture of columns of several kinds: by Bayes' rule over values, with the evidence alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from jensen.analysis.column_scores import column_scores
from jensen.analysis.conditional_prediction import predict_column
from jensen.analysis.conditional_samples import conditional_sample
from jensen.core.batch import Batch, Rows
from jensen.core.random import drawing_from, stream
from jensen.evaluate.exact import Exact as ExactEvidence
from jensen.families import Categorical, Choices, Columns, Gaussian, Integers, Ordinal, VonMises
from jensen.guides import Exact
from jensen.models.conditionals import Table, Unconditional
from jensen.models.model import LatentVariableModel
from tests.identities.models import close, scrambled

# the columns: job (4), real, angle, whole number, sex (2), grade (3)
JOB, REAL, ANGLE, WHOLE, SEX, GRADE = range(6)
FAMILY = Columns(
    (Choices((4, 2)), Gaussian(1), VonMises(1), Integers(1, (0.0,), (1.0,)), Ordinal((3,))),
    ((JOB, SEX), (REAL,), (ANGLE,), (WHOLE,), (GRADE,)),
)
LEVELS = {JOB: 4, SEX: 2, GRADE: 3}
MASK = torch.ones(5, 6).bool()
MASK[0, REAL] = MASK[1, JOB] = MASK[2, SEX] = False


@pytest.fixture(scope="module")
def model() -> LatentVariableModel:
    with drawing_from(stream(0, "columns")):
        model = LatentVariableModel(Unconditional(Categorical(3), learn=True), Table(FAMILY, 3))
    return scrambled(model, "columns", 1.0)


@pytest.fixture(scope="module")
def rows(model) -> Rows:
    x = model.sample(5, stream(1, "columns"))
    return Rows(torch.where(MASK, x, 0.0), mask=MASK, fill=torch.zeros(6).double())


def evidence(model: LatentVariableModel, x: Tensor, mask: Tensor) -> Tensor:
    estimate = ExactEvidence()(model, Exact(model), Rows(x, mask=mask, fill=torch.zeros(6).double()))
    return torch.as_tensor(estimate.nats)


def by_value(model: LatentVariableModel, x: Tensor, mask: Tensor, column: int, values: Tensor) -> Tensor:
    """log p(value, the other observed columns) [V, N] of each value of a column."""
    mask = mask.clone()
    mask[:, column] = True
    with_value = x.expand(len(values), *x.shape).clone()
    with_value[..., column] = values[:, None]
    flat = evidence(model, with_value.flatten(0, 1), mask.repeat(len(values), 1))
    return flat.unflatten(0, (len(values), len(x)))


@pytest.mark.parametrize("column", LEVELS)
def test_probabilities_of_levels_are_those_of_bayes_rule(model, rows, column):
    predicted = predict_column(model, Exact(model), rows, column, m=0)
    joint = by_value(model, rows.stored, MASK, column, torch.arange(LEVELS[column]).double())
    close(predicted.summary, torch.softmax(joint, 0).mT, 1e-9)


def test_a_whole_number_has_the_mean_and_the_quantiles_of_its_masses(model, rows):
    values, m = torch.arange(-60, 61).double(), 4000
    p = torch.softmax(by_value(model, rows.stored, MASK, WHOLE, values), 0)
    predicted = predict_column(model, Exact(model), rows, WHOLE, m=m)
    close(predicted.summary[:, 0], (p * values[:, None]).sum(0), 1e-6)
    for level in (0.1, 0.5, 0.9):
        quantile = predicted.draws[int(level * m)]
        below, upto = ((p * (values[:, None] < q)).sum(0) for q in (quantile, quantile + 1))
        slack = 4.5 * (level * (1 - level) / m) ** 0.5
        assert ((below - slack < level) & (level < upto + slack)).all()


def test_an_angle_has_the_mean_direction_of_its_density(model, rows):
    values = torch.linspace(-math.pi, math.pi, 2001)[:-1].double()
    p = torch.softmax(by_value(model, rows.stored, MASK, ANGLE, values), 0)
    predicted = predict_column(model, Exact(model), rows, ANGLE, m=0)
    expected = torch.stack([(p * values.cos()[:, None]).sum(0), (p * values.sin()[:, None]).sum(0)], -1)
    close(predicted.summary, expected, 1e-6)


def test_scores_given_the_others_are_normalised_over_the_levels(model, rows):
    for column, levels in LEVELS.items():
        joint = by_value(model, rows.stored, MASK, column, torch.arange(levels).double()).log_softmax(0)
        scores = column_scores(model, Exact(model), rows).given_others[:, column]
        known = MASK[:, column]
        own = joint.gather(0, rows.stored[:, column].long()[None])[0]
        close(scores[known], own[known], 1e-9)


def test_samples_given_names_and_numbers_have_the_frequencies_of_bayes_rule(model):
    n, x, mask = 20_000, torch.zeros(1, 6).double(), torch.zeros(1, 6).bool()
    x[0, SEX], x[0, REAL], mask[0, [SEX, REAL]] = 1.0, 0.3, True
    drawn = conditional_sample(model, Exact(model), Batch(x, mask), n, generator=stream(2, "given"))
    close(drawn.log_px, float(evidence(model, x, mask)[0]), 1e-9)
    assert (drawn.x[:, SEX] == 1).all()
    for column in (JOB, GRADE):
        joint = by_value(model, x, mask, column, torch.arange(LEVELS[column]).double())[:, 0]
        p = torch.softmax(joint, 0)
        counted = torch.bincount(drawn.x[:, column].long(), minlength=LEVELS[column]) / n
        assert ((counted - p).abs() < 4.5 * (p * (1 - p) / n).sqrt()).all()


def test_draws_of_a_column_are_of_its_own_kind(model, rows):
    """Of every kind: integers are whole, angles on the circle, levels among theirs, and means agree."""
    m = 2000
    for column in range(6):
        predicted = predict_column(model, Exact(model), rows, column, m=m)
        assert predicted.draws is not None
        if column in LEVELS:
            assert set(predicted.draws.unique().tolist()) <= set(range(LEVELS[column]))
            counted = torch.stack([(predicted.draws == level).double().mean(0) for level in range(LEVELS[column])], -1)
            p = predicted.summary
            assert ((counted - p).abs() < 4.5 * (p * (1 - p) / m).sqrt() + 1e-9).all()
        elif column != ANGLE:
            error = 4.5 * predicted.draws.std(0) / m**0.5
            assert ((predicted.draws.mean(0) - predicted.summary[:, 0]).abs() < error).all()
            assert (column == WHOLE) == bool((predicted.draws == predicted.draws.round()).all())
        else:
            assert ((predicted.draws.cos().mean(0) - predicted.summary[:, 0]).abs() < 4.5 / m**0.5).all()
