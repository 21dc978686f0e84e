"""A run whose specification asks for far more than its weights hold is refused before memory is taken."""

from __future__ import annotations

import copy
import json
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jensen.core.errors import CorruptRunError
from jensen.runs.run import load
from jensen.runs.train import train
from jensen.storage.files import write_json
from jensen.storage.specification import read_spec, rebuild

X = (np.random.default_rng(0).random((40, 6)) < 0.5).astype(np.uint8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("specification") / "run"
    options: dict[str, Any] = {"hidden": (4,), "latent": 2, "epochs": 1, "checkpoints": 0, "save_every": None}
    train(X, recipe="vae", out=out, device="cpu", **options)
    return out


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def rewritten(run: Path, path: str, value: Any) -> None:
    """Change a field of the specification, and write it with its digest."""
    spec = json.loads((run / "spec.json").read_text())
    *way, last = path.split("/")
    node: Any = spec
    for key in way:
        node = node[int(key)] if key.isdigit() else node[key]
    node[int(last) if last.isdigit() else last] = value
    write_json(run / "spec.json", spec)


NET = "model/0/args/likelihood/args/net/args"


@pytest.mark.parametrize("width", [10**7, 2**31 - 1, 2**31, 2**63, 10**30])
def test_a_model_far_larger_than_its_weights_is_not_built(width: int, run: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rewritten(run, f"{NET}/hidden", [width])
    with pytest.raises(CorruptRunError, match=r"model\.likelihood\.net"):
        load(run)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{NET}/outputs", 7),
        (f"{NET}/inputs", 3),
        ("model/0/args/likelihood/args/family/args/dim", 5),
        ("model/0/args/prior/args/family/args/dim", 3),
        ("model/1/args/conditional/args/family/args/dim", 1),
        ("model/1/args/conditional/args/context", True),
    ],
)
def test_sizes_that_disagree(path: str, value: Any, run: Path) -> None:
    rewritten(run, path, value)
    with pytest.raises(CorruptRunError):
        load(run)


@pytest.mark.parametrize("key", ["patience", "batch", "seed", "latent", "recipe", "columns"])
@pytest.mark.parametrize("value", [True, -1, 1.5, [[1]], 2**63])
def test_a_command_that_nobody_typed(key: str, value: Any, run: Path) -> None:
    rewritten(run, f"command/{key}", value)
    with pytest.raises(CorruptRunError, match="command"):
        load(run)


def test_weights_that_are_missing(run: Path) -> None:
    (run / "model.safetensors").unlink()
    with pytest.raises(CorruptRunError, match="is missing"):
        rebuild(run, read_spec(run))


def test_an_edit_without_effect_is_taken(run: Path) -> None:
    numbers = load(run).evaluate(X[:5], k=5).estimate.nats
    spec = json.loads((run / "spec.json").read_text())
    edited = copy.deepcopy(spec)
    edited["versions"]["numpy"] = "1"
    write_json(run / "spec.json", edited)
    assert load(run).evaluate(X[:5], k=5).estimate.nats.tolist() == numbers.tolist()
