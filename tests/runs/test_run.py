"""A run, opened: its rows, its units, its record, and damage that must not go unnoticed."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch
from scipy.stats import norm

import jensen
from jensen.core.errors import CorruptRunError, DataError, UsageError
from jensen.storage.files import write_json
from tests.identities.models import close
from tests.records import fields

RNG = np.random.default_rng(0)
REALS = RNG.normal(size=(60, 4)) @ np.diag([1.0, 2.0, 3.0, 4.0]) + 5
GREY = RNG.integers(0, 256, size=(50, 3, 2, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    np.save(folder / "reals.npy", REALS)
    np.save(folder / "grey.npy", GREY)
    jensen.train(folder / "reals.npy", recipe="ppca", latent=2, out=folder / "ppca")
    vae = {"recipe": "vae", "latent": 2, "hidden": (8,), "epochs": 2, "batch": 16}
    jensen.train(folder / "reals.npy", out=folder / "vae", **vae)
    jensen.train(folder / "grey.npy", out=folder / "grey", **vae)
    jensen.train(folder / "grey.npy", out=folder / "dynamic", binarize="dynamic", **vae)
    return folder


@pytest.fixture
def copied(home, tmp_path):
    """A copy of a run, to be damaged."""
    return lambda name: shutil.copytree(home / name, tmp_path / name)


def test_parts_are_the_rows_of_the_file(home):
    run = jensen.load(home / "ppca")
    parts = [run.part(name) for name in ("train", "valid", "test")]
    assert [len(p.rows) for p in parts] == [48, 6, 6]
    together = np.concatenate([p.x for p in parts])
    assert sorted(map(tuple, together)) == sorted(map(tuple, REALS))
    for p in parts:
        close(torch.as_tensor(run.preparation.invert(p.rows.stored)), torch.as_tensor(p.x))
    assert parts[2].name == "6 test rows of " + str(home / "reals.npy")


def test_evaluation_is_of_the_test_rows_and_can_be_kept(home):
    run = jensen.load(home / "ppca")
    found = run.evaluate()
    close(found.estimate.nats, run.evaluate(run.part("test").x).estimate.nats)
    run.keep(found)
    record = fields(run.path / "evaluation.json")
    assert record == json.loads(json.dumps(found.to_dict()))
    assert (record["kind"], record["n"], record["weights"], record["seed"]) == ("exact", 6, "raw", 0)
    assert record["bits_per_dim"] is None


def test_rows_that_were_trained_on_are_told(home):
    run = jensen.load(home / "ppca")
    assert run.evaluate().notes == ()
    assert "of these 59 rows were trained on" in run.evaluate(REALS[:-1]).notes[0]
    assert "only its test rows are used, 6 of 60" in run.evaluate(home / "reals.npy").notes[0]
    assert run.evaluate(REALS + 1e-3).notes == ()


def test_the_seed_and_k_decide_a_stochastic_number(home):
    run = jensen.load(home / "vae")
    a, b, c = (run.evaluate(k=30, seed=s).estimate for s in (1, 1, 2))
    assert torch.equal(a.nats, b.nats)
    assert not torch.equal(a.nats, c.nats)
    assert (str(a.kind), a.k) == ("stochastic lower bound", 30)


@pytest.mark.parametrize("recipe", ["gaussian", "ppca", "gmm", "factor-analysis"])
@pytest.mark.sampled(2)
def test_the_density_is_in_the_datas_own_units(recipe, tmp_path):
    """Of 1000 x + 7 it is lower by D log 1000: whatever was done in between."""
    sizes = {"ppca": {"latent": 2}, "factor-analysis": {"latent": 1}, "gmm": {"components": 2}}.get(recipe, {})
    found = []
    for i, x in enumerate((REALS, 1000 * REALS + 7)):
        np.save(tmp_path / f"{i}.npy", x)
        run = jensen.train(tmp_path / f"{i}.npy", recipe=recipe, out=tmp_path / f"run{i}", epochs=20, **sizes)
        found.append(run.evaluate().estimate)
    close(found[0].nats - found[1].nats, 4 * math.log(1000), 1e-7)
    close(found[0].distortion - found[1].distortion, -4 * math.log(1000), 1e-7)
    close(found[0].rate, found[1].rate, 1e-7)


@pytest.mark.parametrize("standardize", ["none", "global", "feature"])
def test_standardising_does_not_change_a_gaussians_density(standardize, tmp_path):
    np.save(tmp_path / "x.npy", REALS)
    run = jensen.train(tmp_path / "x.npy", recipe="gaussian", standardize=standardize, out=tmp_path / "run")
    train = run.part("train").x
    by_hand = norm(train.mean(0), train.std(0)).logpdf(run.part("test").x).sum(1)
    close(run.evaluate().estimate.nats, torch.as_tensor(by_hand), 1e-6)


def test_dequantised_integers(home, tmp_path):
    """A density of x + u, its bits per dimension, and the recorded noise."""
    run = jensen.train(home / "grey.npy", recipe="gaussian", out=tmp_path / "run")
    found = run.evaluate()
    part = run.part("test")
    spread = run.preparation.invert(part.rows.stored)
    u = spread - part.x
    assert ((u >= 0) & (u < 1)).all()
    assert u.std() > 0.2
    trained = run.preparation.invert(run.part("train").rows.stored)
    by_hand = norm(trained.mean(0), trained.std(0)).logpdf(spread).sum(1)
    close(found.estimate.nats, torch.as_tensor(by_hand), 1e-6)
    close(found.bits_per_dim, -by_hand.mean() / (6 * math.log(2)), 1e-6)
    assert "dequantised by uniform noise (seed 0)" in found.prepared


def test_masses_of_integers_have_bits_too(home):
    run = jensen.load(home / "grey")
    found = run.evaluate(k=50)
    close(found.bits_per_dim, -found.estimate.mean / (6 * math.log(2)))
    assert found.estimate.mean < 0
    assert jensen.load(home / "dynamic").evaluate(k=5).bits_per_dim is None  # the bits drawn are not the data


def test_a_dynamic_binarisation_is_drawn_once_from_the_seed(home):
    run = jensen.load(home / "dynamic")
    a, b, c = (run.part("test", seed).rows.stored for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert set(a.unique().tolist()) == {0.0, 1.0}
    assert run.part("test").rows.prepare is None


def test_results_have_the_datas_shape_and_units(home):
    run = jensen.load(home / "grey")
    assert run.sample(7).shape == (7, 3, 2, 1)
    assert run.reconstruct().shape == run.reconstruct(sample=True).shape == (5, 3, 2, 1)
    assert run.encode(GREY[:9]).shape == (9, 2)
    assert set(np.unique(run.sample(50))) <= set(range(256))
    ppca = jensen.load(home / "ppca")
    drawn = ppca.sample(4000, seed=1)
    error = 4 * REALS.std(0) / math.sqrt(4000)
    mean = ppca.part("train").x.mean(0)
    assert (abs(drawn.mean(0) - mean) < error).all()
    assert np.array_equal(drawn, ppca.sample(4000, seed=1))
    smooth = ppca.sample(4000, seed=1, mean=True)
    assert smooth.var(0).sum() < drawn.var(0).sum()
    assert np.linalg.matrix_rank(smooth - smooth.mean(0), tol=1e-6) == 2
    with pytest.raises(UsageError, match="-n must be a whole number of at least 1, got 0"):
        run.sample(0)


def test_a_test_file(home, tmp_path):
    np.save(tmp_path / "test.npy", REALS[:9] + 0.5)
    run = jensen.train(home / "reals.npy", recipe="gaussian", test=tmp_path / "test.npy", out=tmp_path / "run")
    assert [len(run.part(p).rows) for p in ("train", "valid", "test")] == [54, 6, 9]
    found = run.evaluate()
    assert (found.to_dict()["n"], found.notes) == (9, ())
    assert found.data == f"test file {tmp_path / 'test.npy'}"
    close(found.estimate.nats, run.evaluate(REALS[:9] + 0.5).estimate.nats)
    np.save(tmp_path / "test.npy", REALS[:9])
    with pytest.raises(DataError, match="has changed"):
        run.evaluate()


def test_validation_rows_stand_in_and_say_so(home, tmp_path):
    run = jensen.train(home / "reals.npy", recipe="gaussian", split="0.8,0.2,0", out=tmp_path / "run")
    found = run.evaluate()
    assert found.notes == ("there is no test part: these are validation rows",)
    assert "12 validation rows" in found.data
    nothing = jensen.train(home / "reals.npy", recipe="gaussian", split="1,0,0", out=tmp_path / "nothing")
    with pytest.raises(DataError, match="kept no rows aside"):
        nothing.evaluate()


def test_data_that_have_changed_or_gone_are_noticed(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, REALS)
    run = jensen.train(path, recipe="gaussian", out=tmp_path / "run")
    np.save(path, REALS + 1e-9)
    with pytest.raises(DataError, match="has changed since") as caught:
        run.evaluate()
    assert caught.value.exit_code == 3
    path.unlink()
    with pytest.raises(DataError):
        run.evaluate()
    assert run.sample(2).shape == (2, 4)  # the model itself needs no data


def test_other_data_must_be_alike(home):
    with pytest.raises(DataError):
        jensen.load(home / "ppca").evaluate(REALS[:, :3])
    with pytest.raises(DataError, match="binary already"):
        jensen.load(home / "dynamic").evaluate((GREY > 128).astype(np.uint8))


def changed(folder, change) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    change(spec)
    write_json(folder / "spec.json", spec)


DAMAGE = {
    "no model": lambda s: s.pop("model"),
    "another format": lambda s: s.update(format=99),
    "one node": lambda s: s.update(model=s["model"][:1]),
    "a word for nodes": lambda s: s.update(model="xy"),
    "an unknown part": lambda s: s["model"][0].update(part="Orbital"),
    "a node's argument": lambda s: s["model"][0]["args"]["likelihood"]["args"].update(dim=5),
    "a dangling reference": lambda s: s["model"].__setitem__(1, {"ref": 99}),
    "a dtype": lambda s: s["choices"].update(dtype="float65"),
    "another dtype": lambda s: s["choices"].update(dtype="float32"),
    "no data": lambda s: s.update(data=None),
    "a row count": lambda s: s["data"].update(n=61),
    "a schema": lambda s: s["data"]["schema"].update(shape=[5]),
    "a size": lambda s: s["data"].update(resize=-1),
    "a split's seed": lambda s: s["split"].update(seed=None),
    "fractions": lambda s: s["split"].update(fractions=["a", "b", "c"]),
    "a test file": lambda s: s["split"].update(test=7),
    "a binarisation": lambda s: s["preparation"].update(binarize=[]),
    "a centre": lambda s: s["preparation"].update(center=[1.0]),
    "a negative scale": lambda s: s["preparation"].update(scale=-1.0),
    "a seed": lambda s: s["preparation"].update(seed=-1),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_specification_is_noticed_when_it_is_opened(name, copied):
    folder = copied("ppca")
    changed(folder, DAMAGE[name])
    with pytest.raises(CorruptRunError) as caught:
        jensen.load(folder)
    assert caught.value.exit_code == 4
    assert caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_specification_that_is_no_json_is_noticed(content, copied):
    folder = copied("ppca")
    (folder / "spec.json").write_bytes(content)
    with pytest.raises(CorruptRunError):
        jensen.load(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_weights_cut_short_are_noticed(keep, copied):
    folder = copied("ppca")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:keep])
    with pytest.raises(CorruptRunError, match=r"model\.safetensors"):
        jensen.load(folder)


def test_weights_of_another_run_are_noticed(home, copied, tmp_path):
    """Also where all shapes agree and only an argument of the model differs."""
    folder = copied("ppca")
    alike = {"recipe": "vae", "latent": 2, "hidden": (8,), "epochs": 1}
    third = jensen.train(home / "reals.npy", activation="tanh", out=tmp_path / "third", **alike)
    vae = copied("vae")
    for source, target in ((third.path, folder), (third.path, vae)):
        shutil.copy(source / "model.safetensors", target / "model.safetensors")
        with pytest.raises(CorruptRunError, match="do not belong"):
            jensen.load(target)
    (vae / "model.safetensors").unlink()
    with pytest.raises(CorruptRunError, match="is missing"):
        jensen.load(vae)


def test_folders_that_are_no_runs(tmp_path):
    with pytest.raises(UsageError, match="there is no run"):
        jensen.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"it has no spec\.json"):
        jensen.load(tmp_path)


def test_a_last_line_cut_short_is_left_out(copied):
    folder = copied("vae")
    path = folder / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert len(jensen.load(folder).metrics) == 2
    path.write_bytes(b"{oops\n" + whole)
    with pytest.raises(CorruptRunError, match="line 1"):
        _ = jensen.load(folder).metrics
    path.unlink()
    assert jensen.load(folder).metrics == []


def test_a_loaded_model_is_ready_to_use(home):
    run = jensen.load(home / "vae")
    assert not run.model.training
    assert not run.guide.training
    assert run.weights == "raw"
    assert "Run(" in repr(run)
    assert run.dtype == torch.float32
    assert jensen.load(home / "ppca").dtype == torch.float64
