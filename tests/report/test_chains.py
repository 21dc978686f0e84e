"""The section of a diffusion: what it shows, in which steps, and that the numbers are those of its picture."""

from __future__ import annotations

import numpy as np
import pytest

import jensen
from jensen.plot.chains import nats_of_view
from jensen.plot.view import view_of
from tests.report.pages import page_of


@pytest.fixture(scope="module")
def runs(images, table, tmp_path_factory):
    folder, options = tmp_path_factory.mktemp("chains"), {"epochs": 1, "hidden": (8,), "blocks": 1}
    recipes = {
        "images": (images, "diffusion"),
        "table": (table, "diffusion"),
        "labels": (images, "conditional-diffusion"),
    }
    return {k: jensen.train(data, recipe=r, out=folder / k, **options) for k, (data, r) in recipes.items()}


def test_images_have_the_way_down_samples_by_steps_and_nats(runs, tmp_path):
    page = page_of(runs["images"], tmp_path / "page.html", quick=True)
    assert (2, "From noise to data") in page.headings
    assert "from noise at the left to an image at the right" in page.text
    assert "5, 20, 100 steps" in page.said
    assert "In 64 steps, which is faster than the 256 of jensen sample." in page.said
    assert "a great circle of the noise" in page.said
    numbers, curve = page.numbers["nats_by_time"], nats_of_view(view_of(runs["images"]))
    np.testing.assert_allclose(numbers["density"], curve.density.tolist())
    assert numbers["rate_of_levels"] == pytest.approx(np.mean(numbers["density"]))
    assert f"{curve.rate:.2f} nats per datum" in page.said


def test_tables_have_the_nats_alone(runs, tmp_path):
    page = page_of(runs["table"], tmp_path / "page.html", quick=True)
    assert (2, "From noise to data") in page.headings
    assert "Where the nats are" in page.said
    assert "samples on their way" not in page.said


def test_labels_have_samples_of_each_class(runs, tmp_path):
    page = page_of(runs["labels"], tmp_path / "page.html", quick=True)
    assert "One row for each class" in page.said
    assert (2, "From noise to data") in page.headings


def test_other_models_have_no_such_section(page):
    assert (2, "From noise to data") not in page.headings
    assert "nats_by_time" not in page.numbers
