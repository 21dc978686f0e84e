"""The tables of docs/benchmarks.md: what they compute from a record, and where they are written."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from benchmarks.__main__ import PAGE, SECTIONS, cells, main, options_of
from benchmarks.rivals.protocol import SHAPES, Plan, data, start
from benchmarks.tables import filled, pages


def result(speed: float, loss: float | None = None, **more: object) -> dict[str, object]:
    return {"data_per_second": speed, "loss": loss, "peak_mib": 100.0, "versions": {}, "threads": 2, **more}


@pytest.fixture
def record():
    """Three rounds on a machine that becomes slower: within each round jensen is half of the limit."""
    made = {"settings": {"rounds": 3}, "skipped": {"quiet/conv/numpyro": "no room"}, "sections": {}, "cells": {}}
    made["machine"] = {"processor": "P", "processors": 2, "used": 2, "system": "S", "load": 0.0}
    for number, slower in enumerate((1, 2, 10)):
        speeds = {"products": 100, "products-1": 200, "jensen": 100, "torch": 50, "against": 80}
        for who, speed in speeds.items():
            loss = None if who.startswith("products") else 7.0 + number + (who == "against")
            made["cells"][f"quiet/bits/{who}/{number}"] = result(speed / slower, loss)
        made["cells"][f"half-busy/bits/jensen/{number}"] = result(25 / slower, 7.0, neighbour=0.5)
    made["cells"]["growth/K=4/jensen/0"] = result(10.0, 7.0)
    return made


def row(page: str, title: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_ratios_are_taken_within_a_round(record):
    quiet, busy = pages(record)["bits"].split("Beside a busy neighbour:")
    assert row(quiet, "jensen")[2:6] == ["50 %", "50 % to 50 %", "2.00", "2.00 to 2.00"]
    assert row(quiet, "jensen")[0] == "50"  # the median round of 100, 50 and 10
    assert row(quiet, "the products alone")[2] == "50 %"  # the limit is the faster of both
    assert row(busy, "jensen")[2:7] == ["0.25", "0.25 to 0.25", "12 %", "12 % to 12 %", "2"]


def test_losses_have_their_standard_error_over_seeds(record):
    assert row(pages(record)["bits"].split("Beside")[0], "jensen")[7] == f"8.00 ± {1 / math.sqrt(3):.2f}"
    difference, errors = row(pages(record)["bounds"], "bits")[2:4]
    assert difference == "-1.000"
    assert errors == f"{1 / math.sqrt(2 / 3):.1f}"


def test_what_is_not_measured_is_said(record):
    assert "Not measured: quiet/conv/numpyro: no room." in pages(record)["about"]
    assert "conv" not in pages(record)


def test_the_page_has_a_place_for_everything():
    names = ["about", "growth", "bounds", *SHAPES, *SECTIONS]
    page = PAGE.read_text(encoding="utf-8")
    texts = {name: f"text of {name}" for name in names}
    once = filled(page, texts)
    assert all(f"<!-- {name} -->\ntext of {name}\n<!-- end of {name} -->" in once for name in names)
    assert filled(once, texts) == once
    assert filled(once, {"about": ""}) == once
    with pytest.raises(ValueError, match="no place for more"):
        filled(page, {"more": "text"})


def test_rounds_begin_with_another_contestant_and_have_their_own_seed():
    options, _ = options_of(["--only", "bits", "jensen", "torch", "quiet", "--rounds", "3"])
    made = list(cells(options))
    assert [cell.who for cell in made] == ["jensen", "torch", "torch", "jensen", "jensen", "torch"]
    assert [cell.plan.seed for cell in made] == [0, 0, 1, 1, 2, 2]
    assert len({cell.key for cell in made}) == 6
    assert options.sections == []


def test_a_record_is_not_overwritten(tmp_path, capsys):
    kept = tmp_path / "results.json"
    kept.write_text(json.dumps({"settings": {}}), encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["--json", str(kept), "--only", "startup"])
    assert "--continue" in capsys.readouterr().err
    assert json.loads(kept.read_text(encoding="utf-8")) == {"settings": {}}


@pytest.mark.parametrize("name", SHAPES)
def test_data_fit_their_shape(name):
    plan = Plan(name, steps=2, batch=64)
    x = data(plan)
    assert x.shape == (128, SHAPES[name].features)
    if SHAPES[name].likelihood == "bernoulli":
        assert x.dtype == np.uint8
        assert set(np.unique(x)) == {0, 1}
        mean = x.mean(0).clip(0.01, 0.99)
        assert np.allclose(1 / (1 + np.exp(-start(SHAPES[name], mean))), mean)
    else:
        assert np.allclose(x.mean(0), 0, atol=1e-5)
        assert np.allclose(x.std(0), 1, atol=1e-5)
    assert np.array_equal(x, data(plan))
