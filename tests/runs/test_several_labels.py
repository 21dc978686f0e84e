"""Models of p(x | several labels): an exact number, every verb, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

from jensen.analysis.latents import decode
from jensen.cli import main
from jensen.core.errors import DataError, UsageError
from jensen.core.random import stream
from jensen.runs.resume import resume
from jensen.runs.run import Run, load
from jensen.runs.train import train

SMALL: dict[str, Any] = {"recipe": "conditional", "latent": 1, "hidden": (), "epochs": 2, "threads": 1, "batch": 32}


def table(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    site, dose, arm = rng.choice(["p", "q", "r"], n), rng.normal(10, 3, n).round(2), rng.choice(["no", "yes"], n)
    shift = pd.Series(site).map({"p": 0.0, "q": 2.0, "r": -2.0}).to_numpy() + 0.5 * dose
    x = rng.normal(size=(n, 3)) + shift[:, None]
    return pd.DataFrame({"a": x[:, 0], "site": site, "b": x[:, 1], "dose": dose, "c": x[:, 2], "arm": arm})


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("data") / "t.csv"
    table().to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def made(data, tmp_path_factory) -> Path:
    return train(data, out=tmp_path_factory.mktemp("run") / "run", labels="site,dose,arm", **SMALL).path


@pytest.fixture
def run(made) -> Run:
    return load(made)


def test_labels_are_returned_as_they_were_given(run):
    _, labels = run.conditioned_sample(2, label={"site": "q", "dose": "3.1", "arm": "no"})
    assert labels[:, 1].tolist() == [3.1, 3.1]


def test_drawn_labels_are_those_that_rows_are_of(run):
    """They are rounded as their column is written before x is drawn: given again, they make the same means."""
    x, labels = run.conditioned_sample(3, seed=4, mean=True)
    np.testing.assert_array_equal(labels[:, 1], labels[:, 1].round(2))
    context = torch.from_numpy(run.conditions.encoded(labels)).to(run.dtype)
    noise = stream(4, "sample", run.device)
    run.model.contexts(3, noise)
    z, _ = run.model.simulate(3, noise, context)
    np.testing.assert_allclose(x, run.shaped(decode(run.model, z, context)), rtol=1e-6)


def test_log_px_given_labels_is_the_closed_form(run, data):
    r"""With an affine decoder, x | c is :math:`N(W_c c + b, w w^T + \Sigma)`, c being labels as encoded."""
    part = run.part("test")
    (linear,) = [m for m in run.model.likelihood.modules() if isinstance(m, torch.nn.Linear)]
    with torch.no_grad():
        linear.weight[3:] = 0  # one scale for each column, whatever z and the labels are
        linear.weight[:3, 0] = torch.tensor([0.5, -1.0, 2.0])
    zero = torch.zeros(1, 1)
    rows = part.rows.take(torch.arange(len(part.rows)))
    at_zero = run.model.likelihood(torch.cat([zero.expand(len(rows), -1), rows.context], -1))
    one = run.model.likelihood(torch.cat([1 + zero.expand(len(rows), -1), rows.context], -1))
    mean, step = at_zero.mean.detach().numpy(), (one.mean - at_zero.mean)[0].detach().numpy()
    covariance = np.outer(step, step) + np.diag(at_zero.variance[0].detach().numpy())
    numbers = part.row_numbers
    given = table().iloc[numbers]
    levels = {"p": 0, "q": 1, "r": 2}
    c = run.conditions
    expected_context = np.zeros((len(rows), 6))
    expected_context[np.arange(len(rows)), given["site"].map(levels)] = 1
    expected_context[:, 3] = (given["dose"] - c.center[1]) / c.scale[1]
    expected_context[np.arange(len(rows)), 4 + (given["arm"] == "yes")] = 1
    np.testing.assert_allclose(rows.context.numpy(), expected_context, atol=1e-6)
    x = rows.x.numpy()
    exact = [multivariate_normal(m, covariance).logpdf(row) for m, row in zip(mean, x, strict=True)]
    estimate = run.evaluate(method="quadrature").estimate
    assert estimate.nats is not None
    np.testing.assert_allclose(estimate.nats.numpy() - part.shift, exact, atol=2e-4)
    shuffled = run.evaluate(data, labels="site,dose,arm", method="quadrature")
    assert str(shuffled.quantity) == "log p(x | site, dose, arm)"
    np.testing.assert_allclose(shuffled.estimate.mean, estimate.mean, atol=1e-6)


def test_dose_is_standardised_by_the_training_rows_and_recorded(run):
    doses = table()["dose"].to_numpy()[run.split().train[:]]
    c = run.conditions
    assert c.center[1] == pytest.approx(doses.mean(), rel=1e-12)
    assert c.scale[1] == pytest.approx(doses.std(), rel=1e-12)
    assert run.schema.names == ("a", "b", "c")
    assert "--labels" not in run.sentence


def test_samples_of_labels(run):
    of_one = run.sample(400, label={"site": "q", "dose": 25, "arm": "no"}, mean=True)
    other = run.sample(400, label={"site": "q", "dose": 0, "arm": "no"}, mean=True)
    assert of_one.shape == (400, 3)
    assert not np.allclose(of_one.mean(0), other.mean(0))
    x, drawn = run.conditioned_sample(2000, seed=1)
    assert x.shape == (2000, 3)
    shares = np.bincount(drawn[:, 0].astype(int), minlength=3) / 2000
    trained = np.array(run.conditions.counts[0]) / sum(run.conditions.counts[0])
    assert np.abs(shares - trained).max() < 4 * np.sqrt(0.25 / 2000)  # four standard errors, at most
    error = run.conditions.scale[1] / np.sqrt(2000)
    assert abs(drawn[:, 1].mean() - run.conditions.center[1]) < 4 * error
    usual = run.model.usual
    assert usual is not None
    np.testing.assert_array_equal(usual.numpy()[[3]], [0.0])
    assert usual[:3].argmax() == trained.argmax()
    with pytest.raises(UsageError, match="3 labels, by name"):
        run.sample(2, label="q")


def test_a_resume_ends_in_the_same_bytes(data, made, tmp_path):
    stopped = iter(range(100))
    how: dict[str, Any] = {"save_every": 0, "should_stop": lambda: next(stopped) > 3}
    with pytest.raises(Exception, match="readable"):
        train(data, out=tmp_path / "run", labels="site,dose,arm", **how, **SMALL)
    resume(tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (made / "model.safetensors").read_bytes()


def test_changed_labels_are_not_trained_on(data, tmp_path):
    path = tmp_path / "t.csv"
    table().to_csv(path, index=False)
    train(str(path), out=tmp_path / "run", labels="site,dose,arm", **SMALL)
    table().assign(dose=np.arange(120) + 0.5).to_csv(path, index=False)
    with pytest.raises(Exception, match="conditions"):
        resume(tmp_path / "run", epochs=3)


def test_tables_in_memory(made, tmp_path):
    frame, labels = table(), ["site", "dose", "arm"]
    held = train(frame, out=tmp_path / "run", labels=labels, **SMALL)
    assert (held.path / "model.safetensors").exists()
    file, memory = load(made).evaluate(k=10), held.evaluate(k=10)
    assert memory.estimate.mean == file.estimate.mean
    apart = train(frame[["a", "b", "c"]], out=tmp_path / "apart", labels=frame[labels], **SMALL)
    assert apart.evaluate(k=10).estimate.mean == file.estimate.mean
    some = frame.iloc[:9]
    beside = apart.evaluate(some[["a", "b", "c"]], labels=some[labels], k=10)
    assert beside.estimate.mean == held.evaluate(some, k=10).estimate.mean
    again = load(held.path, data=frame, labels=labels)
    assert again.evaluate(k=10).estimate.mean == file.estimate.mean
    with pytest.raises(DataError, match="site"):
        held.evaluate(some[["a", "b", "c"]], k=10)


@pytest.mark.parametrize(
    "words",
    [
        "evaluate RUN DATA -k 5",
        "reconstruct RUN DATA --out OUT.csv",
        "encode RUN DATA --out OUT.csv",
        "score RUN DATA --out OUT.csv -k 5",
        "traverse RUN --feature 1 --out OUT.csv",
        "export RUN --onnx OUT",
        "doctor RUN",
        "report RUN --quick",
        "sample RUN -n 3 --label site=p,dose=3.5,arm=yes --out OUT.csv",
        "train --spec RUN/spec.json --out OUT",
    ],
    ids=lambda words: words.split()[0],
)
def test_every_verb(words, made, data, tmp_path, capsys):
    places = {"RUN": str(made), "DATA": data, "OUT": str(tmp_path / "out")}
    for name, place in places.items():
        words = words.replace(name, place)
    assert main([*words.split(), "--quiet"]) == 0
    out = capsys.readouterr().out
    if words.startswith("evaluate"):
        assert "log p(x | site, dose, arm)" in out
    if words.startswith("sample"):
        lines = (tmp_path / "out.csv").read_text().splitlines()
        assert lines[0] == "site,dose,arm,a,b,c"
        assert all(line.startswith("p,3.5,yes,") for line in lines[1:])
    if words.startswith("export"):
        schema = json.loads((tmp_path / "out" / "schema.json").read_text())
        assert [label["features"] for label in schema["labels"]] == [[0, 3], [3, 4], [4, 6]]
    if words.startswith("train"):
        again = (tmp_path / "out" / "model.safetensors").read_bytes()
        assert again == (made / "model.safetensors").read_bytes()


def test_labels_that_have_no_place_are_refused(data, tmp_path):
    with pytest.raises(UsageError, match="recipe vae has no place for several labels"):
        train(data, out=tmp_path / "run", labels="site,dose,arm", recipe="vae")
    with pytest.raises(DataError, match="wage"):
        train(data, out=tmp_path / "run", labels="site,wage", recipe="conditional")
    holed = table()
    holed.loc[5, "dose"] = np.nan
    with pytest.raises(DataError, match=r"row 5 of the .* rows has no value of dose"):
        train(holed, out=tmp_path / "run", labels=["site", "dose", "arm"], **SMALL)
    assert not (tmp_path / "run").exists()


def test_columns_of_mixed_kinds_are_conditioned_too(tmp_path):
    frame = table()
    kinds = frame.assign(d=np.where(frame["a"] > 5, "high", "low"), e=frame["b"].round().astype(int))
    how = {**SMALL, "likelihood": "columns", "hidden": (8,)}
    run = train(kinds, out=tmp_path / "run", labels=["site", "dose"], **how)
    drawn = run.sample(5, label={"site": "p", "dose": 4})
    assert list(drawn.columns) == ["a", "b", "c", "arm", "d", "e"]
    assert np.isfinite(run.evaluate(k=5).estimate.mean)
