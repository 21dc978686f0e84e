"""Outputs of the networks: collapsed scales, saturated probabilities, diverged weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.wording import listed
from ..estimators.reparameterized import Pathwise
from ..evaluate.floors import FloorBinding, features_at_floor, learned_scales
from ..families import Bernoulli, DiscretizedLogistic, Family
from ..families.support import ABOVE_ZERO, OPEN_UNIT
from ..models.conditionals import Table
from ..models.draw import place
from .examination import Examination
from .findings import Finding, Outcome
from .remedies import REMEDIES

__all__ = ["decoder_scale", "saturated", "weights"]

STILL = 1e-12  # standard deviation of a column that does not vary, but for rounding
FINE = 0.003  # of the data's spread: finer than an 8-bit reading (1/256 of the range, itself some 4 deviations)
WRONG = 15.0  # nats that one feature may cost; a logit beyond it leaves its bit one chance in three million
POINTS, ROWS = 16, 500  # with more points a single outlier counts less; more rows are not needed for a share
COSTLY = 1.0  # nats per datum lost to nearly impossible values; and at least
COSTLY_SHARE = 0.01  # of the nats lost per datum, since among many features some value is always unusual
HUGE_WEIGHT = 1e3  # initial weights are below 1, and Adam at 1e-3 takes a million steps in one direction to get here
HUGE_OUTPUT = 1e4


def decoder_scale(examination: Examination) -> Outcome | str:
    """Check that no learned scale of p(x | z) has collapsed: to its floor, or below the resolution of the data.

    With a perfect reconstruction the likelihood grows without bound as the scale falls, so that log p(x) depends on the
    floor and not on the data. A feature counts if its scale is within three times the floor on a tenth of the
    rows (in any component, of a mixture). Constant columns are always at the floor, and are a note.
    """
    model = examination.model
    family, floor = model.likelihood.family, model.likelihood.family.scale_floor
    if floor is None:
        return "the likelihood has no learned scale"
    is_table = isinstance(model.likelihood, Table)
    rows = examination.batches(examination.train, "train", ROWS)
    noise = examination.stream("scales")
    scale = torch.cat([learned_scales(model, examination.guide, b, noise) for b in (rows[:1] if is_table else rows)])
    spread = _spread(examination.batches(examination.train, "train"), family)
    low = features_at_floor(scale, family.scale_floors, is_table)
    constant = low & (spread <= STILL)
    is_learned = torch.tensor(family.scale_floors, device=spread.device) > 0
    fine = (scale.median(0).values / spread.clamp_min(1e-300)).expand(family.dim)[is_learned]
    measures = {
        "scale_least": float(scale.min()),
        "scale_floor": floor,
        "features_at_floor": int(low.sum()),
        "scale_to_spread": float(fine.median()),
    }
    binding = FloorBinding.at(low & ~constant, family.scale_floors, is_table, examination.names)
    if binding is not None:
        return Outcome((_scale(examination, binding.note.partition(":")[0]),), measures)
    if float(fine.median()) < FINE:
        what = f"the learned scale is {float(fine.median()):.1g} of the data's spread, finer than an 8-bit reading"
        return Outcome((_scale(examination, what),), measures)
    if bool(constant.any()):
        return Outcome((_constant(constant, floor, examination.names),), measures)
    return Outcome(measures=measures)


def _spread(batches: list[Batch], family: Family) -> Tensor:
    """Return the standard deviation [D] of each feature over the rows that observe it; 0 where none do.

    It is that of the logarithm of positive features, and of the logit of those between 0 and 1, as their scales are.
    """
    data = torch.cat([b.x for b in batches]).double()
    supports = [family.support.column(d) for d in range(family.dim)]
    for d, support in enumerate(supports):
        if support in (ABOVE_ZERO, OPEN_UNIT):
            data[:, d] = data[:, d].log() if support is ABOVE_ZERO else data[:, d].logit()
    if batches[0].mask is None:
        return data.std(0, correction=0)
    seen = torch.cat([b.mask for b in batches if b.mask is not None])
    n = seen.sum(0).clamp_min(1)
    data = torch.where(seen, data, 0.0)
    squares = torch.where(seen, (data - data.sum(0) / n).square(), 0.0)
    return (squares.sum(0) / n).sqrt()


def _scale(examination: Examination, what: str) -> Finding:
    return Finding(
        "decoder-scale-collapse",
        "problem",
        what,
        "a value that is repeated, or a combination of columns that is constant, has a density without an upper bound, "
        "so that the number measures the floor",
        examination.remedy("decoder-scale-collapse"),
    )


def _constant(constant: Tensor, floor: float, names: Sequence[str] | None) -> Finding:
    n, named = (
        int(constant.sum()),
        [name for name, is_one in zip(names or (), constant.tolist(), strict=False) if is_one],
    )
    which = f" ({listed(named)})" if named else ""
    each = f"column{which} is constant, and its" if n == 1 else f"columns{which} are constant, and their"
    return Finding(
        "constant-columns",
        "note",
        f"{n} {each} density is that of the floor, {floor:g}",
        "a feature without spread has no density of its own",
        REMEDIES["constant-columns"].sentence(None),
    )


def saturated(examination: Examination) -> Outcome | str:
    r"""Check that the model is not certain and wrong: nats per datum lost to values with a mass below e^-15.

    The mass of a value is the average over the points of a datum, by their part in log p(x):

    .. math:: \sum_k v_k\, p(x_d | z_k), \qquad v_k \propto w_k

    A single point of a wide q(z|x), as by training with the importance-weighted bound, is often wrong where the model
    is not. Saturation is harmless where it is right, as on the border of images.
    """
    family = examination.model.likelihood.family
    if not family.has_density:
        return "the likelihood only samples"
    if not isinstance(family, Bernoulli | DiscretizedLogistic):
        return "the likelihood is a density"
    wrong, extreme = _certain_errors(examination)
    lost, share = float(wrong.mean()), float((wrong > 0).double().mean())
    measures: dict[str, float | None] = {"nats_lost_to_certainty": lost, "rows_with_certain_errors": share}
    if extreme is not None:
        measures["saturated_logits"] = extreme
    measured = examination.unseen or examination.trained
    if lost < max(COSTLY, COSTLY_SHARE * abs(float(measured.score.mean()))):
        return Outcome(measures=measures)
    finding = Finding(
        "saturated-outputs",
        "problem",
        f"{100 * share:.3g} % of the rows have a nearly impossible value (of probability below e^-{WRONG:.0f}), "
        f"at a cost of {lost:.2g} nats per datum",
        "the decoder's outputs have grown until its probabilities are nearly 0 and 1",
        examination.remedy("saturated-outputs"),
    )
    return Outcome((finding,), measures)


@torch.no_grad()
def _certain_errors(examination: Examination) -> tuple[Tensor, float | None]:
    """Return the nats [M] that some rows lose to nearly impossible values, and the share of logits beyond +-15."""
    rows, name = (examination.train, "train") if examination.test is None else (examination.test, "test")
    noise, family = examination.stream("certain"), examination.model.likelihood.family
    k = POINTS if examination.model.latent and examination.scored else 1
    wrong, extreme = [], []
    for batch in examination.batches(rows, name, ROWS):
        draw = Pathwise(k).draw(examination.model, examination.guide, batch, noise)
        params = draw.likelihood_params.expand(*draw.z.shape[:2], -1)
        each = family(params).base_dist.log_prob(batch.x).double()  # pyright: ignore[reportAttributeAccessIssue]
        part = torch.log_softmax((draw.log_weight if examination.scored else draw.log_lik).double(), 0)
        mass = torch.logsumexp(part[..., None] + each, 0)
        if batch.mask is not None:
            mass = torch.where(batch.mask, mass, torch.zeros_like(mass))
        wrong.append(torch.where(mass < -WRONG, -mass, torch.zeros_like(mass)).sum(-1).cpu())
        extreme.append((params.abs() > WRONG).double().mean((0, 2)).cpu())
    return torch.cat(wrong), float(torch.cat(extreme).mean()) if isinstance(family, Bernoulli) else None


def weights(examination: Examination) -> Outcome | str:
    """Check that every weight is finite, and no layer's weights or outputs exceed 1,000 and 10,000."""
    both = nn.ModuleDict({"model": examination.model, "guide": examination.guide})
    broken = [n for n, p in both.named_parameters() if not bool(torch.isfinite(p).all())]
    if broken:
        finding = Finding(
            "non-finite-weights",
            "problem",
            f"{len(broken)} of {len(list(both.parameters()))} tensors hold a number that is not finite ({broken[0]})",
            "training diverged, or the weights are damaged",
            examination.remedy("non-finite-weights"),
        )
        return Outcome((finding,), {"tensors_not_finite": len(broken)})
    layers = {n: m for n, m in both.named_modules() if isinstance(m, _LAYERS)}
    if not layers:
        return Outcome(measures={"tensors_not_finite": 0})
    largest = {n: float(m.weight.detach().abs().max()) for n, m in layers.items()}
    spreads = _outputs(examination, layers)
    worst, widest = max(largest, key=largest.__getitem__), max(spreads, key=spreads.__getitem__, default=None)
    spread = 0.0 if widest is None else spreads[widest]
    measures = {"tensors_not_finite": 0, "weight_largest": largest[worst], "layer_output_sd": spread}
    if largest[worst] <= HUGE_WEIGHT and spread <= HUGE_OUTPUT:
        return Outcome(measures=measures)
    where = worst if largest[worst] > HUGE_WEIGHT else widest
    finding = Finding(
        "exploding-weights",
        "problem",
        f"the largest weight is {largest[worst]:.2g}, and the largest spread of layer outputs {spread:.2g} ({where})",
        "gradients too large for the learning rate, or inputs that are not scaled",
        examination.remedy("exploding-weights"),
    )
    return Outcome((finding,), measures)


_LAYERS = nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d


@torch.no_grad()
def _outputs(examination: Examination, layers: Mapping[str, nn.Module]) -> dict[str, float]:
    """Return the standard deviation of each layer's outputs, on some training rows and on draws from the prior."""
    with _recorded_outputs(layers) as deviations:
        batch: Batch = examination.batches(examination.train, "train")[0]
        noise = examination.stream("layers")
        z, _ = place(examination.guide(batch), 1, noise)
        examination.model.likelihood_params(z, batch.context)
        examination.model.simulate(len(batch), noise)
    return deviations


@contextmanager
def _recorded_outputs(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, float]]:
    """Record the largest standard deviation of the outputs of each layer over its calls within the scope."""
    deviations: dict[str, float] = {}

    def recorder(name: str) -> object:
        def record(module: nn.Module, inputs: object, output: Tensor) -> None:
            deviations[name] = max(deviations.get(name, 0.0), float(output.detach().double().std(correction=0)))

        return record

    hooks = [m.register_forward_hook(recorder(n)) for n, m in layers.items()]  # pyright: ignore[reportArgumentType]
    try:
        yield deviations
    finally:
        for hook in hooks:
            hook.remove()
