"""Trackers of experiments, MLflow and Weights & Biases: in the run folder, or on a server where that is asked for."""

from __future__ import annotations

import importlib
import os
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from ..core.errors import UsageError
from .entries import make_folder
from .run_folder import TRACKERS

__all__ = ["KINDS", "About", "MLflow", "Point", "Tracker", "WeightsAndBiases"]

PROJECT = "jensen"  # of both, unless the variable of the tracker names another
MOST_METRICS, MOST_PARAMETERS, LONGEST_VALUE = 1000, 100, 5000  # in one call of MLflow, and of one value


@dataclass(frozen=True)
class About:
    """A run as a tracker is given it, once.

    Attributes:
        name: of the run.
        sentence: the model.
        options: of the training, by name.
        identity: what tells this run from others, by name.
    """

    name: str
    sentence: str
    options: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """Measures after a step, at a time in seconds since 1970."""

    step: int
    values: Mapping[str, float]
    at: float = field(default_factory=time.time)


class Tracker(ABC):
    """A run of a tracker: begun or continued, written, closed.

    Args:
        folder: the run's, in which the tracker has a folder.
        online: whether it writes to a server instead.
    """

    title: ClassVar[str]
    key: ClassVar[str]  # the option, the extra and the package

    def __init__(self, folder: Path, online: bool = False) -> None:
        self.folder, self.online = folder / TRACKERS, online

    @classmethod
    def check(cls, online: bool = False) -> ModuleType:
        """Return the package, imported without reports to its makers.

        Raises:
            UsageError: it is not installed, or a server is asked for and none is named.
        """
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false"}
        try:
            with _variables({} if online else quiet):
                return importlib.import_module(cls.key)  # an optional dependency
        except ImportError as error:
            raise UsageError(f"{cls.title} is not installed", f"pip install 'jensen[{cls.key}]'") from error

    @abstractmethod
    def open(self, about: About | None, known: str | None) -> str:
        """Begin a run, or continue the one of a known name, and return its name.

        Args:
            about: the run; None where nothing is trained, and an evaluation is added.
            known: as this method returned it.
        """

    @abstractmethod
    def write(self, points: Sequence[Point], facts: Mapping[str, str]) -> None:
        """Write measures, and facts that replace earlier ones."""

    @abstractmethod
    def close(self, reason: str | None) -> None:
        """Close the run; `reason` is why training ended, None where none did."""


class MLflow(Tracker):
    """A run of MLflow, in a file store in the folder, or where MLFLOW_TRACKING_URI says.

    Newer versions open a file store only with MLFLOW_ALLOW_FILE_STORE=true, which is set while this one is opened.
    """

    title, key = "MLflow", "mlflow"
    ENDED: ClassVar = {"interrupted": "KILLED", "failed": "FAILED"}

    @classmethod
    def check(cls, online: bool = False) -> ModuleType:
        if online and not os.environ.get("MLFLOW_TRACKING_URI"):
            raise UsageError(
                "--online with --mlflow needs the address of a tracking server, and MLFLOW_TRACKING_URI has none",
                "Set it, or leave out --online: the run folder is written then.",
            )
        return super().check(online)

    def open(self, about: About | None, known: str | None) -> str:
        mlflow, store = self.check(self.online), self.folder / self.key
        self.entities = mlflow.entities
        make_folder(self.folder)
        uri = os.environ["MLFLOW_TRACKING_URI"] if self.online else store.resolve().as_uri()
        if known is not None and not self.online and not store.is_dir():
            known = None  # it was removed
        with _variables({} if self.online else {"MLFLOW_ALLOW_FILE_STORE": "true"}):
            self.client = mlflow.MlflowClient(tracking_uri=uri)
        if known is not None or about is None:
            self.run_id = str(known)
            if about is not None:
                self.client.update_run(self.run_id, "RUNNING")
            return self.run_id
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        experiment = self.client.get_experiment_by_name(name)
        where = self.client.create_experiment(name) if experiment is None else experiment.experiment_id
        tags = {"mlflow.note.content": about.sentence, **{f"jensen.{k}": v for k, v in about.identity.items()}}
        self.run_id = self.client.create_run(where, run_name=about.name, tags=tags).info.run_id
        options = [self.entities.Param(k, str(v)[:LONGEST_VALUE]) for k, v in about.options.items()]
        for some in _divided(options, MOST_PARAMETERS):
            self.client.log_batch(self.run_id, params=some)
        return self.run_id

    def write(self, points: Sequence[Point], facts: Mapping[str, str]) -> None:
        metrics = [
            self.entities.Metric(name, value, round(1000 * point.at), point.step)
            for point in points
            for name, value in point.values.items()
        ]
        for some in _divided(metrics, MOST_METRICS):
            self.client.log_batch(self.run_id, metrics=some)
        tags = [self.entities.RunTag(f"jensen.{k}", v[:LONGEST_VALUE]) for k, v in facts.items()]
        if tags:
            self.client.log_batch(self.run_id, tags=tags)

    def close(self, reason: str | None) -> None:
        if reason is not None:
            self.client.set_terminated(self.run_id, self.ENDED.get(reason, "FINISHED"))


class WeightsAndBiases(Tracker):
    """A run of Weights & Biases, offline in the folder (`wandb sync` sends it), or sent as it comes.

    Links to its logs are left out where there is a choice; what is printed stays as it was.
    """

    title, key = "Weights & Biases", "wandb"

    def open(self, about: About | None, known: str | None) -> str:
        wandb = self.check(self.online)
        make_folder(self.folder)
        name = secrets.token_hex(4) if known is None else known
        described: dict[str, Any] = {}
        self.last, self.is_training = -1, about is not None
        if about is not None:
            described = {"name": about.name, "notes": about.sentence}
            described["config"] = {**about.options, **{f"jensen.{k}": v for k, v in about.identity.items()}}
        with _variables({} if self.online else {"WANDB_ERROR_REPORTING": "false"}):
            self.run = wandb.init(
                mode="online" if self.online else "offline",
                dir=str(self.folder),
                project=os.environ.get("WANDB_PROJECT") or PROJECT,
                id=name,
                resume="allow",
                reinit="create_new",  # beside a run of the user's own, and the other members of a group
                settings=wandb.Settings(symlink=False, console="off", silent=True, save_code=False),
                **described,
            )
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")  # which may go back, after a recovery
        return name

    def write(self, points: Sequence[Point], facts: Mapping[str, str]) -> None:
        for point in points:
            if self.is_training:  # its own steps must rise, also over the folders of several trainings of one run
                self.last = max(point.step, self.last + 1)
                self.run.log({**point.values, "step": point.step}, step=self.last)
            else:
                self.run.summary.update(dict(point.values))
        self.run.summary.update({f"jensen.{name}": value for name, value in facts.items()})

    def close(self, reason: str | None) -> None:
        self.run.finish(exit_code=int(reason in ("interrupted", "failed")))


KINDS: tuple[type[Tracker], ...] = (MLflow, WeightsAndBiases)


def _divided(values: list[Any], most: int) -> Iterator[list[Any]]:
    """Yield the values in order, at most so many at a time."""
    yield from (values[start : start + most] for start in range(0, len(values), most))


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """A scope with these variables of the environment, which leaves those that are set as they are."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
