"""Reports of models that learned from labels: a row of samples per class, and how often the guide is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import jensen
from jensen.plot.shades import Shades
from jensen.report.classes import accuracy_by_class, samples_by_class
from jensen.report.facts import gather
from jensen.report.images import samples
from tests.report.pages import SMALL, page_of
from tests.report.test_pictures import whole

LATENT, CELL = 3, 66
OPTIONS = {**SMALL, "latent": LATENT, "checkpoints": 0}


@pytest.fixture(scope="module")
def conditional(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("c") / "run"
    return jensen.train(images, recipe="conditional", decoders="shared", out=out, **OPTIONS)


@pytest.fixture(scope="module")
def semi(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("s") / "run"
    trained = jensen.train(images, recipe="semi-supervised", labelled=40, out=out, **OPTIONS)
    trained.keep(trained.evaluate(k=5))
    return trained


def cells(picture: np.ndarray) -> np.ndarray:
    """[rows, columns, 8, 8] of a grid of images that were enlarged eightfold."""
    shades = picture[..., 0]
    rows, columns = ((n + 2) // CELL for n in shades.shape)
    images = [
        [shades[CELL * i : CELL * i + 64 : 8, CELL * j : CELL * j + 64 : 8] for j in range(columns)]
        for i in range(rows)
    ]
    return np.array(images)


@pytest.fixture
def of_labels(conditional):
    """A model whose images hang on the label alone."""
    weight = next(m for m in conditional.model.likelihood.modules() if isinstance(m, torch.nn.Linear)).weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight[:, :LATENT] = 0
        weight[:, LATENT:] *= 5
    yield conditional
    with torch.no_grad():
        weight.copy_(before)


def test_one_row_for_each_class(of_labels):
    facts = gather(of_labels, examples=True)
    images = cells(whole(samples_by_class(facts, Shades.of(facts)).bodies))
    assert images.shape[0] == 10
    assert (images == images[:, :1]).all()
    assert len({row[0].tobytes() for row in images}) == 10


def test_samples_are_means_of_the_labels_that_were_drawn(of_labels):
    facts = gather(of_labels, examples=True)
    shades = Shades.of(facts)
    classes = cells(whole(samples_by_class(facts, shades).bodies))[:, 0]
    mean = cells(whole(samples(facts, shades, {}).bodies[:3]))[0]
    _, batch = of_labels.model.simulate(2 * len(mean), facts.stream("samples"))
    shown = batch.context.argmax(-1)[: len(mean)]
    assert len(shown.unique()) > 2
    assert np.array_equal(mean, classes[shown])


@pytest.mark.usefixtures("unrendered")
def test_a_page_of_a_conditional_model(conditional, tmp_path):
    page = page_of(conditional, tmp_path / "page.html")
    assert "maps z and the label to a distribution" in page.said
    assert "One row for each class, from the top: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9." in page.said
    assert "separated without labels" not in page.said
    assert "The model has the class beside these features, so classes should overlap." in page.said
    assert "and from label to label" in page.said
    assert "classified" not in page.numbers


@pytest.mark.usefixtures("unrendered")
def test_a_page_says_how_often_a_classifier_is_right(semi, tmp_path):
    """Rows by class add up to the line of all, which is what `evaluate` says."""
    page = page_of(semi, tmp_path / "page.html")
    shown, measured = page.numbers["classified"], semi.evaluate(k=1).classified
    assert {k: shown[k] for k in measured} == measured
    counts = np.array(shown["confusion"])
    assert counts.sum() == measured["n"] == 24
    assert counts.trace() / counts.sum() == pytest.approx(measured["accuracy"])
    taken, truth = semi.encode()[:, :10].argmax(-1), semi.part("test").labels
    assert counts.sum(0).tolist() == np.bincount(taken, minlength=10).tolist()
    assert counts.sum(1).tolist() == np.bincount(truth, minlength=10).tolist()
    share = f"{100 * measured['accuracy']:.1f} ± {100 * measured['stderr']:.1f} %"
    assert f"accuracy {share} with 40 labels" in page.headings[0][1] + page.said
    assert "3-feature semi-supervised VAE" in page.said
    assert "one of 10 classes and 3 latent features" in page.said
    assert "of 3 features in use" in page.said
    table = accuracy_by_class(gather(semi, examples=True), {})
    assert [row[0] for row in table.rows] == ["all", *map(str, range(10))]
    assert sum(int(row[2]) for row in table.rows[1:]) == 24


def test_models_without_labels_have_no_rows_of_classes(run):
    facts = gather(run, examples=True)
    assert samples_by_class(facts, Shades.of(facts)) is None
    assert accuracy_by_class(facts, {}) is None
