"""A training that torchrun has started anew goes on where it was, by the same command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.processes import Processes
from ..storage.commits import newest
from ..storage.run_folder import SPEC, STATE
from ..storage.specification import read_spec
from .resume import resume
from .run import Run
from .train import command_of, train

__all__ = ["train_or_go_on"]


def train_or_go_on(data: Any, processes: Processes, *, out: str | Path | None, force: bool, **arguments: Any) -> Any:
    """Train, or resume the run in `out` if the same torchrun has begun it by the same command.

    A run of which no state is on the disk yet is begun again.

    Args:
        data, out, force: see `train`.
        processes: of torchrun; without it this is `train`.
        **arguments: of `train`.
    """
    goes_on = None
    if processes.is_first and processes.launch is not None and out is not None and (Path(out) / SPEC).exists():
        goes_on = _begun(data, Path(out), processes.launch.id, arguments)
    goes_on = processes.broadcast_object(goes_on)
    if goes_on == "resume" and out is not None:
        kept = {name: arguments[name] for name in ("listeners", "should_stop", "notice")}
        run: Run = resume(out, processes=processes, **kept)
        return run
    return train(data, out=out, force=force or goes_on == "anew", processes=processes, **arguments)


def _begun(data: Any, folder: Path, launch: str, arguments: dict[str, Any]) -> str | None:
    """Return how to go on with the run in a folder: "resume" it or begin it "anew"; None if it is another's."""
    spec = read_spec(folder)
    own = {"recorded", "listeners", "should_stop", "notice", "phase", "seeds", "sweep"}
    command = command_of(data, **{name: value for name, value in arguments.items() if name not in own})
    if spec["choices"].get("launch") != launch or _plain(spec["command"]) != _plain(command):
        return None
    return "resume" if any(True for _ in newest(folder / STATE)) else "anew"


def _plain(command: dict[str, Any]) -> dict[str, Any]:
    """Return a command as JSON has it."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in command.items() if v is not None}
