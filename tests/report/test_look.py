"""The look of the page: pictures first, large enough, experts' evidence folded, and nothing wider than a telephone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pytest

import jensen
from jensen.plot.shades import NARROW, Shades, columns
from jensen.report import write
from jensen.report.grids import blocks
from tests.report.pages import SMALL, page_of
from tests.report.test_pictures import opened, whole

VOID = {"meta", "img", "path", "use", "br", "input"}


@dataclass
class Outline(HTMLParser):
    """Tags in order, each with the tags and classes that it is inside."""

    text: str
    places: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.around: list[tuple[str, str]] = []
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.places.append((tag, attributes, tuple(f"{t}.{c}" for t, c in self.around)))
        if tag not in VOID:
            self.around.append((tag, attributes.get("class") or ""))

    def handle_endtag(self, tag):
        if tag in [t for t, _ in self.around]:
            while self.around.pop()[0] != tag:
                pass

    def index(self, wanted) -> int:
        return next(i for i, place in enumerate(self.places) if wanted(*place))


@pytest.fixture(scope="module")
def outline(page) -> Outline:
    return Outline(page.text)


def test_pictures_come_before_findings_and_evidence(outline, page):
    titles = [title for _, title in page.headings]
    assert titles.index("Samples") < titles.index("Reconstructions") < titles.index("Latent space")
    assert titles.index("Latent space") < titles.index("Findings") < titles.index("How good is it?")
    first_picture = outline.index(lambda tag, _, __: tag == "img")
    assert first_picture < outline.index(lambda tag, _, __: tag == "svg")
    assert first_picture < outline.index(lambda tag, _, __: tag == "table")
    assert sum(tag in ("p", "ul") for tag, _, _ in outline.places[:first_picture]) <= 3
    values = [a for tag, a, _ in outline.places[:first_picture] if tag == "dd" and a.get("class") == "value"]
    assert len(values) == 3


@pytest.mark.parametrize("prefix", ["Effective sample size", "The bound rises from", "The gap goes from"])
def test_evidence_for_experts_is_folded(outline, prefix):
    around = [
        inside for tag, a, inside in outline.places if tag == "svg" and str(a.get("aria-label")).startswith(prefix)
    ]
    assert around
    assert all(any(place.startswith("details.") for place in inside) for inside in around)


def test_the_main_table_and_the_map_are_not_folded(outline):
    def is_open(wanted) -> bool:
        return not any(place.startswith("details.") for place in outline.places[outline.index(wanted)][2])

    assert is_open(lambda tag, a, _: tag == "div" and a.get("class") == "estimates")
    assert is_open(lambda tag, a, _: tag == "svg" and str(a.get("aria-label")).startswith("Map of"))


@pytest.mark.parametrize(
    ("height", "width", "tile"),
    [(8, 8, 64), (32, 32, 64), (28, 28, 84), (64, 64, 128), (1, 1, 64), (3, 17, 68), (100, 100, 100), (256, 256, 128)],
)
def test_tiles_are_large_enough(height, width, tile):
    """At least 64 CSS pixels; up to 64 pixels of the data, whole multiples of at least twice."""
    images = np.zeros((4, height, width, 1), np.uint8)
    images[:, 0, 0] = 255
    markup = blocks([images], "four")
    shown = whole(markup)
    assert shown.shape[1] == 4 * tile + 3 * 2
    assert tile >= 64
    if max(height, width) <= 64:
        factor = tile // max(height, width)
        assert factor >= 2
        assert (shown[:factor, :factor, 0] == 255).all()
        assert width == 1 or (shown[:factor, factor : 2 * factor, 0] == 0).all()


@pytest.mark.parametrize("size", [8, 28, 32, 64, 128, 300])
def test_blocks_fit_a_telephone_and_hold_every_image(size):
    n = columns((size, size, 3))
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, size, size, 3), np.uint8)
    markup = blocks([images, images], "rows")
    widths = [int(re.search(r'width="(\d+)"', body)[1]) for body in markup]
    assert max(widths) <= NARROW
    assert sum(widths) + 2 * (len(widths) - 1) <= 1060
    seen = [int(v) for v in np.unique(np.concatenate([opened(b)[..., 0][opened(b)[..., 3] > 0] for b in markup]))]
    assert seen == list(range(n))
    assert all("Columns" in body for body in markup) == (len(markup) > 1)


def test_nothing_but_a_table_is_wider_than_the_page(outline, page):
    for tag, attributes, inside in outline.places:
        if tag == "table":
            assert any(place == "div.scroll" for place in inside)
        assert not re.search(r"width:\s*\d{4}", attributes.get("style") or "")
    rules = page.text.partition("<style>")[2].partition("</style>")[0]
    for selector in (r"\nsvg", r"\nimg\.grid"):
        assert "max-width: 100%" in re.search(selector + r" \{([^}]*)\}", rules)[1]
    assert "overflow-x: auto" in re.search(r"\n\.scroll \{([^}]*)\}", rules)[1]
    assert "image-rendering: pixelated" in rules


def test_the_main_table_is_stacked_on_a_telephone(page):
    rules = page.text.partition("@media (max-width: 480px)")[2].partition("@media print")[0]
    assert re.search(r"\.estimates table[^{]*\.estimates td \{ display: block", rules)
    cells = page.all("td")
    assert all(cell.get("data-head") is not None for cell in cells)
    assert "value" in {cell["data-head"] for cell in cells}


def test_a_quick_report_says_what_it_left_out(run, page, tmp_path):
    quick = page_of(run, tmp_path / "quick.html", quick=True)
    left = "the doctor's checks, the bound along training, the nearest training rows of samples and the oddest images."
    assert f"This is a quick report. Left out: {left}" in quick.said
    assert "Left out" not in page.said
    assert quick.numbers["quick"] is True
    assert quick.numbers["doctor"] is None
    assert quick.numbers["along"] is None
    assert quick.numbers["evaluation"] == page.numbers["evaluation"]
    assert "nothing alarming" not in quick.numbers["headline"]
    assert "(a quick report)" in quick.numbers["headline"]


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("recipe", ["gaussian", "gmm", "autoencoder"])
def test_what_a_quick_report_has_nothing_of_is_not_listed(recipe, table, tmp_path):
    options = {"gaussian": {"floor": 0.01}, "gmm": {"components": 2}, "autoencoder": {"latent": 2, **SMALL}}[recipe]
    run = jensen.train(table, recipe=recipe, out=tmp_path / "run", **options)
    quick = page_of(run, tmp_path / "quick.html", quick=True)
    assert "Left out: the doctor's checks" in quick.said
    assert "nearest training rows" not in quick.said


@pytest.mark.usefixtures("unrendered")
def test_progress_has_named_phases(run, tmp_path, monkeypatch):
    from jensen.report import facts

    monkeypatch.setattr(facts, "stored_evaluation", lambda run: None)
    calls: list[tuple[str, float]] = []
    write(run, tmp_path / "a.html", phases=lambda name: lambda done: calls.append((name, done)))
    names = list(dict.fromkeys(name for name, _ in calls))
    assert names == [
        "reading the data",
        "evaluating",
        "examining",
        "drawing samples and codes",
        "following the checkpoints",
        "drawing training and evidence",
    ]
    assert all(0 <= done <= 1 for _, done in calls)


@pytest.mark.usefixtures("unrendered")
def test_data_are_read_once_and_let_go(run, tmp_path, monkeypatch):
    from jensen.runs import data

    reads = []
    read = data.read
    monkeypatch.setattr(data, "read", lambda *a, **k: (reads.append(a), read(*a, **k))[1])
    opened_run = jensen.load(run.path)
    page_of(opened_run, tmp_path / "a.html")
    assert len(reads) == 1
    assert opened_run.held == (None, None)


@pytest.mark.usefixtures("unrendered")
def test_rows_that_were_left_out_of_a_picture_are_counted(tmp_path, monkeypatch):
    from jensen.plot import view
    from jensen.report import tables

    monkeypatch.setattr(view, "MOST_ENCODED", 20)
    monkeypatch.setattr(tables, "ROWS", 25)
    monkeypatch.setattr(tables, "DOTS", 10)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(400, 4)))
    run = jensen.train(tmp_path / "x.npy", latent=2, out=tmp_path / "run", **SMALL)
    page = page_of(run, tmp_path / "a.html")
    n = len(run.part("test").rows)
    assert f"Means of q(z|x) of 20 of {n} held-out rows" in page.said
    assert f"Filled grey: 25 of {n} held-out rows" in page.said
    assert f"Horizontal: 10 of {n} held-out rows" in page.said


def test_the_shades_of_a_page_are_one_scale(run):
    from jensen.report.facts import gather

    assert Shades.of(gather(run, True, quick=True)) == Shades.of(gather(run, False, quick=True))
