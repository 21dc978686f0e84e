"""A model is written down and rebuilt: sharing survives, damage is named, and no file supplies code."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import pytest
from torch import nn

from jensen.core.errors import CorruptRunError, UsageError
from jensen.core.parts import build, spec_of, with_defaults
from jensen.families import Gaussian, Mixture
from jensen.guides import Amortized, Exact
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP, Chain, ConvDecoder
from jensen.objectives import CustomObjective, Distortion, Ramp, Rate


class Mine(nn.Module):
    """A user's own network."""

    def forward(self, x):
        return x


def written(*roots) -> list:
    """A specification as it comes back from a file."""
    return json.loads(json.dumps(spec_of(*roots)))


def test_sharing_is_kept():
    model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5, "feature"))
    again, guide = build(written(model, Exact(model)))
    assert guide.model is again
    assert again.likelihood.family == model.likelihood.family


def test_shared_inside_one_root():
    net = MLP(3, 3, (4,))
    again = build(written(Chain([net, net])))[0]
    assert again.nets[0] is again.nets[1]


def test_arguments_survive():
    model = LatentVariableModel(
        Unconditional(Mixture(Gaussian(2), 3), learn=True),
        Given(MLP(2, 4, hidden=(7, 5), activation="tanh"), Gaussian(4, 0.1)),
    )
    again = build(written(model))[0]
    assert again.prior.family == model.prior.family
    assert again.prior.value.requires_grad
    assert again.likelihood.net.sizes == (2, 7, 5, 4)
    assert again.likelihood.net.activation == "tanh"
    assert [p.shape for p in again.parameters()] == [p.shape for p in model.parameters()]
    assert spec_of(again) == spec_of(model)


def test_an_objective_with_a_ramp_survives():
    objective = -Distortion() - Ramp(2.0, 100, 0.5) * Rate()
    assert build(written(objective))[0] == objective


def test_a_part_of_ones_own_is_given_back():
    spec = written(Amortized(Given(Mine(), Gaussian(2))))
    with pytest.raises(UsageError, match=r"parts=\{'Mine': Mine\}"):
        build(spec)
    again = build(spec, {"Mine": Mine})[0]
    assert isinstance(again.conditional.net, Mine)


def test_arguments_that_are_younger_than_a_tree_have_their_defaults():
    """A tree written before a part had them is that of the same part; an argument may be called part too."""
    nodes = spec_of(Given(ConvDecoder(3, (4, 4, 1), 2, 4), Gaussian(16)), Mixture(Gaussian(2), 3))
    older = copy.deepcopy(nodes)
    for name in ("patch", "norm", "offset"):
        del older[0]["args"]["net"]["args"][name]
    assert older != nodes
    assert with_defaults(older) == nodes
    assert with_defaults(nodes) == nodes
    assert spec_of(*build(older)) == nodes
    other = copy.deepcopy(nodes)
    other[0]["args"]["net"]["args"]["patch"] = 2
    assert with_defaults(other) == other


def test_a_function_cannot_be_replayed():
    with pytest.raises(UsageError, match="a part of your own"):
        build(written(Distortion() + CustomObjective(lambda draw: draw.log_lik[0], "mine")))


def test_what_is_no_part_is_refused():
    with pytest.raises(UsageError, match="Pass plain data or a part"):
        spec_of(MLP(2, 3), object())


SPEC = written(Given(MLP(3, 4, (5,)), Gaussian(2)))


def damaged(**changes) -> list:
    """The specification with arguments of its net changed."""
    spec = copy.deepcopy(SPEC)
    spec[0]["args"]["net"]["args"].update(changes)
    return spec


def without(key: str) -> list:
    spec = copy.deepcopy(SPEC)
    del spec[0]["args"]["net"][key]
    return spec


DAMAGE = {
    "unknown part": [{"id": 0, "part": "Nothing", "args": {}}],
    "code": [{"id": 0, "part": "os.system", "args": {"command": "true"}}],
    "unknown reference": [{"ref": 7}],
    "odd reference": [{"ref": [1]}],
    "no id": without("id"),
    "no part": without("part"),
    "no arguments": without("args"),
    "unknown argument": damaged(colour="red"),
    "negative size": damaged(inputs=-3),
    "text for a size": damaged(outputs="many"),
    "text for sizes": damaged(hidden="many"),
    "unknown activation": damaged(activation="none"),
    "a part for a number": damaged(inputs={"id": 9, "part": "Gaussian", "args": {"dim": 2}}),
    "arguments in a list": [{"id": 0, "part": "Gaussian", "args": [2]}],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(name):
    with pytest.raises(CorruptRunError, match="damaged"):
        build(DAMAGE[name])


def test_the_undamaged_specification_is_whole():
    assert isinstance(build(SPEC)[0], Given)


def test_a_fresh_process_knows_every_part_of_models():
    """Whoever opens a run imports `jensen.runs.run`, and perhaps nothing else."""
    program = """
import importlib, pkgutil, jensen.runs.run
from torch import nn
from jensen.core.parts import REGISTRY
known = set(REGISTRY)
for module in pkgutil.walk_packages(jensen.__path__, "jensen."):
    if module.name.split(".")[1] not in ("__main__", "cli", "report"):
        importlib.import_module(module.name)
print({name for name, part in REGISTRY.items() if issubclass(part, nn.Module)} - known or "none")
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True, timeout=120).strip() == "none"
