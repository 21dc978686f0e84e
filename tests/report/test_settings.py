"""Numbers of the report in their units."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest


def test_bits_have_the_error_of_nats_in_their_own_unit():
    """One nat per datum is 1 / (D log 2) bits per dimension, of the number and of its error."""
    from jensen.report.settings import estimates

    nats, error, d = -100.0, 8.0, 4
    record = {"log_px": nats, "stderr": error, "k": None, "kind": "exact", "bits_per_dim": -nats / (d * math.log(2))}
    spec = {"data": {"name": "x.npy"}}
    run = SimpleNamespace(schema=SimpleNamespace(size=d), spec=spec)
    table = estimates(SimpleNamespace(evaluation=record, log_px="log p(x)", run=run, latent="features"))
    assert table is not None
    value, over_data = next(row[1:3] for row in table.rows if row[0] == "bits per dimension")
    assert float(value) == pytest.approx(record["bits_per_dim"], abs=0.01)
    assert float(over_data) == pytest.approx(error / (d * math.log(2)), abs=0.01)
