"""The report: one self-contained HTML page that says what was trained on what, how good it is, and what is wrong."""

from .page import write

__all__ = ["write"]
