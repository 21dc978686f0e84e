"""Runs on a mixed table beside runs on its numbers: compared by exact densities, and refused by the column."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

import jensen
from jensen.core.errors import DataError
from jensen.data.columns import Column
from jensen.runs.comparable import check_cells, check_columns, have_same_data
from jensen.runs.compare import compare

SHORT = {"epochs": 1, "batch": 64}
ONE = {"components": 1, **SHORT}
RNG = np.random.default_rng(0)
NUMBERS = np.round(RNG.normal(size=(90, 2)) * [1, 50] + [0, 20], 3)
DIGITS = RNG.integers(0, 3, size=(90, 2))
COUNT = Column("b", "count")


def written(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparable")
    x = written(folder / "x.csv", "a,b", NUMBERS)
    coded = written(folder / "coded.csv", "u,v", [(1 + u, v) for u, v in DIGITS])
    holes = written(folder / "holes.csv", "a,b", [(a if i % 5 else "", b) for i, (a, b) in enumerate(NUMBERS)])
    jensen.train(x, recipe="gmm", out=folder / "gmm", **ONE)
    jensen.train(x, recipe="table-gmm", families="a=gaussian,b=gaussian", out=folder / "table", **ONE)
    for name, data in (("holes-table", holes), ("coded-table", coded)):
        jensen.train(data, recipe="table-gmm", out=folder / name, **ONE)
    jensen.train(coded, recipe="vae", latent=1, hidden=(4,), out=folder / "coded-vae", **SHORT)
    jensen.train(holes, recipe="miwae", latent=1, hidden=(4,), points=2, out=folder / "holes-miwae", **SHORT)
    return folder


def opened(home, *names):
    return [jensen.load(home / name) for name in names]


def test_both_are_densities_of_the_same_rows_in_their_own_units(home):
    """A mixture of one component is one Gaussian for each column: its log-density is known from its parameters."""
    runs = opened(home, "gmm", "table")
    result = compare(*runs)
    rows = runs[0].part("test").x
    for run, group in zip(runs, (result.a, result.b), strict=True):
        p = run.model.likelihood.at(run.model.likelihood.table[0])
        center, scale = run.preparation.center, run.preparation.scale
        mean, sd = (p.mean.detach().numpy(), p.variance.sqrt().detach().numpy())
        expected = norm.logpdf(rows, center + scale * mean, scale * sd).sum(-1)
        assert group.nats.tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert (result.measure, len(result.differences)) == ("density", 9)
    assert "the runs were trained on different data" not in result.notes


def test_the_order_of_the_runs_changes_the_sign_alone(home):
    a, b = opened(home, "gmm", "table")
    own = compare(a, b, home / "x.csv").differences
    assert compare(b, a, home / "x.csv").differences.tolist() == (-own).tolist()


def test_masses_of_the_same_numbers_are_compared_though_levels_are_stored_as_their_places(home):
    a, b = opened(home, "coded-table", "coded-vae")
    assert a.schema.columns[0].levels == ("1", "2", "3")
    assert (b.schema.kind, have_same_data(a, b)) == ("integers", True)
    result = compare(a, b, k=2)
    assert (result.measure, len(result.differences)) == ("mass", 9)
    assert result.a.nats.tolist() == pytest.approx(a.evaluate().estimate.nats.tolist())


def test_missing_cells_are_the_same_in_both(home):
    a, b = opened(home, "holes-table", "holes-miwae")
    result = compare(a, b, k=2)
    assert result.a.nats.tolist() == pytest.approx(a.evaluate().estimate.nats.tolist())
    assert math.isfinite(result.difference)


def changed(run, **schema):
    """The run, as if its data had another schema."""
    other = copy.copy(run)
    other.schema = replace(run.schema, **schema)
    return other


def narrow(run):
    return changed(run, shape=(1,), names=run.schema.names[:1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda a, b: (a, changed(b, columns=(b.schema.columns[0], COUNT))),
            r"column 'b' .* its log-probability is of a density, and of a mass \(count\)",
        ),
        (lambda a, b: (b, changed(b, columns=(b.schema.columns[0], COUNT))), r"density \(real\), and of a mass"),
        (lambda a, b: (narrow(a), b), "of different columns: only .*table has 'b'"),
        (lambda a, b: (b, narrow(a)), "of different columns: only .*table has 'b'"),
        (lambda a, b: (a, changed(b, names=("b", "a"))), "another order: column 1 is 'a' and 'b'"),
        (lambda a, b: (changed(a, kind="integers", levels=9), b), r"is of a mass, and of a density \(real\)"),
    ],
)
def test_other_columns_and_measures_are_refused_by_name(home, change, words):
    with pytest.raises(DataError, match=words):
        check_columns(*change(*opened(home, "gmm", "table")))


def test_levels_that_only_one_of_two_tables_knows_are_refused_and_their_order_is_not(home):
    (run,) = opened(home, "coded-table")
    first, second = run.schema.columns
    fewer, turned = (replace(first, levels=levels) for levels in (("1", "2"), ("3", "2", "1")))
    with pytest.raises(DataError, match=r"column 'u' .* only one of them has '3' among its levels"):
        check_columns(run, changed(run, columns=(fewer, second)))
    other, part = changed(run, columns=(turned, second)), run.part("test")
    assert check_columns(run, other) is None
    x = part.x.copy()
    x[:, 0] = 2 - x[:, 0]
    assert check_cells(run, other, part, replace(part, x=x), "") is None
    with pytest.raises(DataError, match="values of column 'u' differ"):
        check_cells(run, other, part, part, "")


def test_rows_whose_cells_differ_are_refused_by_the_column(home):
    a, b = opened(home, "gmm", "table")
    part, mask = b.part("test"), np.ones((9, 2), dtype=bool)
    mask[3, 1] = False
    with pytest.raises(DataError, match="other cells of column 'b' are observed"):
        check_cells(a, b, a.part("test"), replace(part, mask=mask), "")
    with pytest.raises(DataError, match="not the same: 9 and 5"):
        check_cells(a, b, a.part("test"), part.first(5), "")


def test_other_data_are_refused(home):
    a, b = opened(home, "gmm", "holes-table")
    with pytest.raises(DataError, match="were trained on different data"):
        compare(a, b)
