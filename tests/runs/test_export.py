"""Runs as folders that open without jensen: every recipe that must work, its error, and its example, which runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from jensen.core.errors import CompositionError, RunExistsError, UsageError
from jensen.runs import export
from jensen.runs.export import export_run, subject_of
from tests.export.conftest import pixels, trained_run  # noqa: F401

RECIPES = ["vae", "vampprior", "conditional", "table", "vq-vae", "ladder", "ppca", "gmm", "gumbel", "convolutions"]
needs_onnx = pytest.mark.skipif(
    any(__import__("importlib.util").util.find_spec(name) is None for name in ("onnx", "onnxruntime")),
    reason="ONNX is an extra: pip install 'jensen[onnx]'",
)


@needs_onnx
@pytest.mark.parametrize(
    "recipe", [pytest.param(n, marks=[pytest.mark.slow] * (n not in ("vae", "table"))) for n in RECIPES]
)
def test_recipe_is_exported_within_1e_5(trained_run, recipe, tmp_path):  # noqa: F811
    exported = trained_run(recipe).export(tmp_path / "out")
    assert exported.worst.largest <= 1e-5
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert record["recipe"] == ("vae" if recipe == "convolutions" else recipe)
    assert {check["graph"] for check in record["checks"]} >= {"encoder", "decoder"}
    files = {"encoder.onnx", "decoder.onnx", "schema.json", "README.md"}
    assert files <= set(record["files"])


@needs_onnx
@pytest.mark.parametrize("recipe", ["vae", "conditional"])
@pytest.mark.sampled(1)
def test_example_of_the_card_runs_without_jensen(trained_run, recipe, tmp_path):  # noqa: F811
    trained_run(recipe).export(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    program = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)[0]
    blocked = "import sys; sys.modules['jensen'] = sys.modules['torch'] = None\n"
    command = [sys.executable, "-c", blocked + program]
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, timeout=120)
    assert done.stdout == "(3, 2) (3, 3, 3, 1)\n", done.stderr


@needs_onnx
def test_onnxruntime_gives_the_codes_that_the_run_gives(trained_run, tmp_path):  # noqa: F811
    import onnxruntime

    run = trained_run("vae")
    run.export(tmp_path / "out")
    encoder = onnxruntime.InferenceSession(tmp_path / "out" / "encoder.onnx")
    (mean,) = encoder.run(["mean"], {"x": pixels()[..., None]})
    np.testing.assert_allclose(mean, run.encode(pixels()), rtol=1e-4, atol=1e-5)
    assert encoder.get_modelmeta().custom_metadata_map["recipe"] == "vae"


@pytest.mark.slow
def test_programs_of_torch_are_exported_too(trained_run, tmp_path):  # noqa: F811
    exported = trained_run("vae").export(tmp_path / "out", "torch")
    assert exported.worst.largest <= 1e-5
    assert "encoder.pt2" in exported.files


@pytest.mark.parametrize("recipe", ["iaf", "gan", "pixel-vae"])
def test_what_cannot_be_exported_is_refused_and_writes_nothing(trained_run, recipe, tmp_path):  # noqa: F811
    with pytest.raises(CompositionError):
        export_run(trained_run(recipe), tmp_path / "out", "torch")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recipe", ["gmm", "gmm-full", pytest.param("table-gmm", marks=pytest.mark.slow)])
def test_mixtures_are_programs_of_torch(trained_run, recipe, tmp_path):  # noqa: F811
    exported = trained_run(recipe).export(tmp_path / "out", kind="torch")
    assert exported.worst.largest <= 1e-5
    assert {"encoder.pt2", "decoder.pt2"} <= set(exported.files)


@needs_onnx
def test_a_refusal_names_the_other_format_where_it_holds_the_graphs(trained_run, tmp_path, capfd):  # noqa: F811
    with pytest.raises(CompositionError, match=r"cannot be written as ONNX: .*Use --torch, which can hold all graphs"):
        trained_run("gmm-full").export(tmp_path / "out")
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "out").exists()


@needs_onnx
@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_a_refusal_says_that_no_format_holds_the_graphs(trained_run, kind, tmp_path, monkeypatch):  # noqa: F811
    def refuse(*_):
        raise CompositionError("the encoder cannot be written")

    monkeypatch.setattr(export, "onnx_bytes", refuse)
    monkeypatch.setattr(export, "program_bytes", refuse)
    with pytest.raises(CompositionError, match=r"cannot be written\. No format can hold it"):
        trained_run("vae").export(tmp_path / "out", kind=kind)
    assert not (tmp_path / "out").exists()


def test_unknown_kind_and_full_folder_are_refused_before_work(trained_run, tmp_path):  # noqa: F811
    run = trained_run("vae")
    with pytest.raises(UsageError, match="onnx, torch"):
        run.export(tmp_path / "out", "tflite")
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(RunExistsError):
        run.export(tmp_path, "torch")


def test_labels_of_a_conditional_run_are_named(trained_run):  # noqa: F811
    assert subject_of(trained_run("conditional")).classes == ("0", "1", "2")
