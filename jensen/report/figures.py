"""Drawings as inline SVG, with colours of the page, legible in light and dark mode."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable

from matplotlib import style
from matplotlib.axes import Axes

from ..core.characters import as_one_line
from ..plot.style import COLOURS, GRID, INK, PAGE, RC, SOFT, TEXTS, laid_out

__all__ = ["draw"]

# the page has a lighter tone of each colour for dark mode
VARIABLES = {c: f"var(--c{i})" for i, c in enumerate(COLOURS)} | {t: f"var(--t{i})" for i, t in enumerate(TEXTS)}
VARIABLES |= {
    INK: "currentColor",
    SOFT: "var(--soft)",
    GRID: "var(--rule)",
    PAGE: "var(--page)",
}


def draw(name: str, alt: str, paint: Callable[[Axes], object], width: int = 480, height: int = 300) -> str:
    """Return a drawing as <svg>.

    Args:
        name: prefix of its ids, unique on the page.
        alt: its message, as alternative text.
        paint: draws into axes.
        width, height: in CSS pixels.
    """
    with style.context(["default", RC | {"svg.hashsalt": name}]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a glyph that this font lacks: the reader's font draws the text
        figure = laid_out(paint, width, height)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _inline(buffer.getvalue(), name, alt, width)


def _inline(text: str, name: str, alt: str, width: int) -> str:
    """Return matplotlib's drawing for the page: with unique ids, the page's font and colours, and no addresses."""
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', body)
    body = body[body.index(">") + 1 :]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'\bxlink:href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"(?<=[\s\"';])font-family:[^;\"]*;?", "", body)
    body = re.sub(r"(?<=[\s\"';])font: ([^;\"]*?)([\d.]+px)[^;\"]*;", _font, body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, variable)
    body = re.sub(r"\n\s*", "\n", body)
    label = html.escape(as_one_line(alt))
    opening = f'<svg role="img" aria-label="{label}" {view[0] if view else ""} style="width: {width}px">'
    return opening + body  # matplotlib has escaped every text in it


def _font(match: re.Match[str]) -> str:
    weight = "font-weight: bold; " if "bold" in match[1] or "700" in match[1] else ""
    return f"{weight}font-size: {match[2]};"
