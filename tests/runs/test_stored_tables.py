"""A run of a mixed table that stays in its Parquet files: the same numbers as one of the table read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jensen
from jensen.core.errors import UsageError
from jensen.runs.predict import predict_in_pieces

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
SMALL = {"recipe": "table", "latent": 2, "hidden": (8,), "points": 2, "epochs": 2, "batch": 64}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, n = np.random.default_rng(0), 100
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
        parquet.write_table(table.slice(50 * i, 50), folder / f"{i}.parquet", row_group_size=15)
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


def test_rows_that_trained_are_recognised_without_the_column_that_is_predicted(
    runs: tuple[jensen.Run, jensen.Run], shards: Path
) -> None:
    table = parquet.read_table(shards.parent / "one.parquet")
    few = table.slice(0, 60).set_column(1, "colour", pa.nulls(60, pa.string()))
    parquet.write_table(few, shards.parent / "few.parquet")
    whole = runs[0].predict(few, "colour", k=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jensen.data.table_files.LARGE", 1)
        pieces = predict_in_pieces(runs[1], shards.parent / "few.parquet", "colour", k=20, size=9)
        with pytest.raises(UsageError, match="after the last piece"):
            _ = pieces.summary
        parts = list(pieces)
    assert [len(part) for part in parts] == [9] * 6 + [6]
    np.testing.assert_array_equal(np.concatenate([p.probabilities for p in parts]), whole.probabilities)
    of_these = [[n for n in notes if "of these 60 rows" in n] for notes in (pieces.summary.notes, whole.notes)]
    assert len(of_these[1]) == 1
    assert of_these[0] == of_these[1]
    assert pieces.summary.measures == ()


def test_completions_in_pieces_are_of_tables_in_files(runs: tuple[jensen.Run, jensen.Run]) -> None:
    with pytest.raises(UsageError, match="are in memory"):
        runs[0].completions(pa.table({"size": [1.0], "colour": ["red"], "visits": [None]}))
