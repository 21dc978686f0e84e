"""The ranges of columns: of observed numbers alone, whatever stands in missing cells."""

from __future__ import annotations

import numpy as np

from jensen.data.column_ranges import column_ranges
from jensen.data.columns import Column

COLUMNS = (
    Column("r", "real"),
    Column("when", "datetime"),
    Column("hour", "circular", low=0, high=24),
    Column("s", "categorical", levels=("a", "b")),
    Column("empty", "positive"),
)


def test_missing_cells_names_and_circles_have_no_range():
    x = np.array(
        [
            [-3.5, 86400.0, 1.0, 0.0, 0.0],
            [99.0, 0.0, 23.0, 1.0, 0.0],
            [-99.0, 5.0, 1.0, 1.0, 0.0],
            [2.0, 1e9, 5.0, 1.0, 0.0],
        ]
    )
    mask = np.ones(x.shape, dtype=bool)
    mask[1:3, 0] = mask[:, 4] = False
    assert column_ranges(COLUMNS, x, mask) == [(-3.5, 2.0), (0.0, 1e9), None, None, None]
    assert column_ranges(COLUMNS[:1], x[:, :1]) == [(-99.0, 99.0)]


def test_pieces_of_many_rows_have_the_ranges_of_all():
    x = np.random.default_rng(0).normal(size=(400_000, 2))
    assert column_ranges(COLUMNS[:1] * 2, x) == [(x[:, i].min(), x[:, i].max()) for i in range(2)]
