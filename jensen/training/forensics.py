"""What was not finite first in a step: the rows, the term, the tensor, the parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from ..core.batch import Batch
from ..families import Factorised
from ..models.conditionals import Given
from ..models.draw import Draw
from .players import Player
from .watch import Watch, first_bad

__all__ = ["FaultInspector", "InspectionDone", "dominant", "extremes", "outliers"]

MOST = 8  # extreme values that are shown
OUTLYING = 1e6  # times the median size of rows
DOMINANT = 100.0  # times the median of a batch: a row of this value decides alone where a step goes


class InspectionDone(Exception):
    """The microscope has seen enough."""


def dominant(value: Tensor) -> list[int]:
    """The rows of a batch, fewer than a quarter, of far larger values [B] than the others.

    Example:
        >>> import torch
        >>> dominant(torch.tensor([1.0, -2.0, 1e9, 1.0, 3.0]))
        [2]
    """
    size = value.detach().abs()
    rows = (size > DOMINANT * size.median()).nonzero().flatten().tolist()
    return rows if 4 * len(rows) < len(size) else []


def outliers(x: Tensor) -> list[int]:
    """The rows of x [N, D], fewer than a quarter, with entries a million times as large as is usual.

    Example:
        >>> outliers(torch.tensor([[1.0, 2.0], [0.0, -1.0], [1.0, -1e9], [3.0, 3.0], [1.0, 0.0]]))
        [2]
    """
    if not x.is_floating_point():
        return []
    size = x.detach().abs().amax(-1)
    rows = (size > OUTLYING * size.median()).nonzero().flatten().tolist()
    return rows if 4 * len(rows) < len(size) else []


def _bad_rows(bad: Tensor, b: int) -> list[int]:
    """Which of b data a tensor [..., B, D] or [B] is bad at; none where it has no such axis."""
    axes = [a for a in ((0,) if bad.ndim == 1 else (-2,)) if bad.ndim and bad.shape[a] == b]
    if not axes:
        return []
    return bad.movedim(axes[0], 0).reshape(b, -1).any(1).nonzero().flatten().tolist()


@dataclass
class FaultInspector(Watch):
    """Looks into one step: at the output of every module and its gradient, at densities, terms and parameters.

    Args:
        modules: by name, whose outputs are looked at.
        numbers: all that has to be finite, by name; asked for when it is looked at.
        step: how many steps are done before the one to look into; None looks into whatever comes.
        alone: end after the gradient, without a step.
        limit: minus this, an objective has exploded.
        done: how many steps are done, when it is asked.
    """

    modules: Mapping[str, nn.Module]
    numbers: Any
    step: int | None
    done: Any
    alone: bool = False
    limit: float = float("inf")

    quiet = True
    armed: bool = False
    found_in: Literal["data", "forward", "objective", "backward", "update", "closed form", "nowhere"] = "nowhere"
    player: Player | None = None
    epoch: int = 0
    batch: Batch | None = None
    noise: Tensor | None = None
    value: Tensor | None = None
    rows: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    part: str | None = None
    tensor: dict[str, Any] | None = None
    backward: dict[str, Any] | None = None
    parameter: str | None = None
    gradient: str | None = None
    largest: tuple[str, float] | None = None
    overflows: bool = False  # whether the square of the gradient does, which optimisers keep
    handles: list[Any] = field(default_factory=list)

    def before(self, epoch: int, batch: Batch, noise: torch.Generator) -> None:
        if self.step is not None and self.done() < self.step:
            return
        if self.armed:  # the step behind was fine after all
            raise InspectionDone
        self.armed, self.epoch, self.batch, self.noise = True, epoch, batch, noise.get_state()
        sizes = {k: t.detach().abs().max() for k, t in self.numbers().items() if t.is_floating_point() and t.numel()}
        name = max((k for k in sizes if "(" not in k), key=lambda k: float(sizes[k].nan_to_num(torch.inf, torch.inf)))
        self.largest = name, float(sizes[name])
        self.parameter = first_bad(self.numbers())
        if self.parameter is not None:
            self._end("closed form")

    def valued(self, player: Player, draw: Draw, value: Tensor) -> None:
        if not self.armed:
            return
        self.player, self.value = player, value.detach()
        if bool(value.isfinite().all()):
            if float(value.detach().mean()) < -self.limit:
                self.rows = dominant(value)
                self._end("objective")
            return
        self._look(draw)
        own = _bad_rows(~value.detach().isfinite(), len(draw.batch))
        self.rows = [i for i in self.rows if i in own] or own
        self._end("forward")

    def graded(self, player: Player) -> None:
        if not self.armed:
            return
        mine = {id(p) for p in player.trained}
        slopes = {k: p.grad for k, p in self.numbers().items() if id(p) in mine and p.grad is not None}
        self.gradient = first_bad(slopes)
        if self.gradient is not None:
            if self.backward is not None:
                self.tensor, self.rows = self.backward, self.backward["rows"]
            self._end("backward")
        if self.alone:
            self.overflows = any(not bool(slope.abs().max().square().isfinite()) for slope in slopes.values())
            raise InspectionDone

    def after(self) -> None:
        if self.armed:
            self.parameter = first_bad(self.numbers())
            if self.parameter is not None:
                self._end("update")

    def _end(self, found_in: Literal["forward", "objective", "backward", "update", "closed form"]) -> None:
        self.found_in = found_in
        raise InspectionDone

    # ------------------------------------------------------------ modules

    @contextmanager
    def looking(self) -> Iterator[FaultInspector]:
        """A scope in which the outputs of all modules are looked at, once a step is."""
        names: dict[int, str] = {}
        for name, module in self.modules.items():
            names.setdefault(id(module), name)
        handles = [m.register_forward_hook(self._hook(names[id(m)])) for m in self.modules.values() if id(m) in names]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if not self.armed or not isinstance(output, Tensor):
                return
            given = [t.detach() for t in inputs if isinstance(t, Tensor) and t.is_floating_point() and t.numel()]
            if self.tensor is None and not bool(output.isfinite().all()):
                self.tensor = self._described(name, module, output, "forward")
                self.tensor["input_is_finite"] = all(bool(t.isfinite().all()) for t in given)
                self.tensor["largest_input"] = str(max((float(t.abs().max()) for t in given), default=0.0))
            if output.requires_grad:
                output.register_hook(lambda slope: self._slope(name, module, slope))

        return hook

    def _slope(self, name: str, module: nn.Module, slope: Tensor) -> None:
        if self.armed and self.backward is None and not bool(slope.isfinite().all()):
            self.backward = self._described(name, module, slope, "backward")

    def _described(self, name: str, module: nn.Module, tensor: Tensor, way: str) -> dict[str, Any]:
        bad = ~tensor.detach().isfinite()
        return {
            "module": name,
            "class": type(module).__name__,
            "pass": way,
            "shape": list(tensor.shape),
            "bad": int(bad.sum()),
            "rows": _bad_rows(bad, 0 if self.batch is None else len(self.batch)),
        }

    # ------------------------------------------------------------ densities and terms

    @torch.no_grad()
    def _look(self, draw: Draw) -> None:
        """Which density and which terms are not finite, at which rows and features."""
        scored, dense = draw.model.likelihood.has_density, not draw.mass
        densities = [("log p(x | z)", draw.model.likelihood, lambda: draw.log_lik)] if scored else []
        densities += [("log p(z)", draw.model.prior, lambda: draw.log_prior)]
        densities += [("log q(z | x)", draw.guide, lambda: draw.log_guide)] if dense else []
        for name, of, read in densities:
            try:
                bad = ~read().detach().isfinite()
            except (RuntimeError, ValueError, NotImplementedError):
                continue
            if bool(bad.any()):
                self.terms.append(name)
                rows = bad[..., None] if bad.ndim == 2 else bad
                self.rows = self.rows or _bad_rows(rows, len(draw.batch))
                self.part = self.part or _part_of(of)
        if "log p(x | z)" in self.terms:
            self.features = _features(draw)
        for _, term in self.player.objective.terms if self.player is not None else ():
            if not bool(term(draw).detach().isfinite().all()):
                self.terms.append(str(term))


def _part_of(of: Any) -> str:
    """The class that a density is the work of: the family after a network, else the conditional or distribution."""
    return type(of.family if isinstance(of, Given) else of).__name__


def _features(draw: Draw) -> list[int]:
    """The data features at which log p(x | z) is not finite, where it is a sum over them."""
    try:
        family, x = draw.model.likelihood.family, draw.batch.x
        params = draw.model.likelihood.adapted(draw.likelihood_params, x, draw.batch.mask)
        law = family.features(params) if isinstance(family, Factorised) else draw.model.likelihood.at(params)
        law = law.base_dist if isinstance(law, Independent) else law
        each = law.log_prob(x)
    except (RuntimeError, ValueError, NotImplementedError):
        return []
    if each.shape[-1:] != x.shape[-1:] or each.ndim < 2:
        return []
    bad = ~each.isfinite()
    bad = bad if draw.batch.mask is None else bad & draw.batch.mask
    return bad.flatten(0, -2).any(0).nonzero().flatten().tolist()


def extremes(x: Tensor, rows: Sequence[int], numbers: Sequence[int]) -> tuple[dict[str, Any], ...]:
    """The entries of these rows of x [B, D] that are not finite, or else the largest: row, feature, value.

    Args:
        x: of the batch.
        rows: within the batch.
        numbers: of the batch's rows among the training rows.
    """
    if not rows:
        return ()
    few = x[list(rows)].detach().double().cpu()
    size = few.abs().nan_to_num(torch.inf, torch.inf)
    order = size.flatten().argsort(descending=True, stable=True)[:MOST].tolist()
    where = [(i // x.shape[-1], i % x.shape[-1]) for i in order]
    return tuple({"row": numbers[rows[i]], "feature": j, "value": f"{float(few[i, j]):.6g}"} for i, j in where)
