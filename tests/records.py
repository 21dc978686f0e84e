"""Records of runs as tests read and edit them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["fields"]


def fields(path: Path) -> dict[str, Any]:
    """The content of a record without its format and digest."""
    return {k: v for k, v in json.loads(path.read_bytes()).items() if k not in ("format", "sha256")}
