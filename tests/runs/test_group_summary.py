"""The numbers of a summary against NumPy, and what they must not be used for."""

from __future__ import annotations

import json

import numpy as np
import pytest

import jensen
from jensen.core.errors import UsageError
from jensen.runs.group_summary import GroupSummary, MemberSummary, Spread

VAE = {"latent": 1, "hidden": (4,), "epochs": 2, "batch": 16}


def test_spread_is_that_of_numpy():
    values = np.random.default_rng(0).normal(size=7)
    spread = Spread.of(list(values))
    assert (spread.n, spread.mean) == (7, pytest.approx(values.mean()))
    assert spread.deviation == pytest.approx(values.std(ddof=1))
    assert spread.stderr == pytest.approx(values.std(ddof=1) / np.sqrt(7))
    assert Spread.of([2.0]) == Spread(1, 2.0, None, None)


@pytest.fixture(scope="module")
def bits():
    return (np.random.default_rng(0).random((60, 4)) < 0.4).astype(np.uint8)


def test_settings_have_mean_and_spread_of_their_seeds(bits, tmp_path):
    group = jensen.train(bits, out=tmp_path / "g", seeds=3, sweep={"epochs": [1, 2]}, latent=1, hidden=(4,))
    summary = group.summary()
    assert [(s.name, s.options) for s in summary.settings] == [("epochs-1", {"epochs": 1}), ("epochs-2", {"epochs": 2})]
    for setting in summary.settings:
        ends = []
        for name in group.settings[setting.name]:
            lines = [json.loads(line) for line in (tmp_path / "g" / name / "metrics.jsonl").read_text().splitlines()]
            ends.append(next(line for line in lines if line["epoch"] == lines[-1]["kept_epoch"]))
        for part in ("valid", "train"):
            numbers, spread = [end[part]["bound"] for end in ends], getattr(setting, part)
            assert spread.mean == pytest.approx(np.mean(numbers))
            assert spread.deviation == pytest.approx(np.std(numbers, ddof=1))
            assert spread.stderr == pytest.approx(np.std(numbers, ddof=1) / np.sqrt(3))
    assert any("same training and validation rows (--split-seed 0)" in note for note in summary.notes)
    record = json.loads((tmp_path / "g" / "summary.json").read_text())
    assert record["settings"] == json.loads(json.dumps(summary.to_dict()["settings"]))


def test_members_with_other_rows_have_no_best(bits, tmp_path):
    summary = jensen.train(bits, out=tmp_path / "g", sweep={"split_seed": [0, 1]}, **VAE).summary()
    assert not summary.same_rows
    assert any("other rows" in note for note in summary.notes)
    with pytest.raises(UsageError, match="of different rows"):
        print(summary.best)


def test_bounds_of_other_numbers_of_points_are_told_apart(bits, tmp_path):
    group = jensen.train(bits, out=tmp_path / "g", recipe="iwae", sweep={"points": [2, 5]}, **VAE)
    assert any("different numbers of points" in note for note in group.summary().notes)


def test_a_group_without_validation_rows_goes_by_training_rows(bits, tmp_path):
    group = jensen.train(bits, out=tmp_path / "g", seeds=2, split="1,0,0", **VAE)
    summary = group.summary()
    assert [m.valid for m in summary.members] == [None, None]
    assert [m.best_epoch for m in summary.members] == [None, None]
    assert summary.part == "train"
    assert summary.best == max(summary.members, key=lambda m: m.train).name


def test_no_number_no_best():
    waiting = MemberSummary("seed-0", "", {}, 0, "waiting")
    with pytest.raises(UsageError, match="no member of the group has a number yet"):
        print(GroupSummary((waiting,), (), ()).best)
