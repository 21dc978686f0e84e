"""Values that are far more frequent than those beside them."""

import numpy as np

from jensen.data import Schema
from jensen.data.columns import Column
from jensen.data.preparation import Preparation
from jensen.families import HeapedIntegers, IntegerMixtures
from jensen.recipes.columns import column_families
from jensen.recipes.heaps import heaps_of

RNG = np.random.default_rng(0)


def test_hours_of_work():
    spread = np.rint(RNG.normal(40, 12, 2000))
    hours = np.concatenate([spread, np.full(2000, 40.0), np.full(300, 50.0), np.full(300, 20.0)])
    assert heaps_of(hours) == (20.0, 40.0, 50.0)


def test_smooth_numbers_have_none():
    assert heaps_of(np.rint(RNG.normal(40, 12, 20_000))) == ()
    assert heaps_of(RNG.poisson(1.5, 20_000).astype(float)) == ()
    assert heaps_of(RNG.integers(0, 10**6, 5000).astype(float)) == ()
    assert heaps_of(np.array([])) == ()


def test_numbers_that_are_others_in_single_precision_are_none():
    assert heaps_of(np.concatenate([np.full(500, 0.0), np.full(500, 2.0**24), RNG.integers(0, 10**9, 500)])) == (0.0,)


def test_amounts_that_most_people_do_not_have():
    gain = np.concatenate([np.zeros(900), RNG.integers(1000, 20_000, 80), np.full(20, 99_999)])
    assert heaps_of(gain) == (0.0, 99_999.0)


def test_at_most_twelve_the_most_frequent_ones():
    counts = np.arange(11, 31)
    heaps = heaps_of(np.repeat(np.arange(20) * 1000.0, counts))
    assert heaps == tuple(np.arange(8, 20) * 1000.0)


def test_a_column_with_heaps_has_a_family_with_them():
    columns = (Column("hours", "integer", low=0), Column("n", "count"), Column("age", "integer"))
    hours = np.where(RNG.random(1500) < 0.5, 40.0, np.maximum(np.rint(RNG.normal(40, 12, 1500)), 0))
    x = np.stack([hours, RNG.poisson(9.0, 1500), RNG.integers(18, 90, 1500)], 1).astype(float)
    schema = Schema("mixed", (3,), names=tuple(c.name for c in columns), columns=columns)
    rows = Preparation.fit(x, schema).rows(x, schema)
    family = column_families(schema, rows, 1e-4)
    [heaped] = [f for f, at in zip(family.families, family.places, strict=True) if at == (0,)]
    assert isinstance(heaped, HeapedIntegers)
    assert heaped.heaps == ((40.0,),)
    assert heaped.lowest == (0.0,)
    named = column_families(schema, rows, 1e-4, {"hours": "integer-mixture", "age": "heaped"})
    kinds = {i: type(f) for f, at in zip(named.families, named.places, strict=True) for i in at}
    assert kinds[0] is IntegerMixtures
    assert kinds[2] is IntegerMixtures  # it has no heaps
