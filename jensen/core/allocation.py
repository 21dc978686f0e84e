"""Tensors counted as they are made, so that too many are refused before the memory for them is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .memory import size_in_words

__all__ = ["Counted", "TooLarge", "allocating_at_most"]

# what makes tensors of a size that its arguments give: by a shape, or by a number of steps
SHAPED = {"empty", "zeros", "ones", "full", "rand", "randn", "randint", "normal", "eye", "tril_indices", "triu_indices"}
COUNTED = {"arange", "linspace", "logspace", "range", "randperm", "hann_window"}
METHODS = {"new_empty", "new_zeros", "new_ones", "new_full", "repeat"}  # of a tensor, likewise by a shape


class TooLarge(MemoryError):
    """More bytes were about to be asked for than allowed.

    Attributes:
        needed: bytes, at least.
        most: bytes that were allowed.
    """

    def __init__(self, needed: int, most: int) -> None:
        super().__init__(f"it needs at least {size_in_words(needed)}, and may have {size_in_words(most)}")
        self.needed, self.most = needed, most


class Counted(TorchFunctionMode):
    """Counts the bytes of all tensors that torch makes, those from sizes alone before they are made.

    A mode of functions, not of dispatch: entering the latter imports the compiler, which takes two seconds.

    Args:
        most: bytes allowed of tensors that are made from sizes.
        returned: bytes allowed of what functions of other tensors return, which are known only once they are there;
            None does not count them.

    Attributes:
        bytes: made so far, of both kinds; what was freed since is not taken off.
    """

    def __init__(self, most: int, *, returned: int | None = None) -> None:
        super().__init__()
        self.limits, self.counts = (most, returned), [0, 0]

    @property
    def bytes(self) -> int:
        return sum(self.counts)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        made = _numbers_made(name, args, kwargs)
        self._add(0, made * _itemsize(name, kwargs.get("dtype")))
        value = func(*args, **kwargs)
        if self.limits[1] is not None and not made and name != "__get__" and not name.endswith("_"):
            given = {id(argument) for argument in args}  # what works in place, or had nothing to do, returns these
            self._add(1, sum(v.nbytes for v in _tensors(value) if id(v) not in given and not v._is_view()))
        return value

    def _add(self, kind: int, size: int) -> None:
        self.counts[kind] += size
        limit = self.limits[kind]
        if size and limit is not None and self.counts[kind] > limit:  # what ends a scope must pass
            raise TooLarge(self.counts[kind], limit)


def _itemsize(name: str, dtype: Any) -> int:
    whole = torch.int64 if name in ("arange", "randperm", "randint") else torch.get_default_dtype()
    return (dtype if isinstance(dtype, torch.dtype) else whole).itemsize


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for entry in value:
            yield from _tensors(entry)


def _numbers_made(name: str, args: Any, kwargs: Any) -> int:
    """Return how many numbers a function of torch allocates from sizes alone; 0 for one that takes tensors."""
    given = [*args, *kwargs.values()]
    if name in METHODS and given and isinstance(given[0], Tensor):
        most = given[0].numel() if name == "repeat" else 1
        return most * _product(given[1:])
    if name not in SHAPED | COUNTED or any(isinstance(value, Tensor) for value in given):
        return 0
    whole = [abs(v) for v in given if isinstance(v, int) and not isinstance(v, bool)]
    if name in COUNTED:
        return max(whole, default=0)
    if name == "eye" and len(whole) == 1:
        return whole[0] ** 2
    return _product(given)


def _product(given: Any) -> int:
    """Return the product of a shape: the first list of integers, or all integers."""
    shape = next((v for v in given if isinstance(v, list | tuple)), None)
    sizes = given if shape is None else shape
    return math.prod(abs(v) for v in sizes if isinstance(v, int) and not isinstance(v, bool))


@contextmanager
def allocating_at_most(most: int) -> Iterator[None]:
    """A scope in which tensors of more than so many bytes in all are refused.

    Raises:
        TooLarge: before they are made.

    Example:
        >>> with allocating_at_most(10**6):
        ...     torch.nn.Linear(1000, 1000)
        Traceback (most recent call last):
        ...
        jensen.core.allocation.TooLarge: it needs at least 4 MB, and may have 1 MB
    """
    with Counted(most):
        yield
