"""Runs of format 2, written before parts were renamed and players recorded as trees, evaluate and resume as they did.

Each was stopped after the first of three epochs on the digits (hidden layer of 4, batches of 256, one thread). The code
that wrote them also evaluated them (K = 20, seed 1), resumed copies to the end, and evaluated these. `expected.json` is
what a later version did with them, on the processor and the torch that it names: there numbers and weights are the same
to the last bit; on others, floating point rounds otherwise, and they agree to the digits given below.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import jensen
from jensen.core.errors import CorruptRunError
from jensen.runs.players import are_in_words, players_from, recorded_corruption, term_names
from jensen.runs.spec import recorded_command
from jensen.storage.migrations import FORMAT
from jensen.storage.specification import read_spec

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "format-2"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
RECIPES = [name for name in EXPECTED if name != "made on"]
CIRCUMSTANCES = {"seconds", "curve", "replay", "run", "notes", "data", "prepared", "verdict", "quantity"}


def same_machine() -> bool:
    """True on the processor and the torch of `expected.json`; a name alone may be that of several generations."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict(reversed([tuple(map(str.strip, line.split(":", 1))) for line in lines if ":" in line]))
    name = " ".join(facts.get(key, "") for key in ("model name", "cpu family", "model", "stepping"))
    return EXPECTED["made on"] == f"{name} {torch.backends.cpu.get_cpu_capability()} {torch.__version__}"


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def numbers(value: Any) -> Any:
    """An evaluation without its circumstances: those are prose, or differ from one day to the next."""
    if isinstance(value, dict):
        return {k: numbers(v) for k, v in value.items() if k not in CIRCUMSTANCES}
    return [numbers(v) for v in value] if isinstance(value, list) else value


def leaves(value: Any) -> list[Any]:
    """Every number and word in an evaluation, in order."""
    if isinstance(value, dict):
        return [leaf for k in sorted(value) for leaf in leaves(value[k])]
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, list) else [value]


def check(run: jensen.Run, expected: dict[str, Any] | None) -> None:
    if expected is None:  # an adversarial autoencoder forms no bound
        assert not run.guide.bounds(run.model)
        return
    evaluation = numbers(run.evaluate(k=20, seed=1).to_dict())
    if same_machine():
        assert json.dumps(evaluation) == json.dumps(expected)
    else:
        assert evaluation["log_px"] == pytest.approx(expected["log_px"], rel=1e-3)
        assert [type(leaf) for leaf in leaves(evaluation)] == [type(leaf) for leaf in leaves(expected)]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("recipe", RECIPES)
def test_an_old_run_evaluates_and_resumes_to_the_recorded_bytes(recipe, tmp_path):
    folder = Path(shutil.copytree(FIXTURES / recipe, tmp_path / recipe))
    written = (folder / "spec.json").read_bytes()
    check(jensen.load(folder), EXPECTED[recipe]["interrupted"])
    assert (folder / "spec.json").read_bytes() == written  # opening changes nothing
    check(jensen.resume(folder), EXPECTED[recipe]["resumed"])
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    if same_machine():
        assert digest.hexdigest() == EXPECTED[recipe]["weights"]
    spec = json.loads((folder / "spec.json").read_text())
    assert spec["format"] == FORMAT
    assert not are_in_words(spec)  # a resumed run has the trees of its players
    _, _, players = players_from(spec)
    assert [str(player.objective) for player in players] == [player["objective"] for player in spec["players"]]


def test_names_of_parts_are_the_present_ones():
    words = {recipe: (FIXTURES / recipe / "spec.json").read_text() for recipe in RECIPES}
    assert all(old in words["wake-sleep"] for old in ("Dream", "Still"))
    assert "Beside" in words["conditional"]
    assert "Sized" in words["count-vae"]
    assert "Fool" in words["adversarial-autoencoder"]
    specs = {recipe: read_spec(FIXTURES / recipe) for recipe in RECIPES}
    assert "AppendContext" in json.dumps(specs["conditional"]["model"])
    assert "SizeFactor" in json.dumps(specs["count-vae"]["model"])
    assert {"SleepPhase", "Elbo"} <= term_names(specs["wake-sleep"])
    assert "GeneratorLoss" in term_names(specs["adversarial-autoencoder"])
    assert recorded_corruption(specs["vae"]) is None
    for old in ("Dream", "Still", "Fool"):
        assert not any(f"{old} " in spec["sentence"] or f"{old}(" in spec["sentence"] for spec in specs.values())


def test_networks_of_old_runs_are_asked_for_as_they_were():
    """Convolutions were not normalised, and where nothing is recorded networks were dense."""
    options = {name: recorded_command(read_spec(FIXTURES / name), FIXTURES / name) for name in RECIPES}
    assert (options["conditional"]["net"], options["conditional"]["norm"]) == ("conv", "none")
    assert options["vae"]["net"] == "mlp"
    assert "norm" not in options["vae"]
    assert "net" not in options["gmm"]
    spec = read_spec(FIXTURES / "vae")
    unnamed = {**spec, "command": {k: v for k, v in spec["command"].items() if k != "net"}}
    assert recorded_command(unnamed, FIXTURES / "vae")["net"] == "mlp"


def test_gradients_of_an_old_run_can_be_compared(tmp_path):
    """Its objective is read from the words of the record."""
    folder = Path(shutil.copytree(FIXTURES / "vae", tmp_path / "vae"))
    comparison = jensen.load(folder).gradients(n=8, repeats=32)
    assert "Rate" in str(comparison.to_dict()["objective"])


def test_weights_of_another_old_run_are_noticed(tmp_path):
    folder = Path(shutil.copytree(FIXTURES / "vae", tmp_path / "vae"))
    spec = json.loads((folder / "spec.json").read_bytes())
    spec["command"]["seed"] = 1
    (folder / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(CorruptRunError, match="do not belong"):
        jensen.load(folder)
