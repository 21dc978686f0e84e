"""Verbs of a run whose prior is the chain of a diffusion: what they do, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

import jensen
from jensen.cli import main
from jensen.core.errors import CompositionError, UsageError
from jensen.models.descents import Descent, with_descent
from jensen.runs.chain_samples import descending_model, descent_notes, noise_option
from jensen.runs.run import load
from jensen.runs.traverse import traverse

SMALL = {"epochs": 1, "hidden": (8,), "blocks": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder, y = tmp_path_factory.mktemp("chains"), rng.integers(0, 3, 90)
    x = np.clip(rng.integers(0, 6, (90, 4, 4)) + 3 * y[:, None, None], 0, 15).astype(np.uint8)
    np.savez(folder / "images.npz", x=x, y=y)
    z = rng.normal(size=(90, 1))
    np.save(folder / "table.npy", z * [2.0, -1.0, 0.5] + rng.normal(size=(90, 3)))
    for name, recipe, data, more in (
        ("diffusion", "diffusion", "images.npz", {}),
        ("labelled", "conditional-diffusion", "images.npz", {}),
        ("table", "diffusion", "table.npy", {}),
        ("vae", "vae", "table.npy", {"latent": 2}),
    ):
        options = SMALL if name != "vae" else {"epochs": 1, "hidden": (8,)}
        jensen.train(folder / data, recipe=recipe, out=folder / name, **options, **more)
    return folder


@pytest.fixture
def run(folder):
    return load(folder / "diffusion")


@pytest.fixture
def labelled(folder):
    return load(folder / "labelled")


def test_samples_are_those_of_another_prior_of_the_same_chain(run):
    x = run.sample(6, mean=True, steps=5, ddim=True)
    model = with_descent(run.model, Descent(5, 0.0))
    assert np.array_equal(x, run.labelled_sample(6, mean=True, model=model)[0])
    assert np.array_equal(x, run.sample(6, mean=True, steps=5, ddim=True))
    assert not np.array_equal(x, run.sample(6, mean=True, steps=5))
    assert not np.array_equal(x, run.sample(6, mean=True, steps=6, ddim=True))


def test_guidance_is_towards_the_label_that_is_asked_for(labelled, run):
    plain = labelled.sample(4, label="2", steps=5, mean=True)
    assert np.array_equal(plain, labelled.sample(4, label="2", steps=5, mean=True, guidance=1.0))
    assert not np.array_equal(plain, labelled.sample(4, label="2", steps=5, mean=True, guidance=40.0))
    with pytest.raises(CompositionError, match="conditional-diffusion"):
        run.sample(4, guidance=2.0)


def test_notes_say_what_is_no_sample_of_the_model(run, labelled):
    assert descent_notes(run.model) == ()
    assert descent_notes(descending_model(run, 256)) == ()
    assert "20 steps in place of 256" in descent_notes(descending_model(run, 20))[0]
    assert "DDIM" in descent_notes(descending_model(run, None, True))[0]
    assert "guidance 2" in descent_notes(descending_model(labelled, None, False, 2.0))[0]


def test_the_command_line_draws_the_same(folder, labelled, tmp_path, capsys):
    out = tmp_path / "x.npy"
    words = ["sample", str(folder / "labelled"), "-n", "3", "--label", "1", "--guidance", "2", "--steps", "4", "--mean"]
    assert main([*words, "--out", str(out), "--json"]) == 0
    said = capsys.readouterr()
    assert "not samples of the model" in said.err
    assert json.loads(said.out)["guidance"] == 2.0
    np.testing.assert_allclose(np.load(out), labelled.sample(3, label="1", guidance=2.0, steps=4, mean=True), rtol=1e-6)


def test_reconstructions_from_noise(folder, run, tmp_path, capsys):
    near, far = (run.reconstruct(from_noise=t, steps=20) for t in (0.02, 1.0))
    plain = run.reconstruct()
    assert np.abs(near - plain).mean() < 0.5 * np.abs(far - plain).mean()
    out = tmp_path / "x.npy"
    words = ["reconstruct", str(folder / "diffusion"), "--from-noise", "0.5", "--steps", "8", "--ddim"]
    assert main([*words, "--out", str(out)]) == 0
    np.testing.assert_allclose(np.load(out), run.reconstruct(from_noise=0.5, steps=8, ddim=True), rtol=1e-5, atol=1e-5)
    assert noise_option(run, None, None, False) is None
    with pytest.raises(UsageError, match="none is added"):
        noise_option(run, None, 5, False)
    with pytest.raises(UsageError, match="--from-noise"):
        run.reconstruct(from_noise=2.0)


def test_paths_go_through_the_noise(run):
    path = traverse(run, between=(1, 2), steps=3)
    codes = run.encode(run.part("test"))[[1, 2]]
    assert "through the noise" in path.path
    np.testing.assert_allclose(path.z[[0, -1]], codes, atol=0.3)  # of 256 steps, up and down
    assert np.abs(path.z[1] - codes.mean(0)).max() > 0.1  # no cross-fade
    with pytest.raises(CompositionError, match="--between"):
        traverse(run, attribute="1", steps=3)
    with pytest.raises(CompositionError, match="--between"):
        traverse(run, feature=1, steps=3)


def test_images_are_inpainted(folder, run, tmp_path, capsys):
    words = ["impute", str(folder / "diffusion"), "--mask", "right", "-k", "8", "--steps", "10", "-m", "2"]
    assert main([*words, "--json", "--out", str(tmp_path / "x.npz")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["method"], record["k"], record["steps"]) == ("particles", 8, 10)
    with np.load(tmp_path / "x.npz") as arrays:
        versions, observed = arrays["x"], arrays["observed"]
    own = run.part("test").x.reshape(versions.shape[1:])
    assert (versions[:, observed] == own[observed]).all()
    assert 0 <= versions.min() <= versions.max() <= 15


def test_other_models_and_questions_are_refused_with_a_remedy(folder, capsys):
    vae, table = (load(folder / name) for name in ("vae", "table"))
    for ask in (lambda: vae.sample(2, ddim=True), lambda: vae.reconstruct(from_noise=0.5)):
        with pytest.raises(CompositionError, match="--recipe diffusion"):
            ask()
    for ask in (lambda: table.predict(None, "x1"), lambda: table.sample(2, given={"x1": 0.0})):
        with pytest.raises(CompositionError, match="jensen impute RUN"):
            ask()
    with pytest.raises(UsageError, match="excludes"):
        table.sample(2, given={"x1": 0.0}, steps=4)
    assert main(["impute", str(folder / "table"), "--method", "sir"]) == 2
    assert "imputes by particles" in capsys.readouterr().err
