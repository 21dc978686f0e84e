"""Names on the page: escaped where a reader would not see them, cut where they are long, and told apart."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import jensen
from jensen.core.characters import as_one_line
from jensen.plot.names import distinct, shortened, width_of
from tests.report.pages import SMALL, page_of

NAMES = ["age", "ZNF_" * 15, "a name of sixty characters that goes on and on to the very end", "WWWWMMMM%%%%@@@@" * 4]


def test_no_character_is_hidden_or_reorders_others():
    """By the categories of Unicode: no control character, and no mark that changes the direction of text."""
    points = [chr(c) for c in range(0x3000) if unicodedata.category(chr(c)) in ("Cc", "Zl", "Zp")]
    points += [chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0xFEFF, 0xD800)]
    for character in points:
        assert as_one_line(f"a{character}b").isprintable()
        assert as_one_line(f"a{character}b").startswith("a\\")
    assert as_one_line("Größe, 温度, عمر, e\u0301, x̂, naïve 👍") == "Größe, 温度, عمر, e\u0301, x̂, naïve 👍"


@pytest.mark.parametrize("weight", ["normal", "bold"])
@pytest.mark.parametrize("pixels", [40.0, 130.0, 285.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_shortened_name_has_its_room(name, pixels, weight):
    """As the renderer measures it, which knows the font."""
    figure = Figure(dpi=72)
    text = figure.text(0, 0, shortened(name, pixels), fontsize=13, weight=weight)
    assert text.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width <= pixels
    assert width_of(shortened(name, pixels)) <= pixels
    assert (shortened(name, pixels) == name) == (width_of(name) <= pixels)


def test_names_that_would_read_alike_have_numbers():
    long = "the same beginning of a name, and then "
    short = distinct([long + "a", long + "b", "c"], 150)
    assert len(set(short)) == 3
    assert short[2] == "c"


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """The page of a table with hostile and long names of columns and classes."""
    pd = pytest.importorskip("pandas")
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("named")
    names = ["BRCA1", "\x1b]0;owned\x07gene", "safe\u202etxt.exe", "x" * 60, "温度", "\u200fعمر"]
    classes = ["\x1b[31mred", "a class whose name has no end " * 3, "\u2066c\u2069"]
    table = pd.DataFrame(rng.normal(size=(120, 6)), columns=names)
    labels = np.array(classes)[np.arange(120) % 3]
    run = jensen.train(table, labels=labels, latent=2, out=folder / "run", **SMALL)
    return page_of(run, folder / "page.html")


def test_no_control_character_reaches_the_page(named):
    assert not [c for c in named.text if as_one_line(c) != c and c != "\n"]
    assert "\\x1b" in named.said
    assert "\\u202e" in named.said
    labels = " ".join(p["aria-label"] or "" for p in named.all("svg"))
    assert "\\x1b]0;owned\\x07gene" in labels


def test_columns_have_their_names_everywhere(named):
    assert "BRCA1" in named.said
    assert "温度" in named.said
    assert "column 1" not in named.said
    assert not any("column 1:" in (p["aria-label"] or "") for p in named.all("svg"))


def test_names_cut_in_a_drawing_are_whole_in_text(named):
    assert "a class whose name has no end a class whose name has no end" in named.said
    assert any("x" * 60 in (p["aria-label"] or "") for p in named.all("svg"))


@pytest.mark.usefixtures("unrendered")
def test_names_cut_in_a_head_are_whole_in_a_title(tmp_path):
    rng = np.random.default_rng(0)
    names = ["the mean corpuscular haemoglobin concentration of a patient", "BRCA1", "b" * 60]
    np.savetxt(tmp_path / "x.csv", rng.normal(size=(80, 3)), delimiter=",", header=",".join(names), comments="")
    run = jensen.train(tmp_path / "x.csv", recipe="gmm", components=2, out=tmp_path / "run")
    page = page_of(run, tmp_path / "page.html")
    assert [s["title"] for s in page.all("span") if s.get("title")] == [names[0], names[2]]
    assert "BRCA1" in page.said
    assert any(word.startswith("the mean") and word.endswith("…") for word in page.words)


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("text", ["\x1b[2J", "a\u202eb", "\u2066x\u2069", "\x9b31m", "line\u2028break"])
@pytest.mark.sampled(2)
def test_no_setting_reaches_the_page_raw(text, run, tmp_path, monkeypatch):
    """Options and sentences of a specification from elsewhere, in the tables and in the JSON."""
    opened = jensen.load(run.path)
    monkeypatch.setitem(opened.spec["command"], "labels", text)
    monkeypatch.setitem(opened.spec["data"], "name", f"{text}.csv")
    monkeypatch.setattr(opened, "sentence", f"z ~ {text}")
    page = page_of(opened, tmp_path / "page.html")
    assert not [c for c in page.text if as_one_line(c) != c and c != "\n"]
    assert as_one_line(text) in page.said
    assert page.numbers["headline"]
