"""Bytes on disk: run folders, weights, training states, locks, commits, and their formats."""

__all__: list[str] = []
