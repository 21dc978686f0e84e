"""A training on rows that stay in their files: the same numbers as from memory, and a resume to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jensen.core.errors import DataError, InterruptedRun, UsageError
from jensen.data import read, streams
from jensen.recipes import find
from jensen.runs.resume import resume
from jensen.runs.run import load
from jensen.runs.streamed_data import measured_rows
from jensen.runs.train import DataOptions, Sources, train
from jensen.runs.training_data import gather
from jensen.storage.run_folder import WEIGHTS

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {"latent": 2, "hidden": (8,), "batch": 16, "epochs": 3, "save_every": 1000.0, "checkpoints": 0}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Windows of 4 blocks of 16 rows, so that a pass has many."""
    monkeypatch.setattr(streams, "WINDOW_ROWS", 64)
    monkeypatch.setattr(streams, "BLOCKS", 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A file of 400 rows, and the same rows in shards of two kinds."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(400, 5))).astype(np.float32)
    np.save(folder / "x.npy", x)
    (folder / "npy").mkdir()
    for i, part in enumerate(np.split(x, [30, 31, 250])):
        np.save(folder / "npy" / f"part-{i + 8}.npy", part)  # part-10 comes after part-9
    return folder


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """A training that was never stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "WINDOW_ROWS", 64)
        patch.setattr(streams, "BLOCKS", 4)
        return train(str(data / "x.npy"), stream=True, out=tmp_path_factory.mktemp("whole") / "run", **SMALL).path


def test_a_training_says_and_records_that_its_rows_stay_in_their_file(data, whole):
    spec = load(whole).spec
    assert spec["choices"]["stream"] is True
    sizes = spec["split"]["sizes"]
    assert sum(sizes.values()) == 400
    assert 280 < sizes["train"] < 360
    assert len(load(whole).split().train) == sizes["train"]
    notes = gathered(data / "x.npy", stream=True).notices
    assert any("stay in their files" in note and "--in-memory" in note for note in notes)


@pytest.mark.parametrize("steps", [1, pytest.param(9, marks=pytest.mark.slow), 33])
@pytest.mark.sampled(1)
def test_a_training_stopped_within_a_pass_ends_in_the_same_bytes(data, whole, tmp_path, steps):
    asked = iter(range(1, 10_000))
    with pytest.raises(InterruptedRun):
        train(str(data / "x.npy"), stream=True, out=tmp_path / "run", should_stop=lambda: next(asked) >= steps, **SMALL)
    assert weights(tmp_path / "run") != weights(whole)
    resume(tmp_path / "run")
    assert weights(tmp_path / "run") == weights(whole)


def test_shards_are_one_file(data, whole, tmp_path):
    run = train(str(data / "npy"), stream=True, out=tmp_path / "run", **SMALL)
    assert run.spec["data"]["sha256"] == load(whole).spec["data"]["sha256"]
    assert weights(run.path) == weights(whole)
    np.testing.assert_array_equal(read(data / "npy", stream=False).x, np.load(data / "x.npy"))


def test_parquet_shards_are_one_file_too(data, whole, tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "shards").mkdir()
    for i, part in enumerate(np.split(np.load(data / "x.npy"), [100])):
        table = arrow.table({f"c{j}": column for j, column in enumerate(part.T)})
        parquet.write_table(table, tmp_path / "shards" / f"{i}.parquet", row_group_size=37)
    run = train(str(tmp_path / "shards"), stream=True, out=tmp_path / "run", **SMALL)
    assert run.schema.names == ("c0", "c1", "c2", "c3", "c4")
    assert run.spec["data"]["sha256"] == load(whole).spec["data"]["sha256"]
    for mine, theirs in zip(run.model.parameters(), load(whole).model.parameters(), strict=True):
        assert mine.equal(theirs)
    one = read(tmp_path / "shards" / "1.parquet", columns="c3,c0", stream=True)
    np.testing.assert_array_equal(one.x[:], np.load(data / "x.npy")[100:][:, [3, 0]])
    np.testing.assert_array_equal(read(tmp_path / "shards" / "1.parquet").x, np.load(data / "x.npy")[100:])


def test_without_pyarrow_a_parquet_file_names_the_remedy(data, tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"pip install") as caught:
        read(tmp_path / "x.parquet")
    assert "pyarrow" in caught.value.what


@pytest.mark.parametrize("damage", ["changed", "removed", "added", "cut"])
@pytest.mark.sampled(2)
def test_a_shard_that_is_not_what_it_was_is_refused(data, tmp_path, damage):
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in (data / "npy").iterdir():
        (folder / shard.name).write_bytes(shard.read_bytes())
    asked = iter(range(1, 10_000))
    with pytest.raises(InterruptedRun):
        train(str(folder), stream=True, out=tmp_path / "run", should_stop=lambda: next(asked) >= 5, **SMALL)
    shard = folder / "part-10.npy"
    content = shard.read_bytes()
    if damage == "changed":
        shard.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif damage == "removed":
        shard.unlink()
    elif damage == "added":
        (folder / "part-12.npy").write_bytes(content)
    else:
        shard.write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"SHA-256|truncated"):
        resume(tmp_path / "run")
    with pytest.raises(DataError, match=r"SHA-256|truncated"):
        load(tmp_path / "run").evaluate(k=2)


def gathered(path: Path, recipe: str = "vae", **options: Any):
    how = DataOptions(**options)
    return gather(Sources(str(path)), find(recipe), how, torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("options", [{}, {"standardize": "none"}, {"standardize": "global"}])
def test_what_recipes_are_told_of_the_data_is_that_of_memory(data, options):
    rows = [gathered(data / "x.npy", split="1,0,0", stream=stream, **options) for stream in (True, False)]
    for mine, theirs in zip(*(each.moments for each in rows), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)  # those in memory are of single precision
    assert rows[0].constant == rows[1].constant == 0
    assert sorted(rows[0].in_file(range(400))) == list(range(400))


@pytest.mark.parametrize(
    "options", [{"dequantize": True}, {"binarize": "threshold"}, {"binarize": "dynamic", "standardize": "none"}]
)
def test_what_recipes_are_told_of_whole_numbers_is_in_expectation_that_of_memory(tmp_path, options):
    np.save(tmp_path / "x.npy", x := np.random.default_rng(0).integers(0, 3, (90, 4)).astype(np.uint8))
    made = gathered(tmp_path / "x.npy", split="1,0,0", stream=True, **options)
    seen = x.astype(float)
    if "dequantize" in options:
        mean, variance = seen.mean(0) + 1 / 2, seen.var(0) + 1 / 12
        center, scale = made.preparation.center, made.preparation.scale
        seen = (mean - center) / scale, np.sqrt(variance) / scale
    elif options["binarize"] == "threshold":
        bits = made.train.take(torch.arange(90)).x.double().numpy()
        seen = bits.mean(0), bits.std(0)
    else:
        seen = seen.mean(0) / 2, seen.std(0) / 2
    for mine, expected in zip(made.moments, seen, strict=True):
        np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-6, atol=1e-9)


def test_rows_of_training_that_occur_in_a_held_out_part_are_counted(data, tmp_path):
    x = np.load(data / "x.npy")
    where = gathered(data / "x.npy", stream=True).split
    x[where.valid[:][:3]] = x[where.train[:][5]]
    np.save(tmp_path / "x.npy", x)
    assert gathered(tmp_path / "x.npy", stream=True).repeated == {"valid": 3, "test": 0}


def test_a_large_part_is_measured_on_evenly_spaced_rows(data, monkeypatch):
    monkeypatch.setattr("jensen.runs.streamed_data.MEASURED", 10)
    made = gathered(data / "x.npy", stream=True)
    assert len(made.valid) == 10
    assert any(f"of {len(made.split.valid)} validation rows, 10 evenly spaced" in note for note in made.notices)
    x = read(data / "x.npy").x
    expected = (x[made.number("validation", 7)] - made.preparation.center) / made.preparation.scale
    torch.testing.assert_close(made.valid.take(torch.tensor([7])).x[0].double(), torch.from_numpy(expected))
    few, numbers = measured_rows(made.data, made.split.valid)
    np.testing.assert_array_equal(few.x, x[numbers])


@pytest.mark.parametrize(("recipe", "options"), [("ppca", {"latent": 2}), ("gaussian", {})])
def test_closed_forms_go_over_all_rows(data, tmp_path, recipe, options):
    how = {"recipe": recipe, "split": "1,0,0", **options}
    runs = [train(str(data / "x.npy"), stream=s, out=tmp_path / f"{s}", **how) for s in (True, False)]
    for mine, theirs in zip(*(run.model.parameters() for run in runs), strict=True):
        torch.testing.assert_close(mine.abs(), theirs.abs(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "options", "says"),
    [
        ("x.csv", {}, "--stream is for"),
        ("holes.npy", {"recipe": "miwae"}, "cannot have any"),
        ("holes.npy", {}, "missing"),
        ("x.npy", {"recipe": "conditional"}, "learns from labels"),
        ("fortran.npy", {}, "Fortran"),
    ],
)
def test_what_cannot_stay_in_files_is_refused_with_its_remedy(data, tmp_path, file, options, says):
    x = np.load(data / "x.npy")
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(x))
    x[3, 2] = np.nan
    np.save(tmp_path / "holes.npy", x)
    with pytest.raises((UsageError, DataError), match=says) as caught:
        train(str(tmp_path / file), stream=True, out=tmp_path / "run", **options)
    assert caught.value.remedy
    assert not (tmp_path / "run").exists()


def test_rows_stay_where_they_would_take_half_of_the_memory(data, monkeypatch):
    from jensen.data import sizes

    size = (data / "x.npy").stat().st_size
    for there, expected in ((6 * size + 10, False), (6 * size - 10, True)):
        monkeypatch.setattr(sizes, "available_memory", lambda there=there: there)
        assert read(data / "x.npy").is_streamed is expected
        assert read(data / "x.npy", stream=not expected).is_streamed is not expected


# ---------------------------------------------------------------- results


VERBS, SUFFIXES = (["encode"], ["reconstruct"], ["reconstruct", "--sample"]), ("csv", "npy", "npz")


@pytest.mark.parametrize(
    ("verb", "suffix"),
    [
        pytest.param(verb, suffix, marks=[] if i == j else pytest.mark.slow)
        for i, verb in enumerate(VERBS)
        for j, suffix in enumerate(SUFFIXES)
    ],
)
def test_results_in_pieces_are_those_of_memory_to_the_byte(data, tmp_path, monkeypatch, whole, verb, suffix):
    from jensen.cli import main
    from jensen.runs import evaluation

    monkeypatch.chdir(tmp_path)
    other = np.random.default_rng(1).normal(size=(1300, 5)).astype(np.float32)
    np.save(tmp_path / "other.npy", other)
    monkeypatch.setattr(evaluation, "PIECE", 1)
    results = []
    for stays in (False, True):
        monkeypatch.setattr("jensen.runs.places.table_options", table_options_with(stays))
        monkeypatch.setattr("jensen.runs.data.table_options", table_options_with(stays))
        out = tmp_path / f"{stays}.{suffix}"
        assert main([*verb, str(whole), "other.npy", "--out", str(out), "--quiet"]) == 0
        results.append(out.read_bytes())
    assert results[0] == results[1]
    assert len(results[0]) > 1300


def table_options_with(stays: bool):
    from jensen.runs.places import table_options

    return lambda spec: {**table_options(spec), "stream": stays}


def test_codes_of_python_are_all_rows(data, whole):
    run = load(whole)
    codes = run.encode(str(data / "x.npy"))
    assert codes.shape == (400, 2)
    np.testing.assert_array_equal(codes, load(whole, data=np.load(data / "x.npy")).encode(np.load(data / "x.npy")))


def test_the_rows_of_a_run_are_the_same_from_memory(data, whole):
    streamed, held = load(whole), load(whole, data=np.load(data / "x.npy"))
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(streamed.part(part).x[:], held.part(part).x)
        np.testing.assert_array_equal(streamed.part(part).row_numbers, held.part(part).row_numbers)
    mine, theirs = streamed.evaluate(k=3), held.evaluate(k=3)
    assert torch.equal(mine.estimate.nats, theirs.estimate.nats)


# ---------------------------------------------------------------- slow


@pytest.mark.slow
def test_a_killed_training_goes_on_within_its_pass(tmp_path):
    x = np.random.default_rng(0).normal(size=(40_000, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-m", "jensen", "train", "x.npy", "--stream", "--epochs", "2", "--hidden", "8"]
    command += ["--batch", "16", "--threads", "1", "--save-every", "0.2"]
    how = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}}
    subprocess.run([*command, "--out", "whole"], check=True, capture_output=True, **how)
    process = subprocess.Popen([*command, "--out", "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)
    limit = time.monotonic() + 120
    while not any((tmp_path / "run" / "state").glob("0*")) and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run" / WEIGHTS).exists() or weights(tmp_path / "run") != weights(tmp_path / "whole")
    again = [sys.executable, "-m", "jensen", "resume", "run"]
    subprocess.run(again, check=True, capture_output=True, **how)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


@pytest.mark.slow
def test_ten_million_rows_train_and_encode_within_600_megabytes(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "large_data.py"), "--folder", str(tmp_path)]
    import json

    how = {"cwd": ROOT, "env": os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}}
    done = subprocess.run(
        [*command, "--steps", "1500", "--streamed"], check=True, capture_output=True, text=True, **how
    )
    measured = json.loads(done.stdout)
    assert measured["megabytes"] > 799
    assert 0 < measured["stream"]["megabytes_above_idle"] <= 600
    assert measured["encode"]["megabytes_above_idle"] <= 600
