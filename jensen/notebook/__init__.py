"""Runs, evaluations, comparisons, groups and recipes as HTML in a notebook, in the look of the report."""

from __future__ import annotations

from .cards import as_html

__all__ = ["as_html"]
