"""Stand-ins for the packages of MLflow and of Weights & Biases, which keep in memory what is written to them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

__all__ = ["FakeMLflow", "FakeWandb", "planted"]


@dataclass
class Stored:
    """A run as a tracker holds it."""

    name: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    status: list[str] = field(default_factory=list)

    def steps(self, name: str) -> list[int]:
        return [step for key, _, step in self.metrics if key == name]


class FakeMLflow(ModuleType):
    """`mlflow`: runs by the address of their store; a call of a client fails where `broken` says so."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.stores: dict[str, dict[str, Stored]] = {}
        self.broken, self.largest, self.allowed = "", 0, []
        self.entities = SimpleNamespace(
            Metric=lambda key, value, timestamp, step: (key, value, step),
            Param=lambda key, value: (key, value),
            RunTag=lambda key, value: (key, value),
        )
        self.MlflowClient = lambda tracking_uri: Client(self, tracking_uri)

    @property
    def only(self) -> Stored:
        (store,) = self.stores.values()
        (run,) = store.values()
        return run


class Client:
    def __init__(self, package: FakeMLflow, uri: str) -> None:
        package.allowed.append(os.environ.get("MLFLOW_ALLOW_FILE_STORE"))
        self.package, self.runs = package, package.stores.setdefault(uri, {})

    def get_experiment_by_name(self, name: str) -> None:
        if self.package.broken:
            raise OSError(self.package.broken)

    def create_experiment(self, name: str) -> str:
        return f"experiment {name}"

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        name = f"{experiment}, run {len(self.runs)}"
        self.runs[name] = Stored(run_name, tags=dict(tags), status=["RUNNING"])
        return SimpleNamespace(info=SimpleNamespace(run_id=name))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        if self.package.broken:
            raise OSError(self.package.broken)
        self.package.largest = max(self.package.largest, len(metrics), 10 * len(params), 10 * len(tags))
        run = self.runs[run_id]
        run.metrics += metrics
        run.params |= dict(params)
        run.tags |= dict(tags)

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].status.append(status)

    set_terminated = update_run


class FakeWandb(ModuleType):
    """`wandb`: each call of `init` with its arguments, and what was written to its run."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[FakeRun] = []
        self.Settings = dict

    def init(self, **arguments: Any) -> FakeRun:
        self.runs.append(FakeRun(arguments, os.environ.get("WANDB_ERROR_REPORTING")))
        return self.runs[-1]


class FakeRun:
    def __init__(self, arguments: dict[str, Any], reporting: str | None) -> None:
        self.arguments, self.reporting = arguments, reporting
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.summary: dict[str, Any] = {}
        self.axes: dict[str, str | None] = {}
        self.exit_code: int | None = None

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.axes[name] = step_metric

    def log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((step, values))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


def planted(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeMLflow, FakeWandb]:
    """Put both in the place of the packages, whether these are installed or not."""
    mlflow, wandb = FakeMLflow(), FakeWandb()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.delenv(name, raising=False)
    return mlflow, wandb
