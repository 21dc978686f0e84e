"""The summary of a run in words: its headline, its result, its model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..analysis.findings import overall_verdict
from ..core.characters import as_one_line
from ..core.wording import fixed, plural
from ..data import EMBEDDED
from ..evaluate.estimate import format_nats
from ..plot.view import View
from .facts import Facts
from .findings import Remark

__all__ = [
    "article",
    "data_name",
    "headline",
    "model_name",
    "model_sentence",
    "result",
    "rows",
    "sign",
]

SIGNS = {"lower bound": "≥", "stochastic lower bound": "≥", "stochastic upper bound": "≤", "quadrature": "≈"}


def article(words: str) -> str:
    """Return the words with "A" or "An" before them.

    Example:
        >>> article("8-feature VAE"), article("16-feature VAE")
        ('An 8-feature VAE', 'A 16-feature VAE')
    """
    vowel = words[:1].lower() in "aei" or words.startswith("8") or words.split("-")[0] in ("11", "18")
    return f"{'An' if vowel else 'A'} {words}"


def sign(kind: str) -> str:
    """Return the sign between log p(x) and a number of this kind."""
    return SIGNS.get(kind, "=")


def data_name(facts: View) -> str:
    """Return the name of the data, without the folder that they are in."""
    name = facts.run.spec["data"]["name"]
    return as_one_line(Path(name).name or name)


def rows(facts: View) -> str:
    """Return the number and the name of the data, such as "1,797 digits"."""
    name, n = data_name(facts), facts.run.spec["data"]["n"]
    if name in EMBEDDED:
        return f"{n:,} {name}"
    noun = "image" if facts.run.schema.is_image else "row"
    return f"{plural(n, noun)} of {'an array in memory' if name == 'array' else name}"


def model_name(facts: View) -> str:
    """Return the name of the model with its size: "16-feature VAE"."""
    name, z = facts.run.title, facts.run.model.latent - facts.classes
    if facts.latent == "none":
        return name
    return f"{z}-{'component' if facts.latent == 'classes' else 'feature'} {name}"


def result(facts: Facts) -> str:
    """Return the number with its error and its verdict, in a clause."""
    evaluation = facts.evaluation
    if evaluation is None:
        return f"no {facts.log_px}, because the data cannot be read"
    if evaluation["log_px"] is None:
        distortion = evaluation.get("distortion")
        measured = "" if distortion is None else f"; distortion {fixed(distortion, 2)} nats per datum"
        return f"no {facts.log_px}, because the guide has no density{measured}"
    number = format_nats(evaluation["log_px"], evaluation["stderr"])
    verdict = ((evaluation.get("assessment") or {}).get("verdict") or "").split(":")[0]
    verdict = "by quadrature" if verdict == "quadrature" else verdict
    clause = f", {verdict}" if verdict else ""
    return f"{facts.log_px} {sign(evaluation['kind'])} {number} nats per datum{clause}"


def headline(facts: Facts, remarks: Sequence[Remark]) -> str:
    """Return the result of the run in one sentence, with what to look at.

    A finding that qualifies a number is named: nothing is called alarming only where there is none, of those examined.
    """
    scored = facts.run.model.likelihood.has_density
    outcome = result(facts) if scored else f"no {facts.log_px}, because the model only samples"
    parts = [f"{article(model_name(facts))} on {rows(facts)}: {outcome}"]
    if facts.active is not None:
        parts.append(f"{int(facts.active.sum())} of {plural(len(facts.active), 'feature')} in use")
    classified = (facts.evaluation or {}).get("classified")
    if classified:
        accuracy = f"{100 * classified['accuracy']:.1f} ± {100 * classified['stderr']:.1f} %"
        parts.append(f"accuracy {accuracy} with {plural(classified['labels_in_training'], 'label')}")
    if facts.components is not None and facts.weights is not None:
        parts.append(f"{facts.components:.1f} of {plural(len(facts.weights), 'component')} in effect")
    return "; ".join([*parts, _outlook(facts, remarks)]) + "."


def _outlook(facts: Facts, remarks: Sequence[Remark]) -> str:
    """Return what to look at, or that there is nothing."""
    problems = [r.short for r in remarks if r.level == "alarm"]
    notes = [r.short for r in remarks if r.qualifies]
    outlook = overall_verdict(problems, notes, looked=facts.diagnosis is not None)
    return f"{outlook} (a quick report)" if facts.quick else outlook


def model_sentence(facts: View) -> str:
    """Describe how the model generates a datum, and how z is inferred from one."""
    run, z = facts.run, facts.run.model.latent - facts.classes
    d = plural(run.schema.size, "pixel value" if run.schema.is_image else "column")
    if facts.latent == "none":
        return f"There is no latent variable: one distribution over {d} is fitted to all data."
    latent = f"one of {z} components" if facts.latent == "classes" else plural(z, "latent feature")
    latent = f"one of {facts.classes} classes and {latent}" if facts.classes else latent
    if not run.model.likelihood.has_density:
        inference = "; the guide infers z from x" if run.guide.infers else "; there is no encoder"
        return f"z ({latent}) is drawn from the prior; a network maps z to {d}, without a density{inference}."
    if not facts.normalised:
        return f"The guide maps x to one z ({latent}); the likelihood maps z to a distribution over {d}."
    context = "" if not run.conditional else " and the label" if run.conditions is None else " and the labels"
    inference = (
        f"the guide is the exact posterior of z given x{context}"
        if run.guide.is_exact
        else f"the guide approximates the posterior of z given x{context}"
    )
    prior = "drawn from the prior given the label" if run.model.prior.sees_context else "drawn from the prior"
    return f"z ({latent}) is {prior}; the likelihood maps z{context} to a distribution over {d}; {inference}."
