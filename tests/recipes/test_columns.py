"""Families of columns: by kind, by name, by what rows say that they were not fitted to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.core.batch import Batch, Rows
from jensen.core.errors import UsageError
from jensen.data import Preparation, Schema
from jensen.data.columns import Column
from jensen.families import Choices, Columns, GaussianMixtures, IntegerMixtures, Ordinal, StudentT, VonMises
from jensen.recipes.columns import column_encoding, column_families, parsed_families, start_from_columns
from jensen.recipes.marginals import descend, fit_clusters, fit_marginals, held_out_gain

COLUMNS = (
    Column("height", "real"),
    Column("income", "positive"),
    Column("share", "bounded", low=0, high=1),
    Column("hour", "circular", low=0, high=24),
    Column("visits", "count"),
    Column("grade", "ordinal", levels=("low", "mid", "high")),
    Column("colour", "categorical", levels=("red", "green", "blue", "grey")),
)


def rows_of(columns: tuple[Column, ...], n: int = 60) -> tuple[Schema, Rows]:
    rng = np.random.default_rng(0)
    draw = {
        "real": lambda: rng.normal(1.7, 0.1, n),
        "positive": lambda: rng.lognormal(8, 1, n),
        "bounded": lambda: rng.uniform(0.01, 0.99, n),
        "circular": lambda: rng.uniform(0, 24, n),
        "count": lambda: rng.poisson(3, n),
        "integer": lambda: rng.integers(0, 90, n),
        "ordinal": lambda: rng.integers(0, 3, n),
        "categorical": lambda: rng.choice(4, n, p=(0.7, 0.2, 0.1, 0.0)),
    }
    x = np.stack([draw[c.kind]() for c in columns], 1).astype(float)
    mask = rng.random(x.shape) > 0.1
    schema = Schema("mixed", (len(columns),), names=tuple(c.name for c in columns), columns=columns)
    return schema, Preparation.fit(x, schema, mask=mask).rows(x, schema, mask=mask)


def family_at(family: Columns, column: int):
    [group] = [f for f, at in zip(family.families, family.places, strict=True) if column in at]
    return group


@pytest.fixture(scope="module")
def mixed():
    schema, rows = rows_of(COLUMNS)
    return schema, rows, column_families(schema, rows, 1e-4)


def test_each_kind_has_its_family(mixed):
    _, _, family = mixed
    kinds = [type(family_at(family, i)) for i in range(len(COLUMNS))]
    assert kinds == [*[GaussianMixtures] * 3, VonMises, IntegerMixtures, Ordinal, Choices]
    assert family_at(family, 1) is family_at(family, 0)  # one group, computed at once
    assert family_at(family, 0).values == ("real", "positive", "unit")
    assert family_at(family, 4).lowest == (0.0,)


def test_whole_numbers_have_no_mass_below_the_least_that_is_possible():
    schema, rows = rows_of((Column("age", "integer", low=0), Column("degrees", "integer")))
    for simple in (True, False):
        assert family_at(column_families(schema, rows, 1e-4, simple=simple), 0).lowest == (0.0, None)


def test_families_are_named_in_the_schema_or_by_an_option(mixed):
    schema, rows, _ = mixed
    named = (Column("height", "real", family="student-t"), *COLUMNS[1:])
    again = Schema("mixed", schema.shape, names=schema.names, columns=named)
    assert isinstance(family_at(column_families(again, rows, 1e-4, simple=True), 0), StudentT)
    chosen = column_families(schema, rows, 1e-4, {"grade": "categorical"}, simple=True)
    assert family_at(chosen, 5) is family_at(chosen, 6)


@pytest.mark.parametrize(
    ("named", "words"),
    [({"weight": "gaussian"}, "no such column"), ({"height": "categorical"}, "height.*is real")],
)
def test_families_that_do_not_suit_are_refused(mixed, named, words):
    schema, rows, _ = mixed
    with pytest.raises(UsageError, match=words):
        column_families(schema, rows, 1e-4, named)
    with pytest.raises(UsageError, match="no COLUMN=FAMILY"):
        parsed_families("height=zebra")


def test_rounded_numbers_have_half_of_their_distance_as_floor():
    columns = (Column("fine", "real"), Column("rounded", "real"))
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (500, 2))
    x[:, 1] = x[:, 1].round(1)
    schema = Schema("mixed", (2,), columns=columns)
    rows = Preparation.fit(x, schema).rows(x, schema)
    floors = column_families(schema, rows, 1e-4, simple=True).families[0].floors
    assert floors[0] < 1e-3
    assert floors[1] == pytest.approx(0.05, rel=0.1)


def test_heavy_tails_are_chosen_by_rows_that_were_held_out():
    rng = np.random.default_rng(0)
    x = rng.standard_t(2.1, (400, 1))
    schema = Schema("mixed", (1,), columns=(Column("a", "real"),))
    rows = Preparation.fit(x, schema).rows(x, schema)
    batch = rows.take(torch.arange(400))
    t, normal = Columns((StudentT(1),), ((0,),)), Columns((GaussianMixtures(1, 1),), ((0,),))
    assert held_out_gain(normal, t, batch)[0] > 0
    assert held_out_gain(t, normal, batch)[0] < 0
    assert held_out_gain(normal, t, Batch(batch.x[:20])) == [0.0]  # too few


def test_a_decoder_starts_at_the_frequencies(mixed):
    _, rows, family = mixed
    params = fit_marginals(family, rows.take(torch.arange(len(rows))))
    places = family.summary_slices[6]
    colours = family.summary(params)[places]
    batch = rows.take(torch.arange(len(rows)))
    seen = batch.x[batch.mask[:, 6], 6]
    frequencies = torch.bincount(seen.long(), minlength=4).double() / len(seen)
    torch.testing.assert_close(colours.double(), frequencies, atol=0.05, rtol=0)
    bias = torch.zeros(family.size - family.shared)
    start_from_columns(bias, family, rows)
    torch.testing.assert_close(bias.double(), params[: len(bias)], atol=1e-5, rtol=1e-5)


def test_few_steps_come_near_the_most_likely_parameters(mixed):
    """Five times as many steps add little: 0.2 nats to rows of seven columns, of which the fit gained over one."""
    _, rows, family = mixed
    batch = rows.take(torch.arange(len(rows)))
    x = batch.x.double()

    def nats(params: torch.Tensor) -> float:
        return float(family.log_prob(params, x, batch.mask).mean().detach())

    fitted = fit_marginals(family, batch)
    best = fitted.clone().requires_grad_()
    descend([best], lambda step: -family.log_prob(best[None], x, batch.mask).mean(), 100, 0.2)
    start = family.start(torch.where(batch.mask, x, 0.0).sum(0) / batch.mask.sum(0))
    first = torch.cat([start, start.new_zeros(family.size - len(start))])
    assert nats(fitted) > nats(best) - 0.2
    assert nats(fitted) > nats(first) + 1


def test_a_descent_ends_at_the_least_value():
    x = torch.tensor([3.0, -1.0], dtype=torch.float64, requires_grad=True)
    descend([x], lambda step: (x - torch.tensor([1.0, 2.0])).square().sum(), 60, 0.5)
    torch.testing.assert_close(x.detach(), torch.tensor([1.0, 2.0]).double(), atol=1e-2, rtol=0)


def test_small_clusters_stay_near_the_fit_to_all():
    x = torch.cat([torch.zeros(50, 1), torch.full((1, 1), 9.0)]).double()
    family = Columns((GaussianMixtures(1, 1),), ((0,),))
    member = torch.cat([torch.zeros(50), torch.ones(1)]).long()
    two = fit_clusters(family, Batch(x), member, 2)
    locations = family(two).mean[:, 0]
    assert float(locations[0].abs()) < 0.2
    assert 0.5 < float(locations[1]) < 9


def levels_of(shares: tuple[tuple[float, ...], ...], n: int, seed: int = 0) -> torch.Tensor:
    """Rows [n, D] of levels with about these shares."""
    rng = np.random.default_rng(seed)
    return torch.tensor(np.stack([rng.choice(len(p), n, p=p) for p in shares], 1)).double()


SHARES = ((0.01, 0.02, 0.07, 0.2, 0.7), (0.6, 0.3, 0.1), (0.5, 0.5))


def test_levels_start_at_their_exact_shares_of_the_observed_rows():
    """Ordered ones too, whose last level is likely or rare; one without a row counts for half a one."""
    family, x = Columns((Ordinal((5, 4)), Choices((3,))), ((0, 1), (2,))), levels_of(SHARES, 200)
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[::3, 0] = False
    counts = [
        torch.bincount(x[mask[:, i], i].long(), minlength=n).double().clamp_min(0.5) for i, n in enumerate((5, 4, 3))
    ]
    assert [c.tolist().count(0.5) for c in counts] == [0, 1, 1]
    expected = torch.cat([c / c.sum() for c in counts])
    params = fit_marginals(family, Batch(x, mask))
    torch.testing.assert_close(family.summary(params), expected, rtol=0, atol=1e-9)
    one = fit_clusters(family, Batch(x, mask), torch.zeros(200, dtype=torch.long), 1)
    torch.testing.assert_close(family.summary(one[0]), expected, rtol=0, atol=1e-9)


def test_clusters_share_their_cut_points_and_keep_the_shares_of_levels():
    """Cut points that were fitted to each cluster, and then averaged, left the last level half of its share."""
    family, (low, high) = Columns((Ordinal((5,)),), ((0,),)), (SHARES[0][::-1], SHARES[0])
    x = torch.cat([levels_of((low,), 150), levels_of((high,), 50, 1), levels_of(((0.1, 0.1, 0.6, 0.1, 0.1),), 100, 2)])
    member = torch.repeat_interleave(torch.arange(3), torch.tensor([150, 50, 100]))
    params = fit_clusters(family, Batch(x), member, 3)
    assert (params[:, 2:] == params[0, 2:]).all()
    weight = torch.bincount(member).double() / len(x)
    marginal, shares = weight @ family.summary(params), torch.bincount(x[:, 0].long()).double() / len(x)
    torch.testing.assert_close(marginal, shares, rtol=0.1, atol=0.01)


def test_features_follow_the_kinds(mixed):
    schema, rows, _ = mixed
    net = column_encoding(schema, rows)
    assert net.codes == ("number", "log", "logit", "angle", "counts", "order", "levels")
    assert net.sizes == (0, 0, 0, 0, 0, 3, 4)
