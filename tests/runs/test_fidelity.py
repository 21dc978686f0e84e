"""Fidelity against closed forms and planted sets, and from a run to its report."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits

import jensen
from jensen.analysis import features
from jensen.analysis.features import learn_features
from jensen.cli import main
from jensen.core.batch import Rows
from jensen.core.errors import DataError, UsageError
from jensen.core.random import stream
from jensen.report import write
from jensen.runs.fidelity import fidelity, frechet, precision_recall
from jensen.storage.files import write_json
from tests.records import fields


def gaussian(n: int, name: str = "a", dim: int = 4) -> torch.Tensor:
    mixing = torch.randn(dim, dim, generator=stream(1, name), dtype=torch.float64)
    return torch.randn(n, dim, generator=stream(0, name), dtype=torch.float64) @ mixing


# ---------------------------------------------------------------- Frechet distance


def test_the_distance_is_the_closed_form_of_the_moments():
    """Against SciPy's matrix root, and where the root is known: a shift, and another scale."""
    a, b = gaussian(60, "a"), gaussian(50, "b") + 1.0
    first, second = (np.cov(x.numpy().T) for x in (a, b))
    far = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = float(far) + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert frechet(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet(a, a + 2.0) == pytest.approx(16.0, rel=1e-9)
    centred = a - a.mean(0)
    assert frechet(centred, 3 * centred) == pytest.approx(4 * np.trace(first), rel=1e-9)


def test_points_without_spread_and_too_few_points():
    """A covariance of lower rank has a distance too; one point has none."""
    flat = gaussian(30)[:, :1].expand(-1, 4)
    assert frechet(flat, flat + 1.0) == pytest.approx(4.0, rel=1e-6)
    assert frechet(torch.zeros(3, 2), torch.zeros(3, 2)) == 0.0
    with pytest.raises(DataError, match="no covariance"):
        frechet(torch.zeros(1, 2), torch.zeros(3, 2))


def test_the_distance_of_two_sets_of_one_kind_falls_with_their_number():
    """The bias that is stated: about 1/n, so ten times fewer points are ten times further apart (within a third)."""

    def average(n: int) -> float:
        draws = torch.randn(40, 2, n, 4, generator=stream(0, f"bias {n}"), dtype=torch.float64)
        return float(np.mean([frechet(a, b) for a, b in draws]))

    few, many = average(100), average(1000)
    assert many > 0
    assert 10 * 2 / 3 < few / many < 10 * 4 / 3


# ---------------------------------------------------------------- precision and recall


def test_planted_sets_have_the_precision_and_recall_that_they_were_given():
    real = torch.cat([gaussian(200), gaussian(200) + 100.0])
    both = real[torch.randperm(400, generator=stream(0, "order"))] + 1e-9
    assert precision_recall(real, both) == (1.0, 1.0)
    one = torch.cat([real[:200] + 1e-9] * 2)[torch.arange(0, 400, 2)]
    assert precision_recall(real, one)[0] == 1.0
    assert precision_recall(real, real[:200] + 1e-9) == (1.0, 0.5)  # a mode is left out
    astray = torch.cat([real[:300], gaussian(100) - 500.0])
    assert precision_recall(real, astray)[0] == 0.75  # a quarter is like nothing


def test_a_point_is_within_its_neighbours_distance():
    """By hand, with one neighbour: the balls about 0, 1 and 5 have the radii 1, 1 and 4."""
    real, made = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[-1.0], [-1.5], [9.0], [9.5]])
    precision, recall = precision_recall(real, made, 1)
    assert precision == 0.5
    assert recall == 0.0  # of made points the balls are [-1.5, -0.5] and [8.5, 10]
    assert precision_recall(made, real, 1) == (0.0, 0.5)
    with pytest.raises(UsageError):
        precision_recall(real, made, 0)
    with pytest.raises(DataError):
        precision_recall(real, made, 3)


# ---------------------------------------------------------------- features


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)


def test_a_classifier_is_learned_from_its_seed_alone(images, monkeypatch):
    monkeypatch.setattr(features, "STEPS", 100)
    (x, y), before = images, torch.get_rng_state()
    train, tried = Rows(x[:1200]), Rows(x[1200:])
    result = learn_features(train, y[:1200], tried, y[1200:], (8, 8, 1))
    more = torch.cat([y[:1200], torch.full((300,), -1)]), torch.cat([y[1200:], torch.tensor([-1, -1])])
    some = learn_features(Rows(x[:1500]), more[0], Rows(torch.cat([x[1200:], x[:2]])), more[1], (8, 8, 1))
    assert (some.rows, some.accuracy) == (1200, result.accuracy)  # rows without a label play no part
    assert torch.equal(torch.get_rng_state(), before)
    assert result.kind == "classifier"
    assert result.accuracy > 0.6  # guessing is right on a tenth
    assert torch.equal(result(x[:50]), some(x[:50]))
    assert result(x[:50]).shape == (50, result.size)
    same, shuffled = (frechet(result(x[:600]), result(z)) for z in (x[600:1200], x[600:1200].roll(3, 1)))
    assert same < shuffled / 2


def test_principal_components_keep_distances():
    """All of them: a rotation, divided by the mean standard deviation. Without labels, or with useless ones."""
    x = gaussian(300, dim=5).float()
    result = learn_features(Rows(x), None, Rows(x), None, (5,))
    assert (result.kind, result.size, result.accuracy) == ("principal components", 5, None)
    scale = x.double().var(0, correction=0).mean().sqrt()
    torch.testing.assert_close(torch.cdist(result(x), result(x)), torch.cdist(x.double(), x.double()) / scale)
    for useless in (torch.zeros(300, dtype=torch.long), torch.arange(300)):
        assert learn_features(Rows(x), useless, Rows(x), None, (5,)).kind == "principal components"
    wide = learn_features(Rows(torch.rand(40, 100)), None, Rows(x), None, (100,))
    assert wide.size == 32
    with pytest.raises(DataError):
        learn_features(Rows(x[:1]), None, Rows(x), None, (5,))


# ---------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A Gaussian, which is soon fitted, to data that are independent Gaussians, and without labels."""
    folder = tmp_path_factory.mktemp("fidelity")
    np.savetxt(
        folder / "rows.csv",
        torch.randn(400, 3, generator=stream(0, "rows")).numpy(),
        delimiter=",",
        header="a,b,c",
        comments="",
    )
    return jensen.train(folder / "rows.csv", recipe="gaussian", out=folder / "run", split="0.5,0,0.5")


def test_a_model_that_is_right_is_as_near_as_data_are(run):
    """Samples of the fitted Gaussian and real rows: every measure within four spreads of the other's."""
    result = fidelity(run)
    assert (result.n, result.repeats, result.features.kind) == (100, 5, "principal components")
    for score in (result.frechet, result.precision, result.recall):
        assert abs(score.value - score.real) < 4 * math.hypot(score.spread, score.real_spread) + 0.02
    assert fidelity(run).to_dict() == result.to_dict()
    assert fidelity(run, seed=1).frechet.value != result.frechet.value
    away = fidelity(run, torch.randn(200, 3, generator=stream(1, "rows")).numpy() + 3.0)
    assert away.frechet.value == pytest.approx(27.0, rel=0.2)  # three features, each 3 away
    assert away.precision.value < result.precision.value


def test_refusals_say_what_to_do(run):
    for call in (
        lambda: fidelity(run, n=101),
        lambda: fidelity(run, n=2),
        lambda: fidelity(run, repeats=1),
        lambda: fidelity(run, np.zeros((5, 3))),
    ):
        with pytest.raises((UsageError, DataError)) as error:
            call()
        assert "Give" in error.value.remedy


@pytest.mark.usefixtures("unrendered")
def test_the_command_line_keeps_what_the_report_shows(run, capsys):
    assert main(["fidelity", str(run.path), "--json", "--quiet"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["frechet"] == fidelity(run).to_dict()["frechet"]
    kept = run.path / "fidelity.json"
    assert fields(kept) == record
    assert main(["fidelity", str(run.path), "--quiet", "-n", "50"]) == 0
    assert "50 samples" in capsys.readouterr().out
    assert "Frechet distance" in write(run).read_text(encoding="utf-8")
    write_json(kept, record | {"weights_sha256": "0"})
    assert "Frechet distance" not in write(run).read_text(encoding="utf-8")
    kept.write_text('{"frechet": 1}')
    assert main(["report", str(run.path)]) == 4
    assert main(["fidelity", str(run.path), "-n", "1000"]) == 2
    kept.unlink()
