"""What a plain evaluation says beside its number, and that no narrower question takes its place in the run's folder."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import jensen
from jensen.evaluate import Importance, Schedule, TightnessSettings
from jensen.runs.evaluation import Evaluation
from jensen.runs.run import Run
from jensen.runs.verify import verify

evaluating = sys.modules["jensen.runs.evaluate"]
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


@pytest.fixture(scope="module")
def measured(folder) -> Evaluation:
    """The plain evaluation of that run, without training rows."""
    if not (folder / "run" / "spec.json").exists():
        jensen.train(folder / "many.npy", latent=3, hidden=(16,), epochs=3, out=folder / "run")
    return jensen.load(folder / "run").evaluate(settings=QUICK, train_rows=0)


def held(run: Run) -> dict:
    return json.loads((run.path / "evaluation.json").read_text())


@pytest.mark.slow
def test_an_over_fitted_model_is_said_to_be(folder):
    """96 rows of 40 columns and a wide network that is trained until it knows them by heart."""
    wide = {"latent": 2, "hidden": (64,), "epochs": 100, "batch": 32, "lr": 3e-3, "keep": "last"}
    evaluation = jensen.train(folder / "few.npy", out=folder / "fitted", **wide).evaluate(budget=600.0)
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
@pytest.mark.sampled(2)
def test_what_is_damaged_or_of_other_weights_gives_way(run, measured, damage):
    run.keep(measured)
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


def test_a_new_training_sweeps_the_answers_away(run, measured, tmp_path):
    again = jensen.load(shutil.copytree(run.path, tmp_path / "again"))
    again.keep(measured)
    assert again.keep(again.evaluate(k=10)).parent.name == "evaluations"
    jensen.train(run.path.parent / "many.npy", latent=3, hidden=(16,), epochs=1, out=again.path, force=True)
    assert not (again.path / "evaluations").exists()
    assert not (again.path / "evaluation.json").exists()


def test_what_more_time_would_not_change_is_told_apart_from_what_it_would(run, monkeypatch):
    notes = run.evaluate(budget=0.5).notes
    assert any("left out for lack of time" in n and "the tightness of the bound" in n for n in notes)
    assert not any("was not measured" in n for n in notes)
    monkeypatch.setattr("jensen.runs.evaluate.assess_tightness", lambda *_: None)
    monkeypatch.setattr("jensen.runs.evaluate.refusal", lambda *_: "a discrete latent has no gradient")
    assert "the tightness of the bound was not measured: a discrete latent has no gradient" in (
        run.evaluate(budget=0.5).notes
    )


@dataclass
class Machine:
    """A clock that only importance weighting moves: a microsecond times `slow` for each point of a row."""

    slow: float
    now: float = 0.0
    rows: list[tuple[int, int]] = field(default_factory=list)


@pytest.fixture
def machine(monkeypatch):
    made, call, begin = Machine(1.0), Importance.__call__, Schedule.__post_init__

    def timed(self, model, guide, data, *rest):
        made.now += len(data) * self.k * 1e-6 * made.slow
        made.rows.append((len(data), self.k))
        return call(self, model, guide, data, *rest)

    def on_this_clock(self):
        self.clock = lambda: made.now
        begin(self)

    monkeypatch.setattr(Importance, "__call__", timed)
    monkeypatch.setattr(Schedule, "__post_init__", on_this_clock)
    monkeypatch.setattr(evaluating, "assess_tightness", lambda *_: None)
    return made


@pytest.mark.parametrize(
    ("slow", "k", "train"),
    # times slow: the trials take 0.262 s, the 90 test rows 0.45 s with 5,000 points, which may be a third of what is
    # left, and training rows 0.005 s each, which may be a quarter of what is left then
    [
        *[(3.0, 5000, 100), (10.0, 1000, 100), (37.0, 10, 100), (1000.0, 10, 0)],
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [(0.9, 5000, 500), (1.0, 5000, 200), (5.0, 5000, 50), (6.1, 5000, 20), (30.0, 100, 100)]
        ),
    ],
)
def test_a_slower_machine_has_fewer_points_and_training_rows_and_says_so(slow, k, train, run, machine):
    """What the time chose is recorded, and repeated without a clock; the budget holds where 10 points fit."""
    machine.slow = slow
    evaluation = run.evaluate(budget=10.0)
    assert evaluation.estimate.k == k
    assert (0 if evaluation.halves is None else len(evaluation.halves.train)) == train
    assert machine.now <= 11.0 or k == 10
    said = " ".join(evaluation.notes)
    assert (f"K = {k:,}: 5,000 points per datum would take about" in said) == (k < 5000)
    assert ("for that number: -k 5000" in said) == (k < 5000)
    assert ("20 training rows (about" in said) == (train == 0)
    assert run.keep(evaluation).name == "evaluation.json"
    assert verify(run, tolerance=0.0).holds
    assert evaluation.estimate.mean == run.evaluate(k=k).estimate.mean  # the same number as asked for


def test_without_a_budget_the_number_has_the_usual_points(run, machine):
    machine.slow = 1e5
    evaluation = run.evaluate(budget=0.0)
    assert (evaluation.estimate.k, evaluation.halves, evaluation.assessment) == (5000, None, None)
    assert [k for _, k in machine.rows] == [5000]  # and no trials


def test_the_number_comes_first(run, machine):
    """Before training rows and tightness are measured; the final evaluation has the same."""
    seen = []
    last = run.evaluate(budget=10.0, first=lambda e: seen.append((e, list(machine.rows))))
    ((first, rows),) = seen
    assert torch.equal(first.estimate.nats, last.estimate.nats)
    assert (first.halves, first.assessment) == (None, None)
    assert last.halves is not None
    assert len(machine.rows) == len(rows) + 1
    assert first.replay["train_rows"] == 0
    assert run.keep(first).name == "evaluation.json"
    assert verify(run, tolerance=0.0).holds


def test_a_stop_after_the_number_loses_nothing(run, monkeypatch):
    """The first evaluation is complete by itself, whatever is raised afterwards."""
    seen = []

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluating, "_generalisation", stop)
    with pytest.raises(KeyboardInterrupt):
        run.evaluate(budget=5.0, first=seen.append)
    assert seen[0].estimate.mean is not None


def test_a_plain_number_of_fewer_points_does_not_take_the_place_of_one_of_more(run, measured, machine):
    """Without tightness 5,000 points stand; that a tightness was measured counts for more."""
    run.keep(run.evaluate(budget=0.0))
    machine.slow = 10.0
    less = run.evaluate(budget=10.0)
    assert less.estimate.k == 1000
    assert run.keep(less).name == "importance-k1000.json"
    assert held(run)["k"] == 5000
    assert run.keep(measured).parent.name == run.path.name


def test_integers_are_told_in_bits_per_dimension_too(tmp_path):
    """A nat per datum is 1 / (D log 2) bits per dimension, with the sign of a bound turned round."""
    levels = np.random.default_rng(0).integers(0, 16, (80, 5)).astype(np.uint8)
    run = jensen.train(levels, latent=2, hidden=(4,), epochs=1, out=tmp_path / "run")
    evaluation = run.evaluate(levels[:20], k=5)
    assert evaluation.bits_per_dim == pytest.approx(-evaluation.estimate.mean / (5 * math.log(2)))
    number = re.search(r"nats per datum .*, <= ([\d.]+) ± [\d.]+ bits per dimension, on ", str(evaluation))
    assert number is not None
    assert float(number[1]) == pytest.approx(evaluation.bits_per_dim, abs=0.06)
    assert "bits" not in str(replace(evaluation, bits_per_dim=None))
