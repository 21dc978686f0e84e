"""`jensen evaluate --method annealed` and `--method sandwich`: settings are taken, told, kept and repeated."""

from __future__ import annotations

import json

import pytest

from jensen.evaluate import Annealed
from jensen.runs.run import load
from jensen.runs.verify import verify
from jensen.storage.files import write_json
from tests.cli.conftest import TINY, contents

QUICK = ["--temperatures", 6, "--leapfrog-steps", 2, "--chains", 5]
CHOSEN = {"temperatures": 6, "leapfrog_steps": 2, "chains": 5, "start": "guide", "correct": True}
DONE = {**CHOSEN, "corrected": True}


def test_its_settings_are_taken_and_told(jensen, run):
    answer = jensen("evaluate", "run", "--method", "annealed", *QUICK)
    assert answer.code == 0
    start = "annealed from the guide, corrected on simulated data"
    assert f"{start}: 6 temperatures, 2 leapfrog steps, 5 chains; acceptance 0." in answer.out
    assert "chains spread by" in answer.out
    record = json.loads(jensen("evaluate", "run", "--method", "annealed", *QUICK, "--json").out)
    assert (record["kind"], record["k"], record["settings"]) == ("stochastic lower bound", 5, DONE)
    assert record["replay"]["annealing"] == CHOSEN
    assert 0.3 < record["acceptance"] <= 1
    assert record["spread"]["q05"] <= record["spread"]["median"] <= record["spread"]["max"]
    assert record["spread"]["mean"] > 0
    single = jensen("evaluate", "run", "--method", "annealed", "--temperatures", 2, "--chains", 1)
    assert "2 temperatures, 10 leapfrog steps, 1 chain; acceptance" in single.out
    assert "chains spread" not in single.out


def test_it_is_repeated_to_the_bit(jensen, run):
    assert jensen("evaluate", "run", "--method", "annealed", *QUICK, "--start", "prior", "--seed", 2).code == 0
    answer = jensen("verify", "run", "--tolerance", 0)
    assert answer.code == 0, answer.out
    record = json.loads((run / "evaluation.json").read_text())
    assert record["replay"]["annealing"] == {**CHOSEN, "start": "prior"}
    record["replay"]["annealing"]["temperatures"] = 7
    write_json(run / "evaluation.json", record)
    answer = jensen("verify", "run")
    assert answer.code == 6
    assert "log_px was" in answer.out
    assert ("settings.temperatures", 6, 7) in {(d.name, d.was, d.now) for d in verify(load(run)).differences}


@pytest.mark.parametrize("annealing", [{"temperatures": 0}, {"start": "middle"}, {"correct": 3}, 3])
@pytest.mark.sampled(2)
def test_damaged_settings_are_refused(annealing, jensen, run, refused):
    assert jensen("evaluate", "run", "--method", "annealed", *QUICK).code == 0
    record = json.loads((run / "evaluation.json").read_text())
    bad = {**CHOSEN, **annealing} if isinstance(annealing, dict) else annealing
    record["replay"]["annealing"] = bad
    write_json(run / "evaluation.json", record)
    refused(["verify", "run"], 4, "is damaged")


def test_the_same_from_python(run):
    chain = Annealed(temperatures=6, leapfrog_steps=2, chains=5)
    evaluation = load(run).evaluate(method="annealed", annealing=chain)
    again = load(run).evaluate(method="annealed", annealing=chain)
    assert evaluation.estimate.mean == again.estimate.mean
    assert evaluation.replay["annealing"] == CHOSEN
    opened = load(run)
    opened.keep(evaluation)
    assert verify(opened, tolerance=0.0).holds


def test_uncorrected_from_python(run):
    chain = Annealed(temperatures=6, leapfrog_steps=2, chains=5, correct=False)
    opened = load(run)
    evaluation = opened.evaluate(method="annealed", annealing=chain)
    assert (evaluation.estimate.settings["corrected"], evaluation.slug) == (
        False,
        "annealed-t6-l2-c5-sguide-uncorrected",
    )
    opened.keep(evaluation)
    assert verify(opened, tolerance=0.0).holds


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "annealed", "-k", 7], ("-k 7", "Use --chains 7")),
        (["--temperatures", 9], ("the method is auto", "Add --method annealed")),
        (["--method", "importance", "--start", "prior"], ("the method is importance", "Add --method annealed")),
        (
            ["--method", "annealed", "--leapfrog-steps", 0],
            ("--leapfrog-steps must be a whole number of at least 1, got 0", "--leapfrog-steps 1 or more"),
        ),
        (["--method", "annealed", "--budget", 9], ("--budget 9", "Use --temperatures")),
        (["--method", "annealed", "--simulated", 9], ("--simulated 9", "Add --method sandwich")),
        (["--method", "sandwich", "--rows", 9], ("--rows 9", "For their number: --simulated 9")),
        (["--method", "sandwich", "--rows", "a.csv"], ("--rows a.csv", "Leave --rows out")),
        (["--method", "quadrature", "-k", 9], ("-k 9 is of importance weighting", "Leave -k out")),
        (["--method", "importance", "--budget", 5], ("--budget 5 limits a plain evaluation",)),
        (["--method", "annealed", "--start", "middle"], ("middle", "guide")),
        (["--method", "sandwich", "-k", 7], ("-k 7", "Use --chains 7")),
        (["--method", "sandwich", "--budget", 0], ("--budget 0", "Use --temperatures")),
        (
            ["--method", "sandwich", "--simulated", 0],
            ("--simulated must be a whole number of at least 1, got 0", "--simulated 1"),
        ),
        (["real.npy", "--method", "sandwich"], ("not on real.npy", "Leave out DATA")),
        (["--method", "magic"], ("no method 'magic'", "Choose from")),
    ],
)
def test_what_would_be_left_aside_is_refused(words, said, data, run, refused):
    refused(["evaluate", "run", *words], 2, *said)


@pytest.mark.parametrize("words", [["--leaps", "2"], ["--leaps=2"]])
def test_the_old_name_of_a_flag_still_works_and_says_so(words, jensen, run):
    chosen = ["evaluate", "run", "--method", "annealed", "--temperatures", 3, "--chains", 2]
    old, new = jensen(*chosen, *words), jensen(*chosen, "--leapfrog-steps", 2)
    assert (old.code, old.out) == (0, new.out)
    assert "3 temperatures, 2 leapfrog steps, 2 chains" in old.out
    assert old.err.splitlines()[0] == "note: --leaps is now called --leapfrog-steps"
    assert "--leaps" not in new.err
    assert "--leaps" not in jensen(*chosen, *words, "--quiet").err


def test_a_sandwich(jensen, run):
    """Both ends, their gap and what they are about; nothing is kept."""
    before = contents(run)
    answer = jensen("evaluate", "run", "--method", "sandwich", "--simulated", 12, *QUICK)
    assert answer.code == 0
    assert answer.out.startswith("gap ")
    assert "<= log p(x) <=" in answer.out
    assert "12 rows simulated from the model" in answer.out
    assert "this certifies the estimator on the model's own data, not on the test set" in answer.out
    record = json.loads(jensen("evaluate", "run", "--method", "sandwich", "--simulated", 12, *QUICK, "--json").out)
    assert contents(run) == before
    assert record["gap"] == pytest.approx(record["upper"] - record["lower"])
    assert record["gap_stderr"] > 0
    assert len(record["stderr"]) == 2
    assert (record["simulated_rows"], record["settings"], record["replay"]["method"]) == (12, DONE, "sandwich")
    assert "not on the test set" in record["certifies"]
    assert f"± {record['gap_stderr']:.2g} nats between the bounds" in answer.out
    assert abs(record["gap"]) < 0.5


def test_a_sandwich_is_in_the_units_of_the_data(jensen, data):
    """Data a thousand times as wide have a density a thousandth as high in each feature, and the same gap."""
    import numpy as np

    ends = {}
    for name, width in (("narrow", 1.0), ("wide", 1000.0)):
        np.save(f"{name}.npy", width * np.load("real.npy"))
        assert jensen("train", f"{name}.npy", "--out", name, "--standardize", "feature", *TINY).code == 0
        ends[name] = json.loads(
            jensen("evaluate", name, "--method", "sandwich", "--simulated", 6, *QUICK, "--json").out
        )
    less = 4 * np.log(1000.0)
    assert ends["narrow"]["lower"] - ends["wide"]["lower"] == pytest.approx(less, abs=1e-3)
    assert ends["narrow"]["upper"] - ends["wide"]["upper"] == pytest.approx(less, abs=1e-3)
    assert ends["narrow"]["gap"] == pytest.approx(ends["wide"]["gap"], abs=1e-3)


def test_an_autoencoder_is_annealed_from_the_prior_on_request(jensen, data, refused):
    assert jensen("train", "real.npy", "--recipe", "autoencoder", *TINY, "--out", "run").code == 0
    for method in ("annealed", "sandwich"):
        refused(["evaluate", "run", "--method", method], 2, "deterministic encoder", "--start prior")
    record = json.loads(jensen("evaluate", "run", "--method", "annealed", *QUICK, "--start", "prior", "--json").out)
    exact = json.loads(jensen("evaluate", "run", "--method", "quadrature", "--json").out)
    assert record["settings"]["start"] == "prior"
    assert abs(record["log_px"] - exact["log_px"]) < 0.1 + 4 * record["stderr_mc"]
    pair = json.loads(jensen("evaluate", "run", "--method", "sandwich", *QUICK, "--start", "prior", "--json").out)
    assert pair["settings"]["start"] == "prior"
    assert abs(pair["gap"]) < 0.2 + 3 * pair["gap_stderr"]


def test_a_finite_latent_is_refused_with_the_remedy(jensen, data, refused):
    assert jensen("train", "real.npy", "--recipe", "gmm", "--out", "run").code == 0
    for method in ("annealed", "sandwich"):
        refused(["evaluate", "run", "--method", method], 2, "discrete latent", "--method exact")
