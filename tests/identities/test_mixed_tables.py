"""A table of every kind of column, in its own units: densities integrate to those of what is left, and units cancel."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.random import drawing_from, stream
from jensen.data import Preparation, Schema
from jensen.data.columns import Column
from jensen.evaluate import Exact as ExactEvaluator
from jensen.families import Categorical
from jensen.guides import Exact
from jensen.models.conditionals import Table, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.recipes.columns import column_families
from tests.identities.models import close

COLUMNS = (
    Column("height", "real"),
    Column("income", "positive"),
    Column("share", "bounded", low=-2.0, high=5.0),
    Column("hour", "circular", low=0, high=24),
    Column("born", "datetime"),
    Column("year", "integer"),
    Column("visits", "count"),
    Column("grade", "ordinal", levels=("low", "middle", "high")),
    Column("city", "categorical", levels=("a", "b", "c", "d")),
    Column("sex", "boolean", levels=("F", "M")),
    Column("speed", "real"),
    Column("weight", "positive"),
    Column("children", "count"),
    Column("tail", "real"),
)
NAMED = {"speed": "gaussian-mixture", "weight": "log-normal-mixture", "children": "zinb", "tail": "student-t"}
SCHEMA = Schema("mixed", (len(COLUMNS),), names=tuple(c.name for c in COLUMNS), columns=COLUMNS)
SIZES = {"height": 3.28084, "income": 0.01, "speed": 1000.0, "weight": 2.2, "tail": 1e-3}  # of other units


@cache
def table(n: int = 80) -> np.ndarray:
    rng = np.random.default_rng(0)
    columns = [
        rng.normal(170, 9, n),
        rng.lognormal(8, 0.7, n),
        7 * rng.beta(2, 3, n) - 2,
        np.mod(rng.normal(23, 3, n), 24),
        rng.normal(5e8, 2e8, n).round(),
        rng.normal(1990, 12, n).round(),
        rng.poisson(7, n),
        rng.integers(0, 3, n),
        rng.integers(0, 4, n),
        rng.integers(0, 2, n),
        rng.choice([2.0, 9.0], n) + rng.normal(0, 0.3, n),
        rng.lognormal(4, 0.2, n),
        rng.poisson(0.8, n),
        rng.standard_t(3, n),
    ]
    return np.stack([np.asarray(c, dtype=np.float64) for c in columns], 1)


class Mixture:
    """A mixture of three components over the columns, prepared by some rows, with random parameters."""

    def __init__(self, x: np.ndarray, schema: Schema) -> None:
        self.schema, self.preparation = schema, Preparation.fit(x, schema)
        rows = self.preparation.rows(x, schema, dtype=torch.float64)
        self.family = column_families(schema, rows, 1e-4, NAMED, simple=True)
        self.table = Table(self.family, 3)
        self.model = LatentVariableModel(Unconditional(Categorical(3), learn=True), self.table).double()
        with torch.no_grad(), drawing_from(stream(0, "parameters")):
            for value in self.model.parameters():
                value.copy_(0.4 * torch.randn_like(value))
            start = self.family.start(torch.as_tensor(rows.stored).mean(0))
            self.table.table[:, : len(start)] += start

    def log_p(self, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return exact log p [M] of the observed entries of rows [M, D], in their own units."""
        rows = self.preparation.rows(x, self.schema, mask=mask, dtype=torch.float64)
        nats = ExactEvaluator()(self.model, Exact(self.model), rows).nats
        return nats.double().numpy() + self.preparation.log_jacobians(mask)


@cache
def mixture() -> Mixture:
    return Mixture(table(), SCHEMA)


def values_of(column: Column, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values [V] of a column in its own units, and the widths that they stand for."""
    t = np.linspace(-36, 36, 601)
    step = t[1] - t[0]
    match column.kind:
        case "real" | "datetime":
            return x.mean() + x.std() * np.sinh(t), x.std() * np.cosh(t) * step
        case "positive":
            return np.exp(np.log(x).mean() + t), np.exp(np.log(x).mean() + t) * step
        case "bounded":
            share = 1 / (1 + np.exp(-t))
            inside = (share > 1e-15) & (share < 1 - 1e-15)
            low, width = column.low or 0.0, (column.high or 0.0) - (column.low or 0.0)
            return (low + width * share)[inside], (width * share / (1 + np.exp(t)) * step)[inside]
        case "circular":
            angles = np.linspace(column.low or 0.0, column.high or 0.0, 201)[:-1]
            return angles, np.full(200, angles[1] - angles[0])
        case "integer" | "count":
            whole = np.arange(1600.0, 2400.0) if column.kind == "integer" else np.arange(300.0)
            return whole, np.ones_like(whole)
        case _:
            levels = np.arange(float(len(column.levels)))
            return levels, np.ones_like(levels)


def test_each_column_integrates_to_one_given_the_others():
    """The sum over its values of p(x_d, the others), in the units of the file, is p(the others); all at once."""
    x, pieces, masks, widths = table(), [], [], []
    for place, column in enumerate(COLUMNS):
        values, width = values_of(column, x[:, place])
        rows = np.repeat(x[:1], len(values) + 1, 0)
        rows[:-1, place] = values
        mask = np.ones(rows.shape, dtype=bool)
        mask[:, (place + 3) % len(COLUMNS)] = False  # a hole somewhere else changes nothing
        mask[-1, place] = False  # the last row is of the others alone
        pieces, masks, widths = [*pieces, rows], [*masks, mask], [*widths, width]
    ends = np.cumsum([len(rows) for rows in pieces])
    log_p = np.split(mixture().log_p(np.concatenate(pieces), np.concatenate(masks)), ends[:-1])
    totals = [np.logaddexp.reduce(own[:-1] + np.log(width)) for own, width in zip(log_p, widths, strict=True)]
    away = {c.name: total - own[-1] for c, total, own in zip(COLUMNS, totals, log_p, strict=True)}
    assert away == pytest.approx(dict.fromkeys(away, 0.0), abs=1e-7)


def test_other_units_differ_by_their_jacobian_alone():
    """Metres and feet, cents and euros: prepared data are the same, and log p differs by the logs of the units."""
    factors = np.array([SIZES.get(c.name, 1.0) for c in COLUMNS])
    x = table()
    other = Mixture(x * factors, SCHEMA)
    mask = np.random.default_rng(1).random(x.shape) < 0.7
    shift = mixture().log_p(x, mask) - other.log_p(x * factors, mask)
    np.testing.assert_allclose(shift, mask @ np.log(factors), rtol=0, atol=1e-9)


def test_an_angle_in_degrees_and_a_share_in_percent():
    """The unit of a circular or bounded column is in its ends."""
    columns = list(COLUMNS)
    columns[2], columns[3] = replace(columns[2], low=-200.0, high=500.0), replace(columns[3], high=360.0)
    factors = np.ones(len(columns))
    factors[2], factors[3] = 100.0, 15.0
    other = Mixture(table() * factors, replace(SCHEMA, columns=tuple(columns)))
    mask = np.ones(table().shape, dtype=bool)
    shift = mixture().log_p(table(), mask) - other.log_p(table() * factors, mask)
    np.testing.assert_allclose(shift, math.log(100) + math.log(15), rtol=0, atol=1e-9)


@torch.no_grad()
def test_the_evidence_is_a_sum_over_components_and_columns():
    """log sum_j pi_j prod_d p_j(x_d) over what is observed, from the distribution of each column."""
    own, x = mixture(), table()
    mask = np.random.default_rng(2).random(x.shape) < 0.7
    prepared = own.preparation.rows(x, SCHEMA, dtype=torch.float64).stored
    each = torch.stack(
        [own.family(params).base_dist.log_prob(torch.as_tensor(prepared)) for params in own.table.rows()]
    )
    by_row = torch.where(torch.from_numpy(mask), each, 0.0).sum(-1)
    weights = torch.log_softmax(own.model.prior(None).logits, -1)
    known = torch.logsumexp(weights[:, None] + by_row, 0).numpy() + own.preparation.log_jacobians(mask)
    np.testing.assert_allclose(own.log_p(x, mask), known, rtol=0, atol=1e-9)


def test_a_batch_without_a_mask_is_all_observed():
    own = mixture()
    plain = Batch(torch.as_tensor(own.preparation.rows(table(), SCHEMA, dtype=torch.float64).stored))
    masked = Batch(plain.x, torch.ones_like(plain.x, dtype=torch.bool))
    close(own.model.posterior(plain).logits.detach(), own.model.posterior(masked).logits.detach(), 1e-9)
