"""Paths through the latent space."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import jensen
from jensen.core.errors import CompositionError, UsageError
from jensen.runs.traverse import slerp, traverse

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Factor analysis of four columns, whose guide is exact and whose decoder is affine."""
    z = RNG.normal(size=(300, 1))
    x = z * [2.0, -1.0, 0.5, 0.0] + 0.1 * RNG.normal(size=(300, 4))
    frame = pd.DataFrame(x, columns=list("abcd"))
    return jensen.train(frame.to_numpy(), recipe="ppca", latent=2, out=tmp_path_factory.mktemp("traverse") / "run")


def test_between_two_rows_the_path_is_straight(run):
    codes = run.encode(run.part("test"))
    path = traverse(run, between=(2, 7), steps=5)
    assert path.at.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    known = codes[2] + path.at[:, None] * (codes[7] - codes[2])
    np.testing.assert_allclose(path.z, known, rtol=1e-5, atol=1e-6)
    ends = run.decode(codes[[2, 7]])
    np.testing.assert_allclose(path.x[[0, -1]], ends, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(path.x[2], ends.mean(0), rtol=1e-4, atol=1e-5)  # the decoder is affine


def test_one_feature_moves_alone(run):
    path = traverse(run, feature=2, steps=3)
    np.testing.assert_allclose(path.z, [[0, -2.5], [0, 0], [0, 2.5]], atol=1e-6)
    from_row = traverse(run, feature=2, row=4, steps=3)
    assert np.ptp(from_row.z[:, 0]) == 0
    np.testing.assert_allclose(from_row.z[0, 0], run.encode(run.part("test"))[4, 0], rtol=1e-5)
    assert from_row.path == "feature 2 from row 4"


def test_a_feature_of_a_learned_prior_moves_by_its_moments(tmp_path):
    x = RNG.normal(size=(80, 3))
    run = jensen.train(x, recipe="mixture-prior", latent=2, hidden=(8,), epochs=1, out=tmp_path / "run")
    prior = run.model.prior(run.model.usual)
    mean, deviation = (v.detach().reshape(-1)[0].item() for v in (prior.mean, prior.stddev))
    path = traverse(run, feature=1, steps=3)
    np.testing.assert_allclose(path.at, [mean - 2.5 * deviation, mean, mean + 2.5 * deviation], rtol=1e-5, atol=1e-6)


def test_an_attribute_of_numbers_is_the_slope_of_the_codes(run):
    """One step of a standard deviation of a column moves the other columns by their regression on it, nearly."""
    part = run.part("test")
    codes, a = run.encode(part).astype(float), part.x[:, 0]
    path = traverse(run, attribute="x1", steps=3)
    slope = ((a - a.mean())[:, None] * (codes - codes.mean(0))).sum(0) / ((a - a.mean()) ** 2).sum()
    np.testing.assert_allclose(path.z[1], codes.mean(0), atol=1e-5)
    np.testing.assert_allclose(path.z[2] - path.z[1], 2.5 * slope * a.std(), rtol=1e-4, atol=1e-5)
    moved = path.x[2] - path.x[1]
    assert moved[0] > 0 > moved[1]


def test_a_great_circle_keeps_its_length():
    a, b = torch.tensor([3.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 3.0], dtype=torch.float64)
    t = torch.linspace(0, 1, 4, dtype=torch.float64)
    points = slerp(a, b, t)
    torch.testing.assert_close(points.norm(dim=1), torch.full((4,), 3.0, dtype=torch.float64))
    torch.testing.assert_close(torch.atan2(points[:, 1], points[:, 0]), t * math.pi / 2)
    torch.testing.assert_close(slerp(a, 2 * a, t), a * (1 + t[:, None]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "one feature, between two rows, or along one attribute"),
        ({"feature": 1, "attribute": "x1"}, "one feature, between two rows, or along one attribute"),
        ({"feature": 3}, "must be from 1 to 2"),
        ({"between": (0, 10**6)}, "no row 1000000"),
        ({"between": (0, 1), "row": 2}, "--row is where"),
        ({"feature": 1, "spherical": True}, "--spherical is a path between"),
        ({"attribute": "nobody"}, "no class or column 'nobody'"),
        ({"feature": 1, "steps": 1}, "steps"),
    ],
)
def test_what_is_no_path_is_refused(run, options, said):
    with pytest.raises(UsageError, match=said) as refusal:
        traverse(run, **options)
    assert refusal.value.remedy


def test_names_have_no_paths(tmp_path):
    run = jensen.train(RNG.normal(size=(60, 2)), recipe="gmm", components=2, epochs=1, out=tmp_path / "run")
    with pytest.raises(CompositionError, match="no continuous features"):
        traverse(run, feature=1)
