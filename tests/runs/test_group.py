"""Groups of runs: every member is the run that is trained alone, and one that fails costs no other."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import jensen
from jensen.core.errors import InterruptedRun, NumericalError, RunExistsError, UsageError
from jensen.runs.compare import compare
from jensen.runs.group import RunGroup, member_folders, open_group
from jensen.runs.resume_group import resume_group
from jensen.storage.files import write_json

SMALL = {"recipe": "beta-vae", "latent": 2, "hidden": (8,), "epochs": 2, "batch": 16, "warmup": 0, "threads": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two settings with two seeds each, one of them alone, and three seeds of another recipe."""
    folder = tmp_path_factory.mktemp("groups")
    np.save(folder / "bits.npy", (np.random.default_rng(0).random((75, 6)) < 0.4).astype(np.uint8))
    jensen.train(folder / "bits.npy", out=folder / "swept", seeds=2, sweep={"beta": [0.5, 4.0]}, seed=1, **SMALL)
    jensen.train(folder / "bits.npy", out=folder / "alone", beta=4.0, seed=2, **SMALL)
    jensen.train(folder / "bits.npy", out=folder / "seeds", seeds=3, latent=1, hidden=(4,), epochs=1)
    return folder


def spec(folder):
    """Return what a run records, but for its digest and the way to its data."""
    record = json.loads((folder / "spec.json").read_text())
    record.pop("sha256")
    record["data"].pop("beside")
    return record


def test_a_member_is_the_run_that_is_trained_alone(home):
    member, alone = home / "swept" / "beta-4-seed-2", home / "alone"
    assert (member / "model.safetensors").read_bytes() == (alone / "model.safetensors").read_bytes()
    assert spec(member) == spec(alone)
    assert (member / "model.safetensors").read_bytes() != (
        home / "swept" / "beta-4-seed-1" / "model.safetensors"
    ).read_bytes()


def test_members_are_runs_like_any_other(home):
    group = open_group(home / "swept")
    assert isinstance(group, RunGroup)
    assert group.names == ["beta-0.5-seed-1", "beta-0.5-seed-2", "beta-4-seed-1", "beta-4-seed-2"]
    assert group.settings == {"beta-0.5": group.names[:2], "beta-4": group.names[2:]}
    assert [run.spec["command"]["beta"] for run in group.runs] == [0.5, 0.5, 4.0, 4.0]
    assert [run.spec["command"]["seed"] for run in group.runs] == [1, 2, 1, 2]
    assert len({run.spec["split"]["seed"] for run in group.runs}) == 1
    assert np.isfinite(group.run("beta-4-seed-1").evaluate(k=5).estimate.mean)
    with pytest.raises(UsageError, match="has no member seed-9"):
        group.run("seed-9")


def test_the_best_has_the_highest_validation_bound(home):
    group = open_group(home / "swept")
    bounds = {}
    for name in group.names:
        lines = [json.loads(line) for line in (home / "swept" / name / "metrics.jsonl").read_text().splitlines()]
        kept = next(line for line in lines if line.get("epoch") == lines[-1]["kept_epoch"])
        bounds[name] = kept["valid"]["bound"]
    assert group.best().path.name == max(bounds, key=bounds.__getitem__)
    rows = list(csv.DictReader((home / "swept" / "summary.csv").read_text().splitlines()))
    assert {row["name"]: float(row["valid"]) for row in rows} == bounds
    assert [row["beta"] for row in rows] == ["0.5", "0.5", "4.0", "4.0"]


def test_nothing_is_overwritten_without_force(home, tmp_path):
    np.save(tmp_path / "bits.npy", np.load(home / "bits.npy"))
    with pytest.raises(RunExistsError, match="holds a group of runs already"):
        jensen.train(tmp_path / "bits.npy", out=home / "swept", seeds=2, **SMALL)
    with pytest.raises(RunExistsError, match="holds files that are not a run's"):
        jensen.train(tmp_path / "bits.npy", out=home / "swept", **SMALL)
    with pytest.raises(RunExistsError, match="holds a run, beside which"):
        jensen.train(tmp_path / "bits.npy", out=home / "alone", seeds=2, **SMALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "seed-0").mkdir()
    with pytest.raises(RunExistsError, match="not a group's"):
        jensen.train(tmp_path / "bits.npy", out=tmp_path / "mine", seeds=2, force=True, **SMALL)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["seed-0"]


def test_force_replaces_members_and_leaves_the_others(home, tmp_path):
    gaussian = {"recipe": "gaussian"}
    x = np.random.default_rng(0).normal(size=(40, 3))
    jensen.train(x, out=tmp_path / "g", seeds=3, **gaussian)
    notices = []
    group = jensen.train(x + 1, out=tmp_path / "g", seeds=2, force=True, notice=notices.append, **gaussian)
    assert group.names == ["seed-0", "seed-1"]
    assert any(
        ("seed-2 in" in text and "stays as it is" in text) or "is of the earlier group" in text for text in notices
    )
    assert (tmp_path / "g" / "seed-2" / "spec.json").exists()
    assert not (tmp_path / "g" / "seed-0" / ".replaced").exists()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"sweep": {"latnt": [1]}}, "no option latnt .* Did you mean latent"),
        ({"sweep": {"latent": [2, 0]}}, "--latent must be"),
        ({"sweep": {"batch": [8, -1]}}, "--batch must be"),
        ({"seeds": 2, "hiden": (8,)}, "has no option --hiden"),
        ({"sweep": {"keep": ["best", "last"]}, "split": "1,0,0"}, "--keep best needs validation rows"),
        ({"sweep": {"width": [8, 16]}}, "--width has no effect"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(options, what, tmp_path):
    x = (np.random.default_rng(0).random((30, 4)) < 0.5).astype(np.uint8)
    with pytest.raises(UsageError, match=what):
        jensen.train(x, out=tmp_path / "g", epochs=1, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_ones_own_is_no_recipe(tmp_path):
    model = jensen.LatentVariableModel(
        jensen.Unconditional(jensen.Gaussian(2)), jensen.Given.mlp(2, (4,), jensen.Bernoulli(4))
    )
    with pytest.raises(UsageError, match="trained in place"):
        jensen.train(np.zeros((20, 4)), model=model, seeds=2, out=tmp_path / "g")


def test_a_member_that_fails_costs_no_other(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    options = {"recipe": "vae", "latent": 2, "hidden": (4,), "epochs": 2, "batch": 16}
    group = jensen.train(x, out=tmp_path / "g", sweep={"lr": [1e-3, 1e30, 2e-3]}, **options)
    assert [m["state"] for m in group.record["members"]] == ["finished", "failed", "finished"]
    assert list(group.failed) == ["lr-1e+30"]
    assert "parameter" in group.failed["lr-1e+30"] or "not finite" in group.failed["lr-1e+30"]
    assert [run.path.name for run in group.runs] == ["lr-0.001", "lr-0.002"]
    with pytest.raises(NumericalError):
        jensen.train(x, out=tmp_path / "alone", lr=1e30, **options)
    assert any("lr-1e+30 (failed)" in note for note in group.summary().notes)


def test_data_in_memory_are_held_by_the_runs(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    group = jensen.train(x, out=tmp_path / "g", seeds=2, recipe="gaussian")
    assert np.isfinite([run.evaluate().estimate.mean for run in group.runs]).all()
    assert open_group(tmp_path / "g").record["command"]["data"] is None


def test_a_name_stands_for_the_runs_of_a_group_or_of_one_setting(home):
    swept = home / "swept"
    assert member_folders(swept / "beta-4") == [swept / "beta-4-seed-1", swept / "beta-4-seed-2"]
    assert member_folders(swept / "beta-4-seed-1") == [swept / "beta-4-seed-1"]
    assert member_folders(home / "seeds") == [home / "seeds" / f"seed-{i}" for i in range(3)]
    assert member_folders(home / "nothing") == [home / "nothing"]
    with pytest.raises(UsageError, match=r"several settings: beta-0.5, beta-4"):
        member_folders(swept)
    with pytest.raises(UsageError, match="no member or setting beta-7"):
        member_folders(swept / "beta-7")


def test_groups_are_compared_over_pairs_of_seeds(home):
    a, b = (
        [jensen.load(folder) for folder in member_folders(home / "swept" / name)] for name in ("beta-0.5", "beta-4")
    )
    result = compare(a, b, k=50)
    means = np.array([[s.estimate.nats.double().mean() for s in group.scores] for group in (result.a, result.b)])
    pairs = means[0] - means[1]
    assert result.paired_seeds == 2
    assert result.stderr_seeds == pytest.approx(pairs.std(ddof=1) / np.sqrt(2))
    assert result.stderr == pytest.approx(np.hypot(result.stderr_data, result.stderr_seeds))
    others = compare(a, [jensen.load(folder) for folder in member_folders(home / "seeds")], k=50)
    assert others.paired_seeds == 0
    spreads = [np.std([s.estimate.nats.double().mean() for s in g.scores], ddof=1) for g in (others.a, others.b)]
    assert others.stderr_seeds == pytest.approx(np.sqrt(spreads[0] ** 2 / 2 + spreads[1] ** 2 / 3))


def test_a_damaged_record_is_refused(home, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20, 2)))
    jensen.train(tmp_path / "x.npy", out=tmp_path / "g", seeds=1, recipe="gaussian")
    path = tmp_path / "g" / "group.json"
    record = json.loads(path.read_text())
    record["members"][0]["name"] = "../elsewhere"
    write_json(path, {k: v for k, v in record.items() if k != "sha256"})
    with pytest.raises(jensen.JensenError, match=r"group\.json is damaged"):
        open_group(tmp_path / "g")
    with pytest.raises(UsageError, match="is not a group of runs"):
        open_group(home / "alone")


@pytest.mark.slow
def test_members_of_one_shape_are_trained_together(home, tmp_path):
    """Enough steps for a recording; each is the run alone but for rounding, whatever its learning rate."""
    options = SMALL | {"epochs": 52, "batch": 15}
    sweep = {"lr": [1e-3, 1e-2], "beta": [1.0, 4.0]}
    group = jensen.train(home / "bits.npy", out=tmp_path / "g", seeds=2, sweep=sweep, **options)
    assert group.record["how"] == "together"
    alone = jensen.train(home / "bits.npy", out=tmp_path / "alone", lr=1e-2, beta=4.0, seed=1, **options)
    member = group.run("lr-0.01-beta-4-seed-1")
    assert spec(member.path) == spec(alone.path)
    for p, q in zip(member.model.parameters(), alone.model.parameters(), strict=True):
        assert float((p - q).detach().abs().max()) < 1e-4
    assert member.metrics[-2]["valid"]["bound"] == pytest.approx(alone.metrics[-2]["valid"]["bound"], abs=1e-4)


@pytest.mark.slow
def test_members_that_are_trained_together_are_stopped_and_resumed_together(home, tmp_path):
    options = SMALL | {"epochs": 52, "batch": 15, "seeds": 2}
    calls = iter(range(10**6))
    with pytest.raises(InterruptedRun, match="0 of 2 members done"):
        jensen.train(home / "bits.npy", out=tmp_path / "g", should_stop=lambda: next(calls) >= 90, **options)
    assert [m["state"] for m in open_group(tmp_path / "g").record["members"]] == ["interrupted"] * 2
    resumed = resume_group(tmp_path / "g")
    whole = jensen.train(home / "bits.npy", out=tmp_path / "whole", **options)
    for a, b in zip(resumed.runs, whole.runs, strict=True):
        for p, q in zip(a.model.parameters(), b.model.parameters(), strict=True):
            assert float((p - q).detach().abs().max()) < 1e-4
