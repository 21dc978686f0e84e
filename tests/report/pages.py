"""A reader of pages that knows what a page is made of."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from jensen.report import write
from jensen.runs.run import Run

SMALL = {"epochs": 2, "hidden": (12,)}


@dataclass
class Page(HTMLParser):
    """What a test asks of a page."""

    text: str
    headings: list[tuple[int, str]] = field(default_factory=list)
    tags: Counter[str] = field(default_factory=Counter)
    attributes: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "path", "use"}:
            self.open.append(tag)
        if tag in {"h1", "h2", "h3"}:
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside == "script":
            self.numbers = json.loads(data)
        elif inside != "style":
            self.words.append(data)
        if inside in {"h1", "h2", "h3"}:
            self.headings[-1] = (self.headings[-1][0], self.headings[-1][1] + data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.attributes if name == tag]


def unsealed(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it was written, without its format and its digest."""
    return {key: value for key, value in record.items() if key not in ("format", "sha256")}


def page_of(run: Run, path: Path, **options: Any) -> Page:
    return Page(write(run, path, **options).read_text(encoding="utf-8"))
