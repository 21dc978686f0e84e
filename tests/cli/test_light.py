"""Help and errors of usage answer before anything slow is imported."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys

import pytest

from jensen.cli.verbs import VERBS
from tests.cli.conftest import environment

HEAVY = {"torch", "numpy", "scipy", "sklearn", "matplotlib", "PIL"}

# one process for all: each answer is followed by the slow packages that it has imported
PROGRAM = """
import contextlib, io, json, sys
from jensen.cli import main
answers = {}
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    packages = {module.partition(".")[0] for module in sys.modules}
    answers[" ".join(words)] = [code, out.getvalue(), err.getvalue(), sorted(packages)]
print(json.dumps(answers))
"""
HELP = [[verb, "--help"] for verb in VERBS] + [
    ["train", "--recipe", "gumbel", "--help"],
    ["rate-distortion", "--recipe=beta-vae", "-h"],
    ["recipes"],
    ["completion", "bash"],
]
MISTAKES = [
    ["trian", "digits"],
    ["train", "digits", "--epohcs", "3"],
    ["train", "digits", "--epohcs"],
    ["train", "digits", "--recipe", "vea"],
    ["train", "digits", "--epochs", "many"],
    ["train", "digits", "--latent", "many"],
    ["train", "--recipe", "vea", "--help"],
    ["evaluate", "RUN", "--metod", "exact"],
    ["evaluate"],
    ["evaluate", "NOWHERE"],
    ["report", "NOWHERE"],
    ["compare", "NOWHERE", "NOWHERE"],
    ["evaluate", "RUN", "--rows", "100"],
    ["evaluate", "RUN", "--method", "other"],
    ["evaluate", "RUN", "--method", "sandwich", "-k", "4"],
    ["evaluate", "RUN", "--spreadsheet-safe"],
    ["encode", "RUN", "--out", "a\x00b.csv"],
    ["sample", "RUN", "-n", "x"],
    ["rate-distortion", "digits", "--out", "x", "--bta", "3"],
    ["sample", "TABLE", "--given", "aeg=40"],
    ["sample", "TABLE", "--given", "age"],
    ["predict", "TABLE", "x.csv", "aeg"],
    ["gradients", "RUN", "--at", "middle"],
    ["data"],
    ["--hlep"],
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    folder = tmp_path_factory.mktemp("light")
    (folder / "RUN").mkdir()
    (folder / "RUN" / "spec.json").write_text("{}")  # a run, until somebody reads it
    (folder / "TABLE").mkdir()
    (folder / "TABLE" / "spec.json").write_text('{"data": {"schema": {"names": ["age", "sex"], "shape": [2]}}}')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(HELP + MISTAKES)],
        env=environment() | {"COLUMNS": "80"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_imports_nothing_slow(words, answers):
    code, out, err, modules = answers[" ".join(words)]
    assert (code, err) == (0, "")
    assert out
    assert HEAVY & set(modules) == set()


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_an_error_of_usage_imports_nothing_slow(words, answers):
    code, out, err, modules = answers[" ".join(words)]
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert HEAVY & set(modules) == set()


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_eighty_columns(verb, answers):
    _, out, _, _ = answers[f"{verb} --help"]
    assert max(map(len, out.splitlines())) <= 80
    assert len(out.splitlines()) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_usage_names_what_must_be_given(verb, answers):
    """By the signature: what has no default must be given; the source of `train` may be that of `--spec`."""
    name = verb.replace("-", "_")
    parameters = inspect.signature(getattr(importlib.import_module(f"jensen.cli.{name}"), name)).parameters.values()
    words = [
        parameter.name.upper()
        if parameter.default is parameter.empty or verb == "train"
        else f"[{parameter.name.upper()}]"
        for parameter in parameters
        if parameter.kind is parameter.POSITIONAL_ONLY
    ]
    given = {"groups": "COLUMN A B"}
    words += [
        f"--{parameter.name} {given.get(parameter.name, 'FOLDER')}"
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]
    usage = answers[f"{verb} --help"][1].splitlines()[0]
    assert usage == " ".join(["Usage: jensen", verb, *words, "[OPTIONS]"])
