"""What a resumed training goes back to where a fault follows soon: a state older than the one it was resumed from.

A training that was not stopped goes back to an anchor well before the fault. One that was resumed in between has no
such anchor; but the same steps, made again from an older state, or from the first, lead to it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .fit import Fit
from .snapshot import Snapshot

__all__ = ["AGAIN", "anchor_before", "copied", "is_anchor", "older", "same_parameters"]

AGAIN = 10_000  # steps that are made again for the sake of the last bits, at most


def is_anchor(step: int, steps_per_epoch: int, apart: int, within: int) -> bool:
    """Whether the place after so many steps is one to go back to: the same in every repetition.

    Args:
        apart: steps between such ends of epochs, at least.
        within: steps between such places in a long epoch.

    Example:
        >>> [step for step in range(15) if is_anchor(step, 4, 6, 3)]
        [0, 3, 7, 8, 11, 12]
    """
    index = step % steps_per_epoch
    if index:
        return index % within == 0
    return step // apart > (step - steps_per_epoch) // apart


def anchor_before(step: int, steps_per_epoch: int, apart: int, within: int) -> int:
    """The last such place that is not after this one; 0 is always one."""
    return next((s for s in range(step, 0, -1) if is_anchor(s, steps_per_epoch, apart, within)), 0)


def copied(fit: Fit) -> Snapshot:
    """The present state; the best weights are never written over, and need no copy."""
    kept = fit.snapshot()
    own = {k: t if k.startswith("best") else t.detach().clone() for k, t in kept.tensors.items()}
    return Snapshot(own, kept.facts)


def older(states: Iterable[Snapshot], fit: Fit, given: Snapshot, place: int) -> Snapshot | None:
    """The newest of these states from which the steps to this place can be made again, and on to the given one."""
    since = fit.recovered_at  # where the last recovery began: what is before was made with other rates
    found = [s for s in states if since <= s.facts["step"] <= place and given.facts["step"] - s.facts["step"] <= AGAIN]
    found = [s for s in found if s.facts["step"] == since or _count(s) == fit.recovered]
    return max(found, key=lambda s: s.facts["step"], default=None)


def _count(state: Snapshot) -> int:
    return (state.facts.get("recovered") or {"count": 0})["count"]


def same_parameters(fit: Fit, given: Snapshot) -> bool:
    """Whether training has come to the parameters of a state, to the bit."""
    mine = {k: t for k, t in fit.snapshot().tensors.items() if k.startswith("module/")}
    return all(torch.equal(t, given.tensors[k]) for k, t in mine.items())
