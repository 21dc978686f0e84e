"""Trainings on augmented rows: only batches change, and they are the same after an interruption and in a group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jensen as j
from jensen.core.errors import InterruptedRun, UsageError
from jensen.runs.calls import ModelParts, make_job
from tests.runs.test_resume import same, stop_after

GREY = np.random.default_rng(0).integers(0, 256, (80, 8, 8)).astype(np.uint8)
BATCHES: dict[str, Any] = {"latent": 2, "hidden": (8,), "batch": 16, "epochs": 4, "checkpoints": 2, "device": "cpu"}
AUGMENTED = {**BATCHES, "augment": "flip,shift", "binarize": "dynamic"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("data") / "grey.npy"
    np.save(path, GREY)
    return str(path)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> j.Run:
    return j.train(data, out=tmp_path_factory.mktemp("whole") / "run", **AUGMENTED)


def prepared(data: str, **options: Any):
    job = make_job(data, ModelParts("vae"), Path("unwritten"), {**BATCHES, **options})
    notes: list[str] = []
    job.prepare(notes.append)
    return job.training_data, notes


def measures(run: j.Run) -> dict[str, Any]:
    """Those of the training rows in the first epoch."""
    return next(line for line in run.metrics if line["event"] == "epoch")["train"]


def test_only_the_rows_of_batches_are_augmented(data):
    plain, silent = prepared(data)
    own, notes = prepared(data, augment="flip,shift")
    assert own.valid is not None
    assert plain.valid is not None
    assert own.valid.augment is own.train.augment is None
    assert own.valid.stored.equal(plain.valid.stored)
    assert own.train.stored.equal(plain.train.stored)
    assert own.batched.augment is not None
    assert plain.batched is plain.train
    assert [note for note in notes if note not in silent] == [own.augmentation.note]
    assert "trained on augmented rows (flip, shift): the bound is of the rows as they are" in notes[-1]


def test_a_run_says_so_and_measures_the_rows_as_they_are(whole, data, tmp_path):
    assert whole.sentence.endswith("batches are of augmented rows (flip, shift)")
    assert whole.spec["command"]["augment"] == "flip,shift"
    assert (whole.part("test").x == GREY.reshape(80, -1)[whole.split().test]).all()
    assert whole.part("train").rows.augment is None
    plain = j.train(data, out=tmp_path / "plain", **(AUGMENTED | {"augment": None}))
    assert measures(plain) != measures(whole)
    assert "augmented" not in plain.sentence
    listed = j.train(data, out=tmp_path / "listed", **(AUGMENTED | {"augment": ["shift", "flip"]}))
    assert (listed.path / "model.safetensors").exists()
    assert listed.metrics[-2]["valid"] == whole.metrics[-2]["valid"]


def test_an_interrupted_training_ends_in_the_same_bytes(whole, data, tmp_path):
    with pytest.raises(InterruptedRun):
        j.train(data, out=tmp_path / "run", should_stop=stop_after(6), **AUGMENTED)
    j.resume(tmp_path / "run")
    same(whole.path, tmp_path / "run")


def test_rows_that_stay_in_their_files_are_augmented_likewise(data, tmp_path):
    """In another order, so that the numbers are others; interrupted, they end in the same bytes too."""
    options = AUGMENTED | {"stream": True, "augment": "flip,shift,crop"}
    run = j.train(data, out=tmp_path / "whole", **options)
    with pytest.raises(InterruptedRun):
        j.train(data, out=tmp_path / "run", should_stop=stop_after(6), **options)
    j.resume(tmp_path / "run")
    same(run.path, tmp_path / "run")


def test_seeds_that_are_trained_together_are_those_trained_alone(data, tmp_path):
    """Enough steps for a recording; equal but for rounding."""
    options = AUGMENTED | {"epochs": 52, "checkpoints": 0}
    group = j.train(data, out=tmp_path / "g", seeds=3, **options)
    assert group.record["how"] == "together"
    alone = j.train(data, out=tmp_path / "alone", seed=2, **options)
    member = group.run("seed-2")
    for p, q in zip(member.model.parameters(), alone.model.parameters(), strict=True):
        assert float((p - q).detach().abs().max()) < 1e-4
    assert member.metrics[-2]["valid"]["bound"] == pytest.approx(alone.metrics[-2]["valid"]["bound"], abs=1e-3)


def test_images_with_missing_pixels_are_augmented(tmp_path):
    x = np.where(np.random.default_rng(1).random(GREY.shape) < 0.2, np.nan, GREY / 255).astype(np.float32)
    run = j.train(x, recipe="miwae", out=tmp_path / "run", augment="flip,shift", **(BATCHES | {"epochs": 1}))
    assert np.isfinite(measures(run)["objective"])


def test_reals_are_standardised_by_one_scale(tmp_path):
    x = np.random.default_rng(1).normal(size=(60, 8, 8)).astype(np.float32)
    scales = {}
    for augment in (None, "flip"):
        run = j.train(x, out=tmp_path / str(augment), augment=augment, **(BATCHES | {"epochs": 1}))
        scales[augment] = run.preparation.scale
    assert scales[None].shape == (64,)
    assert scales["flip"].shape == ()


@pytest.mark.parametrize(
    ("x", "options", "what"),
    [
        (GREY, {"recipe": "gmm", "augment": "flip"}, "gmm takes steps in closed form"),
        (GREY, {"augment": "mirror"}, "--augment takes flip, shift and crop, got 'mirror'"),
        (GREY.reshape(80, -1), {"augment": "flip"}, "these are rows of 64 columns"),
    ],
)
def test_what_is_refused_before_anything_is_written(x, options, what, tmp_path):
    with pytest.raises(UsageError, match=what):
        j.train(x, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
