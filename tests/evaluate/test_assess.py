"""Settings that fit into a budget, on a clock that only the work moves; and the same numbers by them again."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import nn

from jensen.core.random import drawing_from, stream
from jensen.evaluate import Assessment, Importance, Schedule, TightnessSettings, assess, assess_within
from jensen.evaluate.sandwich import Sandwich
from jensen.evaluate.tightness_plan import Costs
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given
from jensen.models.model import LatentVariableModel
from tests.evaluate.instance import instance
from tests.identities.models import mixture_model, rows, simulated

assessing = sys.modules["jensen.evaluate.assess"]
QUICK = TightnessSettings(rows=12, temperatures=4, leapfrog_steps=3, chains=8, simulated=6, refine=4, prior_chains=0)


@dataclass
class Machine:
    """A machine of known speed: an annealing takes a second per temperature, a sandwich half a second, gaps two
    seconds; each times `slower` of its kind."""

    now: float = 0.0
    slower: dict[str, float] = field(default_factory=dict)
    annealed: list[int] = field(default_factory=list)
    sandwiched: list[int] = field(default_factory=list)
    gaps: int = 0

    def spend(self, kind: str, seconds: float) -> None:
        self.now += seconds * self.slower.get(kind, 1.0)

    def schedule(self, seconds: float, **others) -> Schedule:
        return Schedule(seconds, clock=lambda: self.now, **others)


class KnownCosts(Costs):
    """The costs of the machine, as they are planned."""

    def scaled(self, factor: float) -> KnownCosts:
        return KnownCosts(self.call * factor, 0.0)

    def annealing(self, settings: TightnessSettings) -> float:
        return self.call * settings.temperatures

    def sandwich(self, settings: TightnessSettings) -> float:
        return 0.5 * self.call * settings.temperatures

    def gaps(self, settings: TightnessSettings) -> float:
        return 2.0 * self.call


@pytest.fixture
def machine(monkeypatch) -> Machine:
    machine = Machine()
    two_starts, sandwich, bounds = assessing.from_two_starts, Sandwich.__call__, assessing.lower_bounds

    def anneal(chain, *args):
        machine.annealed.append(chain.temperatures)
        machine.spend("annealing", chain.temperatures)
        return two_starts(chain, *args)

    def both(self, *args, **named):
        machine.sandwiched.append(self.annealed.temperatures)
        machine.spend("sandwich", 0.5 * self.annealed.temperatures)
        return sandwich(self, *args, **named)

    def gaps(*args):
        machine.gaps += 1
        machine.spend("gaps", 2.0)
        return bounds(*args)

    monkeypatch.setattr(assessing, "from_two_starts", anneal)
    monkeypatch.setattr(Sandwich, "__call__", both)
    monkeypatch.setattr(assessing, "lower_bounds", gaps)
    monkeypatch.setattr(assessing, "costs", lambda *_: KnownCosts(1.0, 0.0))
    monkeypatch.setattr(assessing, "plan", lambda *_: QUICK)
    return machine


@pytest.fixture(scope="module")
def small():
    given = instance(n=30, dim=12, latent=3)
    return given.model, given.guide, given.rows, Importance(30)(given.model, given.guide, given.rows)


@pytest.fixture(scope="module")
def hard():
    """An instance whose annealing takes 16 temperatures to hold still."""
    given = instance(n=15, dim=24, latent=6, common=1.35, off=0.5, wide=0.7)
    return given.model, given.guide, given.rows, Importance(10)(given.model, given.guide, given.rows)


def same(a: Assessment, b: Assessment) -> bool:
    return {**a.to_dict(), "seconds": 0} == {**b.to_dict(), "seconds": 0}


@pytest.mark.slow
def test_temperatures_double_until_the_answer_holds_still(machine, hard):
    """No run is made twice: that with T is the coarse one beside 2 T; and `assess` gives the same numbers."""
    found = assess_within(*hard, machine.schedule(1e6), 5)
    last = found.settings.temperatures
    assert last >= 16
    assert found.converged
    assert abs(found.unfinished) <= 0.05
    assert machine.annealed == [2**i for i in range(1, int(math.log2(last)) + 1)]
    assert len(machine.sandwiched) == len(set(machine.sandwiched)) <= 2
    assert machine.gaps == 1
    assert same(found, assess(*hard, found.settings, 5))
    before = assess(*hard, replace(found.settings, temperatures=last // 2), 5)
    assert not (before.converged and abs(before.unfinished) <= 0.05)
    assert torch.equal(before.annealed.nats, found.coarse.nats)


@pytest.mark.parametrize(
    ("budget", "annealed"),
    # half of the first temperatures takes 2 s, and the first ones 4 s; then a sandwich half of it, and gaps 2 s
    [(10.5, [2, 4]), (24.0, [2, 4, 8]), (47.0, [2, 4, 8, 16]), (8.0, [2, 4])],
)
@pytest.mark.sampled(1)
def test_an_annealing_is_begun_only_if_it_fits_with_what_follows(budget, annealed, machine, hard, monkeypatch):
    monkeypatch.setattr(assessing, "STILL", -1.0)  # never still
    found = assess_within(*hard, machine.schedule(budget), 5)
    assert machine.annealed == annealed
    assert found.settings.temperatures == annealed[-1]
    assert machine.now <= budget
    assert same(found, assess(*hard, found.settings, 5))


@pytest.mark.parametrize(
    ("slower", "budget", "kept", "left_out"),
    [
        ({}, 10.5, (6, 4), []),
        # 6 s of annealing take 9.5 s; the sandwich would take 3.2 s, and the gaps 3.2 s
        ({"annealing": 1.6}, 12.0, (0, 0), ["the sandwich on simulated rows", "the gaps of the ELBO"]),
        ({"annealing": 1.3}, 11.0, (6, 0), ["the gaps of the ELBO"]),
        ({"sandwich": 3.0}, 14.5, (6, 4), []),
        ({"sandwich": 3.0}, 14.0, (6, 0), ["the gaps of the ELBO"]),
    ],
)
@pytest.mark.sampled(2)
def test_what_does_not_fit_any_more_is_left_out_and_told(slower, budget, kept, left_out, machine, small, monkeypatch):
    """The settings record it, so that they give the same numbers; and the budget holds."""
    monkeypatch.setattr(assessing, "MOST_TEMPERATURES", 4)
    machine.slower = slower
    schedule = machine.schedule(budget)
    found = assess_within(*small, schedule, 5)
    assert (found.settings.simulated, found.settings.refine) == kept
    assert (found.sandwich is None, found.gaps is None) == (not kept[0], not kept[1])
    assert [part.what for part in schedule.left_out] == left_out
    assert machine.now <= 1.1 * budget
    machine.slower = {}
    assert same(found, assess(*small, found.settings, 5))


def test_where_the_machine_is_slower_than_it_seemed_there_are_fewer_temperatures(machine, small, monkeypatch):
    """16 were planned, and half of them took three times as long as thought."""
    monkeypatch.setattr(assessing, "plan", lambda *_: replace(QUICK, temperatures=16))
    machine.slower = {"annealing": 3.0}
    schedule = machine.schedule(60.0)
    found = assess_within(*small, schedule, 5)
    assert machine.annealed == [8, 4]
    assert found.settings.temperatures == 8
    assert machine.now <= 60


def test_where_not_even_that_fits_there_is_no_answer_but_its_price(machine, small, monkeypatch):
    monkeypatch.setattr(assessing, "plan", lambda *_: replace(QUICK, temperatures=16))
    machine.slower = {"annealing": 9.0}
    schedule = machine.schedule(80.0)
    assert assess_within(*small, schedule, 5) is None
    assert machine.annealed == [8]
    assert "the tightness of the bound (about " in schedule.sentence


@pytest.mark.parametrize("stalls", [16, 4])
def test_an_annealing_that_takes_far_too_long_is_given_up(stalls, machine, small, monkeypatch):
    """Half as many temperatures stand, as if the longer annealing had not been begun; nothing where there are none."""
    monkeypatch.setattr(assessing, "STILL", -1.0)
    with drawing_from(stream(0, "likelihood")):
        model = LatentVariableModel(small[0].prior, Given(nn.Linear(3, 24), Gaussian(12))).double()
    two_starts, job = assessing.from_two_starts, (model, *small[1:])

    def stall(chain, *args):
        if chain.temperatures == stalls:
            machine.now += 1000
        return two_starts(chain, *args)

    monkeypatch.setattr(assessing, "from_two_starts", stall)
    schedule = machine.schedule(100.0)
    found = assess_within(*job, schedule, 5)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert "the tightness of the bound" in schedule.sentence or stalls == 16
    assert (found is None) == (stalls == 4)
    if found is not None:
        assert found.settings.temperatures == 8
        assert (found.settings.simulated, found.settings.refine) == (0, 0)
        monkeypatch.setattr(assessing, "from_two_starts", two_starts)
        assert same(found, assess(*job, found.settings, 5))


def test_there_are_temperatures_enough(machine, small, monkeypatch):
    """What never holds still ends at the most temperatures, whatever the time."""
    monkeypatch.setattr(assessing, "MOST_TEMPERATURES", 16)
    monkeypatch.setattr(assessing, "STILL", -1.0)
    found = assess_within(*small, machine.schedule(1e6), 5)
    assert found.settings.temperatures == 16
    assert (machine.annealed, machine.sandwiched, machine.gaps) == ([2, 4, 8, 16], [16], 1)


def test_phases_have_names(machine, small, monkeypatch):
    names, done = [], []
    monkeypatch.setattr(assessing, "plan", lambda *_: replace(QUICK, prior_chains=2))
    schedule = machine.schedule(1e6, name=names.append, watch=done.append)
    assess_within(*small, schedule, 5)
    assert names[:3] == ["planning", "second start", "annealing 12 rows"]
    assert {"annealing 6 simulated rows", "gaps"} <= set(names)
    assert done == sorted(done)
    assert done[-1] == pytest.approx(machine.now / 1e6, rel=0.5)


@pytest.mark.slow  # it spends its budget twice
def test_the_settings_that_a_budget_chose_give_the_same_numbers(small):
    """Within a budget, and again by the settings that it chose; the global random state is left alone."""
    before = torch.get_rng_state()
    found = assess_within(*small, Schedule(15.0), 5)
    assert torch.equal(before, torch.get_rng_state())
    assert found is not None
    assert found.settings.rows in (16, 30, 15)
    assert same(found, assess(*small, found.settings, 5))


def test_no_budget_no_answer(small):
    schedule = Schedule(1e-6)
    assert assess_within(*small, schedule) is None
    assert "the tightness of the bound" in schedule.sentence


def test_what_cannot_be_annealed_is_left_alone(small):
    mixture = mixture_model()
    with drawing_from(stream(0, "guide")):
        guide = Amortized(Given(nn.Linear(2, 3), mixture.prior.family)).double()
    schedule = Schedule(5.0)
    assert assess_within(mixture, guide, rows(simulated(mixture, 5)), small[3], schedule) is None
    assert schedule.sentence is None
