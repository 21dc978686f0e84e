"""The evidence section: the numbers with their kinds, the tightness of the bound, and where it is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..core.wording import fixed, plural
from ..evaluate.estimate import Kind, enough_points, format_nats
from ..evaluate.generalisation import ERRORS, VISIBLE
from ..evaluate.psis import FEWEST
from ..plot.style import COLOURS, DASHES, INK, SOFT, TEXTS, end_labels
from ..plot.tightness import BAND, bounds_over_k, logarithmic, tightness
from .chain_bounds import bound_by_levels, flow_table, levels_table
from .facts import Facts
from .figures import draw
from .panels import Panel, Section, Table
from .settings import estimates

__all__ = ["evidence", "verdict"]

WIDE = 20.0  # nats: a wider sandwich has failed, and is in the table only
LOWER = "stochastic lower bound"
QUANTILES = ("q05", "q25", "median", "q75", "q95")


def evidence(facts: Facts) -> Section:
    """Return the section: the verdict, how to read it, tables, and a figure of every measurement."""
    main = estimates(facts)
    experts = (
        _sandwich_table(facts),
        _generalisation(facts),
        _curve(facts),
        levels_table(facts),
        bound_by_levels(facts),
        flow_table(facts),
        _gaps(facts),
        _along(facts),
        _weights(facts),
        _sandwich(facts),
    )
    return Section(
        "How good is it?",
        tables=() if main is None else (main,),
        text=tuple(t for t in (verdict(facts), *_reading(facts)) if t),
        more="Where the number comes from, and how far to trust it",
        experts=tuple(e for e in experts if e is not None),
    )


def _assessed(facts: Facts) -> dict[str, Any]:
    """Return the results of annealing, sandwich and gaps; empty where they were not measured."""
    return (facts.evaluation or {}).get("assessment") or {}


def verdict(facts: Facts) -> str:
    """Return the tightness of the number in one sentence."""
    e, words = facts.evaluation, _assessed(facts).get("verdict")
    if not facts.run.model.likelihood.has_density:
        return (
            f"This model only samples, so {facts.log_px} cannot be estimated: jensen fidelity RUN compares its samples "
            "with data."
        )
    if e is None:
        reason = "There is no evaluation.json of these weights, and the data cannot be read"
        return f"{reason}: jensen evaluate RUN DATA gives the number."
    if e["log_px"] is None:
        return f"The guide has no density, so this model forms no bound on {facts.log_px}."
    if e["kind"] == Kind.EXACT:
        return f"Verdict: the number is {facts.log_px} itself, not a bound."
    if e["kind"] == Kind.FLOORED:
        return f"Verdict: a learned scale is at its lower limit, so {facts.log_px} measures that limit, not the data."
    if e["kind"] == "quadrature" and e.get("quadrature_error") is not None and _assessed(facts).get("converged", True):
        return f"Verdict: by quadrature, with an error of {e['quadrature_error']:.2g} nats at most."
    if words:
        return f"Verdict: {words}."
    if e["kind"] == LOWER:
        return "Verdict: the tightness of the bound was not measured. jensen evaluate RUN, without -k, measures it."
    return f"Verdict: the number is a {e['kind']}."


def _reading(facts: Facts) -> list[str]:
    """Return sentences on the limits of the verdict, the gap of the ELBO, training rows, and the source of numbers."""
    e, sentences = facts.evaluation, []
    if e is None:
        return sentences
    assessed = _assessed(facts)
    if assessed.get("caveat"):
        sentences.append(f"But {assessed['caveat']}.")
    if assessed.get("gaps"):
        sentences.append(assessed["gaps"]["advice"])
    sides = e.get("train_test")
    measures = facts.measures
    if sides:
        sentences.append(f"{sides['sentence'][:1].upper()}{sides['sentence'][1:]}.")
    elif "gap" in measures:
        gap, error = measures["gap"], measures["gap_stderr"]
        chance = ", which may be chance" if abs(gap) <= BAND * error else ""
        direction = "higher" if gap >= 0 else "lower"
        size = format_nats(abs(gap), error)
        sentences.append(f"Training rows score {size} nats {direction} than rows that were not trained on{chance}.")
    sentences.append(
        "The numbers are those of evaluation.json; jensen verify RUN repeats them."
        if facts.stored
        else "There was no evaluation.json of these weights: the report made a quick evaluation, and did not keep it."
    )
    if e["kind"] == LOWER:
        if not facts.stored:
            sentences[-1] += " jensen evaluate RUN makes a better one."
        sentences[-1] += f" In expectation, the true value is higher: the bound rises to {facts.log_px} with K."
    return sentences


def _number(value: float | None, error: float | None) -> tuple[str, str]:
    """Return a value and its error, for two cells."""
    if value is None:
        return "", ""
    shown, _, plus = format_nats(value, error).partition(" ± ")
    return shown, plus


def _sandwich_table(facts: Facts) -> Table | None:
    pair = _assessed(facts).get("sandwich")
    if not pair:
        return None
    errors = pair.get("stderr") or pair["stderr_mc"]
    rows = (
        # the bounds have the digits of the gap, from which the variation over rows cancels
        ("upper bound", _number(pair["upper"], pair.get("gap_stderr"))[0], _number(pair["upper"], errors[1])[1]),
        ("lower bound", _number(pair["lower"], pair.get("gap_stderr"))[0], _number(pair["lower"], errors[0])[1]),
        ("gap", *_number(pair["gap"], pair.get("gap_stderr"))),
    )
    head = ("on simulated data", "nats", "± over rows")
    simulated = plural(pair["simulated_rows"], "simulated row")
    caption = f"Stochastic bounds in nats per datum, {simulated}. They certify {pair['certifies']}."
    return Table(head, rows, (), caption)


def _generalisation(facts: Facts) -> Table | None:
    """Return training rows against others, by the estimate of the evaluation, or else by that of the doctor."""
    sides = (facts.evaluation or {}).get("train_test")
    if sides:
        error = sides["stderr"]
        rows = (
            (f"{sides['train_rows']:,} training rows", _number(sides["train"], error)[0], ""),
            (f"{sides['test_rows']:,} other rows", _number(sides["test"], error)[0], ""),
            ("difference", *_number(sides["difference"], error)),
        )
        caption = (
            f"{sides['score']}, in nats per datum; a difference is over-fitting above "
            f"{ERRORS:g} standard errors and {VISIBLE:g} standard deviations over training rows."
        )
        return Table(("over-fitting", "nats", "± over rows"), rows, (), caption)
    m = facts.measures
    if "gap" not in m:
        return None
    train, test = (format_nats(m[key], m["gap_stderr"]).split(" ")[0] for key in ("score_train", "score_test"))
    gap = _number(m["gap"], m["gap_stderr"])
    rows = (("training rows", train, ""), ("other rows", test, ""), ("gap", *gap))
    name = "ELBO" if facts.normalised and not facts.run.guide.is_exact else "score"
    name = facts.log_px if facts.run.guide.is_exact else name
    caption = "The score is minus the distortion." if name == "score" else f"{name}, as measured by the doctor."
    return Table((f"{name}, nats per datum", "value", "±"), rows, (), caption)


def _curve(facts: Facts) -> Panel | None:
    """Return the importance-weighted bound over K, beside the annealed bound."""
    e = facts.evaluation
    curve = [] if e is None else bounds_over_k(e)
    if e is None or len(curve) < 2:
        return None
    chain = _assessed(facts).get("annealed")

    def paint(axes: Axes) -> None:
        tightness(facts, axes, evaluation=e)

    low, high = (f"{fixed(curve[i][1], 2)} nats at K = {curve[i][0]:,.0f}" for i in (0, -1))
    alt = f"The bound rises from {low} to {high}"
    caption = (
        "The bound on the same rows with K points per datum; K = 1 is the ELBO. Band: two Monte Carlo standard errors, "
        "where they are known and reliable; the error over data, common to all K, is left out. The curve should be "
        "flat at its right end: if it still rises, the bound is loose, and a larger K helps."
    )
    if chain:
        alt += f"; annealing gives {fixed(chain['log_px'], 2)}"
        caption += (
            f" Dashed: annealing, another lower bound, from {plural(chain['rows'], 'row')} weighted to all. If it lies "
            "well above the end of the curve, the curve is loose by as much."
        )
    return Panel((draw("evidence-curve", f"{alt}.", paint, 470, 290),), caption)


def _epochs(axes: Axes, epoch: np.ndarray) -> None:
    """Set a logarithmic axis of epochs, or a linear one where they span less than a decade."""
    if epoch.max() < 10 * max(epoch.min(), 1):
        axes.locator_params(axis="x", integer=True, nbins=6)
    else:
        logarithmic(axes)


def _gaps(facts: Facts) -> Panel | None:
    """Return log p(x) - ELBO as a bar of its two parts."""
    split = _assessed(facts).get("gaps")
    if not split:
        return None
    proposal = split.get("proposal", "encoder")
    parts = {f"{proposal} (amortisation)": split["amortisation"], "family (approximation)": split["approximation"]}
    if None in parts.values():
        parts = {f"family and {proposal}": split["gap"]}

    def paint(axes: Axes) -> None:
        left = 0.0
        whole = max(sum(max(p["mean"], 0.0) for p in parts.values()), 1e-9)
        for i, (name, part) in enumerate(parts.items()):
            width = max(part["mean"], 0.0)
            axes.barh(0, width, left=left, height=0.5, color=COLOURS[i], hatch=("", "//")[i], edgecolor="white")
            axes.errorbar(left + width, 0, xerr=part["stderr"] or 0.0, color=INK, capsize=4, linewidth=1.4)
            gaps = f"{name}: {format_nats(part['mean'], part['stderr'])}"
            axes.annotate(gaps, (0, (0.62, -0.62)[i]), color=TEXTS[i], va="center", ha="left", annotation_clip=False)
            left += width
        axes.set(ylim=(-0.95, 0.95), xlim=(0, 1.12 * whole), yticks=[], xlabel=f"{facts.log_px} - ELBO, nats per datum")
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)

    gaps = ", ".join(f"{name} {format_nats(p['mean'], p['stderr'])}" for name, p in parts.items())
    return Panel(
        (draw("evidence-gaps", f"The gap of the ELBO: {gaps} nats per datum.", paint, 470, 190),),
        f"The gap of the ELBO on {plural(split['n'], 'row')}; reference: {split['against']}. Amortisation: the gain of "
        "the best guide of the same family for each datum by itself. Approximation: the gap that remains, of the "
        "family. A large first part asks for a larger or longer trained encoder, a large second part for a richer "
        "family. Error bars: one standard error over data.",
    )


def _along(facts: Facts) -> Panel | None:
    """Return ELBO, log p(x) and their gap over epochs."""
    if facts.along is None or facts.run.guide.is_exact:
        return None
    stages = facts.along.stages
    epoch, elbo, nats, gap, error = (
        np.array(column, dtype=float)
        for column in zip(*((s.epoch, s.elbo, s.log_px, s.gap, s.gap_stderr or 0.0) for s in stages), strict=True)
    )

    def bounds(axes: Axes) -> None:
        _epochs(axes, epoch)
        for i, values in enumerate((nats, elbo)):
            axes.plot(epoch, values, color=COLOURS[i], linestyle=DASHES[i], marker="os"[i], markersize=4)
        end_labels(
            axes,
            [
                (epoch[-1], nats[-1], f"{facts.log_px}{' ≥' if facts.along and facts.along.k else ''}"),
                (epoch[-1], elbo[-1], "ELBO"),
            ],
        )
        axes.set(xlabel="epoch", ylabel="nats per datum")

    def gaps(axes: Axes) -> None:
        _epochs(axes, epoch)
        axes.fill_between(epoch, gap - BAND * error, gap + BAND * error, color=COLOURS[2], alpha=0.25, linewidth=0)
        axes.plot(epoch, gap, color=COLOURS[2], marker="o", markersize=4)
        axes.set_ylim(bottom=min(0.0, float((gap - BAND * error).min())))
        axes.set(xlabel="epoch", ylabel=f"{facts.log_px} - ELBO, nats per datum")

    first, last = stages[0], stages[-1]
    bodies = (
        draw(
            "evidence-along",
            f"The ELBO goes from {fixed(first.elbo, 2)} to {fixed(last.elbo, 2)}, the estimate of {facts.log_px} from "
            f"{fixed(first.log_px, 2)} to {fixed(last.log_px, 2)} nats.",
            bounds,
            470,
            280,
        ),
        draw(
            "evidence-along-gap",
            f"The gap goes from {fixed(first.gap, 2)} to {fixed(last.gap, 2)} nats.",
            gaps,
            440,
            240,
        ),
    )
    how = f"estimated with K = {facts.along.k}" if facts.along.k else "exact"
    caption = (
        f"Along training, with the weights of {len(stages)} epochs, on {facts.along.data}; {facts.log_px} {how}. "
        f"The ELBO rises because {facts.log_px} rises or because the gap closes: a gap that grows late would show a "
        "guide that no longer follows the model. Band: two standard errors over data."
    )
    return Panel(bodies, caption)


def _weights(facts: Facts) -> Panel | None:
    """Return the reliability of the importance weights: effective sample size over data, and k-hat of enough points."""
    e = facts.evaluation or {}
    shape, size, k = e.get("k_hat") or {}, e.get("ess_quantiles") or {}, e.get("k")
    if k is None or None in (size.get(name) for name in QUANTILES):
        return None
    cells = [shape.get(name) for name in (*QUANTILES, "limit", "share_above")]
    few, middle = enough_points(k), f"Effective sample size: median {size['median']:.0f} of {k:,}."
    of_size = _strip(size, few, f"effective sample size of K = {k:,}", f"{few:.2g}: too few below", k)
    bodies = [draw("evidence-ess", middle, of_size, 440, 150)]
    caption = "Over data: median (dot), half of the rows (thick), nine tenths (thin). "
    if k >= FEWEST and None not in cells:
        limit, share = shape["limit"], f"{100 * shape['share_above']:.0f} % of rows lie beyond"
        of_shape = _strip(shape, limit, "Pareto k-hat of a datum", f"{limit:.2f}: too heavy beyond")
        alt = f"k-hat: median {shape['median']:.2f}; {share} {limit:.2f}."
        bodies.insert(0, draw("evidence-k-hat", alt, of_shape, 440, 150))
        caption += f"{share} k-hat {limit:.2f}, where the bound may be loose and its error is unreliable: few should. "
    return Panel(tuple(bodies), f"{caption}Effective sample sizes should be large.")


def _strip(
    q: dict[str, float], limit: float, name: str, label: str, points: int | None = None
) -> Callable[[Axes], None]:
    """Return what draws quantiles over data beside a limit; of at most so many points, on a logarithmic axis."""

    def paint(axes: Axes) -> None:
        if points is not None:
            logarithmic(axes)
        axes.plot([q["q05"], q["q95"]], [0, 0], color=COLOURS[0], linewidth=2)
        axes.plot([q["q25"], q["q75"]], [0, 0], color=COLOURS[0], linewidth=10, solid_capstyle="butt")
        axes.plot([q["median"]], [0], "o", color=INK, markersize=7)
        axes.axvline(limit, color=COLOURS[1], linestyle="--")
        axes.annotate(label, (limit, 0.75), (5, 0), textcoords="offset points", color=TEXTS[1], va="center")
        axes.set(ylim=(-1, 1), yticks=[], xlabel=name)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        low, high = axes.get_xlim()
        room = max(high, limit + 0.4 * (high - low)) if points is None else 1.5 * points
        axes.set_xlim(low if points is None else min(0.7, low), room)

    return paint


def _sandwich(facts: Facts) -> Panel | None:
    """Return the lower and the upper bound on data simulated by the model."""
    pair = _assessed(facts).get("sandwich")
    if not pair or None in (pair["gap"], pair["lower"], pair["upper"]) or pair["gap"] > WIDE:
        return None
    error = pair.get("gap_stderr")
    bar = BAND * (error or 0.0)

    def paint(axes: Axes) -> None:
        axes.plot([pair["lower"], pair["upper"]], [0, 0], color=SOFT, linewidth=6, alpha=0.35)
        for value, half, marker, name, height in (
            (pair["lower"], None, ">", "lower", -0.6),
            (pair["upper"], bar or None, "<", "upper", 0.6),
        ):
            axes.errorbar(value, 0, xerr=half, color=COLOURS[2], marker=marker, markersize=9, capsize=4)
            axes.annotate(name, (value, height), color=TEXTS[2], ha="center", va="center")
        middle, half = (pair["lower"] + pair["upper"]) / 2, abs(pair["gap"]) / 2 + bar
        axes.set(ylim=(-1, 1.2), yticks=[], xlim=(middle - 2 * max(half, 0.02), middle + 2 * max(half, 0.02)))
        axes.set_xlabel(f"{facts.log_px} of simulated data, nats per datum")
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)

    error_text = "" if error is None else f" ± {error:.3f}"
    drawn = "" if error is None else " (bar at the upper end: two standard errors of this gap, over rows)"
    alt = f"On simulated data the bounds are {pair['gap']:.3f} nats apart."
    return Panel(
        (draw("evidence-sandwich", alt, paint, 620, 160),),
        f"On {plural(pair['simulated_rows'], 'row')} simulated by the model, not the test rows: there annealing gives "
        f"an upper bound too, and the sandwich is {pair['gap']:.3f}{error_text} nats wide{drawn}. A wide sandwich "
        "would show that annealing is unreliable for this model, and so on the test rows too.",
    )
