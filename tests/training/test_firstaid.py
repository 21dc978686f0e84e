"""First aid: planted faults are traced to what was planted; what goes on after one goes on to the same bits."""

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
    Finding,
    History,
    Optimizer,
    Player,
    Recovered,
    Trainer,
    search,
)
from jensen.training.fit import Fit
from tests.training.test_resume import Memory, measured, stop_after

N, D = 64, 3


def data(n: int = N) -> Tensor:
    return torch.randn(n, D, generator=stream(0, "rows"))


def pair(net: nn.Module | None = None) -> tuple[LatentVariableModel, Amortized]:
    with drawing_from(stream(0, "weights")):
        own = MLP(2, 2 * D, (8,), "silu") if net is None else nn.Sequential(MLP(2, 2 * D, (8,), "silu"), net)
        model = LatentVariableModel(Unconditional(Gaussian(2)), Given(own, Gaussian(D)))
        return model, Amortized(Given(MLP(D, 4, (8,), "silu"), Gaussian(2)))


class Heard:
    """What training said of its faults."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.recovered: list[Recovered] = []
        self.epochs: list[int] = []

    def __call__(self, event) -> None:
        if isinstance(event, Diagnosed):
            self.findings.append(event.finding)
        if isinstance(event, Recovered):
            self.recovered.append(event)
            self.epochs = [e for e in self.epochs if e < event.epoch]
        if isinstance(event, EpochEnded):
            self.epochs.append(event.epoch)


def train(
    x: Tensor, net: nn.Module | None = None, lr: float = 1e-3, epochs: int = 3, pull: Objective | None = None
) -> Heard:
    """Until it ends, in whichever way."""
    heard, (model, guide) = Heard(), pair(net)
    objective = Elbo() if pull is None else Elbo() + pull
    player = Player(objective, [*model.parameters(), *guide.parameters()], optimizer=Optimizer(lr=lr))
    heard.error = None
    try:
        Trainer(schedule="constant", listeners=[heard]).fit(model, guide, [player], Rows(x), Budget(epochs, 16))
    except NumericalError as error:
        heard.error = error
    heard.parameters = [p.detach().clone() for p in player.parameters]
    return heard


@pytest.mark.parametrize("row", [3, 40])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_bad_row_is_named_at_once(value, row):
    """Also among the rows that are rehearsed; a third entry that is only large is not blamed."""
    x = data()
    x[row, 1] = value
    heard = train(x)
    [found] = heard.findings
    assert (found.culprit, found.rows, found.hopeless) == ("row", (row,), True)
    assert found.found_in == ("update" if value == 1e30 else "data")
    assert (found.values[0]["row"], found.values[0]["feature"]) == (row, 1)
    assert float(found.values[0]["value"]) == value or math.isnan(value)
    assert row in found.batch
    assert value == 1e30 or "log p(x | z)" in found.terms
    assert heard.recovered == []
    assert heard.error.exit_code == 5
    assert f"training row {row}" in str(heard.error)
    assert value != 1e30 or "(exp_avg_sq)" in found.parameter  # scored, but its gradient overflows when it is squared
    assert "extreme values" in str(heard.error)
    assert all(p.isfinite().all() for p in heard.parameters)


def test_a_row_that_cannot_be_scored_is_named_with_its_feature():
    x = data().double()
    x[40, 1] = 1e200
    heard = Heard()
    model, guide = pair()
    model.double(), guide.double()
    player = Player(-Distortion(), list(model.parameters()))
    with pytest.raises(
        NumericalError, match=r"log p\(x \| z\) by Gaussian .* training row 40, at parameters that score"
    ):
        Trainer(listeners=[heard]).fit(model, guide, [player], Rows(x), Budget(1, 16))
    [found] = heard.findings
    assert (found.found_in, found.culprit, found.rows, found.features) == ("forward", "row", (40,), (1,))


def bowl(lr: float) -> tuple[Tensor, Heard]:
    """Down a bowl of curvature 1 by steps that are stable below a rate of 2, and double at 3."""
    model, guide = pair()
    b, heard = nn.Parameter(torch.ones(())), Heard()
    player = Player(
        CustomObjective(lambda draw: -0.5 * (b**2).expand(len(draw.batch)), "bowl"), [b], optimizer=Optimizer("SGD", lr)
    )
    trainer = Trainer(schedule="constant", listeners=[heard])
    trainer.fit(model, guide, [player], Rows(data()), Budget(8, 16))
    return b.detach(), heard


def test_a_rate_that_explodes_is_blamed_and_halved_until_it_does_not():
    b, heard = bowl(6.0)
    assert [r.factor for r in heard.recovered] == [0.5, 0.25]
    assert {f.culprit for f in heard.findings} == {"rate"}
    assert [f.learning_rates for f in heard.findings] == [(6.0,), (3.0,)]
    assert heard.epochs == list(range(1, 9))
    lower, quiet = bowl(1.5)
    assert quiet.findings == []
    assert torch.equal(b, lower)


def test_a_rate_that_explodes_without_a_nan_is_found_too():
    heard = train(data(), lr=1e8)
    assert len(heard.recovered) == 3
    found = heard.findings[-1]
    assert found.culprit == "rate"
    assert found.largest["jumped_at_step"] == 1
    assert "Lower --lr" in str(heard.error)


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
    heard = train(data(), part, lr=0.1, epochs=8, pull=pull)
    assert len(heard.recovered) == (0 if a == 0 else 3)
    for found in heard.findings:
        assert found.culprit == "part"
        assert found.tensor["module"] == "model.likelihood.net.1"
        assert found.tensor["class"] == "Logarithm"
        assert found.tensor["input_is_finite"]
        assert found.terms[0] == "log p(x | z)"
    assert "first in model.likelihood.net.1 (Logarithm)" in str(heard.error)
    assert "logarithm" in str(heard.error)
    assert all(p.isfinite().all() for p in heard.parameters)


class Root(nn.Module):
    """A part whose values are finite, and whose slope is not."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sqrt(x - x)


def test_a_slope_that_is_not_finite_is_traced_to_its_part():
    heard = train(data(), nn.Sequential(Root()))
    [found] = heard.findings
    assert (found.found_in, found.culprit, found.hopeless) == ("backward", "part", True)
    assert found.tensor["pass"] == "backward"
    assert found.tensor["module"] == "model.likelihood.net.0.layers.2"  # what the root was given
    assert found.gradient.startswith("model.likelihood.net.0")


class Raises(nn.Module):
    """A part that refuses what is not finite, as torch's own distributions do."""

    def forward(self, x: Tensor) -> Tensor:
        if not bool(x.isfinite().all()):
            raise ValueError("expected finite numbers")
        return x


def test_an_error_of_a_part_is_taken_for_a_fault_only_if_numbers_were():
    x = data()
    x[40, 1] = math.nan
    heard = train(x, Raises())
    assert heard.findings[0].rows == (40,)

    class Wrong(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if len(x.shape) == 3 and x.shape[1] == 4:  # the last batch
                raise ValueError("four rows are too few")
            return x

    with pytest.raises(ValueError, match="four rows are too few"):
        train(data(36), Wrong())


# ---------------------------------------------------------------- going on


def climb(
    lr: float, trap: float = math.inf, epochs: int = 7, start=None, again: bool = True, **settings
) -> tuple[Tensor, History, Heard]:
    """b climbs by the rate at every step, four in an epoch, and a little by chance; no number beyond the trap."""
    model, guide = pair()
    b, heard, sprung = nn.Parameter(torch.zeros(())), Heard(), []

    def slope(draw) -> Tensor:
        value = b + 1e-3 * b * draw.z[0, :, 0]
        if float(b.detach()) > trap and (again or not sprung):
            sprung.append(1)
            return value * math.nan
        return value

    player = Player(CustomObjective(slope, "slope"), [b], optimizer=Optimizer("SGD", lr))
    trainer = Trainer(schedule="constant", listeners=[heard], **settings)
    history = trainer.fit(model, guide, [player], Rows(data()), Budget(epochs, 16), None, start)
    return b.detach(), history, heard


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anchors every eight steps, and faults that are seen at the end of epochs."""
    monkeypatch.setattr(search, "APART", 8)
    monkeypatch.setattr(search, "SHARE", math.inf)  # copies whatever they cost: the clock has no say
    monkeypatch.setattr(Fit, "_glance", lambda *args: None)  # which comes by the clock


@pytest.mark.usefixtures("near")
def test_it_goes_on_to_the_bits_of_a_lower_rate_from_the_good_state():
    memory = Memory(every=1)
    b, history, heard = climb(0.01, trap=0.205, keeper=memory)
    [event] = heard.recovered
    assert (event.step, event.epoch, event.factor, event.bad_step) == (8, 3, 0.5, 22)
    assert history.recoveries == [event]
    assert heard.epochs == [e.epoch for e in history.epochs] == list(range(1, 8))
    good = next(s for s in memory.kept if (s.facts["step"], s.facts["index"]) == (8, 0))
    done = [e for e in history.epochs if e.epoch < 3]
    lower, other, quiet = climb(0.005, trap=0.205, start=(good, done))
    assert quiet.findings == []
    assert torch.equal(lower, b)
    assert [e.train for e in other.epochs] == [e.train for e in history.epochs]
    assert [e.learning_rate for e in other.epochs[2:]] == [e.learning_rate for e in history.epochs[2:]]


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize(("steps", "recovered"), [(5, 0), (52, 1)])
def test_a_training_that_is_resumed_recovers_as_one_that_was_not(steps, recovered):
    """Stopped long before the fault, or after the recovery; the steps that are made again are asked about too."""
    whole, expected, _ = climb(0.01, trap=0.205)
    memory = Memory(every=10**6)
    *_, heard = climb(0.01, trap=0.205, keeper=memory, should_stop=stop_after(steps))
    assert len(heard.recovered) == recovered
    kept = memory.kept[-1]
    assert kept.facts["recovered"]["factor"] == 0.5**recovered
    assert kept.facts["ended"] is None
    b, history, _ = climb(0.01, trap=0.205, start=(kept, expected.epochs[: kept.facts["epoch"] - 1]))
    assert torch.equal(b, whole)
    assert measured(history) == measured(expected)


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize("steps", [30, 40])
def test_an_interruption_while_it_looks_for_the_cause_leaves_a_good_state(steps):
    """In the search, and in the look into the bad step."""
    whole, expected, _ = climb(0.01, trap=0.205)
    memory = Memory(every=10**6)
    _, history, heard = climb(0.01, trap=0.205, keeper=memory, should_stop=stop_after(steps))
    assert (history.stopped.reason, heard.recovered) == ("interrupted", [])
    kept = memory.kept[-1]
    assert [e.epoch for e in history.epochs] == list(range(1, kept.facts["epoch"]))
    b, *_ = climb(0.01, trap=0.205, start=(kept, expected.epochs[: kept.facts["epoch"] - 1]))
    assert torch.equal(b, whole)


@pytest.mark.usefixtures("near")
def test_a_state_that_lies_between_the_anchor_and_the_fault():
    """From there too the same steps, made again from an older state, lead to the same anchor."""
    memory, settings = Memory(every=1), {"lr": 0.02, "trap": 0.205, "epochs": 9}
    whole, expected, heard = climb(**settings, keeper=memory)
    assert [(e.step, e.bad_step) for e in heard.recovered] == [(0, 12), (8, 22), (24, 34)]
    assert heard.epochs == list(range(1, 10))
    # by recoveries and place: before a fault, after a recovery, at an anchor before its epoch's end, after the last
    for count, epoch, index in ((0, 3, 3), (1, 4, 2), (2, 6, 4), (2, 8, 1), (3, 8, 2)):
        found = [(s.facts["recovered"]["count"], s.facts["epoch"], s.facts["index"]) for s in memory.kept]
        i = found.index((count, epoch, index))
        done = [e for e in expected.epochs if e.epoch < epoch]
        older = Memory(every=10**6, kept=memory.kept[: i + 1])
        b, history, again = climb(**settings, start=(memory.kept[i], done), keeper=older)
        assert torch.equal(b, whole), (count, epoch, index, again.recovered)
        assert measured(history)[len(done) :] == measured(expected)[len(done) :]


@pytest.mark.usefixtures("near")
def test_a_first_state_that_does_not_lead_to_the_later_one_is_not_used():
    memory = Memory(every=1)
    climb(0.01, trap=0.205, keeper=memory)
    start = next(s for s in memory.kept if s.facts["step"] == 18)
    tensors = {k: t + 1e-6 if k == "player/0" else t for k, t in start.tensors.items()}
    moved = replace(start, tensors={k: t + 1e-6 if k.startswith("module/") else t for k, t in tensors.items()})
    *_, heard = climb(0.01, trap=0.205, start=(moved, []))
    assert heard.recovered[0].step == 18
    *_, heard = climb(0.01, trap=0.205, start=(start, []))
    assert heard.recovered[0].step == 8


def test_a_state_of_an_older_version_knows_of_no_recovery():
    memory = Memory(every=10**6)
    climb(0.01, epochs=3, keeper=memory)
    kept = memory.kept[-1]
    facts = {k: v for k, v in kept.facts.items() if k not in ("recovered", "first")} | {"ended": None}
    b, history, _ = climb(0.01, epochs=4, start=(replace(kept, facts=facts), []))
    assert history.epochs[-1].epoch == 4
    assert float(b) == pytest.approx(0.16, abs=1e-3)


def test_a_fault_that_does_not_repeat_itself_is_told_as_such():
    _, history, heard = climb(0.01, trap=0.15, again=False)
    [found] = heard.findings
    assert (found.found_in, found.culprit) == ("nowhere", "unknown")
    assert "not when the same steps were made again" in found.what
    assert history.epochs[-1].epoch == 7


# ---------------------------------------------------------------- spikes


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


def test_a_spike_is_shortened_and_counted():
    at = 31  # the rehearsal is the first look
    b, history = spiky(5.0, at)
    assert history.epochs[-1].spikes == 1
    assert float(b) == pytest.approx(0.01 * (39 + 5.0), rel=1e-5)
    free, told = spiky(None, at)
    assert told.epochs[-1].spikes is None
    assert float(free) == pytest.approx(0.01 * (39 + 1e4), rel=1e-5)


def test_where_there_is_no_spike_nothing_changes():
    x = data()
    found = []
    for spikes in (None, 1e3):
        model, guide = pair()
        player = Player(Elbo(), [*model.parameters(), *guide.parameters()])
        Trainer(spikes=spikes).fit(model, guide, [player], Rows(x), Budget(8, 16))
        found.append([p.detach().clone() for p in player.parameters])
    assert all(torch.equal(p, q) for p, q in zip(*found, strict=True))


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
def test_factors_that_cannot_work_are_refused(spikes):
    with pytest.raises(UsageError, match="--spikes"):
        Trainer(spikes=spikes).check()


def test_a_line_search_is_not_mixed_with_shortened_gradients():
    model, guide = pair()
    player = Player(Elbo(), list(model.parameters()), optimizer=Optimizer("LBFGS"))
    with pytest.raises(UsageError, match="line search"):
        Trainer(spikes=10.0).fit(model, guide, [player], Rows(data()), Budget(1))
