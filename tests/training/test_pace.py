"""The number of threads of a training: chosen by a trial that changes nothing, and again when steps slow down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from jensen.core.errors import UsageError
from jensen.core.threads import ThreadRecord, restored_threads
from jensen.recipes import RECIPES
from jensen.runs.calls import ModelParts, make_job
from jensen.training import Budget, Trainer, pace
from jensen.training.events import ThreadsChosen
from jensen.training.loop import TrainingLoop
from jensen.training.pace import Pace
from jensen.training.setup import TrainingSetup
from tests.recipes.test_every import digits, options_of  # noqa: F401 (a fixture)
from tests.training.test_resume import Memory, fit, parts, stop_after, weights

QUICK = {"vq-vae", "sigma-vae", "adversarial-autoencoder", "gmm"}  # a codebook, other buffers, a critic, a closed form


# --- the trial changes nothing ---


def everything(loop: TrainingLoop) -> dict[str, object]:
    """Return all that a step could change: bytes of tensors, and the rest as text."""
    snapshot, modules = loop.state.snapshot(), pace._modules(loop.setup)
    tensors = {**snapshot.tensors, **dict(modules.named_buffers()), "global": torch.get_rng_state()}
    tensors |= {f"gradient/{n}": p.grad for n, p in modules.named_parameters() if p.grad is not None}
    content: dict[str, object] = {k: t.detach().numpy().tobytes() for k, t in tensors.items()}
    content["facts"] = json.dumps({k: v for k, v in snapshot.facts.items() if k not in ("seconds", "threads")})
    content["modes"] = [m.training for m in modules.modules()]
    content["threads"] = torch.get_num_threads()
    return content


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in RECIPES])
def test_a_trial_changes_nothing(name, digits, tmp_path, monkeypatch):  # noqa: F811
    labels = {"labels": "y"} if RECIPES[name].labels else {}
    job = make_job(str(digits), ModelParts(name), tmp_path / "run", options_of(name) | labels)
    job.prepare(lambda text: None)
    made, data = job.made, job.training_data.train
    loop = TrainingLoop(TrainingSetup(job.trainer, made.model, made.guide, made.players, data, Budget(2, 16)))
    loop.state.module.train()
    noise = loop.state.noise
    for rows in torch.arange(len(data)).split(16)[:2]:
        loop.steps.take(data.take(rows, noise), loop.lead, loop.callbacks)
    torch.manual_seed(5)
    before = everything(loop)
    ticks = iter(range(10**6))
    monkeypatch.setattr(loop.pace, "clock", lambda: 0.004 * next(ticks))  # two calls in each block
    calls = []
    work = loop.pace.work
    monkeypatch.setattr(loop.pace, "work", lambda: (calls.append(torch.get_num_threads()), work()))
    loop.pace.most = 2
    assert loop.pace._tried() in (1, 2)
    assert set(calls) == {1, 2}
    after = everything(loop)
    assert {k for k in before if before[k] != after.get(k)} == set()
    assert before.keys() == after.keys()


def test_a_trial_that_fails_leaves_the_cause_to_the_training(monkeypatch):
    loop = loop_of()

    def fails() -> None:
        raise ValueError("a value that no distribution takes")

    monkeypatch.setattr(loop.pace, "work", fails)
    loop.pace.most = 4
    assert loop.pace._tried() == 4


# --- decisions, by a clock that work moves on ---


def loop_of(**settings) -> TrainingLoop:
    model, guide, players, rows, valid = parts()
    return TrainingLoop(TrainingSetup(Trainer(**settings), model, guide, players, rows, Budget(10**5, 16), valid))


class Machine:
    """A pace on a machine with four processors, on which steps take a given time; more than it is spent waiting.

    Args:
        seconds: of a step, by number of threads and time.
        settings: of the trainer.
        record: of a training that is resumed.
    """

    def __init__(self, seconds: Callable[[int, float], float], record: ThreadRecord | None = None, **settings) -> None:
        loop = loop_of(**settings)
        self.now, self.ran, self.trials, self.events = 0.0, 0.0, [], []
        self.seconds, self.state, self.busy = seconds, loop.state, False
        if record is not None:
            self.state.threads = record
        self.pace = Pace(
            loop.setup, loop.state, self.work, self.events.append, lambda: self.now, running=lambda: self.ran
        )
        tried = self.pace._tried

        def counted() -> int:
            self.trials.append(round(self.now, 1))
            return tried()

        self.pace._tried = counted  # pyright: ignore[reportAttributeAccessIssue]
        self.pace.start()

    def work(self) -> None:
        spent = self.seconds(torch.get_num_threads(), self.now)
        self.now += spent
        self.ran += spent * (0.3 if self.busy else 1.0)

    def train(self, until: float) -> Machine:
        while self.now < until:
            self.pace.step_begins()
            self.work()
            self.pace.step_ended()
            self.state.step += 1
        return self

    @property
    def chosen(self) -> list[tuple[int, bool]]:
        return [(event.threads, event.busy) for event in self.events]


@pytest.fixture(autouse=True)
def four(monkeypatch):
    """Four processors, and torch's own number of threads is four; the caller's is restored."""
    monkeypatch.setattr(pace, "planned_threads", lambda asked, device: 4 if asked == "auto" else min(asked, 4))
    monkeypatch.setattr(pace, "processors", lambda: 4)
    with restored_threads():
        yield


def test_steps_that_become_other_work_get_another_number():
    machine = Machine(lambda threads, now: 0.001 * threads)  # small steps: one thread is best
    assert machine.state.threads.now == 1
    machine.train(3.0)
    machine.seconds = lambda threads, now: 0.016 / threads  # of eight members together
    machine.pace.change(machine.work)
    assert (machine.state.threads.now, machine.state.threads.chosen) == (4, 4)
    assert machine.state.threads.changes == [[machine.state.step, 4]]
    assert not machine.train(10.0).pace.busy  # the time of the earlier steps is no measure of these


def test_the_present_number_has_no_advantage_when_steps_become_other_work():
    machine = Machine(lambda threads, now: 0.001 * threads)
    machine.seconds = lambda threads, now: {1: 0.0100, 2: 0.0099, 4: 0.0090}[threads]
    machine.pace.change(machine.work)
    assert machine.state.threads.now == 4


def test_a_number_that_was_asked_for_stays_when_steps_become_other_work():
    machine = Machine(lambda threads, now: 0.016 / threads, threads=2)
    machine.pace.change(machine.work)
    assert machine.state.threads.now == 2


def test_the_best_number_is_chosen_and_kept_on_a_quiet_machine():
    machine = Machine(lambda n, now: 0.02 / n).train(200)
    assert machine.events == [ThreadsChosen(0, 4, None, False)]
    assert machine.trials == [0.0]
    assert machine.state.threads == ThreadRecord(4, 4, [])
    assert torch.get_num_threads() == 4


def test_a_small_network_trains_with_one_thread_and_looks_for_more_less_and_less_often():
    machine = Machine(lambda n, now: 0.01 * (1 + 0.2 * n)).train(1000)
    assert machine.chosen == [(1, False)]
    waits = [b - a for a, b in zip(machine.trials, machine.trials[1:], strict=False)]
    assert [round(w / 10) for w in waits[:5]] == [3, 6, 12, 24, 30]


def slow_between(start: float, end: float, times: float) -> Callable[[int, float], float]:
    """Several threads take so many times as long between two times; one thread takes as long as ever."""
    return lambda n, now: (0.02 / n) * (times if n > 1 and start <= now < end else 1)


@pytest.mark.parametrize("times", [5.0, 20.0])
def test_a_training_that_slows_down_looks_again_and_once_more_when_the_machine_is_idle(times):
    machine = Machine(slow_between(50, 200, times)).train(300)
    assert machine.chosen == [(4, False), (1, True), (4, False)]
    slowed, idle = (event.step for event in machine.events[1:])
    assert machine.state.threads == ThreadRecord(4, 4, [[slowed, 1], [idle, 4]])
    assert 50 < machine.trials[1] < 50 + 1 + 3 * 0.005 * times + 1.1  # a second of slow steps, and a mixed one before
    assert machine.trials[-1] < 200 + 32
    assert all(29 < b - a < 40 for a, b in zip(machine.trials[1:], machine.trials[2:], strict=False))


def test_a_slow_down_below_a_factor_of_two_is_left_alone():
    machine = Machine(slow_between(50, 100, 1.8)).train(100)
    assert machine.chosen == [(4, False)]
    assert machine.trials == [0.0]


def test_where_no_number_helps_trials_become_rare_and_the_line_says_busy():
    machine = Machine(lambda n, now: (0.002 / n) * (6 if now > 20 else 1)).train(20)
    machine.busy = True
    machine.train(400)
    assert machine.chosen == [(4, False), (4, True)]
    waits = [b - a for a, b in zip(machine.trials[1:], machine.trials[2:], strict=False)]
    assert [round(w / 5) for w in waits[:6]] == [1, 2, 4, 8, 16, 32]
    machine.seconds, machine.busy = lambda n, now: 0.002 / n, False
    machine.train(machine.now + 10)
    assert machine.chosen[-1] == (4, False)


def test_steps_that_become_longer_by_themselves_are_no_busy_machine():
    """A second player begins: the processor runs this thread all the time."""
    machine = Machine(lambda n, now: (0.02 / n) * (3 if now > 20 else 1)).train(60)
    assert machine.chosen == [(4, False)]
    assert len(machine.trials) > 1


def test_a_machine_that_is_busy_from_the_start_is_found_idle_later():
    machine = Machine(slow_between(0.006, 100, 20)).train(200)
    assert machine.chosen[0] == (1, True)
    assert machine.chosen[-1] == (4, False)
    assert machine.trials[-1] < 100 + 32


def test_later_trials_keep_the_number_unless_another_is_much_better():
    machine = Machine(lambda n, now: {1: 1.15, 2: 0.5, 4: 0.45}[n] * 0.01 if now < 10 else 0.01 * (1.1 + 0.01 * n))
    machine.train(60)
    assert len(machine.trials) > 1
    assert machine.chosen == [(4, False)]


# --- what is asked for, and what was recorded ---


@pytest.mark.parametrize(("asked", "used"), [(1, 1), (3, 3), (64, 4)])
def test_a_number_that_is_asked_for_is_kept_whatever_happens(asked, used):
    machine = Machine(slow_between(20, 10**9, 20), threads=asked).train(100)
    assert machine.chosen == [(used, False)]
    assert machine.trials == []


@pytest.mark.parametrize("wrong", [0, -2, 1025])
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(UsageError, match="--threads must be a whole number"):
        Trainer(threads=wrong).check()


def test_several_processes_hold_no_trial():
    """They would wait for one another in every step of it."""
    from jensen.core.processes import Processes

    machine = Machine(slow_between(20, 10**9, 20), processes=Processes(0, 2)).train(60)
    assert machine.chosen == [(4, False)]
    assert machine.trials == []


def test_a_resumed_training_goes_on_with_its_number_and_looks_for_more():
    record = ThreadRecord(2, 4, [[70, 2]])
    machine = Machine(lambda n, now: 0.02 / n, record).train(20)
    assert machine.events == [ThreadsChosen(0, 2, 2, False), ThreadsChosen(machine.events[-1].step, 2, 2, True)]
    assert machine.trials == []
    machine.train(60)
    assert machine.chosen[-1] == (4, False)
    assert machine.state.threads.changes == [[70, 2], [machine.events[-1].step, 4]]


def test_fewer_processors_than_before():
    machine = Machine(lambda n, now: 0.01, ThreadRecord(16, 16))
    assert machine.events == [ThreadsChosen(0, 4, 16, False)]
    assert machine.state.threads == ThreadRecord(4, 16, [[0, 4]])


def test_the_number_is_part_of_the_state(monkeypatch):
    """Stopped at a number that a trial has changed to: the resumed training goes on with it, without a trial."""
    monkeypatch.setattr(Pace, "_tried", lambda self: 3)
    memory, events = Memory(every=10_000), []
    settings = Trainer(seed=3, keeper=memory, should_stop=stop_after(6), listeners=[events.append])
    before = torch.get_num_threads()
    history = fit(parts(), settings)
    assert torch.get_num_threads() == before
    assert memory.kept[-1].facts["threads"] == {"now": 3, "chosen": 3, "changes": []}
    monkeypatch.setattr(Pace, "_tried", lambda self: 2)
    again = Memory(every=10_000)
    fit(parts(), replace(settings, keeper=again), start=(memory.kept[-1], history.epochs))
    assert again.kept[-1].facts["threads"]["now"] == 3
    assert [e for e in events if isinstance(e, ThreadsChosen)] == [
        ThreadsChosen(0, 3, None, False),
        ThreadsChosen(6, 3, 3, False),
    ]


def test_the_callers_number_is_restored_when_training_fails(monkeypatch):
    monkeypatch.setattr(Pace, "_tried", lambda self: 3)
    before = torch.get_num_threads()

    def fails(event: object) -> None:
        if isinstance(event, ThreadsChosen):
            assert torch.get_num_threads() == 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(parts(), Trainer(listeners=[fails]))
    assert torch.get_num_threads() == before


def test_the_trial_does_not_change_what_is_trained(monkeypatch):
    """With the same number in the end, weights are those of a training without a trial, to the bit."""
    one, other = parts(), parts()
    with restored_threads():
        torch.set_num_threads(1)
        monkeypatch.setattr(Pace, "_set", lambda self, number: setattr(self.state.threads, "now", 1))
        fit(one, Trainer(seed=3, average=0.9))
        fit(other, Trainer(seed=3, average=0.9, threads=1))
    assert all(torch.equal(t, weights(other)[k]) for k, t in weights(one).items())
