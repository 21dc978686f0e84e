"""Verbs on runs, one file per verb, as in `jensen.cli`: train, resume, evaluate, compare, impute."""

from __future__ import annotations

__all__: list[str] = []
