"""A run of a mixed table that stays in its Parquet files: the same numbers as one of the table read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jensen

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
SMALL = {"recipe": "table", "latent": 2, "hidden": (8,), "points": 2, "epochs": 2, "batch": 64}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, n = np.random.default_rng(0), 200
    hole = rng.random((3, n)) < 0.1
    table = pa.table(
        {
            "size": pa.array(rng.normal(size=n), mask=hole[0]),
            "colour": pa.array(np.array(["red", "green", "blue"])[rng.integers(0, 3, n)], mask=hole[1]),
            "visits": pa.array(rng.poisson(2.0, n), mask=hole[2]),
        }
    )
    folder = tmp_path_factory.mktemp("stored")
    parquet.write_table(table, folder.parent / "one.parquet")
    for i in range(2):
        parquet.write_table(table.slice(100 * i, 100), folder / f"{i}.parquet", row_group_size=30)
    return folder


@pytest.fixture(scope="module")
def runs(shards: Path) -> tuple[jensen.Run, jensen.Run]:
    """A run of one file that is read whole, and one of shards that stay where they are."""
    one = jensen.train(shards.parent / "one.parquet", out=shards.parent / "whole", stream=False, **SMALL)
    return one, jensen.train(shards, out=shards.parent / "kept", stream=True, **SMALL)


def test_training_from_shards_has_the_losses_and_weights_of_one_table(runs: tuple[jensen.Run, jensen.Run]) -> None:
    one, kept = runs
    losses = [[(e["train"], e["valid"]) for e in run.metrics if e["event"] == "epoch"] for run in runs]
    assert len(losses[0]) == 2
    assert losses[0] == losses[1]
    assert one.schema == kept.schema
    for a, b in zip(one.model.state_dict().values(), kept.model.state_dict().values(), strict=True):
        assert bool((a == b).all())


def test_verbs_read_the_shards_again(runs: tuple[jensen.Run, jensen.Run], shards: Path) -> None:
    one, kept = runs
    np.testing.assert_array_equal(kept.encode(shards), one.encode(shards.parent / "one.parquet"))
    filled = [run.impute(path) for run, path in ((one, shards.parent / "one.parquet"), (kept, shards))]
    np.testing.assert_array_equal(filled[1].x, filled[0].x)
