"""Randomness is an argument: named streams from one seed, and a scope in which torch draws from a given generator."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["drawing_from", "stream"]


def stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator for one named purpose ("init", "order", "noise", ...), independent of other names' streams.

    Example:
        >>> torch.randn(1, generator=stream(0, "noise")).equal(torch.randn(1, generator=stream(0, "noise")))
        True
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


@contextmanager
def drawing_from(generator: torch.Generator | None) -> Iterator[None]:
    """Let torch's global generator of that device be the given one within the scope, and restore it afterwards.

    `torch.distributions` and initialisers take no generator. In this scope they draw from the given one, and the
    user's global random state is left untouched.
    """
    if generator is None:
        yield
        return
    accelerator = generator.device.type != "cpu"
    module = getattr(torch, generator.device.type) if accelerator else torch
    device = (generator.device,) if accelerator else ()
    before = module.get_rng_state(*device)
    module.set_rng_state(generator.get_state(), *device)
    try:
        yield
    finally:
        generator.set_state(module.get_rng_state(*device))
        module.set_rng_state(before, *device)
