"""Every command that reads the run's own rows takes their new place, and refuses other rows by their digest."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from jensen.cli import main
from jensen.runs.run import load

WORDS = ["--epochs", "1", "--latent", "2", "--hidden", "8", "--quiet"]
VERBS = {
    "evaluate": ["-k", "5"],
    "verify": [],
    "doctor": [],
    "fidelity": [],
    "represent": [],
    "score": ["-k", "20", "--out", "scores.csv"],
    "encode": ["--active", "--out", "codes.csv"],
    "reconstruct": ["--out", "x.csv"],
    "impute": ["--mask", "mask.npy", "-m", "2", "-k", "20", "--out", "x.npz"],
    "gradients": ["-n", "8", "--repeats", "32"],
    "resume": ["--epochs", "2"],
}


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """A run with an evaluation, whose data are moved away afterwards."""
    folder = tmp_path_factory.mktemp("origin")
    x = np.random.default_rng(0).normal(size=(240, 4))
    np.savez(folder / "x.npz", x=x, y=(x[:, 0] > 0).astype(int))
    assert main(["train", str(folder / "x.npz"), "--out", str(folder / "run"), *WORDS]) == 0
    assert main(["evaluate", str(folder / "run"), "-k", "5", "--quiet"]) == 0
    (folder / "far").mkdir()
    shutil.move(folder / "x.npz", folder / "far" / "x.npz")
    np.savez(folder / "far" / "other.npz", x=x[::-1], y=np.arange(240) % 2)
    return folder


@pytest.fixture
def run(origin, here) -> Path:
    np.save("mask.npy", np.array([1, 0, 0, 0]))
    return Path(shutil.copytree(origin / "run", here / "run"))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.sampled(4)
def test_the_new_place_is_accepted(verb, run, origin, jensen):
    missing = jensen(verb, "run", *VERBS[verb])
    assert missing.code == 3, missing.err
    assert "--data FILE" in missing.err
    given = jensen(verb, "run", "--data", origin / "far" / "x.npz", *VERBS[verb])
    assert given.code in ((0, 6) if verb == "doctor" else (0,)), given.err


@pytest.mark.parametrize("verb", VERBS)
def test_other_rows_are_refused_with_both_digests(verb, run, origin, refused):
    was = load("run").spec["data"]["sha256"][:16]
    said = [f"their SHA-256 was {was}..., and is ", "--data FILE"]
    refused([verb, "run", "--data", origin / "far" / "other.npz", *VERBS[verb]], 3, *said)


def test_comparisons_and_reports(run, origin, jensen, unrendered):
    place = origin / "far" / "x.npz"
    assert jensen("compare", "run", "run", "-k", "5").code == 3
    assert jensen("compare", "run", "run", "-k", "5", "--data", place).code == 0
    assert jensen("report", "run", "--data", place).code == 0


def test_a_run_on_an_array_takes_a_file_of_the_same_rows(here, jensen):
    import jensen as package

    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    package.train(x, latent=2, hidden=(8,), epochs=1, device="cpu", out="run")
    np.save("x.npy", x)
    assert "--data FILE" in jensen("doctor", "run").err
    assert jensen("doctor", "run", "--data", "x.npy").code in (0, 6)
    assert jensen("encode", "run", "--active", "--data", "x.npy").code in (0, 2)
    assert jensen("resume", "run", "--data", "x.npy", "--epochs", "2").code == 0
    assert jensen("evaluate", "run", "-k", "5").code == 0  # it knows the file from now on
