"""`jensen evaluate`: what kind of number it chose, how sure it is, and the same again."""

from __future__ import annotations

import csv
import json
import math
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jensen.cli import main
from jensen.cli.evaluation_lines import tightness_lines
from jensen.core.errors import DataError
from jensen.evaluate.quantity import EVIDENCE, Quantity
from jensen.runs.run import load
from tests.cli.conftest import TINY
from tests.evaluate.test_tightness import verdict

evaluating = sys.modules["jensen.runs.evaluate"]


def timeless(text: str) -> dict:
    record = json.loads(text)
    inner = record["assessment"] and {**record["assessment"], "seconds": 0}
    return {**record, "seconds": 0, "assessment": inner, "format": 0, "sha256": ""}  # the last two are of the file


@pytest.mark.usefixtures("unrendered")
@pytest.mark.slow
def test_two_latent_features_are_integrated(jensen, run):
    """Nothing is left to chance, so there is nothing to anneal; the error of the rule is told."""
    answer = jensen("evaluate", "run")
    assert answer.code == 0
    assert "(quadrature; ± over data)" in answer.out
    assert "quadrature error" in answer.out
    assert "verdict: quadrature: error" in answer.out
    record = timeless(jensen("evaluate", "run", "--json").out)
    assert (record["kind"], record["k"], record["stderr_mc"]) == ("quadrature", None, 0.0)
    assert (record["assessment"]["annealed"], record["assessment"]["sandwich"]) == (None, None)
    assert 0 <= record["quadrature_error"] < 1e-3
    assert record["elbo"] < record["log_px"]
    assert record == timeless(jensen("evaluate", "run", "--json").out)
    assert timeless((run / "evaluation.json").read_text()) == record
    assert jensen("report", "run").code == 0
    assert "quadrature" in (run / "report.html").read_text(encoding="utf-8")


def test_with_points_it_is_importance_weighting(jensen, run):
    exact = json.loads(jensen("evaluate", "run", "--budget", 0, "--json").out)
    bound = json.loads(jensen("evaluate", "run", "-k", 2000, "--json").out)
    assert (bound["kind"], bound["k"]) == ("stochastic lower bound", 2000)
    assert abs(bound["log_px"] - exact["log_px"]) < 0.02 + 4 * bound["stderr_mc"]


def test_too_few_effective_points_are_said_to_be_unreliable(jensen, run):
    answer = jensen("evaluate", "run", "-k", 5)
    assert "over Monte Carlo unreliable; median effective sample size" in answer.out
    assert json.loads(jensen("evaluate", "run", "-k", 5, "--json").out)["stderr_mc_reliable"] is False


def test_an_autoencoder_has_a_number_where_it_is_asked_for(jensen, data):
    """Its guide forms no bound; the integral needs none."""
    assert jensen("train", "real.npy", "--recipe", "autoencoder", *TINY, "--out", "run").code == 0
    record = json.loads(jensen("evaluate", "run", "--json").out)
    assert (record["kind"], record["log_px"]) == ("unnormalised", None)
    record = json.loads(jensen("evaluate", "run", "--method", "quadrature", "--json").out)
    assert (record["kind"], record["elbo"]) == ("quadrature", None)


def test_beside_the_verdict_is_what_it_does_not_say():
    """Nothing bounds test rows from above; an error that is unreliable is not printed; the start is named."""
    assessment = verdict(0.1, 0.02, 0.01, (-3.0, -2.9))
    assessment = replace(
        assessment, annealed=replace(assessment.annealed, settings={"start": "guide", "corrected": True})
    )
    lines = tightness_lines(assessment, EVIDENCE)
    assert lines[0] == "verdict: tight to about 0.24 nats, according to annealed importance sampling"
    assert lines[1].startswith("but nothing bounds the evidence of these rows from above: the sandwich certifies")
    assert lines[1].endswith("not on the test set (open by 0.1 nats on 1 simulated row)")
    assert lines[2].startswith("log p(x) >= 0.10 ± 0.02 by annealing 1 row (from the guide, corrected; 8 temperatures;")
    given = tightness_lines(assessment, Quantity("label"))
    assert given[2].startswith("log p(x | label) >= 0.10 ± 0.02 by annealing")
    few = replace(assessment.annealed, k=16, acceptance=0.8, ess=assessment.annealed.nats + 3)
    assert tightness_lines(replace(assessment, annealed=few), EVIDENCE)[2].endswith("error unreliable)")
    assert "± 0.02" not in tightness_lines(replace(assessment, annealed=few), EVIDENCE)[2]
    assert (
        tightness_lines(replace(assessment, sandwich=None), EVIDENCE)[1]
        == "but nothing bounds the evidence of these rows from above"
    )


def plain(jensen, *words) -> tuple[str, str]:
    answer = jensen("evaluate", "run", *words)
    assert answer.code == 0, answer.err
    return answer.out, answer.err


@pytest.fixture
def bounded(jensen, data):
    """A run of three latent features: its number is a bound."""
    assert jensen("train", "real.npy", "--out", "run", "--epochs", 1, "--latent", 3, "--hidden", 8).code == 0
    return data / "run"


def test_the_number_is_printed_before_anything_is_measured_about_it(jensen, bounded, monkeypatch, capsys):
    """What follows sees the sentence on stdout already; with --json nothing is there but the object at the end."""
    seen = []
    monkeypatch.setattr(evaluating, "assess_tightness", lambda *_: seen.append(capsys.readouterr().out))
    main(["evaluate", "run", "--quiet"])
    assert seen[0].startswith("log p(x) >= ")
    assert seen[0].count("\n") == 1
    rest = capsys.readouterr().out
    assert "log p(x) >=" not in rest
    assert rest.splitlines()[-1].startswith("next: jensen report")
    main(["evaluate", "run", "--quiet", "--json", "--budget", "3600"])
    assert seen[1] == ""
    assert json.loads(capsys.readouterr().out)["k"] == 5000


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, DataError("a", "b")])
@pytest.mark.sampled(2)
def test_what_stops_the_rest_does_not_take_the_number(error, jensen, bounded, monkeypatch):
    """It is kept, marked as without tightness, and can be repeated; so is the table of rows."""

    def stop(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(evaluating, "assess_tightness", stop)
        answer = jensen("evaluate", "run", "--budget", 3600, "--rows", "rows.csv")  # enough on a busy machine too
    assert answer.code == (130 if error is KeyboardInterrupt else 1 if error is MemoryError else 3)
    assert answer.out.startswith("log p(x) >= ")
    record = json.loads((bounded / "evaluation.json").read_text())
    assert (record["k"], record["assessment"]) == (5000, None)
    assert any("was stopped" in note for note in record["notes"])
    assert len(Path("rows.csv").read_text().splitlines()) == 1 + record["n"]
    assert jensen("verify", "run", "--tolerance", 0).code == 0
    assert "was stopped" not in plain(jensen, "--budget", 1)[1]


def test_a_second_is_enough_for_the_number(jensen, bounded):
    """What was left out is named, with its price and a budget; without any time nothing is missed."""
    out, err = plain(jensen, "--budget", 0.01)
    assert out.startswith("log p(x) >= ")
    assert "(stochastic lower bound, K = 10; ± over data)" in out
    assert "K = 10: 5,000 points per datum would take about" in err
    assert "left out for lack of time: " in err
    assert "the tightness of the bound (about " in err
    out, err = plain(jensen, "--budget", 0)
    assert "K = 5000" in out
    assert "left out" not in err


def columns(path: str) -> dict[str, list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    return dict(zip(header, map(list, zip(*lines, strict=True)), strict=True))


def mean(values: list[str]) -> float:
    return math.fsum(map(float, values)) / len(values)


def test_a_table_of_rows_adds_up_to_what_is_printed(jensen, bounded):
    record = json.loads(plain(jensen, "-k", 50, "--json", "--rows", "rows.csv")[0])
    table = columns("rows.csv")
    assert list(table) == [
        "row",
        "kind",
        "log_px_lower_bound",
        "stderr_mc",
        "elbo",
        "rate",
        "distortion",
        "ess",
        "k_hat",
    ]
    assert set(table["kind"]) == {"stochastic lower bound, K = 50"}
    assert mean(table["log_px_lower_bound"]) == pytest.approx(record["log_px"], rel=1e-12)
    for name in ("elbo", "rate", "distortion"):
        assert mean(table[name]) == pytest.approx(record[name], rel=1e-6)  # single precision there
    assert math.sqrt(math.fsum(float(v) ** 2 for v in table["stderr_mc"])) / record["n"] == pytest.approx(
        record["stderr_mc"], rel=1e-9
    )
    assert (
        statistics.median_low(map(float, table["ess"]))
        <= record["ess"]
        <= statistics.median_high(map(float, table["ess"]))
    )
    own = load("run").split()
    assert [int(v) for v in table["row"]] == (own.test if len(own.test) else own.valid).tolist()


def test_what_is_not_known_is_empty(jensen, run):
    """An integral has no weights."""
    record = json.loads(plain(jensen, "--budget", 0, "--rows", "rows.csv", "--json")[0])
    table = columns("rows.csv")
    assert mean(table["log_px"]) == pytest.approx(record["log_px"], rel=1e-12)
    assert set(table["kind"]) == {"quadrature"}
    assert set(table["ess"]) == set(table["k_hat"]) == {""}


def test_what_has_no_number_has_an_empty_one(jensen, data):
    assert jensen("train", "real.npy", "--recipe", "autoencoder", *TINY, "--out", "auto").code == 0
    assert jensen("evaluate", "auto", "--rows", "auto.csv").code == 0
    table = columns("auto.csv")
    assert set(table["log_px"]) == set(table["rate"]) == {""}
    assert all(math.isfinite(float(v)) for v in table["distortion"])


def test_a_table_names_what_identifies_its_rows(jensen, data, monkeypatch):
    """Identifiers, files and labels of the data that were evaluated, the label last; odd names are as they are."""
    rng = np.random.default_rng(0)
    lines = ["patient,a,b,c,rate,kind"]
    lines += [f"p {i} é,{','.join(f'{v:.4f}' for v in rng.normal(size=4))},{'xy'[i % 2]}" for i in range(40)]
    Path("table.csv").write_text("\n".join(lines), encoding="utf-8")
    assert jensen("train", "table.csv", "--labels", "kind", "--out", "t", *TINY).code == 0
    assert jensen("evaluate", "t", "--budget", 0, "--rows", "rows.csv").code == 0
    table = columns("rows.csv")
    assert list(table)[:5] == ["row", "patient", "label", "kind", "log_px"]
    for row, patient, label in zip(table["row"], table["patient"], table["label"], strict=True):
        assert patient == f"p {row} é"
        assert label == "xy"[int(row) % 2]
    assert jensen("evaluate", "t", "--budget", 0, "--rows", "rows.npz").code == 0
    with np.load("rows.npz", allow_pickle=False) as arrays:
        assert arrays["patient"].tolist() == table["patient"]
        assert arrays["log_px"].tolist() == [float(v) for v in table["log_px"]]


def test_a_table_of_images_names_their_files(jensen, data):
    from PIL import Image

    folder = data / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(30):
        Image.fromarray(rng.integers(0, 255, (6, 6), dtype=np.uint8)).save(folder / f"{i:02} ä.png")
    assert jensen("train", "pictures", "--out", "p", *TINY).code == 0
    assert jensen("evaluate", "p", "-k", 5, "--rows", "rows.csv").code == 0
    table = columns("rows.csv")
    assert [f"{int(i):02} ä.png" for i in table["row"]] == table["file"]
    assert jensen("evaluate", "p", "-k", 5, "--rows", "rows.npz").code == 0
    with np.load("rows.npz") as arrays:
        assert arrays["files"].tolist() == table["file"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rows", 100], ("--rows must end in .csv or .npz, got 100", "simulated rows: --simulated 100")),
        (["--rows", "rows.npy"], ("--rows must end in .csv or .npz, got rows.npy", "--rows rows.csv")),
        (["--rows", "none/rows.csv"], ("there is no folder none", "Make it first")),
        (["--rows", "old.csv"], ("old.csv exists", "--force")),
        (["--spreadsheet-safe"], ("is of the table of rows", "--rows FILE.csv")),
        (["--rows", "new.npz", "--spreadsheet-safe"], ("is of a .csv, and new.npz is none",)),
    ],
)
def test_a_table_that_cannot_be_written_is_refused_before_any_work(words, said, data, run, refused):
    Path("old.csv").write_text("mine")
    refused(["evaluate", "run", *words], 2, *said)
    assert Path("old.csv").read_text() == "mine"


def test_an_old_table_is_replaced_on_request(jensen, run):
    Path("old.csv").write_text("mine")
    plain(jensen, "-k", 5, "--rows", "old.csv", "--force")
    assert len(columns("old.csv")["row"]) > 3
