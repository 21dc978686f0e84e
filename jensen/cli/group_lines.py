"""The lines that are printed about a group of runs: mean and spread of each setting, or the numbers of its members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..core.commands import command_line
from ..core.wording import digits, fixed, plural
from ..storage.run_folder import SUMMARY, SUMMARY_TABLE
from .output import notifier, print_error, print_json, print_lines

if TYPE_CHECKING:
    from ..runs.group import RunGroup
    from ..runs.group_summary import GroupSummary, MemberSummary, SettingSummary, Spread

__all__ = ["print_group"]

FAILED = 5  # exit code if the numbers of a member stopped being finite
WIDEST = 32  # columns of a name


def print_group(group: RunGroup, json: bool, quiet: bool) -> int:
    """Print the summary of a group, and return the exit code: that of a failure, if any member failed."""
    summary, notify = group.summary(), notifier(quiet)
    for note in summary.notes:
        notify(note)
    if json:
        print_json({"group": str(group.path), **summary.to_dict()})
    else:
        print_lines(_lines(group, summary))
    for name, error in group.failed.items():
        print_error(f"{name}: {error}", f"The other members are complete; its folder is {group.path / name}.")
    return FAILED if group.failed else 0


def _lines(group: RunGroup, summary: GroupSummary) -> list[str]:
    """Return the headline, a table, and where everything is."""
    done = [member for member in summary.members if member.state == "finished"]
    part = {"valid": "validation", "train": "training"}[summary.part]
    what = "bound" if all(member.is_bound for member in done) else "objective"
    head = f"{plural(len(done), 'run')}: {part} {what} in nats per datum"
    if len(summary.settings) > 1:
        table = _table(
            ["setting", "n", "mean", "s.d.", "s.e.", "training"],
            [_setting_row(s, summary.part) for s in summary.settings],
        )
    else:
        table = [
            *_table(["member", part, "training", "best epoch"], [_member_row(m, summary.part) for m in done]),
            *_mean(summary),
        ]
    best = _best(summary)
    first = str(group.path / (best or done[0].name)) if done else str(group.path)
    return [
        head,
        *table,
        *([] if best is None else [f"highest: {best}"]),
        f"group: {group.path} ({SUMMARY}, {SUMMARY_TABLE})",
        f"next: {_next(group, summary, first)}",
    ]


def _best(summary: GroupSummary) -> str | None:
    """Return the best member; None where they are not comparable."""
    from ..core.errors import UsageError

    try:
        return summary.best
    except UsageError:
        return None


def _next(group: RunGroup, summary: GroupSummary, best: str) -> str:
    """Return the next command: of the two best settings, their comparison."""
    spreads = [(getattr(setting, summary.part), setting) for setting in summary.settings if setting.name]
    ranked = [s for _, s in sorted((-spread.mean, s.name) for spread, s in spreads if spread is not None)]
    if len(ranked) > 1 and summary.same_rows:
        return command_line("compare", group.path / ranked[0], group.path / ranked[1])
    return command_line("evaluate", best)


def _setting_row(setting: SettingSummary, part: str) -> list[str]:
    spread = getattr(setting, part)
    if spread is None:
        return [setting.name, "0", "-", "-", "-", "-"]
    training = "-" if setting.train is None else _number(setting.train.mean, setting.train)
    return [setting.name, str(spread.n), _number(spread.mean, spread), *_errors(spread), training]


def _member_row(member: MemberSummary, part: str) -> list[str]:
    numbers = ["-" if value is None else fixed(value, 2) for value in (getattr(member, part), member.train)]
    return [member.name, *numbers, "-" if member.best_epoch is None else str(member.best_epoch)]


def _mean(summary: GroupSummary) -> Iterator[str]:
    """Yield mean and spread over the members of the only setting."""
    spread = getattr(summary.settings[0], summary.part)
    if spread is not None and spread.n > 1:
        deviation, error = _errors(spread)
        yield f"mean {_number(spread.mean, spread)}, s.d. {deviation}, s.e. {error} over {spread.n} members"


def _number(value: float, spread: Spread) -> str:
    """Return a mean with one digit more than its error supports, two at least."""
    return fixed(value, max(2, digits(spread.stderr)))


def _errors(spread: Spread) -> list[str]:
    return ["-" if value is None else f"{value:.2g}" for value in (spread.deviation, spread.stderr)]


def _table(head: list[str], rows: Any) -> list[str]:
    """Return the lines of a table: names to the left, numbers to the right."""
    cells = [head, *([row[0] if len(row[0]) <= WIDEST else f"{row[0][: WIDEST - 3]}...", *row[1:]] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]
