"""Every recipe from a file to a report: each verb works, or refuses with a remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import jensen
from jensen.core.errors import CompositionError, InterruptedRun, JensenError
from jensen.recipes import RECIPES
from jensen.report import write

SIZES = {
    "components": 2,
    "depth": 1,
    "flows": 1,
    "groups": (1, 2),
    "hidden": (5,),
    "latent": 2,
    "leapfrog_steps": 2,
    "planes": 1,
    "points": 2,
    "rank": 1,
    "state": 3,
    "steps": 5,
    "width": 3,
}
CONVOLVED = {"pixelcnn", "pixel-vae", "very-deep"}  # by themselves, without --net conv
NO_BOUND = {"autoencoder", "denoising-autoencoder", "wae-mmd", "adversarial-autoencoder"}
ONE_STEP = {"gaussian", "ppca"}  # stopped before it
SAMPLERS = {"gan", "vae-gan"}  # without a density, and the first without an encoder
EXACT = {"categorical", "factor-analysis", "gaussian", "gmm", "gumbel", "made", "pixelcnn", "ppca"}
EXACT |= {"reweighted-wake-sleep", "wake-sleep"}  # two bits are enumerated
EXACT |= {"table-gmm"}
# one of each kind of prior, guide and objective; a change to a part that they share breaks one of these
QUICK = {"vae", "iaf", "vampprior", "ladder", "wae-mmd", "gmm", "miwae"}


def marked(name: str):
    return pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    x, y = load_digits(return_X_y=True)
    path = tmp_path_factory.mktemp("every") / "digits.npz"
    # pixels at the rim are constant in so few rows: the middle of each image
    np.savez(path, x=x.reshape(-1, 8, 8)[:80, 2:6, 2:6].astype(np.uint8), y=y[:80])
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    """A table of mixed kinds with holes."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("people") / "people.csv"
    cells = zip(rng.normal(1.7, 0.1, 80), rng.choice(["F", "M"], 80), rng.poisson(30, 80), rng.random(80), strict=True)
    lines = [f"{height:.4f},{sex},{'' if hole < 0.2 else visits}" for height, sex, visits, hole in cells]
    path.write_text("\n".join(["height,sex,visits", *lines]) + "\n")
    return path


def options_of(name: str) -> dict:
    options = {k: v for k, v in SIZES.items() if k in RECIPES[name].options}
    if name == "very-deep":
        options.pop("hidden")
    if name not in CONVOLVED:
        options.pop("width", None)
    if name == "categorical":
        options.pop("points")  # of another gradient
    if RECIPES[name].density:
        options["floor"] = 0.01
    return options | {"epochs": 2, "split": "0.5,0.25,0.25"}


def remedy_of(call: Callable) -> str | None:
    """What a verb's refusal says to do; None where it works."""
    try:
        call()
    except JensenError as error:
        return error.remedy
    return None


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("name", list(map(marked, RECIPES)))
@pytest.mark.sampled(3)
def test_from_a_file_to_a_report(name, digits, people, tmp_path):
    is_table = RECIPES[name].columns is True
    jensen.train(people if is_table else digits, recipe=name, out=tmp_path / "run", **options_of(name))
    run = jensen.load(tmp_path / "run")
    x, z = run.sample(3), run.model.latent
    shape = (3,) if is_table else (4, 4, 1)
    assert x.shape == (3, *shape)
    assert is_table or np.isfinite(x).all()
    if name == "gan":
        assert "vae-gan" in str(remedy_of(run.encode))
        assert "vae-gan" in str(remedy_of(run.reconstruct))
    else:
        if z:  # without latents there is nothing to encode
            assert run.encode().shape == (20, z)
        assert run.reconstruct().shape == (20, *shape)
    if name in SAMPLERS:
        assert "jensen fidelity" in str(remedy_of(lambda: run.evaluate(k=5)))
    else:
        evaluation = run.evaluate(k=5)
        assert (evaluation.estimate.mean is None) == (name in NO_BOUND)
        assert (str(evaluation.estimate.kind) == "exact") == (name in EXACT)
        assert name in NO_BOUND or -500 < evaluation.estimate.mean < 0
    measures = run.doctor().measures.values()
    assert all(math.isfinite(v) for v in measures if isinstance(v, float))
    remedy = remedy_of(lambda: run.gradients(n=4, repeats=32))
    assert remedy is None or (remedy and name not in {"vae", "iwae", "ladder", "vampprior"})
    page = write(run).read_text(encoding="utf-8")
    assert "</html>" in page
    assert ("This model only samples" in page) == (name in SAMPLERS)
    assert "standard normal" not in page or name not in {"vampprior", "mixture-prior", "flow-prior", "ladder"}


@pytest.mark.parametrize("name", RECIPES)
def test_stopped_resumed_and_evaluated(name, digits, people, tmp_path):
    """Every recipe, in the quick suite too: from the first step to an evaluation."""
    asked = iter([False] * (name not in ONE_STEP))
    with pytest.raises(InterruptedRun):
        jensen.train(
            people if RECIPES[name].columns is True else digits,
            recipe=name,
            out=tmp_path / "run",
            should_stop=lambda: next(asked, True),
            **options_of(name),
        )
    run = jensen.resume(tmp_path / "run")
    assert run.metrics[-1]["event"] == "stopped"
    assert run.metrics[-1]["reason"] != "interrupted"
    if name in SAMPLERS:
        assert "jensen fidelity" in str(remedy_of(lambda: run.evaluate(k=2)))
    else:
        assert (run.evaluate(k=2).estimate.mean is None) == (name in NO_BOUND)


@pytest.mark.parametrize("name", list(map(marked, RECIPES)))
@pytest.mark.sampled(2)
def test_a_plain_evaluation(name, digits, people, tmp_path):
    """With all that stands behind a number, as far as a fifth of a second goes."""
    data = people if RECIPES[name].columns is True else digits
    run = jensen.train(data, recipe=name, out=tmp_path / "run", **options_of(name))
    if name in SAMPLERS:
        assert "jensen fidelity" in str(remedy_of(lambda: run.evaluate(budget=0.2)))
        return
    evaluation = run.evaluate(budget=0.2)
    if name in NO_BOUND:
        assert evaluation.estimate.nats is None
        with pytest.raises(CompositionError):
            run.evaluate(method="importance")
    else:
        assert evaluation.assessment is not None or any("the tightness of the" in note for note in evaluation.notes)
        assert evaluation.estimate.nats.isfinite().all()
