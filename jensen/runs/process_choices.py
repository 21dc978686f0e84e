"""The processes of a training in its specification, and the refusal of others that would go on with it."""

from __future__ import annotations

from typing import Any

from ..core.errors import UsageError
from ..core.processes import Processes

__all__ = ["OWN_NOISE", "process_choices", "refuse_other_number", "with_processes"]

OWN_NOISE = (
    "each process draws the noise of its own rows: the result is not that of one process, and depends on their number"
)


def process_choices(processes: Processes, own_noise: bool) -> dict[str, Any]:
    """Return the choices of a training by several processes; nothing for a single one.

    Args:
        processes: that train together.
        own_noise: True if each draws noise of its own.
    """
    if processes.is_alone:
        return {}
    launch = {} if processes.launch is None else {"launch": processes.launch.id}
    return {"processes": processes.size, **({"own_noise": True} if own_noise else {}), **launch}


def refuse_other_number(folder: Any, spec: dict[str, Any], processes: Processes, regroup: bool) -> None:
    """Refuse to go on with a training by another number of processes, unless that is wanted.

    Raises:
        UsageError: with the command for as many processes as before.
    """
    was, now = spec["choices"].get("processes") or 1, processes.size
    if was == now or regroup:
        return
    several = f"torchrun --nproc-per-node {was} -m jensen resume {folder}"
    again = several if was > 1 else f"jensen resume {folder}, without torchrun"
    raise UsageError(
        f"{folder} was trained by {_counted(was)}, and {'this is one' if now == 1 else f'these are {now}'}",
        f"Go on as before: {again}; or with other last bits: --regroup.",
    )


def with_processes(
    spec: dict[str, Any], before: dict[str, Any], processes: Processes, own_noise: bool
) -> dict[str, Any]:
    """Return a specification to go on with, which records these processes, and earlier numbers of them.

    Args:
        spec: to go on with.
        before: the specification so far.
        processes: that go on.
        own_noise: see `process_choices`.
    """
    choices = {k: v for k, v in spec["choices"].items() if k not in ("processes", "own_noise", "launch", "regrouped")}
    earlier, was = before["choices"].get("regrouped") or [], before["choices"].get("processes") or 1
    earlier = [*earlier, was] if was != processes.size else earlier
    regrouped = {"regrouped": earlier} if earlier else {}
    return {**spec, "choices": choices | process_choices(processes, own_noise) | regrouped}


def _counted(n: int) -> str:
    return "one process" if n == 1 else f"{n} processes"
