"""`jensen verify`: a recorded evaluation comes out again, or what differs is named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jensen.evaluate import Annealed, TightnessSettings
from jensen.runs.run import load
from jensen.runs.verify import verify
from jensen.storage.files import write_json


def altered(run, change) -> None:
    path = run / "evaluation.json"
    record = json.loads(path.read_text())
    change(record)
    write_json(path, record)


@pytest.fixture
def evaluated(run, jensen):
    assert jensen("evaluate", "run", "-k", "20", "--seed", "3").code == 0
    return run


def test_it_is_repeated_to_the_bit(evaluated, jensen):
    answer = jensen("verify", "run")
    assert answer.code == 0
    assert answer.out.splitlines()[0].endswith("recorded values are equal to the bit")
    assert answer.err == ""
    record = json.loads(jensen("verify", "run", "--tolerance", "0", "--json").out)
    assert record["holds"]
    assert record["identical"] == record["compared"] > 20


@pytest.mark.slow
def test_the_settings_of_annealing_are_repeated(data, jensen):
    assert jensen("train", "real.npy", "--out", "run", "--epochs", "1", "--latent", "3", "--hidden", "8").code == 0
    opened, run = load("run"), data / "run"
    settings = TightnessSettings(rows=4, temperatures=4, leapfrog_steps=2, chains=3, simulated=4, refine=5)
    kept = opened.evaluate(settings=settings, seed=5)
    opened.keep(kept)
    verification = verify(opened, tolerance=0.0)
    assert verification.holds
    assert kept.to_dict()["replay"]["assessment"]["temperatures"] == 4
    altered(run, lambda r: r["replay"]["assessment"].update(temperatures=8))
    names = {d.name for d in verify(opened).differences}
    assert "assessment.annealed.temperatures" in names
    assert "assessment.annealed.log_px" in names
    assert "log_px" not in names


@pytest.mark.parametrize("kind", ["assessment", "annealing"])
@pytest.mark.sampled(1)
def test_records_of_earlier_versions_are_repeated(kind, data, jensen):
    """Leapfrog steps were once recorded as leaps, in the replay and in the results."""
    assert jensen("train", "real.npy", "--out", "run", "--epochs", "1", "--latent", "3", "--hidden", "8").code == 0
    opened, path = load("run"), data / "run" / "evaluation.json"
    if kind == "assessment":
        settings = TightnessSettings(rows=4, temperatures=4, leapfrog_steps=2, chains=3, simulated=4, refine=0)
        opened.keep(opened.evaluate(settings=settings, seed=5))
    else:
        chains = Annealed(temperatures=4, leapfrog_steps=2, chains=3)
        opened.keep(opened.evaluate(method="annealed", annealing=chains, seed=5))
    text = path.read_text()
    assert text.count('"leapfrog_steps"') == 2
    write_json(path, json.loads(text.replace('"leapfrog_steps"', '"leaps"')))
    answer = jensen("verify", "run", "--tolerance", "0")
    assert answer.code == 0
    assert answer.out.splitlines()[0].endswith("recorded values are equal to the bit")
    write_json(path, json.loads(text.replace('"leapfrog_steps": 2', '"leaps": 0')))
    assert jensen("verify", "run").code != 0


@pytest.mark.parametrize("words", [["quadrature"], ["importance", "-k", "5"]])
def test_every_method_is_repeated(words, run, jensen):
    assert jensen("evaluate", "run", "--method", *words).code == 0
    assert jensen("verify", "run", "--tolerance", "0").code == 0


def test_a_number_that_was_changed_is_named(evaluated, jensen):
    altered(evaluated, lambda r: r.update(log_px=r["log_px"] + 0.01))
    answer = jensen("verify", "run")
    assert answer.code == 6
    assert "not repeated: 1 of" in answer.out
    assert "log_px was -" in answer.out
    assert jensen("verify", "run", "--tolerance", "0.1").code == 0


def test_another_seed_is_noticed(evaluated, jensen):
    altered(evaluated, lambda r: r.update(seed=4))
    answer = jensen("verify", "run")
    assert answer.code == 6
    assert "log_px was" in answer.out


def test_changed_weights_are_noticed(evaluated, jensen):
    altered(evaluated, lambda r: r["replay"].update(weights_sha256="0" * 64))
    answer = jensen("verify", "run")
    assert answer.code == 6
    assert "weights_sha256" in answer.out


def test_other_versions_are_told(evaluated, jensen):
    altered(evaluated, lambda r: r["replay"]["versions"].update(torch="1.0"))
    answer = jensen("verify", "run")
    assert answer.code == 0
    assert "recorded with torch 1.0, replayed with" in answer.err


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda r: r.pop("replay"), 2, "does not say how it was made"),
        (lambda r: r["replay"].pop("method"), 4, "is damaged"),
        (lambda r: r["replay"].update(method="magic"), 4, "is damaged"),
        (lambda r: r["replay"].update(assessment={"rowz": 3}), 4, "is damaged"),
        (lambda r: r.update(seed="three"), 4, "is damaged"),
        (lambda r: r["replay"].update(device="toaster"), 2, "--device cpu"),
    ],
)
def test_damage_is_refused(change, code, said, evaluated, refused):
    altered(evaluated, change)
    refused(["verify", "run"], code, said)


def test_without_an_evaluation(run, refused):
    refused(["verify", "run"], 2, "evaluation.json does not exist", "jensen evaluate run")


def test_a_negative_tolerance(evaluated, refused):
    refused(["verify", "run", "--tolerance", "-1"], 2, "--tolerance must be at least 0, got -1")


def test_data_that_have_changed(data, jensen):
    assert jensen("train", "real.npy", "--recipe", "gaussian", "--out", "run").code == 0
    assert jensen("evaluate", "run").code == 0
    np.save("real.npy", np.zeros((60, 4)) + np.arange(60)[:, None])
    answer = jensen("verify", "run")
    assert answer.code == 3
    assert "has changed since the run was trained" in answer.err
