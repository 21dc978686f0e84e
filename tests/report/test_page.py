"""The page: whole, safe, true to evaluation.json, and readable without eyes."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest

import jensen
from jensen.core.errors import CorruptRunError
from jensen.report import facts, write
from jensen.report.effort import Effort
from jensen.storage.files import write_json
from tests.records import fields
from tests.report.pages import SMALL, page_of, unsealed

RECIPES = {
    "vae": {"latent": 2, **SMALL},
    "beta-vae": {"latent": 2, **SMALL},
    "iwae": {"latent": 1, "points": 2, **SMALL},
    "autoencoder": {"latent": 3, **SMALL},
    "gmm": {"components": 3, "floor": 0.01},
    "ppca": {"latent": 2},
    "gaussian": {"floor": 0.01},
}


def test_headings_are_in_order(page):
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    titles = [title for _, title in page.headings[1:]]
    assert titles[:4] == ["Samples", "Reconstructions", "The oddest images", "Latent space"]
    assert titles[4:6] == ["Findings", "How good is it?"]
    assert titles[6] == "Where the number comes from, and how far to trust it"
    assert titles[7:] == ["Training", "More of the latent space", "The model", "Data and settings"]


def test_every_picture_says_its_message(page):
    pictures = page.all("img") + page.all("svg")
    assert len(pictures) >= 8
    assert all(len(p.get("alt") or p.get("aria-label") or "") > 20 for p in pictures)
    assert page.tags["figcaption"] == page.tags["figure"] > 0


def test_nothing_is_fetched(page):
    assert "http" not in page.text.replace("http-equiv", "")
    assert not {"link", "iframe", "object", "embed"} & page.tags.keys()
    assert [s.get("type") for s in page.all("script")] == ["application/json"]
    sources = [
        value
        for _, attributes in page.attributes
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href"}
    ]
    assert sources
    assert all(s.startswith(("data:image/png;base64,", "#")) for s in sources)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page.text))
    assert "default-src 'none'" in page.text


def test_ids_are_unique_and_every_reference_is_met(page):
    ids = Counter(attributes["id"] for _, attributes in page.attributes if "id" in attributes)
    assert {name for name, n in ids.items() if n > 1} == set()
    wanted = {
        v[1:] for _, attributes in page.attributes for k, v in attributes.items() if k == "href" and v.startswith("#")
    }
    assert wanted - ids.keys() == set()


def test_drawings_take_the_colours_of_the_page(page):
    drawings = re.findall(r"<svg.*?</svg>", page.text, flags=re.DOTALL)
    assert drawings
    assert all("currentColor" in d and "font-family" not in d for d in drawings)
    assert {c for d in drawings for c in re.findall(r"#[0-9a-f]{6}\b", d)} <= {"#000000"}


def test_numbers_are_those_of_the_evaluation(run, page):
    evaluation = fields(run.path / "evaluation.json")
    assert page.numbers["evaluation"] == unsealed(evaluation)
    error = f"{evaluation['stderr']:.1g}"
    places = len(error.partition(".")[2])
    assert f"log p(x) ≥ {evaluation['log_px']:.{places}f} ± {error} nats per datum" in page.numbers["headline"]
    assert page.numbers["headline"] in page.said
    for name in ("log_px", "elbo", "rate", "distortion"):
        assert f" {evaluation[name]:.{places + 1}f} " in page.said
    assert f" {evaluation['log_px'] - evaluation['elbo']:.{places + 1}f} " in page.said
    assert "The numbers are those of evaluation.json" in page.said


@pytest.mark.usefixtures("unrendered")
def test_no_other_file_is_touched(run, tmp_path):
    def state():
        return {p.name: p.stat().st_mtime_ns for p in run.path.iterdir()}

    before = state()
    assert write(run, tmp_path / "a.html") == tmp_path / "a.html"
    assert state() == before
    assert write(run) == run.path / "report.html"
    assert state().keys() == before.keys() | {"report.html"}


def test_same_run_gives_the_same_bytes(run, page, tmp_path):
    assert page_of(run, tmp_path / "again.html").text == page.text


@pytest.mark.usefixtures("unrendered")
def test_without_examples(run, page, tmp_path):
    bare = page_of(run, tmp_path / "bare.html", examples=False)
    titles = [title for _, title in bare.headings]
    assert "written without examples" in bare.said
    assert "written without examples" not in page.said
    assert "Reconstructions" not in titles
    assert "nearest_training_row" in page.numbers
    assert "nearest_training_row" not in bare.numbers
    assert "held-out images" in page.said
    assert "held-out images" not in bare.said
    assert (
        bare.tags["img"] == page.tags["img"] - 3 - 2 - 1
    )  # blocks of reconstructions and odd images, and lines between


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.sampled(3)
def test_every_recipe_of_images(recipe, images, tmp_path):
    run = jensen.train(images, recipe=recipe, out=tmp_path / "run", **RECIPES[recipe])
    page = page_of(run, tmp_path / "page.html")
    titles = {title for _, title in page.headings}
    assert ("Samples" in titles) == (recipe != "autoencoder")
    assert ("Latent space" in titles) == (recipe not in {"gmm", "gaussian"})
    assert ("Components" in titles) == (recipe == "gmm")
    assert ("Reconstructions" in titles) == (recipe != "gaussian")
    assert "did not keep it" in page.said
    assert (page.numbers["evaluation"]["log_px"] is None) == (recipe == "autoencoder")


@pytest.mark.parametrize("recipe", ["vae", "gmm", "autoencoder", "gaussian"])
@pytest.mark.sampled(2)
def test_every_kind_of_table(recipe, table, tmp_path, request):
    """Two of them with their drawings, which name the columns."""
    if recipe in ("gmm", "autoencoder"):
        request.getfixturevalue("unrendered")
    run = jensen.train(table, recipe=recipe, out=tmp_path / "run", **RECIPES[recipe])
    page = page_of(run, tmp_path / "page.html")
    titles = {title for _, title in page.headings}
    assert ("Samples beside data, by column" in titles) == (recipe != "autoencoder")
    assert ("Reconstructions" in titles) == (recipe != "gaussian")
    assert page.tags["img"] == 0
    assert page.tags["script"] == 1
    if recipe != "autoencoder":
        assert "$cost$" in page.said
        assert "<script>alert(1)</script>" in page.said  # as text


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("recipe", ["gan", "vae-gan", "wae-mmd"])
def test_a_model_without_a_bound_on_a_table(recipe, table, tmp_path):
    """A GAN has no encoder, hence no reconstructions."""
    options = {"epochs": 1, "hidden": (8,)}
    page = page_of(jensen.train(table, recipe=recipe, out=tmp_path / "run", **options), tmp_path / "page.html")
    titles = {title for _, title in page.headings}
    assert "Samples beside data, by column" in titles
    assert ("Reconstructions" in titles) == (recipe != "gan")


@pytest.mark.usefixtures("unrendered")
def test_hostile_names_stay_text(run, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run")
    spec = json.loads((folder / "spec.json").read_text())
    spec["data"]["name"] = '"><img src=x onerror=alert(1)></script><b>.csv'
    spec["command"]["labels"] = "</details><script>alert(2)</script>"
    write_json(folder / "spec.json", spec)
    evaluation = fields(folder / "evaluation.json") | {"data": "</script x><b>&amp; <!--"}
    write_json(folder / "evaluation.json", evaluation)
    page = page_of(jensen.load(folder), tmp_path / "page.html")
    assert page.tags["script"] == 1
    assert page.tags["b"] == 0
    assert page.numbers["evaluation"] == unsealed(evaluation)
    assert "<" not in page.text.partition('id="numbers">')[2].partition("</script>")[0]
    assert not any("onerror" in attributes for _, attributes in page.attributes)


@pytest.mark.usefixtures("unrendered")
def test_binarised_images_are_shown_as_the_model_sees_them(images, tmp_path):
    run = jensen.train(images, binarize="dynamic", latent=2, out=tmp_path / "run", **SMALL)
    assert "binarised at random, as the model sees them" in page_of(run, tmp_path / "page.html").said


@pytest.mark.usefixtures("unrendered")
def test_data_that_are_gone(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4))
    run = jensen.load(jensen.train(x, recipe="ppca", latent=2, out=tmp_path / "run").path)
    page = page_of(run, tmp_path / "page.html")
    assert page.numbers["evaluation"] is None
    assert "The data cannot be read" in page.said
    assert "no log p(x), because the data cannot be read" in page.numbers["headline"]


@pytest.mark.usefixtures("unrendered")
def test_a_long_evaluation_is_cut_and_says_so(run, tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "MOST_EVALUATED", Effort(10, 5))
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / "evaluation.json").unlink()
    page = page_of(jensen.load(folder), tmp_path / "page.html")
    assert (page.numbers["evaluation"]["n"], page.numbers["evaluation"]["k"]) == (10, 5)
    assert "these are the first 10 of 24 test rows" in page.said.lower()
    assert not (folder / "evaluation.json").exists()


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("content", ["{", "{}", "[1]"])
def test_a_damaged_evaluation_is_refused(content, run, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / "evaluation.json").write_text(content)
    with pytest.raises(CorruptRunError, match=r"evaluation\.json"):
        write(jensen.load(folder), tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
