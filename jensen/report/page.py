"""The page as a whole: its sections in order, and all numbers as JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..core.characters import as_one_line, escaped_json
from ..evaluate.estimate import ProgressCallback
from ..plot.names import shortened
from ..plot.shades import Shades
from ..runs.run import Run
from ..storage.checkpoints import kept_epochs
from ..storage.files import write_atomic
from ..storage.run_folder import REPORT
from . import images, latents, tables
from .calibration import calibration, tradeoff
from .chains import chain
from .classes import accuracy_by_class, samples_by_class
from .denoising import denoising
from .evidence import evidence
from .facts import Facts, Phases, gather, some
from .fidelity import fidelity
from .findings import Remark, findings
from .key_numbers import key_numbers
from .mixed import mixed_sections
from .oddest import oddest_images, oddest_rows
from .panels import Panel, Section, Table
from .representation import representation
from .settings import model_parts, settings, stages
from .summary import data_name, headline, model_name, model_sentence
from .table_findings import table_findings

__all__ = ["write"]

HERE = Path(__file__).parent
Item = TypeVar("Item", Panel, Table)


def write(
    run: Run,
    path: Path | None = None,
    *,
    examples: bool = True,
    quick: bool = False,
    phases: Phases | None = None,
) -> Path:
    """Write the report of a run: one HTML file, complete in itself, without any network access.

    The numbers are those of evaluation.json; without it, the report evaluates at most 1,000 rows with at most K = 1000,
    fewer of a large model, and says so. Nothing is trained, and nothing else is written.

    Args:
        run: see `jensen.load`.
        path: of the file; by default report.html in the run's folder.
        examples: True if the page may show data; otherwise originals, reconstructions and neighbours are left out.
        quick: True to leave out what takes long, which the page then lists.
        phases: of progress: called with the name of each phase, to return what is told the fraction done, 0 to 1.

    Returns:
        The path.

    Raises:
        CorruptRunError: evaluation.json or metrics.jsonl is damaged.
        UsageError: the file cannot be written.
    """
    path, held = run.path / REPORT if path is None else Path(path), run.held
    try:
        write_atomic(path, _render(gather(run, examples, quick, phases)).encode())
    finally:
        run.held = held
    return path


def _render(facts: Facts) -> str:
    numbers: dict[str, Any] = {}
    watch = facts.phases("drawing samples and codes")
    pictures, more = _sections(facts, numbers, watch)
    remarks = sorted((*findings(facts), *table_findings(numbers)), key=lambda remark: remark.level != "alarm")
    proof = _evidence(facts, numbers)
    facts.phases("drawing training and evidence")(0.0)
    staged = stages(facts, numbers)
    training = Section("Training", _some(latents.curves(facts)), () if staged is None else (staged,))
    codes = representation(facts, numbers)
    more = replace(more, tables=(*more.tables, *_some(codes)))
    sentence = headline(facts, remarks)
    return (
        _environment()
        .get_template("template.html")
        .render(
            title=f"{model_name(facts)[:1].upper()}{model_name(facts)[1:]} on {data_name(facts)}",
            headline=sentence,
            key_numbers=key_numbers(facts, numbers),
            findings=remarks,
            examined=facts.diagnosis is not None,
            basis=_basis(facts),
            model=model_sentence(facts),
            sentence=facts.run.sentence,
            parts=model_parts(facts),
            examples=facts.examples,
            left_out=_left_out(facts) if facts.quick else "",
            pictures=[s for s in pictures if not s.is_empty],
            proof=[s for s in (proof, training, more) if not s.is_empty],
            settings=settings(facts),
            numbers=_json(_numbers(facts, sentence, remarks) | numbers),
        )
    )


def _environment() -> Environment:
    """Return the environment of the template, which shows control characters of every text as escapes."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: as_one_line(value) if type(value) is str else value,
    )
    environment.filters["shortened"] = shortened
    return environment


def _basis(facts: Facts) -> str:
    """Return how many rows the doctor examined, where these are not all; else nothing."""
    trained = facts.run.spec["split"]["sizes"]["train"]
    used = facts.measures.get("rows_train", trained)
    return "" if used >= trained else f"The doctor's checks are of {some(used, trained, 'training row')}."


def _left_out(facts: Facts) -> str:
    """Return what a quick report leaves out, and how to get it."""
    parts = ["the doctor's checks"]
    if kept_epochs(facts.run.path) and facts.normalised:
        parts.append("the bound along training")
    if facts.run.schema.is_image and facts.examples:
        parts.append("the nearest training rows of samples")
    if facts.normalised and facts.examples and facts.part is not None:
        parts.append(f"the oddest {'images' if facts.run.schema.is_image else 'rows'}")
    if facts.run.schema.kind == "mixed" and facts.part is not None:
        parts += ["the imputation of hidden cells", "the comparison of rows with held-out and training rows"]
    if not facts.stored and facts.evaluation is not None:
        parts.append("most rows or points of the evaluation")
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return f"This is a quick report. Left out: {listed}. jensen report RUN, without --quick, has them."


def _evidence(facts: Facts, numbers: dict[str, Any]) -> Section:
    """Return the evidence, with accuracy, fidelity, calibration and rate-distortion where they were measured."""
    section = evidence(facts)
    experts = (*section.experts, *_some(fidelity(facts, numbers)), *calibration(facts, numbers))
    experts += _some(tradeoff(facts, numbers))
    tables = (*section.tables, *_some(accuracy_by_class(facts, numbers)))
    return replace(section, tables=tables, experts=experts)


def _sections(facts: Facts, numbers: dict[str, Any], watch: ProgressCallback) -> tuple[list[Section], Section]:
    """Return the sections of pictures of this kind of data, and more of them for further down."""
    if facts.run.schema.kind == "mixed":
        pictures, more = mixed_sections(facts, numbers, watch)
    else:
        pictures, more = (_of_images if facts.run.schema.is_image else _of_tables)(facts, numbers, watch)
    return [*pictures[:1], chain(facts, numbers), *pictures[1:]], more


def _of_images(facts: Facts, numbers: dict[str, Any], watch: ProgressCallback) -> tuple[list[Section], Section]:
    """Return the sections of pictures, and more of them for further down."""
    shades = Shades.of(facts)
    pictures = [
        Section("Samples", _some(samples_by_class(facts, shades), images.samples(facts, shades, numbers))),
        Section("Reconstructions", _some(images.reconstructions(facts, shades))),
        denoising(facts, numbers, shades),
        oddest_images(facts, shades, numbers),
        Section("Components", _some(images.component_means(facts, shades))),
    ]
    watch(0.5)
    pictures.append(Section("Latent space", _some(latents.latent_map(facts, numbers))))
    more = _some(
        latents.rates(facts),
        latents.component_weights(facts),
        images.prior_grid(facts, shades),
        images.traversals(facts, shades),
        images.between(facts, shades),
    )
    return pictures, Section("More of the latent space", more)


def _of_tables(facts: Facts, numbers: dict[str, Any], watch: ProgressCallback) -> tuple[list[Section], Section]:
    drawn = tables.samples(facts)
    means = tables.component_table(facts)
    pictures = [
        Section("Samples beside data, by column", _some(tables.distributions(facts, drawn))),
        Section("Reconstructions", _some(tables.reconstructions(facts, numbers))),
        denoising(facts, numbers, None),
        oddest_rows(facts, numbers),
        Section("Components", _some(latents.component_weights(facts)), (means,) if means else ()),
    ]
    watch(0.5)
    pictures.append(Section("Latent space", _some(latents.latent_map(facts, numbers))))
    more = _some(latents.rates(facts), tables.correlations(facts, drawn, numbers))
    return pictures, Section("More of samples and codes", more)


def _some(*items: Item | None) -> tuple[Item, ...]:
    return tuple(item for item in items if item is not None)


def _numbers(facts: Facts, sentence: str, remarks: list[Remark]) -> dict[str, Any]:
    def as_list(values: np.ndarray | None) -> list[Any] | None:
        return None if values is None else values.tolist()

    return {
        "headline": sentence,
        "quick": facts.quick,
        "findings": [{"level": f.level, "short": f.short, "text": f.text} for f in remarks],
        "evaluation": facts.evaluation,
        "doctor": None if facts.diagnosis is None else facts.diagnosis.to_dict(),
        "training": {"epochs": facts.epochs, "stopped": facts.stopped, "units": "nats per datum"},
        "along": None if facts.along is None else facts.along.to_dict(),
        "latent": {
            "rate_per_feature": as_list(facts.rates),
            "active": as_list(facts.active),
            "weights": as_list(facts.weights),
            "effective_components": facts.components,
        },
        "parameters": facts.parameters,
        "split": facts.run.spec["split"]["sizes"],
    }


def _json(content: dict[str, Any]) -> str:
    """Return JSON that cannot end the HTML element that contains it, and in which no character reorders others."""
    text = msgspec.json.encode(content).decode()
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return as_one_line(text, escaped_json)
