"""Calibration and rate-distortion on the page: drawn from what the commands wrote, where it is of this run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import jensen
from jensen.cli import main
from jensen.core.errors import CorruptRunError
from jensen.report.calibration import calibration
from jensen.report.facts import Facts, gather
from jensen.report.panels import Panel
from jensen.runs.rate_distortion import trade
from jensen.storage.files import write_json
from tests.records import fields
from tests.report.pages import page_of, unsealed

KEYS = ("verdict", "quantities", "band", "coverage")


@pytest.fixture(scope="module")
def calibrated(run, tmp_path_factory) -> Path:
    """The run, with a calibration.json."""
    folder = shutil.copytree(run.path, tmp_path_factory.mktemp("calibrated") / "run")
    assert main(["calibrate", str(folder), "-n", "200", "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def facts(calibrated) -> Facts:
    return gather(jensen.load(calibrated), examples=False)


def panels(folder: Path, facts: Facts) -> list[Panel]:
    """Return the panels of calibration.json in a copy of the run."""
    return calibration(replace(facts, run=jensen.load(folder)), {})


def labels(page) -> list[str]:
    return [p.get("aria-label") or "" for p in page.all("svg")]


@pytest.mark.usefixtures("unrendered")
def test_the_figures_and_the_numbers(calibrated, tmp_path):
    record = fields(calibrated / "calibration.json")
    page = page_of(jensen.load(calibrated), tmp_path / "page.html")
    assert page.numbers["calibration"] == record
    assert f"Ranks of 6 quantities against uniform ones: {record['verdict']}." in labels(page)
    i = record["coverage"]["levels"].index(0.9)
    held = f"regions of 90% hold the truth {record['coverage']['fractions'][i]:.1%} of the time"
    assert f"Coverage: {held}." in labels(page)
    assert f"Calibration: {record['verdict']}." in page.said
    fewer = sum(q["finding"] is not None for q in record["quantities"])
    assert f"{fewer} of 6 quantities are not uniform" in page.said


def test_only_what_is_not_uniform_is_named(calibrated, facts, tmp_path):
    """Of the quantities at fault the three that go furthest are named in the drawing."""
    path, folder = tmp_path / "run" / "calibration.json", shutil.copytree(calibrated, tmp_path / "run")
    record = json.loads(path.read_text())
    for i, q in enumerate(record["quantities"]):
        q |= {"finding": "over-confident" if i < 4 else None, "name": f"quantity {i}"}
        q["ecdf_difference"] = [(-1) ** i * 0.1 * (i + 1)] * record["l"]
    write_json(path, record)
    [drawing] = panels(folder, facts)[0].bodies
    assert 'aria-label="Ranks' in drawing
    assert [f">quantity {i}<" in drawing for i in range(6)] == [False, True, True, True, False, False]


def test_without_a_calibration(page):
    assert "calibration" not in page.numbers
    assert not any(label.startswith(("Ranks of", "Coverage")) for label in labels(page))


@pytest.mark.usefixtures("unrendered")
def test_a_calibration_of_other_weights_is_not_shown(calibrated, tmp_path):
    folder = shutil.copytree(calibrated, tmp_path / "run")
    record = json.loads((folder / "calibration.json").read_text())
    write_json(folder / "calibration.json", record | {"weights_sha256": "0" * 64})
    page = page_of(jensen.load(folder), tmp_path / "page.html")
    assert "calibration" not in page.numbers
    assert not any(label.startswith("Coverage") for label in labels(page))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("damage", ["missing", "of another type", "cut short"])
def test_a_damaged_calibration_is_refused(key, damage, calibrated, facts, tmp_path):
    folder = shutil.copytree(calibrated, tmp_path / "run")
    path = folder / "calibration.json"
    record = fields(path)  # as an earlier version wrote it, without a digest
    if damage == "missing":
        del record[key]
    elif damage == "of another type":
        record[key] = 1
    elif key in ("band", "coverage"):
        next(iter(record[key].values())).pop()
    elif key == "quantities":
        record[key][0]["ecdf_difference"].pop()
    path.write_text(json.dumps(record)[: -40 if damage == "cut short" and key == "verdict" else None])
    with pytest.raises(CorruptRunError, match=r"calibration\.json is damaged"):
        panels(folder, facts)


@pytest.mark.usefixtures("unrendered")
def test_the_curve_of_rate_against_distortion(images, tmp_path):
    made = trade(images, out=tmp_path / "rd", betas=(0.1, 4.0), epochs=1, latent=2, hidden=(8,), checkpoints=0)
    low = made.points[0]
    page = page_of(jensen.load(tmp_path / "rd" / "beta-0.1"), tmp_path / "page.html")
    record = fields(tmp_path / "rd" / "rate-distortion.json")
    assert page.numbers["rate_distortion"] == {"this_beta": 0.1, **unsealed(record)}
    clause = f"this run, beta 0.1, has rate {low.rate:.2f} and distortion {low.distortion:.2f}"
    assert any(label.startswith("Rate against distortion for 2 weights") and clause in label for label in labels(page))
    assert f"with an ELBO of {low.elbo:.2f} nats per datum" in page.said

    other = shutil.copytree(tmp_path / "rd" / "beta-0.1", tmp_path / "rd" / "another")
    assert "rate_distortion" not in page_of(jensen.load(other), tmp_path / "other.html").numbers
    (tmp_path / "rd" / "rate-distortion.json").write_text("{}")
    with pytest.raises(CorruptRunError, match=r"rate-distortion\.json is damaged"):
        page_of(jensen.load(other), tmp_path / "other.html")
