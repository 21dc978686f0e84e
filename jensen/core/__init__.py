"""The foundations of every room: errors, shapes, parts, batches, validation, randomness, devices."""

from __future__ import annotations

__all__: list[str] = []
