"""What listens to training and writes: a line per epoch, and weights that can be read at any moment."""

from __future__ import annotations

import sys

import pytest
import torch
from safetensors.torch import load_file

from jensen.core.errors import UsageError
from jensen.core.modules import joined
from jensen.core.parts import spec_of
from jensen.families import Gaussian
from jensen.storage import recorder
from jensen.storage.metrics import lines_of
from jensen.storage.recorder import Recorder, TensorBoard
from jensen.training.events import EpochEnded, Measures, Progressed, Started, Stopped
from tests.identities.models import amortized, linear_model

MEASURES = Measures(-3.0, -2.5, 1.0, 1.5)


def ended(epoch: int, **more) -> EpochEnded:
    facts = {"step": epoch, "train": MEASURES, "valid": None, "learning_rate": 0.1, "beta": 0.5}
    facts |= {"data_per_second": 9.0, "seconds": 1.0}
    return EpochEnded(epoch, **{**facts, **more}, seconds_left=3.0, is_best=False)


def made(folder) -> tuple[Recorder, torch.nn.ModuleDict]:
    model, guide = linear_model(2, 3), amortized(3, Gaussian(2))
    return Recorder(folder, joined(model, guide), ["nodes"]), joined(model, guide)


def test_a_line_per_epoch_and_one_for_the_end(tmp_path):
    recorder, _ = made(tmp_path)
    recorder(Started(2, 1, 5))
    recorder(ended(1))
    recorder(Progressed(2, 1, MEASURES, 9.0, 1.0, 1.0, None))
    recorder(ended(2, valid=MEASURES, beta=None))
    recorder(Stopped("finished", 2, 2, 4.0))
    assert (tmp_path / "metrics.jsonl").read_bytes().count(b'"sha256":') == 3
    lines = list(lines_of(tmp_path / "metrics.jsonl"))  # which verifies their digests
    assert [line["event"] for line in lines] == ["epoch", "epoch", "stopped"]
    assert lines[0]["train"] == {"objective": -3.0, "bound": -2.5, "rate": 1.0, "distortion": 1.5}
    assert (lines[0]["beta"], lines[1]["beta"], lines[1]["valid"]["bound"]) == (0.5, None, -2.5)
    assert lines[2] == {"event": "stopped", "reason": "finished", "epoch": 2, "kept_epoch": 2, "seconds": 4.0}
    assert "seconds_left" not in lines[0]


def test_weights_are_there_from_the_start_and_kept_fresh(tmp_path, monkeypatch):
    listen, module = made(tmp_path)
    name = "model.likelihood.b"

    def stored() -> torch.Tensor:
        return load_file(tmp_path / "model.safetensors")[f"raw/{name}"]

    now = [100.0]
    monkeypatch.setattr(recorder.time, "monotonic", lambda: now[0])
    listen(Started(2, 1, 5))
    first = stored()
    parameter = dict(module.named_parameters())[name]
    with torch.no_grad():
        dict(listen.module.named_parameters())[name].fill_(7.0)
    assert parameter is not None
    now[0] += recorder.SECONDS_BETWEEN_WRITES - 1
    listen(ended(1))
    assert torch.equal(stored(), first)
    now[0] += 2
    listen(ended(2))
    assert (stored() == 7.0).all()


def test_averaged_weights_are_named_apart(tmp_path):
    listen, _ = made(tmp_path)
    listen.write({"model.likelihood.b": torch.ones(3).double()})
    found = load_file(tmp_path / "model.safetensors")
    assert (found["averaged/model.likelihood.b"] == 1).all()
    assert not torch.equal(found["raw/model.likelihood.b"], found["averaged/model.likelihood.b"])
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]  # nothing temporary stays


def test_shared_modules_are_written_once(tmp_path):
    from jensen.guides import Exact

    model = linear_model(2, 3)
    module = joined(model, Exact(model))
    Recorder(tmp_path, module, spec_of(model, Exact(model))).write(None)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert names == {f"raw/model.{n}" for n, _ in model.named_parameters()}


def test_tensorboard_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match="pip install"):
        TensorBoard(tmp_path)


def test_tensorboard_gets_every_measure(tmp_path, monkeypatch):
    told = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path)

        def add_scalar(self, *what) -> None:
            told.append(what)

        def close(self) -> None:
            told.append("closed")

    fake = type(sys)("torch.utils.tensorboard")
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    listen = TensorBoard(tmp_path)
    listen(ended(1, valid=Measures(-3.0, None, None, 1.5)))
    listen(Stopped("finished", 1, 1, 4.0))
    assert ("bound/train", -2.5, 1) in told
    assert ("objective/valid", -3.0, 1) in told
    assert not [t for t in told if t[0] == "bound/valid"]
    assert told[-1] == "closed"
