"""Inspection of one step: which rows, terms, tensors and parameters are the first that are not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from ..core.batch import Batch, Rows
from ..core.errors import NumericalError
from ..core.rows import evenly_spaced
from ..families import Factorised
from ..models.conditionals import Given
from ..models.draw import Draw
from .callbacks import StepCallbacks
from .nonfinite import first_nonfinite, is_finite
from .players import Player
from .state import TrainingState

__all__ = ["FaultInspector", "InspectionDone", "dominant_rows", "examined", "extreme_values", "outlying_rows"]

MOST = 8  # extreme values that are reported
SOME = 20_000  # rows of files that are looked at
OUTLYING = 1e6  # times the median size of rows
DOMINANT = 100.0  # times the median of a batch: a row of this value alone decides the direction of a step

Place = Literal["data", "forward", "objective", "backward", "update", "closed form", "nowhere"]


class InspectionDone(Exception):
    """Raised within a step to end its inspection."""


def dominant_rows(value: Tensor) -> list[int]:
    """Return the rows of a batch, fewer than a quarter, with far larger values [B] than the others.

    Example:
        >>> import torch
        >>> dominant_rows(torch.tensor([1.0, -2.0, 1e9, 1.0, 3.0]))
        [2]
    """
    size = value.detach().abs()
    rows = (size > DOMINANT * size.median()).nonzero().flatten().tolist()
    return rows if 4 * len(rows) < len(size) else []


def examined(data: Rows) -> tuple[Tensor, Sequence[int]]:
    """Return the rows among which bad ones are looked for, as stored, and their numbers.

    They are all rows, or of those that stay in files 20,000, evenly spaced.
    """
    if isinstance(data.stored, Tensor):
        return data.stored, range(len(data))
    index = evenly_spaced(len(data), SOME)
    return data.stored.index_select(0, index), index.tolist()


def outlying_rows(x: Tensor) -> list[int]:
    """Return the rows of x [N, D], fewer than a quarter, with entries a million times as large as is usual.

    Example:
        >>> outlying_rows(torch.tensor([[1.0, 2.0], [0.0, -1.0], [1.0, -1e9], [3.0, 3.0], [1.0, 0.0]]))
        [2]
    """
    if not x.is_floating_point():
        return []
    size = x.detach().abs().amax(-1)
    rows = (size > OUTLYING * size.median()).nonzero().flatten().tolist()
    return rows if 4 * len(rows) < len(size) else []


def extreme_values(x: Tensor, rows: Sequence[int], numbers: Sequence[int]) -> tuple[dict[str, Any], ...]:
    """Return the entries of some rows that are not finite, or else the largest: row, feature, value.

    Args:
        x: of the batch [B, D].
        rows: within the batch.
        numbers: of the batch's rows among the training rows.
    """
    if not rows:
        return ()
    few = x[list(rows)].detach().double().cpu()
    size = few.abs().nan_to_num(torch.inf, torch.inf)
    order = size.flatten().argsort(descending=True, stable=True)[:MOST].tolist()
    places = [(i // x.shape[-1], i % x.shape[-1]) for i in order]
    return tuple({"row": numbers[rows[i]], "feature": j, "value": f"{float(few[i, j]):.6g}"} for i, j in places)


def _bad_rows(bad: Tensor, b: int) -> list[int]:
    """Return which of b data a tensor [..., B, D] or [B] is bad at; none where it has no such axis."""
    axes = [a for a in ((0,) if bad.ndim == 1 else (-2,)) if bad.ndim and bad.shape[a] == b]
    if not axes:
        return []
    return bad.movedim(axes[0], 0).reshape(b, -1).any(1).nonzero().flatten().tolist()


@dataclass
class FaultInspector(StepCallbacks):
    """Inspects one step: the output of every module and its gradient, densities, terms and parameters.

    Args:
        state: of the training.
        step: the number of steps done before the one to inspect; None inspects the next one.
        gradient_only: end after the gradient, without a step.
        exploded_below: the objective below which training has exploded.

    Attributes:
        inspecting: True within the step to inspect.
        found_in: the place within the step where something was first not finite.
        player: whose objective was evaluated last.
        epoch, batch, noise: of the step; noise is the state of the stream before it.
        value: the objective [B].
        rows: of the batch, that are not finite.
        features: of the data, where log p(x | z) is not finite.
        terms: densities and terms of the objective that are not finite.
        part: the class that the first of them is computed by.
        tensor: a description of the first bad output of a module.
        backward: a description of the first bad gradient of such an output.
        parameter, gradient: the first bad ones, by name.
        largest: name and size of the largest parameter before the step.
        overflows: True if the square of the gradient does, which many optimisers keep.
    """

    state: TrainingState
    step: int | None
    gradient_only: bool = False
    exploded_below: float = -math.inf

    silent = True
    inspecting: bool = False
    found_in: Place = "nowhere"
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
    overflows: bool = False

    def step_begins(self, epoch: int, batch: Batch, noise: torch.Generator) -> None:
        if self.step is not None and self.state.step < self.step:
            return
        if self.inspecting:  # the step before was fine after all
            raise InspectionDone
        self.inspecting, self.epoch, self.batch, self.noise = True, epoch, batch, noise.get_state()
        tensors = self.state.finite_required()
        sizes = {k: t.detach().abs().max() for k, t in tensors.items() if t.is_floating_point() and t.numel()}
        parameters = (name for name in sizes if "(" not in name)  # the others are the optimisers' own
        name = max(parameters, key=lambda k: float(sizes[k].nan_to_num(torch.inf, torch.inf)))
        self.largest = name, float(sizes[name])
        self.parameter = first_nonfinite(tensors)
        if self.parameter is not None:
            self._end("closed form")

    def objective_evaluated(self, player: Player, draw: Draw, value: Tensor) -> None:
        if not self.inspecting:
            return
        self.player, self.value = player, value.detach()
        if is_finite(self.value):
            if float(self.value.mean()) < self.exploded_below:
                self.rows = dominant_rows(value)
                self._end("objective")
            return
        self._inspect_densities(draw)
        own = _bad_rows(~self.value.isfinite(), len(draw.batch))
        self.rows = [i for i in self.rows if i in own] or own
        self._end("forward")

    def gradient_computed(self, player: Player) -> None:
        if not self.inspecting:
            return
        mine, tensors = {id(p) for p in player.trained}, self.state.finite_required()
        gradients = {k: p.grad for k, p in tensors.items() if id(p) in mine and p.grad is not None}
        self.gradient = first_nonfinite(gradients)
        if self.gradient is not None:
            if self.backward is not None:
                self.tensor, self.rows = self.backward, self.backward["rows"]
            self._end("backward")
        if self.gradient_only:
            self.overflows = any(not is_finite(gradient.abs().max().square()) for gradient in gradients.values())
            raise InspectionDone

    def step_ended(self) -> None:
        if self.inspecting:
            self.parameter = first_nonfinite(self.state.finite_required())
            if self.parameter is not None:
                self._end("update")

    def blame_tensor(self) -> None:
        """Blame a bad output for an error that a module raised: it may have been given numbers that are not finite."""
        if self.inspecting and self.tensor is not None:
            self.found_in, self.rows = "forward", self.rows or self.tensor["rows"]

    def _end(self, found_in: Place) -> None:
        self.found_in = found_in
        raise InspectionDone

    # --- modules ---

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """A scope in which the outputs of all modules are inspected; an error that a step raises ends it."""
        names: dict[int, str] = {}
        modules = {name: module for name, module in self.state.module.named_modules() if name}
        for name, module in modules.items():
            names.setdefault(id(module), name)
        handles = [m.register_forward_hook(self._hook(names[id(m)])) for m in modules.values()]
        try:
            yield
        except InspectionDone:
            pass
        except (NumericalError, RuntimeError, ValueError):
            self.blame_tensor()
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if not self.inspecting or not isinstance(output, Tensor):
                return
            given = [t.detach() for t in inputs if isinstance(t, Tensor) and t.is_floating_point() and t.numel()]
            if self.tensor is None and not is_finite(output):
                self.tensor = self._description(name, module, output, "forward")
                self.tensor["input_is_finite"] = all(is_finite(t) for t in given)
                self.tensor["largest_input"] = str(max((float(t.abs().max()) for t in given), default=0.0))
            if output.requires_grad:
                output.register_hook(lambda gradient: self._inspect_gradient(name, module, gradient))

        return hook

    def _inspect_gradient(self, name: str, module: nn.Module, gradient: Tensor) -> None:
        if self.inspecting and self.backward is None and not is_finite(gradient):
            self.backward = self._description(name, module, gradient, "backward")

    def _description(self, name: str, module: nn.Module, tensor: Tensor, direction: str) -> dict[str, Any]:
        bad = ~tensor.detach().isfinite()
        return {
            "module": name,
            "class": type(module).__name__,
            "pass": direction,
            "shape": list(tensor.shape),
            "bad": int(bad.sum()),
            "rows": _bad_rows(bad, 0 if self.batch is None else len(self.batch)),
        }

    # --- densities and terms ---

    @torch.no_grad()
    def _inspect_densities(self, draw: Draw) -> None:
        """Note which density and which terms are not finite, at which rows and features."""
        scored, dense = draw.model.likelihood.has_density, not draw.mass
        densities = [("log p(x | z)", draw.model.likelihood, lambda: draw.log_lik)] if scored else []
        densities += [("log p(z)", draw.model.prior, lambda: draw.log_prior)]
        densities += [("log q(z | x)", draw.guide, lambda: draw.log_guide)] if dense else []
        for name, owner, read in densities:
            try:
                bad = ~read().detach().isfinite()
            except (RuntimeError, ValueError, NotImplementedError):
                continue
            if bool(bad.any()):
                self.terms.append(name)
                rows = bad[..., None] if bad.ndim == 2 else bad
                self.rows = self.rows or _bad_rows(rows, len(draw.batch))
                self.part = self.part or _class_of(owner)
        if "log p(x | z)" in self.terms:
            self.features = _bad_features(draw)
        for _, term in self.player.objective.terms if self.player is not None else ():
            if not is_finite(term(draw)):
                self.terms.append(str(term))


def _class_of(owner: Any) -> str:
    """Return the class that computes a density: the family after a network, else the conditional or distribution."""
    return type(owner.family if isinstance(owner, Given) else owner).__name__


def _bad_features(draw: Draw) -> list[int]:
    """Return the data features at which log p(x | z) is not finite, where it is a sum over them."""
    try:
        likelihood, x = draw.model.likelihood, draw.batch.x
        family, params = likelihood.family, likelihood.adapted(draw.likelihood_params, x, draw.batch.mask)
        distribution = family.features(params) if isinstance(family, Factorised) else likelihood.at(params)
        distribution = distribution.base_dist if isinstance(distribution, Independent) else distribution
        each = distribution.log_prob(x)
    except (RuntimeError, ValueError, NotImplementedError):
        return []
    if each.shape[-1:] != x.shape[-1:] or each.ndim < 2:
        return []
    bad = ~each.isfinite()
    bad = bad if draw.batch.mask is None else bad & draw.batch.mask
    return bad.flatten(0, -2).any(0).nonzero().flatten().tolist()
