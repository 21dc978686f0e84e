"""Each finding appears when its numbers call for it, and not otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import jensen
from jensen.analysis.collapse import collapsed
from jensen.analysis.doctor import Diagnosis
from jensen.analysis.examination import Examination
from jensen.analysis.findings import Finding
from jensen.report.facts import Facts, gather
from jensen.report.findings import findings
from jensen.report.summary import headline
from tests.report.pages import SMALL


def epoch(number: int, train: float, valid: float, beta: float = 1.0) -> dict[str, Any]:
    def measures(bound: float) -> dict[str, float]:
        return {"bound": bound, "rate": 5.0, "distortion": -bound - 5.0}

    return {"epoch": number, "train": measures(train), "valid": measures(valid), "beta": beta}


@pytest.fixture(scope="module")
def healthy(run) -> Facts:
    """A run that went well: flat at the end, a small gap, many effective points, every feature in use."""
    gathered = gather(run, examples=True)
    evaluation = dict(gathered.evaluation, log_px=-90.0, stderr=0.8, stderr_mc=0.01, k=1000, ess=60.0, n=24)
    evaluation["k_hat"] = {**evaluation["k_hat"], "share_above": 0.0}
    epochs = [epoch(i, -90.0 - 20 / i, -90.5 - 20 / i) for i in range(1, 101)]
    stopped = {"event": "stopped", "reason": "finished", "epoch": 100, "kept_epoch": 100, "seconds": 1.0}
    facts = replace(
        gathered, evaluation=evaluation, epochs=epochs, stopped=stopped, notes=(), diagnosis=Diagnosis((), {}, {})
    )
    vars(facts)["codes"] = np.random.default_rng(0).normal(size=(24, 3))
    return facts


def changed(facts: Facts, **changes: Any) -> Facts:
    """A copy with other numbers, and the same codes unless others are given."""
    codes = changes.pop("codes", facts.codes)
    copy = replace(facts, **changes)
    vars(copy)["codes"] = codes
    return copy


def shorts(facts: Facts) -> dict[str, str]:
    return {f.short: f.level for f in findings(facts)}


def test_a_healthy_run_has_none(healthy):
    assert findings(healthy) == []
    assert headline(healthy, []).endswith("-90.0 ± 0.8 nats per datum; 3 of 3 features in use; nothing alarming.")


def test_report_and_doctor_count_a_borderline_feature_alike(healthy):
    """Codes with a variance of 0.0099 (0.0103 with the denominator N - 1), 0 and 0.0101: only the last is active."""
    codes = np.zeros((24, 3))
    codes[::2], codes[1::2] = np.sqrt([0.0099, 0.0, 0.0101]), -np.sqrt([0.0099, 0.0, 0.0101])
    examination = Examination(healthy.run.model, healthy.run.guide, healthy.run.part("train").rows, None)
    vars(examination)["trained"] = replace(examination.trained, mean=torch.from_numpy(codes))
    measures = collapsed(examination).measures
    assert changed(healthy, codes=codes).active.tolist() == measures["active"] == [False, False, True]
    diagnosed = changed(healthy, codes=np.ones((24, 3)), diagnosis=Diagnosis((), measures, {}))
    assert diagnosed.active.tolist() == measures["active"]  # where the doctor has looked, its count is the report's


def test_alarms_come_first_and_reach_the_headline(healthy):
    facts = changed(healthy, notes=("something to know",), stopped=None)
    remarks = findings(facts)
    assert [f.level for f in remarks] == ["alarm", "note"]
    assert headline(facts, remarks).endswith("to look at: unfinished training.")


@pytest.mark.parametrize("reason", ["interrupted", "out of time"])
def test_interrupted(healthy, reason):
    assert shorts(changed(healthy, stopped=dict(healthy.stopped, reason=reason))) == {"interrupted training": "alarm"}


@pytest.mark.parametrize(
    ("ess", "expected"),
    [(2.9, {"a bound that may be loose": "alarm"}), (9.9, {"a bound that may be loose": "note"}), (10.0, {})],
)
def test_few_effective_points(healthy, ess, expected):
    assert shorts(changed(healthy, evaluation=dict(healthy.evaluation, ess=ess))) == expected


def test_few_effective_points_of_an_exact_number_mean_nothing(healthy):
    assert shorts(changed(healthy, evaluation=dict(healthy.evaluation, kind="exact", ess=1.0, k=None))) == {}


def test_monte_carlo_error(healthy):
    assert shorts(changed(healthy, evaluation=dict(healthy.evaluation, stderr_mc=1.0))) == {"Monte Carlo error": "note"}


def test_weights_of_a_bad_epoch(healthy, monkeypatch):
    falling = [epoch(i, -90.0, -90.5 - 0.1 * i) for i in range(1, 101)]
    assert shorts(changed(healthy, epochs=falling))["over-fitting"] == "alarm"
    best = dict(healthy.stopped, kept_epoch=1)
    later = changed(healthy, epochs=falling, stopped=best)
    assert shorts(later) == {"over-fitting later": "note"}
    for patience in (None, 20):
        monkeypatch.setitem(later.run.spec["choices"], "patience", patience)
        [remark] = findings(later)
        assert ("--patience auto" in remark.text) == (patience is None)  # not where it is in force already


def test_still_rising(healthy):
    rising = [epoch(i, -200.0 + i, -200.5 + i) for i in range(1, 101)]
    assert shorts(changed(healthy, epochs=rising)) == {"still rising": "note"}


def test_the_doctors_findings_are_told(healthy):
    ill = [
        Finding("over-fitting", "problem", "the gap is 9 nats", "it knows its rows", "Use a smaller model."),
        Finding("beta-not-one", "note", "the rate had weight 4", "a price", "Train with --beta 1."),
    ]
    facts = changed(healthy, diagnosis=Diagnosis(tuple(ill), {}, {}))
    assert shorts(facts) == {"over-fitting": "alarm", "beta not one": "note"}
    assert findings(facts)[0].text == "The gap is 9 nats: it knows its rows. Use a smaller model."
    falling = [epoch(i, -90.0, -90.5 - 0.1 * i) for i in range(1, 101)]
    assert sum(f.short.startswith("over-fitting") for f in findings(replace(facts, epochs=falling))) == 1


@pytest.mark.parametrize(("n", "level"), [(0, None), (1, "alarm")])
def test_duplicates(healthy, n, level, monkeypatch):
    split = dict(healthy.run.spec["split"], duplicates_of_training_rows={"valid": 0, "test": n})
    monkeypatch.setitem(healthy.run.spec, "split", split)
    assert shorts(healthy).get("duplicates across the split") == level


def test_validation_stands_in(images, tmp_path):
    run = jensen.train(images, latent=2, split="0.8,0.2,0", out=tmp_path / "run", **SMALL)
    texts = [f.text for f in findings(gather(run, examples=True))]
    assert sum("there is no test part" in t.lower() for t in texts) == 1
    assert any("The weights were chosen by these rows" in t for t in texts)


def test_no_density(images, tmp_path):
    run = jensen.train(images, recipe="autoencoder", latent=2, out=tmp_path / "run", **SMALL)
    gathered = gather(run, examples=True)
    assert shorts(gathered).get("no density") == "note"
    assert "no log p(x)" in headline(gathered, [])
