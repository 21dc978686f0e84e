"""A recorded graph loses the operations that change nothing: the rest gives the same results to the bit."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

__all__ = ["simplify"]

_aten = torch.ops.aten
_VIEWS = {
    _aten.alias.default,
    _aten.detach.default,
    _aten.expand.default,
    _aten.lift_fresh.default,
    _aten.permute.default,
    _aten.select.int,
    _aten.slice.Tensor,
    _aten.squeeze.dim,
    _aten.t.default,
    _aten.transpose.int,
    _aten.unsqueeze.default,
    _aten.view.default,
}
_EXACT = (torch.float32, torch.float64)  # operations on halves take a number of float32, which a half would round
_WITH_NUMBER = {
    _aten.add.Tensor: _aten.add.Tensor,
    _aten.sub.Tensor: _aten.sub.Tensor,
    _aten.mul.Tensor: _aten.mul.Tensor,
    _aten.mul.Scalar: _aten.mul.Tensor,
    _aten.div.Tensor: _aten.div.Tensor,
    _aten.div.Scalar: _aten.div.Tensor,
}


def simplify(graph: GraphModule) -> None:
    """Remove what changes nothing: views that lead back, repeated views, double negations, factors and powers of 1.

    Args:
        graph: recorded by `make_fx`; changed in place.
    """
    seen: dict[tuple[Any, ...], Node] = {}
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or node.target not in _VIEWS:
            continue
        key = (node.target, *map(str, node.args), str(node.kwargs))
        same = _ancestor_like(node) or seen.get(key)
        if same is None:
            seen[key] = node
        else:
            _replace(graph, node, same)
    changed = _changed(graph)
    for node in list(graph.graph.nodes):
        source = _equal_input(node)
        if source is not None and not {_base(node), _base(source)} & changed:
            _replace(graph, node, source)
    _hold_numbers(graph)
    graph.graph.eliminate_dead_code(has_effect)
    graph.recompile()


def _hold_numbers(graph: GraphModule) -> None:
    """Replace numbers beside a tensor by tensors of its type, which an operation would otherwise make in every call."""
    held: dict[tuple[float, torch.dtype], str] = {}
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or node.target not in _WITH_NUMBER or len(node.args) != 2 or node.kwargs:
            continue
        x, number = node.args
        value = x.meta.get("val") if isinstance(x, Node) else None
        if value is None or value.dtype not in _EXACT or not isinstance(number, int | float) or not value.dim():
            continue
        key = float(number), value.dtype
        if key not in held:
            held[key] = f"_number{len(held)}"
            graph.register_buffer(held[key], torch.tensor(key[0], dtype=key[1], device=value.device))
        with graph.graph.inserting_before(node):
            node.args = (x, graph.graph.get_attr(held[key]))
        node.target = _WITH_NUMBER[node.target]


def has_effect(node: Node) -> bool:
    """Return whether a node must stay even if nothing reads its result."""
    schema = getattr(node.target, "_schema", None)
    return node.op in ("placeholder", "output") or (schema is not None and schema.is_mutable)


def _replace(graph: GraphModule, node: Node, other: Node) -> None:
    node.replace_all_uses_with(other)
    graph.graph.erase_node(node)


def _layout(node: Node) -> tuple[Any, ...]:
    value = node.meta["val"]
    return value.shape, value.stride(), value.storage_offset(), value.dtype


def _ancestor_like(node: Node) -> Node | None:
    """Return the nearest node that this one is a view of, and that has the same layout."""
    here, layout = node, _layout(node)
    while here.target in _VIEWS and isinstance(here.args[0], Node):
        here = here.args[0]
        if _layout(here) == layout:
            return here
    return None


def _equal_input(node: Node) -> Node | None:
    """Return the node whose values this one copies without a change; None where it computes something."""
    if node.op != "call_function":
        return None
    source = node.args[0] if node.args else None
    if node.target == _aten.neg.default and isinstance(source, Node) and source.target == _aten.neg.default:
        source = source.args[0]
    elif node.target not in (_aten.mul.Scalar, _aten.mul.Tensor, _aten.pow.Tensor_Scalar) or node.args[1] != 1:
        return None
    return source if isinstance(source, Node) and _layout(source) == _layout(node) else None


def _base(node: Node) -> Node:
    """Return the node that made the memory of this one."""
    while node.args and isinstance(node.args[0], Node) and (node.target in _VIEWS or _writes(node)):
        node = node.args[0]
    return node


def _writes(node: Node) -> bool:
    """Return whether a node changes its first argument, and returns it."""
    return node.op == "call_function" and has_effect(node)


def _changed(graph: GraphModule) -> set[Node]:
    """Return the nodes whose memory is changed after they made it."""
    bases: set[Node] = set()
    for node in graph.graph.nodes:
        if _writes(node):
            bases |= {_base(arg) for arg in node.all_input_nodes}
    return bases
