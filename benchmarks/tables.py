"""The tables of docs/benchmarks.md, from the record: ratios are taken within a round, then their median over rounds."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from .contestants import CONTESTANTS
from .rivals.protocol import SHAPES, Shape

__all__ = ["filled", "pages"]

Record = dict[str, Any]
Result = dict[str, Any]
Rounds = dict[int, Result]
LIMITS = ("products", "products-1")


def rounds(record: Record, condition: str, shape: str, who: str) -> Rounds:
    """Results of one contestant by round."""
    pattern = re.compile(rf"{re.escape(f'{condition}/{shape}/{who}')}/(\d+)$")
    keys = {key: pattern.match(key) for key in record["cells"]}
    return {int(match[1]): record["cells"][key] for key, match in keys.items() if match}


def limit(record: Record, shape: str) -> Rounds:
    """The products alone on a quiet machine, by round: with one thread or with all, whichever is faster."""
    both = [rounds(record, "quiet", shape, who) for who in LIMITS]
    complete = both[0].keys() & both[1].keys()
    return {n: max((one[n] for one in both), key=lambda result: result["data_per_second"]) for n in complete}


def ratios(these: Rounds, those: Rounds) -> list[float]:
    """Speeds of these over speeds of those, in the rounds that have both."""
    return [these[n]["data_per_second"] / those[n]["data_per_second"] for n in sorted(these.keys() & those.keys())]


def spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    """Median, and the extremes, as two cells of a table."""
    return f"{form(statistics.median(values))} | {form(min(values))} to {form(max(values))}" if values else "- | -"


def whole(value: float) -> str:
    return f"{value:,.0f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def times(value: float) -> str:
    return f"{value:.2f}"


def loss(these: Rounds) -> str:
    """Mean and standard error of the last epoch's loss over rounds, which have a seed each."""
    values = [result["loss"] for result in these.values() if result["loss"] is not None]
    if not values:
        return "-"
    error = f" ± {statistics.stdev(values) / len(values) ** 0.5:.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{error}"


def threads(these: Rounds) -> str:
    """The numbers of threads that were seen, where the contestant tells."""
    return ", ".join(sorted({str(result["threads"]) for result in these.values() if "threads" in result})) or "-"


def title(name: str, shape: Shape) -> str:
    """A shape in words."""
    if shape.width:
        channels = ", ".join(map(str, shape.channels))
        return f"{name}: convolutions over 28x28 bits, {channels} channels, {shape.latent} latents"
    sizes = "-".join(map(str, (shape.features, *shape.hidden, shape.latent)))
    return f"{name}: {sizes}, {shape.likelihood.capitalize()} likelihood"


def quiet_table(record: Record, shape: str) -> str:
    """One row per contestant, in Markdown; empty if nobody was measured."""
    bound, by_hand = limit(record, shape), rounds(record, "quiet", shape, "torch")
    lines = []
    for who, contestant in CONTESTANTS.items():
        mine = rounds(record, "quiet", shape, who)
        if not mine:
            continue
        speed = spread([result["data_per_second"] for result in mine.values()], whole)
        peak = statistics.median(result["peak_mib"] for result in mine.values())
        lines.append(
            f"| {contestant.title} | {speed} | {spread(ratios(mine, bound), percent)} | "
            f"{spread(ratios(mine, by_hand), times)} | {threads(mine)} | {loss(mine)} | {whole(peak)} |"
        )
    head = (
        "| contestant | data/s | min to max | of the limit | min to max | times torch by hand | min to max | threads | "
        "-ELBO, last epoch | peak MiB |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    return "\n".join([head, *lines]) if lines else ""


def busy_table(record: Record, shape: str) -> str:
    """The same beside a busy neighbour."""
    bound, lines = limit(record, shape), []
    for who, contestant in CONTESTANTS.items():
        mine, alone = rounds(record, "half-busy", shape, who), rounds(record, "quiet", shape, who)
        if not mine:
            continue
        speed = spread([result["data_per_second"] for result in mine.values()], whole)
        taken = statistics.median(result["neighbour"] for result in mine.values())
        lines.append(
            f"| {contestant.title} | {speed} | {spread(ratios(mine, alone), times)} | "
            f"{spread(ratios(mine, bound), percent)} | {threads(mine)} | {percent(taken)} |"
        )
    head = (
        "| contestant | data/s | min to max | times its quiet speed | min to max | of the quiet limit | min to max | "
        "threads | the neighbour had |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    return "\n".join([head, *lines]) if lines else ""


def growth_table(record: Record) -> str:
    """jensen alone, one size changed at a time."""
    lines = []
    for key in record["cells"]:
        condition, change, who, number = key.split("/")
        if condition == "growth" and number == "0":
            mine = rounds(record, "growth", change, who)
            speed = spread([result["data_per_second"] for result in mine.values()], whole)
            peak = statistics.median(result["peak_mib"] for result in mine.values())
            lines.append(f"| {change.replace('=', ' = ')} | {speed} | {whole(peak)} |")
    head = "| size | data/s | min to max | peak MiB |\n|---|--:|--:|--:|"
    return "\n".join([head, *lines]) if lines else ""


def bounds(record: Record) -> str:
    """The last epoch's loss of this checkout less that of the other, in standard errors, by shape."""
    lines = []
    for name in SHAPES:
        here, there = rounds(record, "quiet", name, "jensen"), rounds(record, "quiet", name, "against")
        if min(len(here), len(there)) < 2:
            continue
        one, two = ([result["loss"] for result in these.values()] for these in (here, there))
        difference = statistics.mean(one) - statistics.mean(two)
        error = (statistics.variance(one) / len(one) + statistics.variance(two) / len(two)) ** 0.5
        verdict = f"{abs(difference) / error:.1f}" if error else "0 over 0" if not difference else "beyond rounding"
        speed = spread(ratios(here, there), times)
        lines.append(f"| {name} | {loss(here)} | {loss(there)} | {difference:+.3f} | {verdict} | {speed} |")
    head = (
        "| shape | -ELBO here | -ELBO there | difference | in standard errors | speed, times there | min to max |\n"
        "|---|--:|--:|--:|--:|--:|--:|"
    )
    return "\n".join([head, *lines]) if lines else ""


def about(record: Record) -> str:
    """What was measured, on which machine."""
    machine = record["machine"]
    versions = sorted({f"{k} {v}" for c in record["cells"].values() for k, v in c.get("versions", {}).items()})
    skipped = [f"Not measured: {key}: {reason}." for key, reason in sorted(record["skipped"].items())]
    lines = [
        f"{machine['processor']}, {machine['used']} of {machine['processors']} processors, {machine['system']}; load "
        f"at start {machine['load']:.1f}; {record['settings']['rounds']} rounds. {', '.join(versions)}.",
        *skipped,
    ]
    return "\n\n".join(lines)


def pages(record: Record) -> dict[str, str]:
    """The Markdown that stands between each pair of markers, by the markers' name."""
    made = {"about": about(record), "growth": growth_table(record), "bounds": bounds(record)}
    for name, shape in SHAPES.items():
        parts = [quiet_table(record, name), busy_table(record, name)]
        if parts[1]:
            parts[1] = f"Beside a busy neighbour:\n\n{parts[1]}"
        if any(parts):
            made[name] = "\n\n".join([f"### {title(name, shape)}", *filter(None, parts)])
    return {**made, **{name: section["markdown"] for name, section in record["sections"].items()}}


def filled(page: str, texts: dict[str, str]) -> str:
    """The page with these texts between `<!-- NAME -->` and `<!-- end of NAME -->`; others stay as they are.

    Raises:
        ValueError: the page has no such markers.
    """
    for name, text in texts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if begin not in page or end not in page:
            raise ValueError(f"there is no place for {name} between {begin.strip()} and {end}")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{text.strip()}\n{end}{rest.partition(end)[2]}" if text else page
    return page
