"""A tree of parts from elsewhere is refused before anything is made of it, and the place is named."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from jensen.core import parts as room
from jensen.core.errors import CorruptRunError, JensenError, UsageError
from jensen.core.parts import build, check_known, spec_of
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Unconditional
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP, Chain, ResidualMLP
from jensen.objectives import CustomObjective, Elbo

ROOTS = {"model": LatentVariableModel, "guide": Guide}


def tree() -> list[Any]:
    shared = MLP(3, 3, (4,))
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(ResidualMLP(2, 6, 4, 1), Gaussian(3)))
    guide = Amortized(Given(Chain([shared, shared, MLP(3, 4, (4,))]), Gaussian(2)))
    return json.loads(json.dumps(spec_of(model, guide)))


def changed(path: str, value: Any) -> list[Any]:
    """The tree with one argument changed; a part of the path that is a number is an index."""
    nodes = tree()
    node: Any = nodes[("model", "guide").index(path.partition(".")[0])]
    *way, last = path.split(".")[1:]
    for key in way:
        node = node[int(key)] if key.isdigit() else node["args"][key]
    holder = node if isinstance(node, list) else node["args"]
    holder[int(last) if last.isdigit() else last] = value
    return nodes


PART = {"id": 99, "part": "Gaussian", "args": {"dim": 2, "scale": "each", "floor": 1e-4}}
WRONG = [
    ("model.likelihood.net.width", "abc", "model.likelihood.net.width: expected a whole number from 0 to"),
    ("model.likelihood.net.width", 2**63, "model.likelihood.net.width: expected a whole number"),
    ("model.likelihood.net.width", True, "got True"),
    ("model.likelihood.net.width", -1, "from 0 to 2,147,483,648, got -1"),
    ("model.likelihood.net.blocks", 10**6, "model.likelihood.net.blocks: expected a whole number from 0 to 1,000"),
    ("model.likelihood.net", 7, "model.likelihood.net: expected a part of the kind Module, got 7"),
    ("model.likelihood.net", PART, "expected a part of the kind Module, got 'a part Gaussian'"),
    ("model.likelihood.family", None, "model.likelihood.family: expected a part of the kind Family, got None"),
    ("model.likelihood.context", 1, "model.likelihood.context: expected true or false"),
    ("model.prior.family.floor", 1e308, "model.prior.family.floor: expected a finite number"),
    ("model.prior.family.scale", "large", "one of 'each', 'one', 'feature', 'shared', 'optimal' or a finite number"),
    ("model.prior", PART, "model.prior: expected a part of the kind Conditional"),
    ("guide.conditional.net.nets", PART, "guide.conditional.net.nets: expected a list"),
    ("guide.conditional.net.nets.2.hidden", [4, "x"], r"guide.conditional.net.nets\[2\].hidden: expected a list"),
    ("guide.conditional.net.nets.1", {"ref": 10**9}, r"nets\[1\].ref: expected the number of an earlier part"),
    ("guide.conditional.net.nets.1", {"ref": 99, "id": 3}, "expected a part, got"),
    ("guide.conditional.net.nets.1", {"id": 3.5, "part": "MLP", "args": {}}, "id: expected a whole number"),
    ("guide.conditional.net.nets.1", {"id": 98, "part": ["MLP"], "args": {}}, "part: expected a text"),
    ("guide.conditional.net.nets.1", {"id": 0, "function": "f"}, "id: expected a number of its own"),
]


@pytest.mark.parametrize(("path", "value", "said"), WRONG)
def test_a_wrong_argument_is_named_by_its_place(path: str, value: Any, said: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(room, "_made", lambda *given: pytest.fail("a part was made"))
    with pytest.raises(CorruptRunError, match=said):
        build(changed(path, value), None, ROOTS)


@pytest.mark.parametrize("root", [0, 1])
@pytest.mark.parametrize("value", [None, 3, [], PART, {"ref": 0}])
def test_roots_are_of_their_kinds(root: int, value: Any) -> None:
    nodes = tree()
    nodes[root] = value
    with pytest.raises(CorruptRunError, match=r"model|guide"):
        build(nodes, None, ROOTS)


def test_deep_trees_are_refused_without_recursion_errors() -> None:
    value: Any = 1
    for _ in range(400):
        value = [value]
    with pytest.raises(CorruptRunError, match="no more than 100 levels"):
        build(changed("model.likelihood.net.width", value), None, ROOTS)


def test_the_whole_tree_is_taken() -> None:
    model, guide = build(tree(), None, ROOTS)
    assert json.loads(json.dumps(spec_of(model, guide))) == tree()


def test_a_constructor_that_refuses_is_named_by_its_place() -> None:
    with pytest.raises(CorruptRunError, match=r"model\.likelihood\.net of the specification cannot be rebuilt"):
        build(changed("model.likelihood.net.activation", "none"), None, ROOTS)


def test_control_characters_are_not_repeated() -> None:
    with pytest.raises(JensenError) as caught:
        build([{"id": 0, "part": "\x1b]0;title\x07", "args": {}}])
    assert str(caught.value).isprintable()


def test_parts_that_only_a_training_needs_may_be_unknown_or_missing() -> None:
    objective = json.loads(json.dumps(spec_of(Elbo() + CustomObjective(lambda draw: draw.log_lik[0], "mine"))))
    check_known(objective, {"objective": Any})
    with pytest.raises(UsageError, match="a part of your own, 'mine'"):
        build(objective)
    unknown = copy.deepcopy(objective)
    unknown[0]["part"] = "Theirs"
    check_known(unknown, {"objective": Any})
    with pytest.raises(CorruptRunError, match="does not have, 'Theirs'"):
        build(unknown)
