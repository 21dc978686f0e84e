"""`jensen gradients`: on a user's own run, trained or not."""

from __future__ import annotations

import json

import numpy as np
import torch

from jensen.runs.run import load
from jensen.runs.train import train, untrained
from jensen.storage.files import write_json


def without_times(text: str) -> dict:
    record = json.loads(text)
    for measured in record["measured"]:
        assert measured.pop("seconds") > 0
    return {k: v for k, v in record.items() if k not in ("recommended", "sentence")}  # these weigh seconds


def test_says_what_to_use(run, jensen):
    answer = jensen("gradients", "run", "--repeats", "32", "-n", "8", "--quiet")
    assert answer.code == 0, answer.err
    first, objective, *others, last = answer.out.splitlines()
    assert first.startswith("Use ")
    assert objective == "objective: -Distortion - Rate"
    for name in ("Pathwise(k=1)", "StickTheLanding(k=1)", "Score(k=2)", "Quadrature(n=32)"):
        assert any(line.startswith(f"{name}: ") for line in others)
    assert any(line.startswith("not Enumerate(): ") for line in others)
    assert "raw weights; 8 training rows; 32 repeats; seed 0" in others
    assert last == "next: jensen doctor run"
    assert answer.err == ""


def test_as_json_and_at_the_start(run, data, jensen):
    words = ["gradients", "run", "--repeats", "32", "-n", "8", "--json", "--quiet"]
    end, start = jensen(*words), jensen(*words, "--at", "start")
    assert (end.code, start.code) == (0, 0), start.err
    assert without_times(jensen(*words).out) == without_times(end.out)
    last, first = json.loads(end.out), json.loads(start.out)
    assert (last["weights"], first["weights"]) == ("raw", "initial")
    assert last["measured"][0]["guide"]["variance"] != first["measured"][0]["guide"]["variance"]
    assert {m["estimator"] for m in last["measured"]} >= {"Pathwise(k=1)", "Score(k=2)"}


def test_too_few_repeats(run, refused):
    refused(["gradients", "run", "--repeats", "3"], 2, "at least 32")


def test_no_run(refused):
    refused(["gradients", "nowhere"], 2, "nowhere")


def test_the_start_is_that_of_the_run_from_anywhere(data, monkeypatch):
    """Relative names of test rows and labels, called from another folder; an old run without a seed of its split."""
    np.save("classes.npy", np.arange(60) % 2)
    words = {"labels": "classes.npy", "test": "real.npy", "test_labels": "classes.npy"}
    sizes = {"latent": 2, "hidden": (8,), "epochs": 1, "seed": 4, "split_seed": 4, "split": "0.5,0.5,0"}
    sizes |= {"recipe": "vampprior", "components": 9}  # pseudo-inputs start as training rows, which the split decides
    train("real.npy", out="run", **words, **sizes)
    fresh = train("real.npy", out="still", lr=1e-30, **words, **sizes)  # its weights never move
    spec = json.loads((data / "run/spec.json").read_text())
    del spec["command"]["split_seed"]
    write_json(data / "run/spec.json", spec)
    (data / "elsewhere").mkdir()
    monkeypatch.chdir(data / "elsewhere")
    made = untrained(load(data / "run"))
    theirs = fresh.guide.state_dict() | fresh.model.state_dict()
    for name, mine in (made.guide.state_dict() | made.model.state_dict()).items():
        torch.testing.assert_close(mine, theirs[name])


def test_a_denoising_run_is_differentiated_as_it_was_trained(run, jensen, data):
    train("real.npy", out="noisy", recipe="denoising-vae", latent=2, hidden=(8,), epochs=1)
    answer = jensen("gradients", "noisy", "--repeats", "32", "-n", "8", "--quiet")
    assert answer.code == 0, answer.err
    assert "objective: -Distortion - Rate, of x with 25 % of the features set to 0, drawn once" in answer.out


def test_a_term_that_one_estimator_alone_is_right_for(run, refused, data):
    train("real.npy", out="apart", recipe="beta-tcvae", latent=2, hidden=(8,), epochs=1)
    refused(["gradients", "apart"], 2, "TotalCorrelation reads densities of the whole batch", "info-vae")
