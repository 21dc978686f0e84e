"""A run that is damaged, or does not belong together, is refused with exit code 4; nothing is written."""

from __future__ import annotations

import json
import shutil

import pytest

from jensen.storage.files import write_json

VERBS = ["evaluate", "sample", "encode", "reconstruct", "report"]


@pytest.mark.parametrize("verb", VERBS)
def test_truncated_weights(verb, run, refused):
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    refused([verb, "run"], 4, "model.safetensors is damaged", "Restore it")


@pytest.mark.parametrize("at", [0, 9, 40, -1])
def test_flipped_bits_in_weights_and_their_header(at, run, refused):
    path = run / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[at] ^= 0b0000_1000
    path.write_bytes(bytes(content))
    refused(["evaluate", "run"], 4, "model.safetensors", "Restore")


def test_missing_weights(run, refused):
    (run / "model.safetensors").unlink()
    refused(["evaluate", "run"], 4, "model.safetensors is missing")


def test_weights_of_another_shape(run, data, jensen, refused):
    assert jensen("train", "real.npy", "--epochs", "1", "--latent", "3", "--hidden", "8", "--out", "other").code == 0
    shutil.copy(data / "other" / "model.safetensors", run)
    refused(["evaluate", "run"], 4, "do not belong to the model", "same run")


def test_weights_of_another_model_of_the_same_shape(run, data, jensen, refused):
    words = ["--epochs", "1", "--latent", "2", "--hidden", "8", "--activation", "tanh"]
    assert jensen("train", "real.npy", *words, "--out", "other").code == 0
    shutil.copy(data / "other" / "model.safetensors", run)
    refused(["evaluate", "run"], 4, "do not belong to the model", "same run")


def test_truncated_specification(run, refused):
    path = run / "spec.json"
    path.write_bytes(path.read_bytes()[:-40])
    refused(["evaluate", "run"], 4, "spec.json is damaged", "Restore it")
    refused(["train", "--spec", "run/spec.json", "--out", "out"], 4, "spec.json is damaged", "Restore it")


@pytest.mark.parametrize("key", ["model", "data", "split", "preparation", "command", "choices"])
@pytest.mark.parametrize("value", [None, 3, {}])
def test_specification_with_a_wrong_entry(key, value, run, refused):
    path = run / "spec.json"
    spec = json.loads(path.read_bytes())
    spec[key] = value
    write_json(path, spec)
    if key not in ("command", "choices") or value is None:
        refused(["evaluate", "run"], 4, "spec.json")
    refused(["train", "--spec", "run", "--out", "out"], 4)


def test_replay_refuses_a_command_that_nobody_typed(run, refused):
    path = run / "spec.json"
    spec = json.loads(path.read_bytes())
    spec["command"]["listeners"] = "x"
    write_json(path, spec)
    refused(["train", "--spec", "run", "--out", "out"], 4, "names an unknown option (listeners)", "damaged")


def test_newer_format(run, refused):
    path = run / "spec.json"
    write_json(path, json.loads(path.read_bytes()) | {"format": 99})
    refused(["evaluate", "run"], 4, "format 99")


def test_changed_data_are_noticed(data, jensen, refused):
    import numpy as np

    assert jensen("train", "real.npy", "--epochs", "1", "--latent", "2", "--hidden", "8", "--out", "run").code == 0
    x = np.load("real.npy")
    x[0, 0] += 1
    np.save("real.npy", x)
    refused(["evaluate", "run"], 3, "has changed since the run was trained", "DATA")
    refused(["train", "--spec", "run", "--out", "out"], 3, "has changed since the run was trained", "DATA")
