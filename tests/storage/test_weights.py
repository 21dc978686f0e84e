"""Weights are those that were written and belong to the run, or are refused; no number in a file is believed."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from jensen.core.errors import CorruptRunError
from jensen.core.random import drawing_from, stream
from jensen.core.version import __version__
from jensen.runs.run import load as load_run
from jensen.runs.train import train
from jensen.storage.weights import FORMAT, read_weights, tie, undigested, write_weights

NODES = {"model": ["a", 1.5, None], "seed": 3, "earlier": None}
NAME = "model.safetensors"


def module() -> torch.nn.ModuleDict:
    with drawing_from(stream(0, "weights")):
        return torch.nn.ModuleDict({"model": torch.nn.Linear(3, 2), "guide": torch.nn.BatchNorm1d(2)})


class Scale(torch.nn.Module):
    """As few weights as there can be."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([1.0, 2.0]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_weights(tmp_path, module(), NODES, None)
    return tmp_path


def reading(folder: Path, nodes: Any = NODES) -> torch.nn.ModuleDict:
    found = module()
    for parameter in found.parameters():
        torch.nn.init.zeros_(parameter)
    read_weights(folder, found, nodes)
    return found


def test_what_is_read_is_what_was_written(folder: Path) -> None:
    found, made = reading(folder).state_dict(), module().state_dict()
    assert all(torch.equal(found[k], made[k]) for k in made)
    write_weights(folder, module(), NODES, {"model.bias": torch.full((2,), 7.0)})
    assert read_weights(folder, module(), NODES) == "averaged"
    assert (reading(folder)["model"].bias == 7).all()


def test_every_byte_and_every_length_of_a_small_file(tmp_path: Path) -> None:
    """Each byte with one bit flipped, each beginning, and a byte too many."""
    folder, path, noise, found = tmp_path, tmp_path / NAME, random.Random(0), torch.nn.ModuleDict({"model": Scale()})
    write_weights(folder, found, NODES, None)
    whole = path.read_bytes()
    flipped = (whole[:i] + bytes([whole[i] ^ (1 << noise.randrange(8))]) + whole[i + 1 :] for i in range(len(whole)))
    for content in (*flipped, *(whole[:i] for i in range(len(whole))), whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(CorruptRunError, match=r"model\.safetensors") as caught:
            read_weights(folder, found, NODES)
        assert caught.value.remedy
    path.write_bytes(whole)
    read_weights(folder, found, NODES)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of the same shapes, which differ in how they were trained."""
    home = tmp_path_factory.mktemp("runs")
    plain: dict[str, Any] = {"latent": 2, "hidden": (4,), "epochs": 1, "batch": 600, "checkpoints": 1, "average": 0.5}
    made = {"first": {}, "faster": {"lr": 0.01}, "warmed": {"warmup": 1}}
    return {name: train("digits", out=home / name, **plain | more).path for name, more in made.items()}


def test_fifteen_hundred_bits_of_a_run(runs: dict[str, Path], tmp_path: Path) -> None:
    """At random places of its weights and of those along training: the part that a header protects is the smaller."""
    run = Path(shutil.copytree(runs["first"], tmp_path / "run"))
    opened, noise = load_run(run), random.Random(1)
    pair, nodes = torch.nn.ModuleDict({"model": opened.model, "guide": opened.guide}), tie(opened.spec)
    for name in (NAME, "checkpoints/epoch-000001.safetensors"):
        path = run / name
        whole = path.read_bytes()
        for _ in range(750):
            at = noise.randrange(len(whole))
            path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << noise.randrange(8))]) + whole[at + 1 :])
            with pytest.raises(CorruptRunError):
                read_weights(run, pair, nodes, name)
        path.write_bytes(whole)
        read_weights(run, pair, nodes, name)


def test_structural_boundaries(runs: dict[str, Path], tmp_path: Path) -> None:
    """Cut at the ends of the length, the header and every tensor, and a byte before and after each."""
    run = Path(shutil.copytree(runs["first"], tmp_path / "run"))
    whole = (run / NAME).read_bytes()
    length = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:length])
    ends = {0, 8, length, *(length + t["data_offsets"][1] for k, t in header.items() if k != "__metadata__")}
    cuts = sorted({at + by for at in ends for by in (-1, 0, 1)} & set(range(len(whole))))
    assert len(cuts) > 20
    for at in cuts:
        (run / NAME).write_bytes(whole[:at])
        with pytest.raises(CorruptRunError, match="damaged"):
            load_run(run)


@pytest.mark.parametrize("other", ["faster", "warmed"])
def test_weights_of_another_run_of_the_same_shape(runs: dict[str, Path], tmp_path: Path, other: str) -> None:
    run = Path(shutil.copytree(runs["first"], tmp_path / "run"))
    for name in (NAME, "checkpoints/epoch-000001.safetensors"):
        shutil.copy(runs[other] / name, run / name)
    with pytest.raises(CorruptRunError, match="do not belong"):
        load_run(run)
    shutil.copy(runs["first"] / NAME, run / NAME)
    with pytest.raises(CorruptRunError, match="do not belong"):
        load_run(run).along(k=2)


def rewritten(folder: Path, metadata: dict[str, str]) -> None:
    path = folder / NAME
    path.write_bytes(save(load(path.read_bytes()), metadata))


def mark(folder: Path) -> dict[str, Any]:
    whole = (folder / NAME).read_bytes()
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    return json.loads(header["__metadata__"]["jensen"])


def test_a_later_format_and_unknown_fields_name_the_version(folder: Path) -> None:
    said = mark(folder)
    assert (said["format"], said["jensen"]) == (FORMAT, __version__)
    rewritten(folder, {"jensen": json.dumps(said | {"format": 9, "jensen": "7.1", "more": 1})})
    with pytest.raises(CorruptRunError, match=r"format 9.*jensen 7\.1"):
        reading(folder)
    rewritten(folder, {"jensen": json.dumps(said | {"more": 1})})
    with pytest.raises(CorruptRunError, match="unknown field `more`"):
        reading(folder)
    rewritten(folder, {"jensen": json.dumps(said), "more": "1"})
    with pytest.raises(CorruptRunError, match="more"):
        reading(folder)


def test_a_digest_cannot_be_left_out(folder: Path) -> None:
    """What older versions wrote is taken only by runs that were made by them."""
    for metadata in ({}, {"model": mark(folder)["belongs"]}):
        rewritten(folder, metadata)
        with pytest.raises(CorruptRunError):
            reading(folder)
    rewritten(folder, {"model": "e" * 64})
    reading(folder, NODES | {"earlier": {"format": 1, "weights": "e" * 64}})
    assert "without a digest" in undigested(folder)[0]
    write_weights(folder, module(), NODES, None)
    assert undigested(folder) == ()


@pytest.mark.parametrize("claimed", [2**24, 2**26, 2**40, 2**63, 2**64 - 1])
def test_a_header_that_claims_too_much(folder: Path, claimed: int) -> None:
    whole = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(claimed.to_bytes(8, "little") + whole[8:])
    with pytest.raises(CorruptRunError, match="damaged"):
        reading(folder)


def test_a_file_far_larger_than_the_model_is_not_read(folder: Path) -> None:
    with open(folder / NAME, "r+b") as file:
        file.truncate(2**36)  # sparse: it takes no room
    with pytest.raises(CorruptRunError, match="more than"):
        reading(folder)
