"""The page as a whole: its sections in order, and all numbers as JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..runs.run import Run
from ..storage.files import write_atomic
from ..storage.run_folder import REPORT
from . import images, latents, tables
from .calibration import calibration, tradeoff
from .classes import accuracy_by_class, samples_by_class
from .denoising import denoising
from .evidence import evidence
from .facts import Facts, gather
from .fidelity import fidelity
from .findings import Remark, findings
from .grids import Shades
from .panels import Panel, Section
from .representation import representation
from .settings import model_parts, settings, stages
from .summary import data_name, headline, model_name, model_sentence

__all__ = ["write"]

HERE = Path(__file__).parent


def write(run: Run, path: Path | None = None, *, examples: bool = True) -> Path:
    """Write the report of a run: one HTML file, complete in itself, without any network access.

    The numbers are those of evaluation.json; without it, the report evaluates at most 1,000 rows with K = 1000 and
    says so. Nothing is trained, and nothing else is written.

    Args:
        run: see `jensen.load`.
        path: of the file; by default report.html in the run's folder.
        examples: True if the page may show data; otherwise originals, reconstructions and neighbours are left out.

    Returns:
        The path.

    Raises:
        CorruptRunError: evaluation.json or metrics.jsonl is damaged.
        UsageError: the file cannot be written.
    """
    path = run.path / REPORT if path is None else Path(path)
    write_atomic(path, _render(gather(run, examples)).encode())
    return path


def _render(facts: Facts) -> str:
    remarks = findings(facts)
    numbers: dict[str, Any] = {}
    sections = [s for s in _sections(facts, numbers) if not s.is_empty]
    sentence = headline(facts, [f.short for f in remarks if f.level == "alarm"])
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("template.html").render(
        title=f"{model_name(facts)[:1].upper()}{model_name(facts)[1:]} on {data_name(facts)}",
        headline=sentence,
        findings=remarks,
        model=model_sentence(facts),
        sentence=facts.run.sentence,
        parts=model_parts(facts),
        evidence=_evidence(facts, numbers),
        examples=facts.examples,
        sections=sections,
        settings=settings(facts),
        numbers=_json(_numbers(facts, sentence, remarks) | numbers),
    )


def _evidence(facts: Facts, numbers: dict[str, Any]) -> Section:
    """Return the evidence, with accuracy, fidelity, calibration and rate-distortion where they were measured."""
    panel, more = evidence(facts), (accuracy_by_class(facts, numbers), fidelity(facts, numbers))
    panels = (*panel.panels, *calibration(facts, numbers), *_some(tradeoff(facts, numbers)))
    return replace(panel, panels=panels, tables=(*panel.tables, *(t for t in more if t is not None)))


def _sections(facts: Facts, numbers: dict[str, Any]) -> list[Section]:
    pictures = _of_images if facts.run.schema.is_image else _of_tables
    staged = stages(facts, numbers)
    training = Section("Training", _some(latents.curves(facts)), () if staged is None else (staged,))
    sections = [training, *pictures(facts, numbers)]
    codes_panel = representation(facts, numbers)
    if codes_panel is not None:  # a part of the last one, the latent space
        sections[-1] = replace(sections[-1], tables=(*sections[-1].tables, codes_panel))
    return sections


def _of_images(facts: Facts, numbers: dict[str, Any]) -> list[Section]:
    shades = Shades.of(facts)
    space = _some(
        latents.latent_map(facts, numbers),
        latents.rates(facts),
        images.prior_grid(facts, shades),
        images.traversals(facts, shades),
        images.between(facts, shades),
    )
    return [
        Section("Reconstructions", _some(images.reconstructions(facts, shades))),
        denoising(facts, numbers, shades),
        Section("Samples", _some(samples_by_class(facts, shades), images.samples(facts, shades, numbers))),
        Section("Components", _some(images.component_means(facts, shades), latents.component_weights(facts))),
        Section("Latent space", space),
    ]


def _of_tables(facts: Facts, numbers: dict[str, Any]) -> list[Section]:
    drawn = tables.samples(facts)
    columns = _some(tables.distributions(facts, drawn), tables.correlations(facts, drawn, numbers))
    means = tables.component_table(facts)
    return [
        Section("Columns, in data and in samples", columns),
        Section("Reconstructions", _some(tables.reconstructions(facts, numbers))),
        denoising(facts, numbers, None),
        Section("Components", _some(latents.component_weights(facts)), (means,) if means else ()),
        Section("Latent space", _some(latents.latent_map(facts, numbers), latents.rates(facts))),
    ]


def _some(*panels: Panel | None) -> tuple[Panel, ...]:
    return tuple(p for p in panels if p is not None)


def _numbers(facts: Facts, sentence: str, remarks: list[Remark]) -> dict[str, Any]:
    def as_list(values: np.ndarray | None) -> list[Any] | None:
        return None if values is None else values.tolist()

    return {
        "headline": sentence,
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
    """Return JSON that cannot end the HTML element that contains it."""
    text = msgspec.json.encode(content).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
