"""Counts whose memory is absurd are refused before it is asked for, by the option and both sizes; others are not."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jensen as j
from jensen.core import memory
from jensen.core.errors import UsageError
from jensen.runs import memory_needs
from jensen.runs.train import train

X = (np.random.default_rng(0).random((200, 16)) < 0.5).astype(np.uint8)
REALS = np.random.default_rng(1).normal(size=(200, 16)).astype(np.float32)
FEW: dict[str, Any] = {"epochs": 1, "device": "cpu", "checkpoints": 0, "save_every": None}

ABSURD = [
    ("vae", {"latent": 10**8}, "--latent 100000000, needs at least .* GB of memory, and .* are available"),
    ("vae", {"hidden": (10**8, 10**8)}, "--hidden 100000000,100000000, needs"),
    ("made", {"hidden": (10**9,)}, "--hidden 1000000000, needs"),
    ("vampprior", {"components": 10**9}, "--components 1000000000, needs"),
    ("mixture-prior", {"components": 10**7}, "--components must be at most the number of training rows, 160"),
    ("gmm", {"components": 10**7}, "--components must be at most the number of training rows, 160"),
    ("categorical", {"classes": 10**9}, "--classes 1000000000, needs"),
    ("full-covariance", {"latent": 10**6}, "--latent 1000000, needs"),
    ("ladder", {"state": 10**8}, "--state 100000000, needs"),
    ("flow-prior", {"latent": 10**8}, "--latent 100000000, needs"),
]
UNMEANT = [
    *(
        ("vae", {"latent": 10**18}),
        ("vae", {"latent": 2**63}),
        ("vae", {"latent": 10**400}),
        ("vae", {"blocks": 10**8}),
    ),
    *(
        ("vae", {"batch": 10**18}),
        ("vae", {"epochs": 10**18}),
        ("vae", {"checkpoints": 10**8}),
        ("vae", {"seed": 2**64}),
    ),
    *(("vae", {"points": 10**12}), ("flow-prior", {"flows": 10**9}), ("svi", {"local_steps": 10**9})),
    *(("refined", {"steps": 10**10}), ("hamiltonian", {"leapfrog_steps": 10**9}), ("vae", {"hidden": (2,) * 10**5})),
    *(("vae", {"patience": 10**18}), ("gmm", {"components": 2**70})),
]


@pytest.mark.parametrize(("recipe", "options", "said"), ABSURD)
def test_a_size_that_is_absurd(recipe: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match=said):
        train(REALS if recipe == "gmm" else X, recipe=recipe, out=tmp_path / "run", **{**FEW, **options})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000  # kB
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("recipe", "options"), UNMEANT)
def test_a_count_that_nobody_means(recipe: str, options: dict[str, Any], tmp_path: Path) -> None:
    [name] = options
    data = REALS if recipe == "gmm" else X
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} .* at most"):
        train(data, recipe=recipe, out=tmp_path / "run", **{**FEW, **options})


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> int:
    """A machine with 40 MB free."""
    monkeypatch.setattr(memory_needs, "available_memory", lambda: 40_000_000)
    return 40_000_000


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden": (4,), "points": 20_000}, "128 rows, of --points 20000, needs at least"),
        ({"hidden": (5000, 5000)}, "this model, of --hidden 5000,5000, needs at least"),
        ({"hidden": (512, 512), "batch": 160, "points": 400}, "a step on 160 rows|160 rows, of --points"),
    ],
)
def test_weights_and_steps_on_a_small_machine(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        train(X, recipe="vae", out=tmp_path / "run", **FEW, **options)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("recipe", ["vae", "vampprior", "made", "factor-vae", "ladder"])
@pytest.mark.sampled(3)
def test_what_fits_is_trained(recipe: str, tmp_path: Path) -> None:
    train(X, recipe=recipe, out=tmp_path / "run", **FEW)


def test_a_batch_that_is_too_large_is_told_with_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step on B rows of 5,000 points and some 20 numbers each takes about 400 kB B; 20 MB hold some 50 of them."""
    monkeypatch.setattr(memory_needs, "available_memory", lambda: 20_000_000)
    options = {"hidden": (4,), "latent": 2, "points": 5000}
    with pytest.raises(UsageError, match=r"--batch of .* or less|--points") as caught:
        train(X, recipe="vae", out=tmp_path / "run", **{**FEW, **options, "batch": 160})
    assert "memory" in caught.value.what
    train(X, recipe="vae", out=tmp_path / "run", **{**FEW, **options, "batch": 2})


def test_parts_of_ones_own_are_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given.mlp(2, (2000, 2000), j.Bernoulli(16)))
    monkeypatch.setattr(memory_needs, "available_memory", lambda: 20_000_000)
    with pytest.raises(UsageError, match="this model needs at least 48 MB"):
        train(X, model=model, guide=j.Amortized.mlp(16, (4,), j.Gaussian(2)), out=tmp_path / "run", **FEW)


@pytest.mark.parametrize("n", [10**12, 10**15])
def test_samples_that_no_memory_holds(n: int, tmp_path: Path) -> None:
    run = train(X, recipe="vae", hidden=(4,), latent=2, out=tmp_path / "run", **FEW)
    with pytest.raises(UsageError, match=r"samples need about .* are available. Give a smaller -n"):
        run.sample(n)
    with pytest.raises(UsageError, match="-n must be a whole number of at most"):
        run.sample(10**18)


def test_the_words_name_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 5_000_000)
    with pytest.raises(UsageError, match=r"7 rows need about 6 MB of memory, and 5 MB are available\. Give fewer"):
        memory.require_memory(6e6, "7 rows", "Give fewer.")
