"""The model card: what an exported model is of, how good it is, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.wording import plural
from ..data import Schema
from .checking import Agreement
from .ports import Graph, Subject

__all__ = ["About", "model_card", "onnx_example"]

SHOWN = 40  # columns that are listed
VALUES = {"integer": "whole numbers", "count": "whole numbers from 0", "positive": "numbers above 0"}
SIGNS = {"lower bound": ">=", "stochastic lower bound": ">=", "stochastic upper bound": "<=", "quadrature": "≈"}
SHARED_LIMITS = (
    "It describes data like those it was trained on. A high log p(x) of other data means little: plain likelihood"
    " misleads about what is unusual, of images above all.",
    "A mean of p(x | z) is no sample: a drawn datum has the noise of p(x | z) added.",
)


@dataclass(frozen=True)
class About:
    """The facts about a run that a model card states.

    Attributes:
        title: of its recipe.
        recipe: its name.
        run: identifies it: the beginning of the SHA-256 of its weights.
        sentence: the model as a sentence of parts.
        data: the name of the data.
        rows: of the training data, and of all.
        prepared: the preparation in words.
        quantity: that the evaluations are of, such as "log p(x)".
        evaluations: records of evaluations.
        version: of jensen.
        notes: on the training.
    """

    title: str
    recipe: str
    run: str
    sentence: str
    data: str
    rows: tuple[int, int]
    prepared: str
    quantity: str
    evaluations: Sequence[Mapping[str, Any]]
    version: str
    notes: tuple[str, ...] = ()

    def metadata(self, schema: Schema) -> dict[str, str]:
        """Return texts for the metadata of a graph."""
        return {
            "run": self.run,
            "recipe": self.recipe,
            "model": self.sentence,
            "data": f"{self.data}: {self.prepared}",
            "units": "x and the mean of p(x | z) are in the data's own units",
            "shape": " x ".join(map(str, schema.shape)),
            "jensen": self.version,
        }


def model_card(
    about: About, subject: Subject, graphs: Sequence[Graph], agreements: Sequence[Agreement], suffix: str
) -> str:
    """Return the model card in Markdown.

    Args:
        about: the run.
        subject: of the export.
        graphs: its graphs.
        agreements: what their check found.
        suffix: of their files.
    """
    largest = max(a.largest for a in agreements)
    encoder = graphs[0]
    how = onnx_example(encoder) if suffix == ".onnx" else _torch_example(encoder)
    sections = [
        f"# {about.title[:1].upper()}{about.title[1:]} of {about.data}",
        "\n".join(
            [
                "## Files",
                "",
                *(f"- `{graph.name}{suffix}`: {graph.purpose}" for graph in graphs),
                "- `schema.json`: names, types, shapes and meanings of inputs and outputs, and the columns of the data",
                "- `export.json`: the check of each graph against the run, and the SHA-256 of each file",
            ]
        ),
        _data(about, subject),
        f"## Model\n\nRecipe `{about.recipe}` of jensen {about.version}, run `{about.run}`:\n\n> {about.sentence}",
        _numbers(about),
        "## Limits\n\n" + "\n".join(f"- {text}" for text in (*SHARED_LIMITS, *_limits(subject, about))),
        "## Intended use\n\nCodes of data for search, pictures and further models (encoder), and data from codes"
        " (decoder). Decisions about people are not what it was examined for.",
        f"## How to run it\n\n```python\n{how}```\n\n" + _tensors(graphs, suffix),
        f"## Check\n\nEach graph was compared with the run on {', '.join(map(str, agreements[0].batches))} rows:"
        f" the largest relative error is {largest:.1e}.\n\n" + "\n".join(map(_agreement, agreements)),
    ]
    return "\n\n".join(sections) + "\n"


def _data(about: About, subject: Subject) -> str:
    schema, (trained, rows) = subject.schema, about.rows
    lines = [
        "## Data",
        "",
        f"{about.data}: {plural(rows, 'row')}, of which {trained:,} trained the model."
        f" {about.prepared[:1].upper()}{about.prepared[1:]}.",
    ]
    if schema.columns is not None:
        lines += ["", "| column | kind | values |", "|---|---|---|"]
        for column in schema.columns[:SHOWN]:
            ends = f"{column.low:g} to {column.high:g}" if column.high is not None and column.low is not None else ""
            levels = ", ".join(column.levels[:8]) + (", ..." if len(column.levels) > 8 else "")
            values = levels or column.format or ends or VALUES.get(column.kind, "numbers")
            lines.append(f"| {_cell(column.name)} | {column.kind} | {_cell(values)} |")
            for determined in column.determines:
                lines.append(f"| {_cell(determined.column.name)} | determined by {_cell(column.name)} | |")
        if len(schema.columns) > SHOWN:
            lines.append(f"\nand {len(schema.columns) - SHOWN:,} more columns: see schema.json.")
    else:
        shape = " x ".join(map(str, schema.shape))
        lines += ["", f"Shape of a datum: {shape}{' (height, width, channels)' if schema.is_image else ''}."]
        if schema.names:
            lines += ["", "Columns: " + ", ".join(map(_cell, schema.names[:SHOWN])) + "."]
    if subject.classes:
        lines += ["", "Labels: " + ", ".join(map(_cell, subject.classes[:SHOWN])) + "."]
    if subject.conditions is not None:
        lines += ["", "Conditioned on: " + ", ".join(map(_cell, subject.conditions.names)) + "."]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return a text in one line, without what Markdown would take for its own."""
    plain = " ".join(text.split())
    return "".join(f"\\{c}" if c in "|\\`*_<>[]" else c for c in plain)


def _numbers(about: About) -> str:
    """Return the recorded evaluations, each with its kind and its errors."""
    lines = ["## Numbers", ""]
    scored = [e for e in about.evaluations if e.get("log_px") is not None]
    if not scored:
        return "\n".join([*lines, "No evaluation of this run is recorded."])
    for e in scored:
        sign, error = SIGNS.get(str(e["kind"]), "="), e.get("stderr")
        k = f", K = {e['k']:,}" if e.get("k") is not None else ""
        wide = "" if error is None else f" ± {error:.2g}"
        lines.append(f"- {about.quantity} {sign} {e['log_px']:.2f}{wide} nats per datum ({e['kind']}{k}; ± over data)")
        unsure = e.get("stderr_mc")
        if unsure is not None:
            trust = "" if e.get("stderr_mc_reliable") is not False else ", unreliable"
            lines.append(f"  - standard error over Monte Carlo {unsure:.2g}{trust}")
        if e.get("elbo") is not None and e.get("rate") is not None:
            lines.append(f"  - ELBO {e['elbo']:.2f}: rate {e['rate']:.2f}, distortion {e['distortion']:.2f}")
        if e.get("bits_per_dim") is not None:
            lines.append(f"  - {e['bits_per_dim']:.3f} bits per dimension")
        if e.get("data"):
            lines.append(f"  - on {plural(e['n'], 'row')}: {e['data']}" if e.get("n") else f"  - on {e['data']}")
    return "\n".join(lines)


def _limits(subject: Subject, about: About) -> list[str]:
    precision = "double" if subject.number == "float64" else "single"
    computed = f"Numbers are computed in {precision} precision; a graph agrees with the run within the errors below."
    limits = [computed, *about.notes]
    if subject.is_random:
        limits.append("What the encoder sees is drawn: give it uniform random numbers, and others give other codes.")
    if subject.sees_holes:
        limits.append(
            "Missing entries are left out of q(z | x) as in training, whatever the reason why they are missing."
        )
    if subject.label_port is not None:
        limits.append("It is a model of data given their label: a wrong label gives wrong codes.")
    prior = subject.model.prior.phrase
    if prior != f"Gaussian({subject.model.latent})":
        limits.append(f"The prior of z ({prior}) is not exported: normal z are not samples of this model.")
    return limits


def _tensors(graphs: Sequence[Graph], suffix: str) -> str:
    lines = ["| graph | | name | type | shape | meaning |", "|---|---|---|---|---|---|"]
    for graph in graphs:
        for way, ports in (("in", graph.inputs), ("out", graph.outputs)):
            for port in ports:
                shape = ", ".join(map(str, ("batch", *port.shape)))
                cells = (f"`{graph.name}{suffix}`", way, f"`{port.name}`", port.dtype, shape, _cell(port.meaning))
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _agreement(agreement: Agreement) -> str:
    errors = ", ".join(f"{name} {error:.1e}" for name, error in agreement.errors.items())
    return f"- {agreement.graph}: {errors}"


def _made_up(encoder: Graph) -> list[str]:
    """Return lines of Python that make up a row of each input."""
    lines = []
    for port in encoder.inputs:
        shape = ", ".join(map(str, (3, *port.shape))) + ("" if port.shape else ",")
        make = {"mask": f"np.ones(({shape}), bool)", "uniform": f'rng.random(({shape})).astype("{port.dtype}")'}
        zeros = f'np.zeros(({shape}), "{port.dtype}")'
        lines.append(f'    "{port.name}": {make.get(port.name, zeros)},')
    return lines


def onnx_example(encoder: Graph) -> str:
    """Return a program that runs encoder and decoder by onnxruntime, on made-up rows."""
    last = encoder.outputs[-1].name if encoder.outputs[0].name == "indices" else "mean"
    label = ', "label": x["label"]' if any(port.name == "label" for port in encoder.inputs) else ""
    return "\n".join(
        [
            "import numpy as np",
            "import onnxruntime as ort",
            "",
            *(["rng = np.random.default_rng(0)"] if any(p.name == "uniform" for p in encoder.inputs) else []),
            "x = {  # three rows; yours go here",
            *_made_up(encoder),
            "}",
            'encoder, decoder = ort.InferenceSession("encoder.onnx"), ort.InferenceSession("decoder.onnx")',
            f'z = encoder.run(["{last}"], x)[0]',
            f'mean = decoder.run(["mean"], {{"z": z{label}}})[0]',
            "print(z.shape, mean.shape)",
            "",
        ]
    )


def _torch_example(encoder: Graph) -> str:
    """Return a program that runs encoder and decoder by torch, on made-up rows."""
    label = ', label=x["label"]' if any(port.name == "label" for port in encoder.inputs) else ""
    place = 1 if encoder.outputs[0].name == "indices" else 0
    return "\n".join(
        [
            "import numpy as np",
            "import torch",
            "",
            *(["rng = np.random.default_rng(0)"] if any(p.name == "uniform" for p in encoder.inputs) else []),
            "x = {  # three rows; yours go here",
            *_made_up(encoder),
            "}",
            "x = {name: torch.from_numpy(values) for name, values in x.items()}",
            'encoder, decoder = (torch.export.load(f"{name}.pt2").module() for name in ("encoder", "decoder"))',
            "with torch.no_grad():",
            f"    z = encoder(**x)[{place}]",
            f"    mean = decoder(z=z{label})[0]",
            "print(z.shape, mean.shape)",
            "",
        ]
    )
