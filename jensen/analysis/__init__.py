"""A trained model in memory: what its latents carry, what is wrong with it, what its samples are like."""

from __future__ import annotations

__all__: list[str] = []
