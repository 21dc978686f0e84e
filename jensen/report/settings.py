"""The tables of a report: the estimates with their kinds, the model's parts, data and settings."""

from __future__ import annotations

import math
from typing import Any

from ..core.wording import digits, fixed
from ..evaluate.estimate import Kind
from ..evaluate.exact import number_of_states
from .facts import Facts
from .panels import Table
from .summary import data_name, sign

__all__ = ["estimates", "model_parts", "settings", "stages"]


def _fixed(value: float | None, places: int) -> str:
    """Return a number with this many digits after the point; nothing for None."""
    return "" if value is None else fixed(value, places)


def estimates(facts: Facts) -> Table | None:
    """Return every estimate with its kind and its errors."""
    e = facts.evaluation
    if e is None:
        return None
    if e["log_px"] is None:
        return _table(facts, [_row("distortion", _fixed(e.get("distortion"), 2))])
    places = min(digits(e["stderr"]) + 1, 6)
    k = "" if e["k"] is None else f"{e['k']:,}"
    ess = "" if e.get("ess") is None else f"{e['ess']:,.0f}" if e["ess"] >= 100 else f"{e['ess']:.1f}"
    mc = f"{e['stderr_mc']:.2g}" if e.get("stderr_mc") else ""
    mc = "unreliable" if e.get("stderr_mc_reliable") is False else mc
    mark = sign(e["kind"])
    name = facts.log_px if mark == "=" else f"{facts.log_px} {mark}"
    rows = [(name, _fixed(e["log_px"], places), _fixed(e["stderr"], places), mc, k, ess, e["kind"])]
    rows += [*_annealed(e, facts.log_px), *_parts(facts, e, places)]
    if e.get("bits_per_dim") is not None:
        bound = "stochastic upper bound" if mark == "≥" else str(e["kind"])
        error = None if not e["stderr"] else e["stderr"] / (facts.run.schema.size * math.log(2))
        places = max(digits(error), 2)
        rows.append(_row("bits per dimension", _fixed(e["bits_per_dim"], places), _fixed(error, places), bound))
    if e.get("quadrature_error") is not None:
        rows.append(_row("largest error of quadrature", f"{e['quadrature_error']:.2g}"))
    return _table(facts, rows)


def _annealed(e: dict[str, Any], log_px: str) -> list[tuple[str, ...]]:
    """Return the bound by annealing some of the rows, weighted to all of them."""
    chain = (e.get("assessment") or {}).get("annealed")
    if not chain:
        return []
    places = digits(chain["stderr_mc"])
    start = f", from the {chain['start']}" if chain.get("start") else ""
    start += ", corrected" if chain.get("corrected") else ""
    kind = f"{chain['kind']}, {chain['rows']} rows weighted to all, {chain['temperatures']} temperatures{start}"
    error = "unreliable" if chain.get("stderr_mc_reliable") is False else _fixed(chain["stderr_mc"], places)
    values = (_fixed(chain["log_px"], places), "", error, str(chain["chains"]))
    ess = "" if chain["ess"] is None else f"{chain['ess']:.1f}"
    return [(f"{log_px} ≥, annealed", *values, ess, kind)]


def _row(name: str, value: str, error: str = "", kind: str = "") -> tuple[str, ...]:
    return (name, value, error, "", "", "", kind)


def _table(facts: Facts, rows: list[tuple[str, ...]]) -> Table:
    e = facts.evaluation or {}
    weights = " Averaged weights." if e.get("weights") == "averaged" else ""
    source, data = facts.run.spec["data"], str(e.get("data", ""))
    for place in filter(None, (source.get("location"), source["name"])):
        data = data.replace(place, data_name(facts))
    data = data or "rows"
    caption = f"{data[:1].upper()}{data[1:]}; {e.get('prepared', '')}; seed {e.get('seed', 0)}.{weights}"
    head = ("nats per datum", "value", "± over data", "± Monte Carlo", "K", "ESS", "kind")
    return Table(head, tuple(rows), (6,), caption)


def _parts(facts: Facts, e: dict[str, Any], places: int) -> list[tuple[str, ...]]:
    """Return the ELBO, its gap, distortion and rate, where there is a latent."""
    if e.get("elbo") is None or facts.latent == "none":
        return []
    rows = [_row("ELBO", _fixed(e["elbo"], places), kind=_elbo_kind(facts, e))]
    if not facts.run.guide.is_exact and not facts.run.guide.is_certain:
        rows.append(_row(f"{facts.log_px} - ELBO", _fixed(e["log_px"] - e["elbo"], places), kind="measured gap"))
    return [*rows, _row("distortion", _fixed(e.get("distortion"), places)), _row("rate", _fixed(e.get("rate"), places))]


def _elbo_kind(facts: Facts, e: dict[str, Any]) -> str:
    """Return the kind of the ELBO: exact for an exact posterior or a finite latent, by quadrature, or a lower bound."""
    is_sum = facts.run.guide.is_exact or number_of_states(facts.run.model) is not None
    if e["kind"] in (Kind.EXACT, Kind.FLOORED) and is_sum:
        return str(e["kind"])
    if e["kind"] == "quadrature" and (e.get("settings") or {}).get("elbo") == "quadrature":
        return "lower bound, by quadrature"
    if e["kind"] == "lower bound":  # the guide has no noise
        return "lower bound"
    return "stochastic lower bound"


def model_parts(facts: Facts) -> Table:
    """Return a description of the prior, the likelihood, the guide and the objective."""
    run = facts.run
    likelihood = run.model.likelihood.phrase
    rows = [
        ("prior p(z)", run.model.prior.phrase),
        ("likelihood p(x|z)", likelihood),
        ("guide q(z|x)", run.guide.phrase),
    ]
    rows = rows if facts.latent != "none" else [("density p(x)", likelihood)]
    objectives = run.sentence.rpartition("; maximise ")[2]
    rows += [("maximised", objectives), ("trained parameters", f"{facts.parameters:,}")]
    return Table(("part", "description"), tuple(rows), (1,))


def stages(facts: Facts, numbers: dict[str, Any]) -> Table | None:
    """Return the bound at the end of each stage of a training whose players took turns; None for others."""
    run_stages = facts.run.stages
    if len(run_stages) < 2:
        return None
    numbers["stages"] = [stage.to_dict() for stage in run_stages]
    head = ("stage", "epochs", "ELBO", "rate", "distortion")
    rows = (
        (s.objective, f"{s.first}-{s.last}", *(_fixed(v, 2) for v in (s.bound, s.rate, s.distortion)))
        for s in run_stages
    )
    caption = f"After the last epoch of each stage, {run_stages[0].part} rows, in nats per datum."
    return Table(head, tuple(rows), (1,), caption)


def settings(facts: Facts) -> list[Table]:
    """Return tables of the data, the options, the engine and the versions: all that repeats the run."""
    spec, run = facts.run.spec, facts.run
    data, split = spec["data"], spec["split"]
    shape = " x ".join(map(str, run.schema.shape))
    levels = f", {run.schema.levels} levels" if run.schema.levels else ""
    source = {
        "name": data["name"],
        "rows": f"{data['n']:,}",
        "one datum": f"{shape} {run.schema.kind}{levels}",
        "preparation": run.preparation.describe(run.schema),
        **({} if data["resize"] is None else {"images": _resized(data)}),
        "SHA-256": data["sha256"],
        **{f"{part} rows": f"{n:,}" for part, n in split["sizes"].items() if n},
        **({"test file": f"{split['test']['n']:,} rows, SHA-256 {split['test']['sha256']}"} if split["test"] else {}),
        "split seed": split["seed"],
        **{f"{part} rows that repeat a training row": n for part, n in split["duplicates_of_training_rows"].items()},
    }
    command = {k: v for k, v in spec["command"].items() if v is not None}
    engine = {**spec["choices"], **(facts.stopped or {}), "weights": run.weights}
    engine.pop("event", None)
    tables = [_plain("data", source), _plain("option", command), _plain("engine", engine)]
    return [*tables, _plain("version", {"jensen": spec["jensen"], **spec["versions"]})]


def _resized(data: dict[str, Any]) -> str:
    """Return what was done to images of other sizes."""
    height, width = data["resize"]
    how = "cropped to the centre" if data.get("fit") == "crop" else "without regard to their proportions"
    return f"resized to {height}x{width}, {how}"


def _plain(name: str, content: dict[str, Any]) -> Table:
    return Table((name, "value"), tuple((str(k), _value(v)) for k, v in content.items()), (1,))


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
