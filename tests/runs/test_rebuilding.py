"""What a run could not be opened with, or would not hold as it is, is told before training; the rest can be opened."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen as j
from jensen.core.errors import CompositionError, UsageError
from jensen.core.parts import part
from jensen.nets import Chain
from jensen.recipes import RECIPES

X = (np.random.default_rng(0).random((60, 6)) < 0.5).astype(np.uint8)
FEW: dict[str, Any] = {"epochs": 1, "device": "cpu", "checkpoints": 0, "save_every": None}


class Plain(nn.Module):
    """A module that knows nothing of jensen."""

    def __init__(self, inputs: int = 2, outputs: int = 6) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Remembering(Plain):
    """A module that holds the result of its last forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.layer(x)
        return self.last


class Under(j.MLP):
    """A part's subclass that is no part itself."""


@part
class Scaled(nn.Module):
    """A part, with a part within."""

    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.net(x)


@part
class Calling(nn.Module):
    """A part that calls a function of the user's own."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.f, self.scale = f, nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.f(x)


def thrice(z: Tensor) -> Tensor:
    return torch.cat([z, z, z], -1)


def scripted() -> nn.Module:
    return torch.jit.trace(nn.Linear(2, 6), torch.zeros(1, 2))


OWN: dict[str, Callable[[], Any]] = {
    "a plain module": Plain,
    "torch's own": lambda: nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 6)),
    "a function": lambda: Calling(thrice),
    "a lambda": lambda: Calling(lambda z: thrice(z)),
    "a partial function": lambda: Calling(functools.partial(thrice)),
    "a script": scripted,
    "a subclass of a part": lambda: Under(2, 6, (4,)),
    "a plain module in a part": lambda: Scaled(Plain(), 2.0),
    "a module with parametrised weights": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 6)),
    "a module of a part": lambda: nn.Sequential(j.MLP(2, 6, (4,))),
}


def changed(how: Callable[[j.MLP], Any]) -> Callable[[], j.MLP]:
    def make() -> j.MLP:
        net = j.MLP(2, 6, (4,))
        how(net)
        return net

    return make


def other_activation(net: j.MLP) -> None:
    net.layers[1] = nn.ReLU()


def wider(net: j.MLP) -> None:
    net.layers[0], net.layers[2] = nn.Linear(2, 5), nn.Linear(5, 6)


def longer(net: j.MLP) -> None:
    net.layers.append(nn.Dropout(0.1))


def hooked(net: j.MLP) -> None:
    net.register_forward_hook(lambda module, given, value: 2 * value)


def bias_free(net: j.MLP) -> None:
    net.layers[2].bias = None


def tied(net: j.MLP) -> None:
    net.layers[2] = nn.Linear(4, 6)
    net.layers[2].weight = nn.Parameter(torch.zeros(6, 4))
    net.register_parameter("extra", net.layers[2].weight)


def other_forward(net: j.MLP) -> None:
    net.forward = lambda x: torch.zeros(*x.shape[:-1], 6) + 0 * sum(p.sum() for p in net.parameters())


CHANGED = {
    how.__name__: changed(how) for how in (other_activation, wider, longer, hooked, bias_free, tied, other_forward)
}


def made(net: Any) -> tuple[j.LatentVariableModel, j.Amortized]:
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given(net, j.Bernoulli(6)))
    return model, j.Amortized.mlp(6, (4,), j.Gaussian(2))


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], str]:
    """A recipe of the user's own with this net."""
    monkeypatch.setattr("jensen.recipes.base.RECIPES", RECIPES)
    known = dict(RECIPES)

    def register(make: Callable[[], Any]) -> str:
        @j.recipe("test-own")
        def own(context: j.RecipeContext) -> j.BuiltModel:
            """A model with a net of one's own."""
            model, guide = made(make())
            player = j.Player(j.Elbo(), [model, guide], j.Pathwise(1), context.optimizer)
            return j.BuiltModel(model, guide, [player])

        return "test-own"

    yield register  # pyright: ignore[reportReturnType]
    RECIPES.clear()
    RECIPES.update(known)


@pytest.fixture(autouse=True)
def torch_is_left_as_it_was():
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", OWN)
def test_a_recipe_with_what_no_run_records(name: str, recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(CompositionError, match=r"recipe test-own builds .* \(at likelihood\.net.*@part") as caught:
        j.train(X, recipe=recipe(OWN[name]), out=tmp_path / "run", **FEW)
    assert "write-a-part.md" in caught.value.remedy
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", OWN)
def test_the_same_in_a_model_put_together_is_given_back(name: str, tmp_path: Path) -> None:
    model, guide = made(OWN[name]())
    run = j.train(X, model=model, guide=guide, out=tmp_path / "run", **FEW)
    numbers = run.evaluate(X[:4], k=3).estimate.nats
    with pytest.raises(UsageError, match="holds a part of your own"):
        j.load(run.path)
    parts = {"likelihood.net": OWN[name]()}
    if isinstance(parts["likelihood.net"], Scaled):
        parts = {"likelihood.net.net": Plain()}
    elif isinstance(parts["likelihood.net"], Calling):
        parts = {"likelihood.net.f": parts["likelihood.net"].f}
    again = j.load(run.path, parts=parts)
    np.testing.assert_array_equal(again.evaluate(X[:4], k=3).estimate.nats, numbers)


@pytest.mark.parametrize("name", CHANGED)
def test_parts_that_were_changed(name: str, recipe: Any, tmp_path: Path) -> None:
    out, said = tmp_path / "run", "which its record does not tell"
    model, guide = made(CHANGED[name]())
    with pytest.raises(CompositionError, match=said):
        j.train(X, model=model, guide=guide, out=out, **FEW)
    with pytest.raises(CompositionError, match=said):
        j.save(model, guide, out, like=X)
    with pytest.raises(CompositionError, match=said):
        j.train(X, recipe=recipe(CHANGED[name]), out=out, **FEW)
    assert not out.exists()


def test_a_factor_that_was_changed(tmp_path: Path) -> None:
    net = Scaled(j.MLP(2, 6, (4,)), 2.0)
    net.factor = 3.0
    model, guide = made(net)
    with pytest.raises(CompositionError, match=r"likelihood\.net\.factor was changed"):
        j.train(X, model=model, guide=guide, out=tmp_path / "run", **FEW)


@part
class Counting(Plain):
    """A part that counts its passes, whose annotations say less than it takes."""

    def __init__(self, inputs: int, outputs: int, flag: bool = 0, widths: list[int] = None) -> None:  # noqa: RUF013  # pyright: ignore
        super().__init__(inputs, outputs)
        self.flag, self.widths, self.passes = flag, widths, 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return super().forward(x) + self.flag


def watched(how: str) -> j.MLP:
    net = j.MLP(2, 6, (4,))
    getattr(net.layers[0], how)(lambda *given: None)
    return net.eval()


FINE: dict[str, Callable[[], Any]] = {
    "a count, and defaults of other kinds": lambda: Counting(2, 6),
    "numbers of other kinds, in a list": lambda: Counting(2, 6, 0.5, [3, 4]),  # pyright: ignore
    "numbers of NumPy": lambda: Counting(np.int64(2), np.int32(6), np.bool_(1), [np.int64(4)]),  # pyright: ignore
    "a factor of NumPy": lambda: Scaled(j.MLP(2, 6, (4,)), np.float32(0.5)),  # pyright: ignore
    "a hook of gradients": lambda: watched("register_full_backward_hook"),
}


@pytest.mark.parametrize("name", FINE)
def test_what_computes_the_same_is_not_refused(name: str, tmp_path: Path) -> None:
    model, guide = made(FINE[name]())
    run = j.train(X, model=model, guide=guide, out=tmp_path / "run", **FEW)
    numbers = run.evaluate(X[:4], k=3).estimate.nats
    np.testing.assert_array_equal(j.load(run.path).evaluate(X[:4], k=3).estimate.nats, numbers)


@pytest.mark.parametrize("floor", [np.float64(0.5), 0.25])
def test_a_family_with_a_number_of_another_kind(floor: Any, tmp_path: Path) -> None:
    family = j.Gaussian(6, floor=floor)
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given(j.MLP(2, 12, (4,)), family))
    run = j.save(model, j.Amortized.mlp(6, (4,), j.Gaussian(2)), tmp_path / "run")
    assert run.model.likelihood.family.floor == float(floor)


def test_a_module_of_ones_own_in_two_places(tmp_path: Path) -> None:
    shared = Plain()
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given(shared, j.Bernoulli(6)))
    net = nn.Sequential(nn.Linear(6, 2), shared, nn.Linear(6, 4))
    run = j.train(X, model=model, guide=j.Amortized(j.Given(net, j.Gaussian(2))), out=tmp_path / "run", **FEW)
    assert run.guide.conditional.net[1] is run.model.likelihood.net
    given = Plain()
    parts = {"likelihood.net": given, "conditional.net": nn.Sequential(nn.Linear(6, 2), given, nn.Linear(6, 4))}
    again = j.load(run.path, parts=parts)
    np.testing.assert_array_equal(again.evaluate(X[:4], k=3).estimate.nats, run.evaluate(X[:4], k=3).estimate.nats)


def test_what_cannot_be_copied(tmp_path: Path) -> None:
    model, guide = made(Remembering())
    with pytest.raises(CompositionError, match=r"Remembering \(at likelihood\.net\) cannot be copied"):
        j.train(X, model=model, guide=guide, out=tmp_path / "run", **FEW)


def test_counts_that_no_record_may_have(tmp_path: Path) -> None:
    model, guide = made(j.MLP(2, 6, (4,)))
    estimator = j.Pathwise(200_000)
    with pytest.raises(CompositionError, match=r"players\[0\]\.estimator\.k: expected .* from 0 to 100,000"):
        j.train(X, model=model, guide=guide, estimator=estimator, out=tmp_path / "run", batch=1, **FEW)


def test_a_part_shared_by_model_and_guide(tmp_path: Path) -> None:
    shared = j.MLP(2, 6, (4,))
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given(shared, j.Bernoulli(6)))
    guide = j.Amortized(j.Given(Chain([j.MLP(6, 2, (4,)), shared, j.MLP(6, 4, (4,))]), j.Gaussian(2)))
    run = j.train(X, model=model, guide=guide, out=tmp_path / "run", **FEW)
    again = j.load(run.path)
    assert again.guide.conditional.net.nets[1] is again.model.likelihood.net
    np.testing.assert_array_equal(again.evaluate(X[:4], k=3).estimate.nats, run.evaluate(X[:4], k=3).estimate.nats)


def test_a_recipe_of_parts_is_opened_by_anyone(recipe: Any, tmp_path: Path) -> None:
    run = j.train(X, recipe=recipe(lambda: Scaled(j.MLP(2, 6, (4,)), 0.5)), out=tmp_path / "run", **FEW)
    again = j.load(run.path)
    assert again.model.likelihood.net.factor == 0.5
