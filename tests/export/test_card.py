"""The model card: data, numbers with kinds and errors, limits, and how to run it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jensen.export.card import About, model_card, onnx_example
from jensen.export.checking import Agreement
from jensen.export.decoding import decoder_graph
from jensen.export.encoding import encoder_graph
from jensen.runs.export import subject_of

ABOUT = About("VAE", "vae", "0123abcd", "z ~ Gaussian(2)", "pixels", (48, 60), "8 levels", "log p(x)", (), "0.1.0")
BOUND = {"log_px": -12.34, "kind": "stochastic lower bound", "k": 5000, "stderr": 0.21, "stderr_mc": 0.02, "n": 6}


@pytest.fixture(scope="module")
def parts(trained_run):
    subject = subject_of(trained_run("table"))
    return subject, [encoder_graph(subject), decoder_graph(subject)]


def card(parts, about=ABOUT):
    return model_card(about, *parts, [Agreement("encoder", (1, 7, 64), {"mean": 1e-6})], ".onnx")


def test_numbers_have_their_kind_and_errors(parts):
    text = card(parts, replace(ABOUT, evaluations=(BOUND,)))
    assert "log p(x) >= -12.34 ± 0.21 nats per datum (stochastic lower bound, K = 5,000; ± over data)" in text
    assert "standard error over Monte Carlo 0.02" in text


def test_without_evaluation_it_says_so(parts):
    assert "No evaluation of this run is recorded." in card(parts)


def test_data_recipe_limits_and_errors_are_there(parts):
    text = card(parts)
    for words in (
        "60 rows, of which 48 trained",
        "| sex | boolean | F, M |",
        "`vae`",
        "0123abcd",
        "## Limits",
        "1.0e-06",
    ):
        assert words in text
    assert "Missing entries are left out" in text
    assert "| mean of p(x \\| z)" not in text.replace("means of numbers", "")


def test_names_cannot_break_the_page(parts):
    subject, graphs = parts
    first, *others = subject.schema.columns
    columns = (replace(first, name="a|b\n# <x>"), *others)
    broken = replace(subject, schema=replace(subject.schema, columns=columns))
    assert "a\\|b # \\<x\\>" in card((broken, graphs))


def test_example_has_ten_lines_or_so(parts):
    assert len(onnx_example(parts[1][0]).splitlines()) <= 12
