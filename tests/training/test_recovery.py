"""Recovery from non-finite values: planted faults are traced to their cause, and what follows is bit-identical."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from jensen.core.batch import Rows
from jensen.core.errors import NumericalError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import CustomObjective, Distortion, Elbo, Objective
from jensen.training import (
    Budget,
    Diagnosed,
    EpochEnded,
    Fault,
    History,
    Optimizer,
    Player,
    Recovered,
    Trainer,
    anchors,
)
from jensen.training.loop import TrainingLoop
from tests.training.test_resume import Memory, measured, stop_after

N, D = 64, 3


def data(n: int = N) -> Tensor:
    return torch.randn(n, D, generator=stream(0, "rows"))


def pair(net: nn.Module | None = None) -> tuple[LatentVariableModel, Amortized]:
    with drawing_from(stream(0, "weights")):
        own = MLP(2, 2 * D, (8,), "silu") if net is None else nn.Sequential(MLP(2, 2 * D, (8,), "silu"), net)
        model = LatentVariableModel(Unconditional(Gaussian(2)), Given(own, Gaussian(D)))
        return model, Amortized(Given(MLP(D, 4, (8,), "silu"), Gaussian(2)))


class Recorded:
    """The events of a training's faults and recoveries."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.recovered: list[Recovered] = []
        self.epochs: list[int] = []

    def __call__(self, event) -> None:
        if isinstance(event, Diagnosed):
            self.faults.append(event.fault)
        if isinstance(event, Recovered):
            self.recovered.append(event)
            self.epochs = [e for e in self.epochs if e < event.epoch]
        if isinstance(event, EpochEnded):
            self.epochs.append(event.epoch)


def train(
    x: Tensor, net: nn.Module | None = None, lr: float = 1e-3, epochs: int = 3, pull: Objective | None = None
) -> Recorded:
    """Train until it ends, with or without an error."""
    events, (model, guide) = Recorded(), pair(net)
    objective = Elbo() if pull is None else Elbo() + pull
    player = Player(objective, [*model.parameters(), *guide.parameters()], optimizer=Optimizer(lr=lr))
    events.error = None
    try:
        Trainer(schedule="constant", listeners=[events]).fit(model, guide, [player], Rows(x), Budget(epochs, 16))
    except NumericalError as error:
        events.error = error
    events.parameters = [p.detach().clone() for p in player.parameters]
    return events


@pytest.mark.parametrize("row", [3, 40])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_bad_row_is_named_at_once(value, row):
    """Also among the rows of the dry run; a third entry that is only large is not blamed."""
    x = data()
    x[row, 1] = value
    events = train(x)
    [fault] = events.faults
    assert (fault.culprit, fault.rows, fault.hopeless) == ("row", (row,), True)
    assert fault.found_in == ("update" if value == 1e30 else "data")
    assert (fault.values[0]["row"], fault.values[0]["feature"]) == (row, 1)
    assert float(fault.values[0]["value"]) == value or math.isnan(value)
    assert row in fault.batch
    assert value == 1e30 or "log p(x | z)" in fault.terms
    assert events.recovered == []
    assert events.error.exit_code == 5
    assert f"training row {row}" in str(events.error)
    assert value != 1e30 or "(exp_avg_sq)" in fault.parameter  # scored, but its gradient overflows when it is squared
    assert "extreme values" in str(events.error)
    assert all(p.isfinite().all() for p in events.parameters)


def test_a_row_that_cannot_be_scored_is_named_with_its_feature():
    x = data().double()
    x[40, 1] = 1e200
    events = Recorded()
    model, guide = pair()
    model.double(), guide.double()
    player = Player(-Distortion(), list(model.parameters()))
    with pytest.raises(
        NumericalError, match=r"log p\(x \| z\) by Gaussian .* training row 40, at parameters that score"
    ):
        Trainer(listeners=[events]).fit(model, guide, [player], Rows(x), Budget(1, 16))
    [fault] = events.faults
    assert (fault.found_in, fault.culprit, fault.rows, fault.features) == ("forward", "row", (40,), (1,))


def bowl(lr: float) -> tuple[Tensor, Recorded]:
    """Down a bowl of curvature 1 by steps that are stable below a rate of 2, and double at 3."""
    model, guide = pair()
    b, events = nn.Parameter(torch.ones(())), Recorded()
    player = Player(
        CustomObjective(lambda draw: -0.5 * (b**2).expand(len(draw.batch)), "bowl"), [b], optimizer=Optimizer("SGD", lr)
    )
    trainer = Trainer(schedule="constant", listeners=[events])
    trainer.fit(model, guide, [player], Rows(data()), Budget(8, 16))
    return b.detach(), events


def test_a_rate_that_explodes_is_blamed_and_halved_until_it_does_not():
    b, events = bowl(6.0)
    assert [r.factor for r in events.recovered] == [0.5, 0.25]
    assert {f.culprit for f in events.faults} == {"rate"}
    assert [f.learning_rates for f in events.faults] == [(6.0,), (3.0,)]
    assert events.epochs == list(range(1, 9))
    lower, undisturbed = bowl(1.5)
    assert undisturbed.faults == []
    assert torch.equal(b, lower)


def test_a_rate_that_explodes_without_a_nan_is_found_too():
    events = train(data(), lr=1e8)
    assert len(events.recovered) == 3
    fault = events.faults[-1]
    assert fault.culprit == "rate"
    assert fault.largest["jumped_at_step"] == 1
    assert "Lower --lr" in str(events.error)


class Logarithm(nn.Module):
    """A part of a user's: a log a, which is 0 log 0 when a has fallen to zero."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.a) * torch.log(torch.relu(self.a))


@pytest.mark.parametrize("a", [0.0, 0.2])
def test_a_logarithm_of_zero_is_traced_to_its_part(a):
    """At the start: smaller steps cannot help, and none are tried. Later: they are, and do not help either."""
    part = Logarithm(a)
    pull = CustomObjective(lambda draw: -1e3 * part.a.expand(len(draw.batch)), "pull")
    events = train(data(), part, lr=0.1, epochs=8, pull=pull)
    assert len(events.recovered) == (0 if a == 0 else 3)
    for fault in events.faults:
        assert fault.culprit == "part"
        assert fault.tensor["module"] == "model.likelihood.net.1"
        assert fault.tensor["class"] == "Logarithm"
        assert fault.tensor["input_is_finite"]
        assert fault.terms[0] == "log p(x | z)"
    assert "first in model.likelihood.net.1 (Logarithm)" in str(events.error)
    assert "logarithm" in str(events.error)
    assert all(p.isfinite().all() for p in events.parameters)


class Root(nn.Module):
    """A part whose values are finite, and whose slope is not."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sqrt(x - x)


def test_a_slope_that_is_not_finite_is_traced_to_its_part():
    events = train(data(), nn.Sequential(Root()))
    [fault] = events.faults
    assert (fault.found_in, fault.culprit, fault.hopeless) == ("backward", "part", True)
    assert fault.tensor["pass"] == "backward"
    assert fault.tensor["module"] == "model.likelihood.net.0.layers.2"  # what the root was given
    assert fault.gradient.startswith("model.likelihood.net.0")


class Raises(nn.Module):
    """A part that refuses what is not finite, as torch's own distributions do."""

    def forward(self, x: Tensor) -> Tensor:
        if not bool(x.isfinite().all()):
            raise ValueError("expected finite numbers")
        return x


def test_an_error_of_a_part_is_taken_for_a_fault_only_if_numbers_were():
    x = data()
    x[40, 1] = math.nan
    events = train(x, Raises())
    assert events.faults[0].rows == (40,)

    class Wrong(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if len(x.shape) == 3 and x.shape[1] == 4:  # the last batch
                raise ValueError("four rows are too few")
            return x

    with pytest.raises(ValueError, match="four rows are too few"):
        train(data(36), Wrong())


def test_parameters_that_are_not_finite_at_the_start_are_named_at_once():
    """What is not trained may hold infinities on purpose, as a mask does."""
    for value in (math.nan, math.inf):
        model, guide = pair()
        with torch.no_grad():
            model.likelihood.net.layers[0].weight[0, 0] = value
        player = Player(Elbo(), [*model.parameters(), *guide.parameters()])
        with pytest.raises(NumericalError, match=r"at step 0; the first bad parameter is model\.likelihood"):
            Trainer().fit(model, guide, [player], Rows(data()), Budget(1, 16))
    model, guide = pair()
    model.register_buffer("mask", torch.tensor([0.0, -math.inf]))
    history = Trainer().fit(model, guide, [Player(Elbo(), [model])], Rows(data()), Budget(1, 16))
    assert history.stopped.reason == "finished"


# --- after a recovery ---


def ascend(
    lr: float, trap: float = math.inf, epochs: int = 7, start=None, again: bool = True, **settings
) -> tuple[Tensor, History, Recorded]:
    """Raise b by the rate at every step, four in an epoch, and a little by chance; NaN beyond the trap."""
    model, guide = pair()
    b, events, sprung = nn.Parameter(torch.zeros(())), Recorded(), []

    def slope(draw) -> Tensor:
        value = b + 1e-3 * b * draw.z[0, :, 0]
        if float(b.detach()) > trap and (again or not sprung):
            sprung.append(1)
            return value * math.nan
        return value

    player = Player(CustomObjective(slope, "slope"), [b], optimizer=Optimizer("SGD", lr))
    trainer = Trainer(schedule="constant", listeners=[events], **settings)
    history = trainer.fit(model, guide, [player], Rows(data()), Budget(epochs, 16), None, start)
    return b.detach(), history, events


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anchors every eight steps, and faults that are seen at the end of epochs."""
    monkeypatch.setattr(anchors, "APART", 8)
    monkeypatch.setattr(anchors, "SHARE", math.inf)  # copies do not depend on the clock
    monkeypatch.setattr(TrainingLoop, "report_progress", lambda *args: None)  # which depends on the clock


@pytest.mark.usefixtures("near")
def test_it_goes_on_to_the_bits_of_a_lower_rate_from_the_good_state():
    memory = Memory(every=1)
    b, history, events = ascend(0.01, trap=0.205, keeper=memory)
    [event] = events.recovered
    assert (event.step, event.epoch, event.factor, event.bad_step) == (8, 3, 0.5, 22)
    assert history.recoveries == [event]
    assert events.epochs == [e.epoch for e in history.epochs] == list(range(1, 8))
    good = next(s for s in memory.kept if (s.facts["step"], s.facts["index"]) == (8, 0))
    done = [e for e in history.epochs if e.epoch < 3]
    lower, other, undisturbed = ascend(0.005, trap=0.205, start=(good, done))
    assert undisturbed.faults == []
    assert torch.equal(lower, b)
    assert [e.train for e in other.epochs] == [e.train for e in history.epochs]
    assert [e.learning_rate for e in other.epochs[2:]] == [e.learning_rate for e in history.epochs[2:]]


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize(("steps", "recovered"), [(5, 0), (52, 1)])
def test_a_training_that_is_resumed_recovers_as_one_that_was_not(steps, recovered):
    """Stopped long before the fault, or after the recovery; `should_stop` is called in repeated steps too."""
    whole, expected, _ = ascend(0.01, trap=0.205)
    memory = Memory(every=10**6)
    *_, events = ascend(0.01, trap=0.205, keeper=memory, should_stop=stop_after(steps))
    assert len(events.recovered) == recovered
    kept = memory.kept[-1]
    assert kept.facts["recovered"]["factor"] == 0.5**recovered
    assert kept.facts["ended"] is None
    b, history, _ = ascend(0.01, trap=0.205, start=(kept, expected.epochs[: kept.facts["epoch"] - 1]))
    assert torch.equal(b, whole)
    assert measured(history) == measured(expected)


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize("steps", [30, 40])
def test_an_interruption_while_steps_are_repeated_leaves_a_good_state(steps):
    """In the search, and in the inspection of the bad step."""
    whole, expected, _ = ascend(0.01, trap=0.205)
    memory = Memory(every=10**6)
    _, history, events = ascend(0.01, trap=0.205, keeper=memory, should_stop=stop_after(steps))
    assert (history.stopped.reason, events.recovered) == ("interrupted", [])
    kept = memory.kept[-1]
    assert [e.epoch for e in history.epochs] == list(range(1, kept.facts["epoch"]))
    b, *_ = ascend(0.01, trap=0.205, start=(kept, expected.epochs[: kept.facts["epoch"] - 1]))
    assert torch.equal(b, whole)


@pytest.mark.usefixtures("near")
def test_a_state_that_lies_between_the_anchor_and_the_fault():
    """From there too the same steps, repeated from an older state, lead to the same anchor."""
    memory, settings = Memory(every=1), {"lr": 0.02, "trap": 0.205, "epochs": 9}
    whole, expected, events = ascend(**settings, keeper=memory)
    assert [(e.step, e.bad_step) for e in events.recovered] == [(0, 12), (8, 22), (24, 34)]
    assert events.epochs == list(range(1, 10))
    # by recoveries and place: before a fault, after a recovery, at an anchor before its epoch's end, after the last
    for count, epoch, index in ((0, 3, 3), (1, 4, 2), (2, 6, 4), (2, 8, 1), (3, 8, 2)):
        places = [(s.facts["recovered"]["count"], s.facts["epoch"], s.facts["index"]) for s in memory.kept]
        i = places.index((count, epoch, index))
        done = [e for e in expected.epochs if e.epoch < epoch]
        older = Memory(every=10**6, kept=memory.kept[: i + 1])
        b, history, again = ascend(**settings, start=(memory.kept[i], done), keeper=older)
        assert torch.equal(b, whole), (count, epoch, index, again.recovered)
        assert measured(history)[len(done) :] == measured(expected)[len(done) :]


@pytest.mark.usefixtures("near")
def test_a_first_state_that_does_not_lead_to_the_later_one_is_not_used():
    memory = Memory(every=1)
    ascend(0.01, trap=0.205, keeper=memory)
    start = next(s for s in memory.kept if s.facts["step"] == 18)
    tensors = {k: t + 1e-6 if k == "player/0" else t for k, t in start.tensors.items()}
    moved = replace(start, tensors={k: t + 1e-6 if k.startswith("module/") else t for k, t in tensors.items()})
    *_, events = ascend(0.01, trap=0.205, start=(moved, []))
    assert events.recovered[0].step == 18
    *_, events = ascend(0.01, trap=0.205, start=(start, []))
    assert events.recovered[0].step == 8


def test_a_state_of_an_older_version_knows_of_no_recovery():
    memory = Memory(every=10**6)
    ascend(0.01, epochs=3, keeper=memory)
    kept = memory.kept[-1]
    facts = {k: v for k, v in kept.facts.items() if k not in ("recovered", "first")} | {"ended": None}
    b, history, _ = ascend(0.01, epochs=4, start=(replace(kept, facts=facts), []))
    assert history.epochs[-1].epoch == 4
    assert float(b) == pytest.approx(0.16, abs=1e-3)


def test_a_fault_that_does_not_repeat_itself_is_reported_as_such():
    _, history, events = ascend(0.01, trap=0.15, again=False)
    [fault] = events.faults
    assert (fault.found_in, fault.culprit) == ("nowhere", "unknown")
    assert "not when the same steps were repeated" in fault.what
    assert history.epochs[-1].epoch == 7


# --- spikes ---


def spiky(spikes: float | None, at: int = 30, times: float = 1e4, start=None, **settings) -> tuple[Tensor, History]:
    """A slope of one, but for one step."""
    model, guide = pair()
    b, steps = nn.Parameter(torch.zeros(())), []

    def slope(draw) -> Tensor:
        if torch.is_grad_enabled():
            steps.append(1)
        first = 0 if start is None else start[0].facts["step"]
        return (b * (times if len(steps) + first == at else 1.0)).expand(len(draw.batch))

    player = Player(CustomObjective(slope, "slope"), [b], optimizer=Optimizer("SGD", 0.01))
    trainer = Trainer(schedule="constant", spikes=spikes, **settings)
    history = trainer.fit(model, guide, [player], Rows(data()), Budget(10, 16), None, start)
    return b.detach(), history


def test_a_spike_is_clipped_and_counted():
    at = 31  # the dry run is the first evaluation
    b, history = spiky(5.0, at)
    assert history.epochs[-1].spikes == 1
    assert float(b) == pytest.approx(0.01 * (39 + 5.0), rel=1e-5)
    free, unclipped = spiky(None, at)
    assert unclipped.epochs[-1].spikes is None
    assert float(free) == pytest.approx(0.01 * (39 + 1e4), rel=1e-5)


def test_where_there_is_no_spike_nothing_changes():
    x = data()
    trained = []
    for spikes in (None, 1e3):
        model, guide = pair()
        player = Player(Elbo(), [*model.parameters(), *guide.parameters()])
        Trainer(spikes=spikes).fit(model, guide, [player], Rows(x), Budget(8, 16))
        trained.append([p.detach().clone() for p in player.parameters])
    assert all(torch.equal(p, q) for p, q in zip(*trained, strict=True))


def test_the_average_of_the_norm_is_resumed():
    memory = Memory(every=10**6)
    whole, expected = spiky(5.0, 36)
    spiky(5.0, 36, keeper=memory, should_stop=stop_after(25))
    kept = memory.kept[-1]
    done = [e for e in expected.epochs if e.epoch < kept.facts["epoch"]]
    b, history = spiky(5.0, 36, start=(kept, done))
    assert torch.equal(b, whole)
    assert history.epochs[-1].spikes == 1


@pytest.mark.parametrize("spikes", [1.0, 0.0, -3.0, math.nan, math.inf])
def test_multiples_out_of_range_are_refused(spikes):
    with pytest.raises(UsageError, match=f"--spikes must be a finite number above 1, got {spikes:g}"):
        Trainer(spikes=spikes).check()


def test_a_line_search_is_not_mixed_with_clipped_gradients():
    model, guide = pair()
    player = Player(Elbo(), list(model.parameters()), optimizer=Optimizer("LBFGS"))
    with pytest.raises(UsageError, match="line search"):
        Trainer(spikes=10.0).fit(model, guide, [player], Rows(data()), Budget(1))
