"""Cards of runs and of groups of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.errors import JensenError
from ..core.wording import digits, fixed, format_nats, plural
from ..plot.images import reconstruction_rows, sample_rows
from ..plot.latents import latent_map, map_height, plane
from ..plot.shades import Shades
from ..plot.training import curve_title, series, training_curves
from ..plot.view import View, view_of
from ..report.facts import stored_evaluation
from ..report.figures import draw
from ..report.grids import sheet
from ..report.key_numbers import KeyNumber
from ..report.panels import Panel, Table
from ..report.summary import data_name, model_name, rows
from ..runs.group import RunGroup, done
from ..runs.group_summary import MemberSummary, SettingSummary, Spread
from ..runs.run import Run
from ..runs.training_line import format_duration
from .card import Card
from .numbers import estimate_table, key_numbers, tightness_panel

__all__ = ["of_group", "of_run"]

LARGEST = 2 * 10**7  # values of data that are read for pictures
IMAGES = 8
MAP, CURVE = 300, 310  # widths, of which three stand side by side
PART = {"valid": "validation", "train": "training"}


def of_run(run: Run) -> Card:
    """Return the card of a run: what it is, how good, pictures of it, and what to type next."""
    view, record = view_of(_light(run)), stored_evaluation(run)
    name = model_name(view)
    prefix = f"run-{id(run):x}"
    numbers = () if record is None else (estimate_table(record, view.log_px),)
    panels = [*_images(view), *_figures(view, prefix)]
    if record is not None:
        panels += tightness_panel(record, view.log_px, f"{prefix}-tightness")
    return Card(
        title=f"{name[:1].upper()}{name[1:]} on {data_name(view)}",
        sentence=f"{rows(view)}{_training(view)}.",
        numbers=tuple(_numbers(view, record)),
        panels=tuple(panels),
        notes=tuple(_notes(view, record)),
        folded=(*numbers, _settings(run)),
    )


def _light(run: Run) -> Run | View:
    """Return the run, or what is shown of it without its rows, where these are too many to be read for a glance."""
    if run.held[0] is None and run.spec["data"]["n"] * run.schema.size > LARGEST:
        return View.without_rows(run)
    return run


def _numbers(view: View, record: dict[str, Any] | None) -> Iterator[KeyNumber]:
    """Yield the evidence, or what training measured; and the rate."""
    if record is not None and record["log_px"] is not None:
        yield from key_numbers(record, view.log_px, view.run.schema.size)
        if record["rate"] is not None and view.latent != "none":
            yield KeyNumber("rate", fixed(record["rate"], 2), "nats per datum that the code carries, mean over data")
    kept = view.kept
    if kept is None:
        return
    part = "valid" if kept["valid"] is not None else "train"
    measures = kept[part]
    if record is None and measures["bound"] is not None:
        kind = "exact" if view.run.guide.is_exact else "lower bound"
        mark = "" if view.run.guide.is_exact else " ≥"
        where = f"nats per datum, {kind}, {PART[part]} rows of epoch {kept['epoch']}, without an error"
        yield KeyNumber(f"{view.log_px}{mark}", fixed(measures["bound"], 2), where)
    if record is None and measures["rate"] is not None and view.latent != "none":
        yield KeyNumber("rate", fixed(measures["rate"], 2), f"nats per datum that the code carries, {PART[part]} rows")


def _training(view: View) -> str:
    """Return how long the run was trained, and which weights it kept, in a clause."""
    if view.stopped is None:
        return ""
    epochs, kept = plural(view.stopped["epoch"], "epoch"), view.stopped["kept_epoch"]
    weights = "" if kept == view.stopped["epoch"] else f", the weights of epoch {kept}"
    return f"; {epochs} in {format_duration(view.stopped['seconds'])}{weights}"


def _images(view: View) -> Iterator[Panel]:
    """Yield samples, and reconstructions, of models of images."""
    if not view.run.schema.is_image:
        return
    shades = Shades.of(view)
    if view.samples:
        content = sample_rows(view, shades, IMAGES)
        which = "mean of p(x|z), and below it a sample," if len(content) > 1 else "a sample"
        yield Panel(
            (sheet(content, f"{IMAGES} samples of the model."),),
            f"New images: {which} at z from the prior.",
            tiles=True,
        )
    if view.part is not None and view.latent != "none" and view.run.guide.infers:
        index, content = reconstruction_rows(view, shades, IMAGES)
        caption = "Held-out images above their mean reconstructions and samples of these."
        yield Panel(
            (sheet(content, f"{len(index)} held-out images above their reconstructions."),), caption, tiles=True
        )


def _figures(view: View, prefix: str) -> Iterator[Panel]:
    """Yield the latent map, and the bound over epochs, as far as the run has them."""
    if view.part is not None and view.latent == "features" and view.codes is not None and len(view.codes) > 2:
        codes = view.codes[:, view.classes :]
        height = 270 if codes.shape[1] == 1 else round(map_height(plane(view, codes)) * MAP / 500) + 20
        alt = f"Latent map of {len(codes)} held-out rows."
        body = draw(f"{prefix}-map", alt, lambda axes: latent_map(view, axes), MAP, height)
        yield Panel((body,), "Means of q(z|x) of held-out rows; circles are 1 and 2 s.d. of a standard normal prior.")
    curves = series(view, "bound")
    if curves and len(view.epochs) > 1:
        title = curve_title(view, "bound")
        ends = ", ".join(f"{name} ends at {fixed(y[-1], 2)}" for name, (_, y) in curves.items())
        body = draw(f"{prefix}-bound", f"{title}: {ends}.", lambda axes: training_curves(view, axes), CURVE, 270)
        yield Panel((body,), "Over epochs. A validation curve that turns back shows over-fitting.")


def _notes(view: View, record: dict[str, Any] | None) -> Iterator[str]:
    run = view.run
    if run.interrupted:
        yield f"Training was interrupted: jensen.resume({str(run.path)!r}) goes on with it."
    if record is None and run.model.likelihood.has_density:
        yield "Not evaluated yet: run.keep(run.evaluate()) estimates log p(x) of the test rows, and keeps it."
    if view.part is None:
        yield "Its rows were not read, so pictures of them are left out."
    yield f"In {run.path}; the whole report: jensen.report.write(run)."


def _settings(run: Run) -> Table:
    """Return the options that were given, and the sizes of the split."""
    command = {k: v for k, v in run.spec["command"].items() if v is not None}
    sizes = {f"{part} rows": f"{n:,}" for part, n in run.spec["split"]["sizes"].items() if n}
    content = {"model": run.sentence, **sizes, **command}
    return Table(("setting", "value"), tuple((str(k), _text(v)) for k, v in content.items()), (1,))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def of_group(group: RunGroup) -> Card:
    """Return the card of a group: the bounds of its settings, or of its members, with their spread over seeds."""
    title = f"Group of {plural(len(group.names), 'run')}"
    try:
        summary = group.summary()
    except JensenError as error:
        return Card(title=title, sentence=str(error))
    part = PART[summary.part]
    if len(summary.settings) > 1:
        head = ("setting", "n", f"{part} bound", "s.d. over seeds", "± over seeds")
        table = Table(head, tuple(_setting(s, summary.part) for s in summary.settings))
    else:
        head = ("member", f"{part} bound", "training bound", "best epoch", "state")
        table = Table(head, tuple(_member(m, summary.part) for m in summary.members), (4,))
    spreads = [getattr(s, summary.part) for s in summary.settings]
    mean = ()
    if len(spreads) == 1 and spreads[0] is not None:
        kind = f"nats per datum, {part} rows; ± over {plural(spreads[0].n, 'seed')}"
        mean = (KeyNumber("mean bound", _mean(spreads[0]), kind),)
    sentence = f"{done(group)} of {len(group.names)} trained to the end, in {group.path}."
    return Card(title=title, sentence=sentence, numbers=mean, tables=(table,), notes=summary.notes)


def _mean(spread: Spread) -> str:
    return format_nats(spread.mean, spread.stderr)


def _setting(setting: SettingSummary, part: str) -> tuple[str, ...]:
    spread = getattr(setting, part)
    if spread is None:
        return (setting.name, "0", "", "", "")
    errors = ("" if value is None else f"{value:.2g}" for value in (spread.deviation, spread.stderr))
    return (setting.name, str(spread.n), fixed(spread.mean, max(2, digits(spread.stderr))), *errors)


def _member(member: MemberSummary, part: str) -> tuple[str, ...]:
    numbers = ("" if value is None else fixed(value, 2) for value in (getattr(member, part), member.train))
    return (member.name, *numbers, "" if member.best_epoch is None else str(member.best_epoch), member.state)
