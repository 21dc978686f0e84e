"""`jensen doctor`: what it says, and its exit code."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def healthy(data, jensen):
    assert jensen("train", "real.npy", "--recipe", "ppca", "--latent", "2", "--out", "run").code == 0
    return data / "run"


@pytest.fixture
def sick(data, jensen):
    words = ["--beta", "0.01", "--epochs", "1", "--latent", "2", "--hidden", "8"]
    assert jensen("train", "real.npy", "--recipe", "beta-vae", *words, "--out", "run").code == 0
    return data / "run"


def test_healthy_run(healthy, jensen):
    answer = jensen("doctor", "run", "--quiet")
    first, *others, last = answer.out.splitlines()
    assert answer.code == 0
    assert first.startswith("no problem")
    assert any(line.startswith("log p(x) is -") and "a gap of" in line for line in others)
    assert last == "next: jensen report run"
    assert answer.err == ""


def test_sick_run(sick, jensen):
    answer = jensen("doctor", "run")
    lines = answer.out.splitlines()
    assert answer.code == 6
    at = next(i for i, line in enumerate(lines) if line.startswith("problem: beta-not-one: the rate had weight 0.01"))
    assert lines[at + 1].startswith("  why: ")
    assert lines[at + 2].startswith("  try: ")
    assert lines[0].split(" ")[1].startswith("problem")


def test_as_json(sick, jensen):
    answer = jensen("doctor", "run", "--json", "--seed", "3")
    assert len(answer.out.splitlines()) == 1
    record = json.loads(answer.out)
    assert answer.code == 6
    assert (record["seed"], record["healthy"], record["run"]) == (3, False, "run")
    assert "beta-not-one" in {f["name"] for f in record["findings"] if f["severity"] == "problem"}
    assert record["measures"]["beta"] == 0.01
    assert "unused-components" in record["skipped"]
    assert jensen("doctor", "run", "--json", "--seed", "3").out == answer.out


def test_without_a_density_the_score_is_the_distortion(data, jensen):
    words = ["--epochs", "1", "--latent", "2", "--hidden", "8"]
    assert jensen("train", "real.npy", "--recipe", "autoencoder", *words, "--out", "run").code == 0
    assert "minus the distortion is -" in jensen("doctor", "run").out


def test_a_heavy_rate_is_a_finding(data, jensen):
    words = ["--beta", "1.5", "--epochs", "60", "--latent", "2", "--hidden", "8", "--floor", "0.2", "--batch", "16"]
    assert jensen("train", "real.npy", "--recipe", "beta-vae", *words, "--out", "run").code == 0
    answer = jensen("doctor", "run")
    assert answer.code == 6
    assert "problem: beta-not-one: the rate had weight 1.5" in answer.out
    assert "still a lower bound on log p(x)" in answer.out


def test_a_warm_up_that_was_not_over(data, jensen):
    words = ["--warmup", "10", "--epochs", "3", "--latent", "2", "--hidden", "8", "--keep", "last"]
    assert jensen("train", "real.npy", *words, "--out", "run").code == 0
    answer = jensen("doctor", "run")
    assert answer.code == 6
    assert "problem: beta-not-one: the rate had weight 0.2 when" in answer.out
    assert "no bound on log p(x)" in answer.out
    assert "the warm-up was not over" in answer.out


def test_notes_do_not_change_the_exit_code(data, jensen, monkeypatch):
    from jensen.analysis import doctor
    from jensen.analysis.findings import Finding, Outcome

    note = Finding("unused-features", "note", "one feature", "no use for it", "Nothing.")
    monkeypatch.setattr(doctor, "CHECKS", {"posterior-collapse": lambda patient: Outcome((note,))})
    assert jensen("train", "real.npy", "--recipe", "ppca", "--latent", "2", "--out", "run").code == 0
    answer = jensen("doctor", "run")
    assert answer.code == 0
    assert answer.out.startswith("no problem, 1 note\nnote: unused-features: one feature\n")


def test_writes_nothing(healthy, jensen):
    before = sorted(p.name for p in healthy.iterdir())
    jensen("doctor", "run")
    assert sorted(p.name for p in healthy.iterdir()) == before


def test_lost_data(healthy, refused):
    (healthy.parent / "real.npy").unlink()
    refused(["doctor", "run"], 3, "real.npy")


def test_no_run(refused):
    refused(["doctor", "nowhere"], 2, "nowhere")


def test_how_many_codes_are_in_use(data, jensen):
    words = ["--recipe", "vq-vae", "--codes", "4", "--epochs", "3", "--latent", "2", "--hidden", "8", "--out", "run"]
    assert jensen("train", "bits.npy", *words).code == 0
    measures = json.loads(jensen("doctor", "run", "--json").out)["measures"]
    line = f"codebook perplexity {measures['codebook_perplexity']:.1f} of 4; {measures['codes_used']} codes are used"
    assert 1 <= measures["codebook_perplexity"] <= measures["codes_used"] <= 4
    assert line in jensen("doctor", "run").out
