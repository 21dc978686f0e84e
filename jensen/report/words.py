"""Numbers and names in words: the headline, the model, and how to write a count."""

from __future__ import annotations

import math
from pathlib import Path

from ..data import EMBEDDED
from ..evaluate.estimate import format_nats
from .facts import Facts

__all__ = [
    "article",
    "count",
    "data_name",
    "digits",
    "headline",
    "model_name",
    "model_sentence",
    "result",
    "rows",
    "sign",
]

SIGNS = {"lower bound": "≥", "stochastic lower bound": "≥", "stochastic upper bound": "≤", "quadrature": "≈"}


def count(n: int, noun: str) -> str:
    """Return a number and its noun.

    Example:
        >>> count(1, "row"), count(1797, "row")
        ('1 row', '1,797 rows')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def article(words: str) -> str:
    """Return the words with "A" or "An" before them.

    Example:
        >>> article("8-feature VAE"), article("16-feature VAE")
        ('An 8-feature VAE', 'A 16-feature VAE')
    """
    vowel = words[:1].lower() in "aei" or words.startswith("8") or words.split("-")[0] in ("11", "18")
    return f"{'An' if vowel else 'A'} {words}"


def digits(stderr: float | None) -> int:
    """Digits after the point that a standard error supports."""
    if not stderr or not math.isfinite(stderr):
        return 2
    return min(max(0, -math.floor(math.log10(stderr) + 1e-9)), 6)


def sign(kind: str) -> str:
    """Return the sign between log p(x) and a number of this kind."""
    return SIGNS.get(kind, "=")


def data_name(facts: Facts) -> str:
    """Return the name of the data, without the folder that they are in."""
    name = facts.run.spec["data"]["name"]
    return Path(name).name or name


def rows(facts: Facts) -> str:
    """Return the number of data of what."""
    name, n = data_name(facts), facts.run.spec["data"]["n"]
    if name in EMBEDDED:
        return f"{n:,} {name}"
    noun = "image" if facts.run.schema.is_image else "row"
    return f"{count(n, noun)} of {'an array in memory' if name == 'array' else name}"


def model_name(facts: Facts) -> str:
    """Return the model in two or three words: "16-feature VAE"."""
    name, z = facts.run.title, facts.run.model.latent - facts.classes
    if facts.latent == "none":
        return name
    return f"{z}-{'component' if facts.latent == 'classes' else 'feature'} {name}"


def result(facts: Facts) -> str:
    """Return the number with its kind, in a clause."""
    evaluation = facts.evaluation
    if evaluation is None:
        return "no number, as its data cannot be read"
    if evaluation["log_px"] is None:
        distortion = evaluation.get("distortion")
        verdict = "" if distortion is None else f"; distortion {distortion:.2f} nats per datum"
        return f"it has no density, so no {facts.log_px}{verdict}"
    number = format_nats(evaluation["log_px"], evaluation["stderr"])
    verdict = ((evaluation.get("assessment") or {}).get("verdict") or "").split(":")[0]
    clause = f", {facts.worded(verdict)}" if verdict else ""
    return f"{facts.log_px} {sign(evaluation['kind'])} {number} nats per datum{clause}"


def headline(facts: Facts, alarms: list[str]) -> str:
    """Return the report in one sentence."""
    scored = facts.run.model.likelihood.has_density
    outcome = result(facts) if scored else f"it only samples, so there is no {facts.log_px}"
    parts = [f"{article(model_name(facts))} on {rows(facts)}: {outcome}"]
    if facts.active is not None:
        parts.append(f"{int(facts.active.sum())} of {len(facts.active)} features in use")
    right = (facts.evaluation or {}).get("classified")
    if right:
        share = f"{100 * right['accuracy']:.1f} ± {100 * right['stderr']:.1f} %"
        parts.append(f"right about the class of {share} with {count(right['labels_in_training'], 'label')}")
    if facts.components is not None and facts.weights is not None:
        parts.append(f"in effect {facts.components:.1f} of {len(facts.weights)} components")
    parts.append(f"to look at: {', '.join(alarms)}" if alarms else "nothing alarming")
    return "; ".join(parts) + "."


def model_sentence(facts: Facts) -> str:
    """Describe how the model generates a datum, and how z is inferred for one."""
    run, z = facts.run, facts.run.model.latent - facts.classes
    d = count(run.schema.size, "pixel value" if run.schema.is_image else "column")
    if facts.latent == "none":
        return f"There is no latent variable: one distribution over {d} is fitted to all data."
    made = f"one of {z} components" if facts.latent == "classes" else count(z, "latent feature")
    made = f"one of {facts.classes} classes and {made}" if facts.classes else made
    if not run.model.likelihood.has_density:
        guide_clause = "; the guide guesses z from x" if run.guide.infers else "; there is no encoder"
        return f"The prior draws z, {made}; a network turns z into {d}, without a density{guide_clause}."
    if not facts.normalised:
        return f"The guide computes one z for x, {made}; the likelihood turns z into a distribution over {d}."
    guide_clause = "is the exact posterior of z" if run.guide.is_exact else "guesses z from x"
    if run.conditional:
        return (
            f"Of a label, the prior draws z, {made}; the likelihood turns z and the label into a distribution over "
            f"{d}; the guide {guide_clause} and the label."
        )
    return f"The prior draws z, {made}; the likelihood turns z into a distribution over {d}; the guide {guide_clause}."
