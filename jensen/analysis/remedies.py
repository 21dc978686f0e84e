"""Remedies of the doctor's findings: options to train with, of which a run is offered those that it accepts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

__all__ = ["REMEDIES", "Remedy", "flag_names"]


@dataclass(frozen=True)
class Remedy:
    """Alternatives to try against a failure mode.

    Attributes:
        options: alternatives, each as words of the command line; "{latent}" stands for a value that is filled in.
        otherwise: what helps without an option, or why nothing need be done.
    """

    options: tuple[str, ...]
    otherwise: str

    def sentence(
        self, accepted: Collection[str] | None, current: Mapping[str, Any] | None = None, **values: Any
    ) -> str:
        """Return the remedy as a sentence.

        Args:
            accepted: names of the options of the run, with underscores; None accepts all.
            current: values of options that the run was trained with, which are not offered again.
            values: to fill in.

        Example:
            >>> REMEDIES["unused-features"].sentence({"latent"}, latent=3)
            'Train with --latent 3, or leave it: it does no harm.'
            >>> REMEDIES["unused-features"].sentence({"components"}, latent=3)
            'Leave it: it does no harm.'
        """
        offered = [o for o in self.options if accepted is None or flag_names(o) <= set(accepted)]
        offered = [o for o in offered if not _is_current(o.format(**values), current or {})]
        if not offered:
            return f"{self.otherwise[0].upper()}{self.otherwise[1:]}."
        return f"Train with {', or '.join(offered).format(**values)}, or {self.otherwise}."


def _is_current(words: str, current: Mapping[str, Any]) -> bool:
    """Return whether the run was trained with these options already: "--hidden 50"."""
    values: dict[str, str] = {}
    for flag, following in pairwise([*words.split(), ""]):
        if flag.startswith("--"):
            value = "" if following.startswith("--") else following
            values[flag.removeprefix("--").replace("-", "_")] = value or "True"
    return all(
        str(current.get(name)) in (value, f"{value}.0", f"({value},)", f"[{value}]") for name, value in values.items()
    )


def flag_names(words: str) -> set[str]:
    """Return the names of the options in words of the command line, with underscores.

    Example:
        >>> sorted(flag_names("--keep best --save-every 10"))
        ['keep', 'save_every']
    """
    return {w.removeprefix("--").replace("-", "_") for w in words.split() if w.startswith("--")}


_SMALLER = ("--hidden 50", "--latent {fewer}", "--components {fewer}", "--keep best")

REMEDIES: dict[str, Remedy] = {
    "posterior-collapse": Remedy(("--warmup 20", "--beta {less}", "--hidden 50"), "train longer"),
    "unused-features": Remedy(("--latent {latent}",), "leave it: it does no harm"),
    "prior-mismatch": Remedy(("--beta 1", "--latent {fewer}"), "train longer"),
    "beta-not-one": Remedy(("--beta 1",), "do not compare its numbers with those of other models"),
    "beta-below-one": Remedy(("--beta 1 --epochs {epochs}",), "do not compare its numbers with those of other models"),
    "warm-up-not-over": Remedy(("--epochs {epochs}", "--warmup {warmup}", "--keep last"), "resume it with more epochs"),
    "encoder-scale-collapse": Remedy(("--beta 1", "--floor 0.05"), "use another recipe, such as vae"),
    "decoder-scale-collapse": Remedy(
        ("--likelihood gaussian-shared", "--dequantize"),
        "leave out columns that repeat one value or follow from others; where all values differ, set a smaller floor",
    ),
    "constant-columns": Remedy((), "drop constant columns before comparing its numbers with those of other models"),
    "unused-components": Remedy(("--components {components}", "--seed {seed}"), "leave it: the others hold the data"),
    "unused-codes": Remedy(("--codes {codes}",), "leave it, or train longer"),
    "over-fitting": Remedy(_SMALLER, "use more data"),
    "memorised-rows": Remedy(_SMALLER, "use more data"),
    "saturated-outputs": Remedy(
        ("--keep best", "--lr 0.0003", "--clip 1"), "look for odd rows in the data: jensen data FILE"
    ),
    "non-finite-weights": Remedy(("--lr 0.0003", "--clip 1"), "train again, on data without extreme values"),
    "exploding-weights": Remedy(
        ("--lr 0.0003", "--clip 1", "--standardize feature"), "look for extreme values in the data: jensen data FILE"
    ),
    "recovered": Remedy(("--lr 0.0003",), "look at the rows that forensics.json in the run's folder names"),
}
