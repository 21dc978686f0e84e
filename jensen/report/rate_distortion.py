"""The figure of rate against distortion as files of its own."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from ..plot.rate_distortion import rate_distortion
from ..plot.style import RC
from ..storage.files import write_atomic

__all__ = ["write_tradeoff"]


def write_tradeoff(curve: Mapping[str, Any], stem: Path) -> tuple[Path, Path]:
    """Draw a rate-distortion curve as `stem`.svg and `stem`.png, on white.

    Args:
        curve: the record of `jensen.runs.rate_distortion.Curve.to_dict`.
        stem: the path of the files, without a suffix.

    Returns:
        Both paths.

    Source: Alemi et al., "Fixing a broken ELBO", 2018.
    """
    paths = stem.with_suffix(".svg"), stem.with_suffix(".png")
    with style.context(["default", RC | {"svg.hashsalt": "tradeoff", "figure.facecolor": "white"}]):
        figure = Figure(figsize=(8, 6), layout="constrained", facecolor="white")
        rate_distortion(curve, figure.add_subplot())
        for path in paths:
            buffer = io.BytesIO()
            metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(buffer, format=path.suffix[1:], metadata=metadata, facecolor="white", dpi=144)
            write_atomic(path, buffer.getvalue())
    return paths
