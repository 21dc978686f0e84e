"""Randomness is an argument: named streams from one seed, and a scope in which torch draws from a given generator."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["drawing_from", "stream"]


def stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one named purpose ("init", "order", "noise", ...), independent of the other names' streams.

    Example:
        >>> torch.randn(1, generator=stream(0, "noise")).equal(torch.randn(1, generator=stream(0, "noise")))
        True
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


@contextmanager
def drawing_from(generator: torch.Generator | None) -> Iterator[None]:
    """Within the scope, torch's own generator of that device *is* the given one; afterwards it is as it was.

    `torch.distributions` and initialisers take no generator. This lends them one, and leaves the user's global
    random state untouched.
    """
    if generator is None:
        yield
        return
    accelerator = generator.device.type != "cpu"
    module = getattr(torch, generator.device.type) if accelerator else torch
    where = (generator.device,) if accelerator else ()
    before = module.get_rng_state(*where)
    module.set_rng_state(generator.get_state(), *where)
    try:
        yield
    finally:
        generator.set_state(module.get_rng_state(*where))
        module.set_rng_state(before, *where)
