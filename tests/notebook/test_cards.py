"""Cards are HTML without scripts, in which every text is escaped and every number has its kind."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from jensen.core.shown import Shown
from jensen.notebook.card import Card, rendered
from jensen.notebook.cards import as_html
from jensen.report.key_numbers import KeyNumber
from jensen.report.panels import Table

VOID = {"meta", "img", "path", "use", "br"}
EVIL = "<script>alert(1)</script>\x1b[2J"


class Tags(HTMLParser):
    """Checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.seen, self.words = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def cards(run):
    return {"run": as_html(run), "evaluation": as_html(run.evaluate(k=20))}


def test_cards_are_whole_and_have_no_script_and_no_address(cards):
    for text in cards.values():
        tags = Tags(text)
        assert tags.open == []
        assert tags.seen.isdisjoint({"script", "iframe", "link", "object"})
        assert not re.search(r"https?://", text.replace("http://www.w3.org", ""))


def test_every_rule_of_style_is_of_the_card_alone(cards):
    style = re.search(r"<style>(.*?)</style>", cards["run"], re.DOTALL)[1]
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    selectors = [s.strip() for rule in re.findall(r"([^{}]+)\{", style) for s in re.split(r",(?![^(]*\))", rule)]
    assert len(selectors) > 20
    assert all(".jensen" in selector or selector.startswith("@media") for selector in selectors)
    assert "prefers-color-scheme: dark" in style
    assert '[data-jp-theme-light="false"]' in style


def test_texts_are_escaped():
    card = Card(
        title=EVIL,
        sentence=EVIL,
        numbers=(KeyNumber(EVIL, EVIL, EVIL),),
        tables=(Table((EVIL, EVIL), ((EVIL, EVIL),), (), EVIL),),
        notes=(EVIL,),
    )
    text = rendered(card)
    assert "<script" not in text
    assert "\x1b" not in text
    assert text.count("&lt;script&gt;") >= 10


def test_other_values_stay_text():
    assert as_html(Shown()) is None
