"""Randomness is an argument: named streams from one seed, and a scope in which torch draws from a given generator."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from .shares import Share, current_share, sharing

__all__ = ["copied", "drawing_from", "drawing_generator", "normal_like_rows", "stream", "uniform_like_rows"]

_DRAWING: ContextVar[torch.Generator | None] = ContextVar("the generator of the innermost drawing_from", default=None)


def stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator for one named purpose ("init", "order", "noise", ...), independent of other names' streams.

    Example:
        >>> torch.randn(1, generator=stream(0, "noise")).equal(torch.randn(1, generator=stream(0, "noise")))
        True
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def copied(generator: torch.Generator) -> torch.Generator:
    """Return a generator in the same state.

    Example:
        >>> noise = stream(0, "noise")
        >>> torch.randn(1, generator=copied(noise)).equal(torch.randn(1, generator=noise))
        True
    """
    other = torch.Generator(generator.device)
    other.set_state(generator.get_state())
    return other


@contextmanager
def drawing_from(generator: torch.Generator | None) -> Iterator[None]:
    """Let torch's global generator of that device be the given one within the scope, and restore it afterwards.

    `torch.distributions` and initialisers take no generator. In this scope they draw from the given one, and the
    user's global random state is left untouched.

    Within a share of a batch (see `core.shares`) they draw from a stream for each share, since the noise of all rows is
    not at hand; the given generator then moves as far in all processes.
    """
    if generator is None:
        yield
        return
    share = current_share()
    if share is not None:
        with _drawing_for(share, generator):
            yield
        return
    accelerator = generator.device.type != "cpu"
    module = getattr(torch, generator.device.type) if accelerator else torch
    device = (generator.device,) if accelerator else ()
    before = module.get_rng_state(*device)
    module.set_rng_state(generator.get_state(), *device)
    token = _DRAWING.set(generator)
    try:
        yield
    finally:
        _DRAWING.reset(token)
        generator.set_state(module.get_rng_state(*device))
        module.set_rng_state(before, *device)


@contextmanager
def _drawing_for(share: Share, generator: torch.Generator) -> Iterator[None]:
    """Let torch draw from a stream of this share, which the given generator seeds; that one moves if noise is drawn."""
    unmoved = generator.get_state()
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    own = stream(seed, f"rows from {share.start}", generator.device)
    fresh = own.get_state()
    with sharing(None), drawing_from(own):
        yield
    if torch.equal(own.get_state(), fresh):
        generator.set_state(unmoved)
    else:
        share.own_noise = True


def drawing_generator() -> torch.Generator | None:
    """Return the generator of the innermost scope of `drawing_from`; None outside of one."""
    return _DRAWING.get()


def normal_like_rows(shape: Sequence[int], rows: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return standard normal noise of a shape, of which the axis `rows` counts the rows of a batch.

    Within a share of a batch it is the share's part of the noise of all rows.

    Example:
        >>> normal_like_rows((2, 3), 0, torch.zeros(1), stream(0, "noise")).shape
        torch.Size([2, 3])
    """
    whole, start = _whole(shape, rows)
    noise = torch.randn(whole, dtype=like.dtype, device=like.device, generator=generator)
    return noise if start is None else noise.narrow(rows, start, shape[rows])


def uniform_like_rows(shape: Sequence[int], rows: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return noise that is uniform from 0 to 1, as `normal_like_rows` does."""
    whole, start = _whole(shape, rows)
    noise = torch.rand(whole, dtype=like.dtype, device=like.device, generator=generator)
    return noise if start is None else noise.narrow(rows, start, shape[rows])


def _whole(shape: Sequence[int], rows: int) -> tuple[list[int], int | None]:
    """Return the shape of the noise of all rows, and the first row of this share; None where noise is of no share."""
    sizes, share = list(shape), current_share()
    if share is None or sizes[rows] != len(share):
        return sizes, None
    sizes[rows] = share.of
    return sizes, share.start
