"""`jensen rate-distortion`: a training per beta, a table, a figure; what is finished is used again."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from jensen.core.errors import InterruptedRun, RunExistsError
from jensen.runs.rate_distortion import trade
from jensen.storage.files import write_json

SMALL = ["--epochs", "2", "--latent", "2", "--hidden", "8"]


def test_the_curve(data, jensen):
    words = ["rate-distortion", "images.npy", "--binarize", "threshold", "--out", "rd", "--betas", "4,0.01", *SMALL]
    answer = jensen(*words, "--lr", "0.02")
    assert answer.code == 0
    first, head, *rows, figure, following = answer.out.splitlines()
    assert first.startswith("beta ")
    assert "has the best ELBO: -" in first
    assert head.split() == ["beta", "rate", "distortion", "ELBO", "log", "p(x)", ">="]
    record = json.loads((data / "rd/rate-distortion.json").read_text())
    assert [p["beta"] for p in record["points"]] == [0.01, 4.0]
    low, high = record["points"]
    assert low["rate"] > high["rate"]
    for point, row in zip(record["points"], rows, strict=True):
        assert point["elbo"] == pytest.approx(-point["rate"] - point["distortion"], abs=1e-4)
        assert row.split()[1] == f"{point['rate']:.2f}"
        assert point["log_px"] >= point["elbo"]
    assert record["n"] == 6
    assert figure.startswith("figure: rd/rate-distortion.svg")
    assert following.startswith("next: jensen report rd/beta-")
    svg = (data / "rd/rate-distortion.svg").read_text()
    assert "beta 4" in svg
    assert "= -ELBO" in svg
    with Image.open(data / "rd/rate-distortion.png") as image:
        assert image.size[0] > 500

    before = (data / "rd/beta-4/model.safetensors").stat().st_mtime_ns
    again = jensen(*words, "--lr", "0.02", "--json")
    assert again.err.count("is used again") == 2
    assert (data / "rd/beta-4/model.safetensors").stat().st_mtime_ns == before
    numbers = [{k: v for k, v in p.items() if k != "reused"} for p in json.loads(again.out)["points"]]
    assert numbers == [{k: v for k, v in p.items() if k != "reused"} for p in record["points"]]

    other = jensen(*words, "--lr", "0.01")
    assert other.code == 2
    assert "rd/beta-0.01 was trained with another lr" in other.err
    assert jensen(*words, "--lr", "0.01", "--force", "--quiet").code == 0
    assert (data / "rd/beta-4/model.safetensors").stat().st_mtime_ns != before


def test_a_curve_from_before_there_was_a_seed_of_the_split(data):
    options = {"epochs": 1, "latent": 2, "hidden": (8,), "out": "rd", "betas": (1.0,)}
    trade("real.npy", **options)
    path = data / "rd/beta-1/spec.json"
    spec = json.loads(path.read_text())
    del spec["command"]["split_seed"]
    write_json(path, spec)
    assert trade("real.npy", **options).points[0].reused
    with pytest.raises(RunExistsError, match="another split_seed"):
        trade("real.npy", split_seed=1, **options)


def test_an_interrupted_curve_goes_on(data, jensen):
    notices: list[str] = []
    options = {"epochs": 2, "latent": 2, "hidden": (8,), "out": "rd", "betas": (1.0, 2.0), "notice": notices.append}
    asked = iter([False] * 3 + [True])
    with pytest.raises(InterruptedRun):
        trade("real.npy", should_stop=lambda: next(asked, True), **options)
    curve = trade("real.npy", **options)
    assert [p.beta for p in curve.points] == [1.0, 2.0]
    assert sum("is used again" in text for text in notices) == sum(p.reused for p in curve.points) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["real.npy"], 2, ["--out"]),
        (["real.npy", "--out", "out", "--betas", "1,1"], 2, ["--betas must be distinct positive numbers, got 1,1"]),
        (["real.npy", "--out", "out", "--betas", "0"], 2, ["--betas 0"]),
        (["real.npy", "--out", "out", "--betas", "x"], 2, ["--betas must be distinct positive numbers, got x"]),
        (["real.npy", "--out", "out", "--recipe", "vae"], 2, ["no option --beta"]),
        (["real.npy", "--out", "out", "--bogus", "1"], 2, ["bogus"]),
        (["absent.npy", "--out", "out"], 3, ["there is no file absent.npy"]),
        (["real.npy", "--out", "run"], 2, ["run is a run"]),
        (["real.npy", "--out", "bits.npy"], 2, ["bits.npy is a file"]),
    ],
)
def test_refusals(words, code, said, run, data, refused):
    refused(["rate-distortion", *words], code, *said)
