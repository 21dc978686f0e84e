"""What a plain evaluation says beside its number, and that no narrower question takes its place in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import jensen
from jensen.evaluate import TightnessSettings
from jensen.runs.run import Run
from jensen.runs.verify import verify

QUICK = TightnessSettings(rows=8, temperatures=6, leapfrog_steps=2, chains=3, simulated=4, refine=5)


def noisy_lines(n: int, dim: int) -> np.ndarray:
    """Data of three factors with unit noise."""
    rng = np.random.default_rng(0)
    factors = 2 * np.random.default_rng(1).normal(size=(3, dim))
    return (rng.normal(size=(n, 3)) @ factors + rng.normal(size=(n, dim))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    np.save(folder / "few.npy", noisy_lines(120, 40))
    np.save(folder / "many.npy", noisy_lines(900, 6))
    return folder


@pytest.fixture
def run(folder) -> Run:
    """Three latent features of 900 rows: a bound, with annealing behind it."""
    if not (folder / "run" / "spec.json").exists():
        jensen.train(folder / "many.npy", latent=3, hidden=(16,), epochs=3, out=folder / "run")
    for name in ("evaluation.json", "evaluations"):
        path = folder / "run" / name
        if path.is_dir():
            for file in path.iterdir():
                file.unlink()
        else:
            path.unlink(missing_ok=True)
    return jensen.load(folder / "run")


def held(run: Run) -> dict:
    return json.loads((run.path / "evaluation.json").read_text())


def test_an_over_fitted_model_is_said_to_be(folder):
    """96 rows of 40 columns and a wide network that is trained until it knows them by heart."""
    wide = {"latent": 2, "hidden": (64,), "epochs": 100, "batch": 32, "lr": 3e-3, "keep": "last"}
    evaluation = jensen.train(folder / "few.npy", out=folder / "fitted", **wide).evaluate(budget=5.0)
    assert evaluation.halves.over_fitting
    assert evaluation.halves.difference > 2.5 * evaluation.halves.stderr
    record = evaluation.to_dict()["train_test"]
    assert record["sentence"].startswith("over-fitting: training rows score ")
    assert record["score"].startswith("log p(x) (quadrature")
    assert (record["train_rows"], record["test_rows"]) == (96, 12)
    assert evaluation.to_dict()["assessment"]["verdict"].startswith("quadrature: error ")
    assert evaluation.to_dict()["assessment"]["gaps"]["advice"]


def test_a_healthy_one_is_not(run):
    evaluation = run.evaluate(settings=QUICK, train_rows=500, k=None)
    assert not evaluation.halves.over_fitting
    assert evaluation.to_dict()["train_test"]["train_rows"] == 500
    train = run.evaluate(run.part("train").x, budget=0.0).estimate
    assert abs(evaluation.halves.to_dict()["train"] - train.mean) < 4 * train.stderr * (len(train.nats) / 500) ** 0.5


def test_a_model_with_an_exact_guide_is_exact_and_compared_too(folder):
    evaluation = jensen.train(folder / "many.npy", recipe="ppca", latent=3, out=folder / "ppca").evaluate()
    assert (evaluation.assessment.verdict, evaluation.assessment.gaps) == ("exact", None)
    assert evaluation.halves.sentence.startswith("no sign of over-fitting")
    assert len(evaluation.halves.train) == 500


def test_nothing_is_measured_behind_a_narrower_question(run):
    for asked in ({"k": 5}, {"budget": 0.0}, {"method": "importance"}):
        evaluation = run.evaluate(**asked)
        assert (evaluation.assessment, evaluation.halves) == (None, None)
        assert evaluation.replay["train_rows"] == 0


def test_a_narrower_question_never_takes_the_place_of_the_plain_one(run):
    whole = run.evaluate(settings=QUICK, train_rows=20)
    assert run.keep(whole) == run.path / "evaluation.json"
    kept = held(run)
    names = {}
    for asked in ({"k": 10}, {"k": 10, "seed": 3}, {"method": "importance", "k": 7}, {"budget": 0.0}):
        path = run.keep(run.evaluate(**asked))
        names[path.relative_to(run.path).as_posix()] = json.loads(path.read_text())["k"]
    assert held(run) == kept
    assert names == {
        "evaluations/importance-k10.json": 10,
        "evaluations/importance-k10-seed3.json": 10,
        "evaluations/importance-k7.json": 7,
        "evaluations/importance-k5000.json": 5000,
    }
    assert verify(run, tolerance=0.0).holds
    again = run.keep(run.evaluate(settings=QUICK, seed=1))
    assert again.name == "evaluation.json"
    assert held(run)["seed"] == 1


def test_where_there_is_no_plain_one_the_first_answer_is_kept(run):
    assert run.keep(run.evaluate(k=10)).name == "evaluation.json"
    assert run.keep(run.evaluate(k=10, seed=2)).name == "evaluation.json"  # the same question again
    assert run.keep(run.evaluate(k=20)).name == "importance-k20.json"
    assert run.keep(run.evaluate(budget=0.0)).name == "evaluation.json"
    assert held(run)["k"] == 5000


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda text: "[]",
        lambda text: json.dumps({"log_px": 1.0}),
        lambda text: text.replace('"weights_sha256": "', '"weights_sha256": "0'),
    ],
)
def test_what_is_damaged_or_of_other_weights_gives_way(run, damage):
    run.keep(run.evaluate(settings=QUICK, train_rows=0))
    path = run.path / "evaluation.json"
    path.write_text(damage(path.read_text()))
    assert run.keep(run.evaluate(k=10)) == path
    assert held(run)["k"] == 10


def test_the_replay_repeats_the_gaps_and_the_training_rows(run):
    evaluation = run.evaluate(settings=QUICK, train_rows=30)
    run.keep(evaluation)
    assert held(run)["replay"]["train_rows"] == 30
    report = verify(run, tolerance=0.0)
    assert report.holds
    assert report.identical == report.compared > 80


def test_a_new_training_sweeps_the_answers_away(run):
    run.keep(run.evaluate(settings=QUICK))
    assert run.keep(run.evaluate(k=10)).parent.name == "evaluations"
    jensen.train(run.path.parent / "many.npy", latent=3, hidden=(16,), epochs=1, out=run.path, force=True)
    assert not (run.path / "evaluations").exists()
    assert not (run.path / "evaluation.json").exists()


def test_what_more_time_would_not_change_is_told_apart_from_what_it_would(run, monkeypatch):
    monkeypatch.setattr("jensen.runs.evaluate.assess_tightness", lambda *_: None)
    unmeasured = "the tightness of the bound was not measured: "
    assert f"{unmeasured}raise --budget" in run.evaluate(budget=1.0).notes
    monkeypatch.setattr("jensen.runs.evaluate.refusal", lambda *_: "a discrete latent has no gradient")
    assert f"{unmeasured}a discrete latent has no gradient" in run.evaluate(budget=1.0).notes
