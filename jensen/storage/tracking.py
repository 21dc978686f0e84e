"""The listener that writes a training into a tracker of experiments, and the evaluation that is added later."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.errors import CorruptRunError
from ..core.version import __version__
from ..training import EpochEnded, Event, Recovered, Started, Stopped
from .files import write_json
from .metrics import lines_of
from .migrations import fingerprint
from .recorder import SHARE, measures
from .run_folder import METRICS, TRACKING
from .schemas import TrackingRecord, read_record
from .trackers import KINDS, About, Point, Tracker
from .weights import tie

__all__ = ["Tracking", "about", "track_evaluation"]

SECONDS_BETWEEN_WRITES = 2.0
NUMBERS = ("stderr", "stderr_mc", "elbo", "rate", "distortion", "bits_per_dim", "k", "n")  # of an evaluation
FACTS = ("quantity", "kind", "data", "prepared", "weights")


class Tracking:
    """A listener that writes the measures of every epoch into a tracker.

    Nothing that fails there ends a training: it is warned of once, and measures wait until they can be written.

    Args:
        folder: the run's; the tracker's own name of the run is recorded there, so that a resume continues it.
        tracker: in this folder, or online.
        described: the run.
        notice: called with a sentence for the user.
    """

    def __init__(
        self, folder: Path, tracker: Tracker, described: About, notice: Callable[[str], None] = lambda text: None
    ) -> None:
        self.folder, self.tracker, self.described, self.notice = folder, tracker, described, notice
        self.waiting: list[Point] = []
        self.facts: dict[str, str] = {}
        self.name: str | None = None
        self.sent, self.written, self.cost, self.warned = 0, 0.0, 0.0, False

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self._write()
            case EpochEnded():
                if event.step > self.sent:  # an epoch that a resumed training repeats is there already
                    self.waiting.append(_point(asdict(event)))
                if time.monotonic() - self.written > max(SECONDS_BETWEEN_WRITES, self.cost / SHARE):
                    self._write()
            case Recovered():
                self.waiting = [point for point in self.waiting if point.step <= event.step]
                self.sent = min(self.sent, event.step)
                self.facts["recoveries"] = f"{event.count}, the last to step {event.step}: later measures are of both"
            case Stopped():
                self.facts |= {"ended": event.reason, "kept_epoch": str(event.kept_epoch)}
                self._write(event.reason)
            case _:
                pass

    def _write(self, reason: str | None = None) -> None:
        """Write what waits, and close the run where training has ended."""
        began = time.monotonic()
        with _tolerated(self.tracker, self._warn):
            if self.name is None:
                known = _recorded(self.folder).get(self.tracker.key)
                self.name = self.tracker.open(self.described, None if known is None else known["name"])
                self.sent = known["step"] if known is not None and known["name"] == self.name else 0
                points = {point.step: point for point in (*_completed(self.folder), *self.waiting)}
                self.waiting = [points[step] for step in sorted(points) if step > self.sent]
                began = time.monotonic()  # what it takes to begin is taken once
            self.tracker.write(self.waiting, self.facts)
            self.sent = self.waiting[-1].step if self.waiting else self.sent
            self.waiting, self.facts = [], {}
            if reason is not None:
                self.tracker.close(reason)
            known = {"name": self.name, "step": self.sent, "online": self.tracker.online}
            write_json(self.folder / TRACKING, {**_recorded(self.folder), self.tracker.key: known})
        self.written = time.monotonic()
        self.cost = self.written - began

    def _warn(self, what: str) -> None:
        if not self.warned:
            self.notice(f"{what}; training continues, and tries again")
        self.warned = True


def about(folder: Path, spec: Mapping[str, Any]) -> About:
    """Return what a tracker is given of a run: options as resolved, and what tells the run from others."""
    options = {k: v for k, v in {**spec["command"], **spec["choices"]}.items() if v is not None}
    sizes = {f"rows.{part}": n for part, n in spec["split"]["sizes"].items()}
    identity = {
        "version": __version__,
        "folder": str(folder.absolute()),
        "data_sha256": spec["data"]["sha256"],
        "belongs": fingerprint(tie(spec)),  # as the weights say whose they are
    }
    return About(folder.absolute().name, spec["sentence"], {**options, **sizes}, identity)


def track_evaluation(
    folder: Path, record: Mapping[str, Any], online: bool = False, notice: Callable[[str], None] = lambda text: None
) -> None:
    """Add an evaluation to the runs of trackers that a training has written; what fails there is noticed.

    Args:
        folder: the run's.
        record: of the evaluation, with its numbers and what they are.
        online: whether servers are written to; runs that are on one are left out otherwise.
        notice: called with a sentence for the user.
    """
    for key, known in _recorded(folder).items():
        kind = next((kind for kind in KINDS if kind.key == key), None)
        if kind is None or (known["online"] and not online):
            continue
        with _tolerated(kind, notice):
            tracker = kind(folder, known["online"])
            tracker.open(None, known["name"])
            bound = "_lower_bound" if "lower bound" in record["kind"] else ""
            values = {f"log_px{bound}": record["log_px"], **{name: record.get(name) for name in NUMBERS}}
            numbers = {f"evaluation/{name}": float(v) for name, v in values.items() if v is not None}
            facts = {f"evaluation.{name}": str(record.get(name)) for name in FACTS}
            tracker.write([Point(known["step"], {k: v for k, v in numbers.items() if math.isfinite(v)})], facts)
            tracker.close(None)


def _point(epoch: Mapping[str, Any]) -> Point:
    """Return the measures of an epoch, as its event or its line in metrics.jsonl has them."""
    rate = {} if epoch["learning_rate"] is None else {"learning_rate": epoch["learning_rate"]}
    return Point(epoch["step"], {**measures(epoch), **rate, "epoch": float(epoch["epoch"])})


def _completed(folder: Path) -> list[Point]:
    """Return the measures of the epochs in metrics.jsonl: a tracker may have missed some before a kill or a failure."""
    with suppress(CorruptRunError):
        return [_point(line) for line in lines_of(folder / METRICS) if line["event"] == "epoch"]
    return []


def _recorded(folder: Path) -> dict[str, Any]:
    """Return the runs of trackers that this run has, by tracker; none where the record cannot be read."""
    try:
        return read_record(folder / TRACKING, TrackingRecord, "Remove it: trackers begin new runs then.")
    except CorruptRunError:
        return {}


@contextmanager
def _tolerated(tracker: Tracker | type[Tracker], warn: Callable[[str], None]) -> Iterator[None]:
    """A scope in which a tracker may fail, in any way that its package has."""
    try:
        yield
    except Exception as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        warn(f"{tracker.title} was not written ({first})")
