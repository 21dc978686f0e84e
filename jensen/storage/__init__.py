"""Bytes on disk: run folders, weights, training states, locks, commits, and their formats."""

from __future__ import annotations

__all__: list[str] = []
