"""`jensen export`: its lines, its record, and what it refuses before work."""

from __future__ import annotations

import json

import pytest


def test_export_says_where_it_is_and_how_exact(jensen, run):
    pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'jensen[onnx]'")
    answer = jensen("export", run, "--onnx", "out")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("export: out (encoder.onnx, decoder.onnx, sampler.onnx, schema.json, README.md")
    assert "largest relative error" in answer.out
    again = jensen("export", run, "--onnx", "out")
    assert again.code == 2
    assert "--force" in again.err
    record = jensen("export", run, "--onnx", "out", "--force", "--json")
    assert json.loads(record.out)["largest_relative_error"] <= 1e-5


@pytest.mark.parametrize("words", [[], ["--onnx", "out", "--torch", "out"]])
def test_one_of_the_two_is_needed(refused, run, words):
    refused(["export", run, *words], 2, "one of --onnx and --torch")


def test_other_files_are_not_replaced(refused, run):
    refused(["export", run, "--onnx", str(run), "--force"], 2, "not an export's")
