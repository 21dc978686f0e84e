"""The pages that show theory: the programs behind them measure what they say, held against formulas, at small sizes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import codes, estimators, pictures, proposals, scales, sharpness, side_by_side
from jensen.core.batch import Batch, Rows
from jensen.core.random import stream
from jensen.distributions import OneState
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.guides import Exact
from jensen.objectives import Elbo

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = ("side-by-side", "proposals", "divergences", "estimators", "scales", "codes", "sharpness", "diffusion-theory")


# ---------------------------------------------------------------- pages


def test_the_index_leads_to_every_page():
    index = (DOCS / "theory.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)\)", index)
    assert {f"{name}.md" for name in PAGES} <= set(targets)
    assert [t for t in targets if "://" not in t and not (DOCS / t).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_pictures_are_there_and_say_what_they_show(name):
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    found = re.findall(r"!\[(.*)\]\((\S+)\)", text)
    assert found
    for alt, path in found:
        assert len(alt) > 20
        assert (DOCS / path).exists()


@pytest.mark.parametrize(
    ("page", "program"),
    [
        ("codes", codes),
        ("estimators", estimators),
        ("proposals", proposals),
        ("scales", scales),
        ("sharpness", sharpness),
        ("side-by-side", side_by_side),
    ],
)
def test_pages_are_what_their_programs_write(page, program):
    """Every line of the template that holds no number stands on the page as it is."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    plain = [line for line in program.PAGE.strip().splitlines() if "{" not in line]
    assert len(plain) > 5
    assert [line for line in plain if line not in text] == []


def test_a_table_and_a_grid():
    assert pictures.table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | --: |\n| x | 1 |"
    drawn = pictures.grid(np.zeros((2, 3, 4, 5)))
    assert drawn.shape == (9, 17)
    assert (drawn == 1).all()  # nothing is white
    assert (pictures.grid(np.ones((1, 1, 2, 2))) == 0).all()


# ---------------------------------------------------------------- three proposals


@pytest.fixture(scope="module")
def fitted():
    model, batch = proposals.fitted()
    return model, Batch(batch.x[:4])


def test_the_variance_of_a_weight_is_its_integral(fitted):
    """Where q is wide enough for weights to be bounded: against 20,000 of them, within 4 standard errors; infinite
    where q is too narrow in some direction."""
    model, batch = fitted
    one = Batch(batch.x[:1])
    with torch.no_grad():
        truth = model.posterior(one)
        guide = proposals.normal(truth.mean[0] + 0.01, 1.2 * truth.variance[0].sqrt())
        exact = proposals.excess(model, guide, one)
        draw = Pathwise(20_000).draw(model, guide, one, stream(0, "points"))
        evidence = Elbo()(Pathwise(1).draw(model, Exact(model), one, stream(0, "exact")))
        square = (2 * (draw.log_weight - evidence)).exp() - 1
    error = square.std(0) / len(square) ** 0.5
    assert error < exact / 10
    assert abs(square.mean() - exact) < 4 * error
    assert torch.isfinite(proposals.excess(model, proposals.diagonal(model, wide=True), batch)).all()
    narrow = proposals.diagonal(model)
    a, b = truth.covariance_matrix[0].inverse(), narrow(one).variance[0].reciprocal()
    assert torch.linalg.eigvalsh(2 * a - torch.diag(b)).min() < 0
    assert torch.isinf(proposals.excess(model, narrow, batch)).all()


def test_proposals_are_what_they_are_called(fitted):
    model, batch = fitted
    prior, shared, narrow, wide, exact = proposals.proposals(model, batch).values()
    p = model.posterior(batch)
    assert torch.allclose(prior(batch).variance, torch.ones(4, proposals.LATENT).double())
    assert torch.allclose(shared(batch).mean, p.mean.mean(0).expand(4, -1))
    for guide in (narrow, wide):
        assert torch.allclose(guide(batch).mean, p.mean)
    assert torch.allclose(wide(batch).variance, p.covariance_matrix.diagonal(dim1=-2, dim2=-1))
    assert (narrow(batch).variance < wide(batch).variance).all()
    assert exact.is_exact


def test_estimates_fall_short_by_what_the_bound_loses(fitted, monkeypatch):
    """With one point the shortfall is KL(r || p(z | x)), which is known exactly: within 4 standard errors."""
    monkeypatch.setattr(proposals, "POINTS", (1, 2000))
    model, batch = fitted
    for name, guide in proposals.proposals(model, batch).items():
        row = proposals.measure(model, batch, name, guide)
        assert row.short[0] == pytest.approx(row.gap, abs=0.02 * row.gap + 0.02), name
        assert row.short[1] <= row.short[0] + 1e-9


# ---------------------------------------------------------------- gradients


def test_the_closed_form_of_the_elbo_is_the_elbo():
    """A quadrature is exact for a quadratic; the gradient likewise."""
    model, batch, guide = estimators.case(1, 3)
    values = guide.conditional.net.values
    exact = estimators.closed(model, batch, guide)
    ruled = Elbo()(Quadrature(8).draw(model, guide, batch))
    assert torch.allclose(exact, ruled, atol=1e-10)
    ours, theirs = (torch.autograd.grad(f.sum(), values)[0] for f in (exact, ruled))
    assert torch.allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("name", estimators.ESTIMATORS)
def test_gradients_are_unbiased(name):
    found = estimators.measure(name, 4, 2000)
    assert found.bias < 4


def test_a_wrong_gradient_is_seen(monkeypatch):
    """The check above can fail: a gradient that is half as long again is not the exact one."""

    def longer(model, batch, guide):
        return 1.5 * estimators.ESTIMATORS["reparameterised"](model, batch, guide)

    monkeypatch.setitem(estimators.ESTIMATORS, "wrong", longer)
    assert estimators.measure("wrong", 1, 4000).bias > 4


def test_the_path_is_quieter():
    score, path = (estimators.measure(name, 4, 1000).variance for name in ("score function", "reparameterised"))
    assert score > 50 * path


# ---------------------------------------------------------------- scales, and three models


@pytest.mark.slow
def test_a_scale_at_its_floor_is_found(tmp_path):
    """As on the page: the least scale reaches its floor, and the doctor says so."""
    np.save(tmp_path / "x.npy", scales.pixels())
    own = scales.fit(tmp_path / "x.npy", tmp_path / "own", "gaussian", 0.1)
    assert own.least < 3 * 0.1
    assert "floor" in own.found


def test_codes_are_pulled_to_what_is_rounded_to_them():
    """The term's gradient by a code is -2 times what its vectors are away from it, in sum; the vectors have none."""
    book = codes.Pulled(3, 2, clusters=False)
    with torch.no_grad():
        book.table.copy_(torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]]))
    h = torch.tensor([[[1.0, 0.0], [3.0, 1.0]], [[-1.0, 2.0], [1.0, 1.0]]]).flatten(-2).requires_grad_()
    state = OneState(h, book.nearest(h.unflatten(-1, (2, 2))), book.flat_vectors, book.flat_index)
    value = codes.Pull(book)(SimpleNamespace(guide=state))
    assert value.tolist() == [1 + 2, 5 + 2]
    value.sum().backward()
    assert h.grad is None
    assert book.table.grad.tolist() == [[-2.0, -6.0], [2.0, -2.0], [0.0, 0.0]]


def test_where_codes_start():
    h = torch.randn(1024, codes.WIDTH, generator=stream(0, "h"))
    still, book = codes.WAYS["moving averages, random start"](), codes.Pulled(codes.CODES, codes.WIDTH, clusters=True)
    for each in (still, book):
        before = each.table.detach().clone()
        each.begin(h[:64])  # a rehearsal's few vectors
        each.begin(h)
        assert torch.equal(each.table, before) == (each is still)
    first = book.table.detach().clone()
    book.begin(-h)
    assert torch.equal(book.table, first)
    assert len(book.nearest(h).unique()) == codes.CODES


@pytest.mark.parametrize("way", list(codes.WAYS)[1::2])
def test_codes_are_looked_at_after_every_epoch(way):
    rows = Rows(codes.digits()[0].stored[:160])
    found = codes.fit(way, 0, rows, rows, epochs=5, hidden=(8,))
    assert len(found.shares) == len(found.perplexities) == 5
    assert all(1 <= p <= codes.CODES * s + 1e-6 for p, s in zip(found.perplexities, found.shares, strict=True))
    assert found.perplexities[-1] == found.perplexities[-2]  # the codes stay while their prior learns
    assert found.perplexities[0] != found.perplexities[2]
    assert 0 < found.distortion < -found.bound


def test_kinds_of_images():
    train, labels = torch.tensor([[0.0], [1.0], [2.0], [3.0]]), np.array([5, 5, 7, 9])
    assert side_by_side.kinds(train[:2], train, labels) == pytest.approx(1.0)
    assert side_by_side.kinds(train[[0, 2]], train, labels) == pytest.approx(2.0)


def test_distances_to_the_nearest():
    train = torch.tensor([[0.0, 0.0], [16.0, 16.0]])
    assert side_by_side.nearest(train, train) == 0
    assert side_by_side.nearest(torch.tensor([[8.0, 0.0]]), train) == pytest.approx(0.5 / math.sqrt(2))


def test_differences_are_paired_by_seed():
    """Of 30, 50 and 10, 20: 20 and 30 apart, 25 on average, with a standard error of 5."""
    vae, game = [[30.0, 0.5, 0.5], [50.0, 0.7, 0.5]], [[10.0, 1.0, 1.0], [20.0, 1.0, 1.0]]
    far = {"VAE, means": np.array(vae), "VAE-GAN, means": np.array(game)}
    assert sharpness.rows(far) == [
        ["VAE, means", "40", "30, 50", "25 ± 5", "0.60", "0.50"],
        ["VAE-GAN, means", "15", "10, 20", "", "1.00", "1.00"],
    ]


def test_lines_lead_from_classes_to_other_classes():
    first, last = side_by_side.ends(np.tile(np.arange(10), 3))
    assert (first, last) == ([0, 1, 2, 3], [4, 5, 6, 7])
