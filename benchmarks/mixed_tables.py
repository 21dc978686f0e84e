"""The tables of mixed kinds that benchmarks read, and the masks that hide their cells."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["MASKS", "UCI", "MixedTable", "cases", "hivae_table", "uci_table"]

HIVAE = ("Breast", "Wine", "Adult", "defaultCredit")
MASKS = ("Missing20_1", "Missing20_2", "Missing20_3", "Missing50_1")
KINDS = {"pos": "positive", "real": "real", "count": "count", "cat": "categorical", "ordinal": "ordinal"}
WINE = (
    *("fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides", "free sulfur dioxide"),
    *("total sulfur dioxide", "density", "pH", "sulphates", "alcohol", "quality"),
)
CONCRETE = ("cement", "slag", "ash", "water", "superplasticizer", "coarse", "fine", "age", "strength")
# file, names of its columns, the column that is of levels, and the column by which cells are missing at random
UCI: dict[str, tuple[str, tuple[str, ...], int | None, int]] = {
    "concrete": ("concrete_data.txt", CONCRETE, None, 8),
    "wdbc": ("wdbc.data", ("diagnosis", *(f"feature {i}" for i in range(1, 31))), 0, 1),
    "wine-red": ("winequality-red.csv", WINE, None, 10),
    "wine-white": ("winequality-white.csv", WINE, None, 10),
}
HIDINGS = ("completely at random, 20 %", "completely at random, 50 %", "at random given another, 30 %")


@dataclass(frozen=True)
class MixedTable:
    """A table: numbers as they are, levels as their numbers from 0.

    Attributes:
        name: of the table.
        x: [N, D]; 0 where the file itself has no value.
        known: [N, D], False there.
        columns: their D names.
        kinds: of each column: real, positive, count, ordinal or categorical.
        levels: how many each column has; 0 for numbers.
    """

    name: str
    x: np.ndarray
    known: np.ndarray
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    levels: tuple[int, ...]

    @property
    def numeric(self) -> np.ndarray:
        """[D], True where the column holds numbers."""
        return np.array([n == 0 for n in self.levels])

    def rows(self, index: np.ndarray) -> MixedTable:
        """Some of the rows."""
        return replace(self, x=self.x[index], known=self.known[index])

    def frame(self, observed: np.ndarray | None = None) -> Any:
        """As a DataFrame in which what is not observed is missing: whole numbers are Int64, levels are categories."""
        import pandas as pd

        observed = self.known if observed is None else observed
        cells = {}
        for d, name in enumerate(self.columns):
            values, seen = self.x[:, d], observed[:, d]
            if self.levels[d]:  # two digits, so that their order is that of the alphabet
                texts = [f"level {i:02}" for i in range(self.levels[d])]
                codes = np.where(seen, values, -1).astype(int)
                cells[name] = pd.Categorical.from_codes(codes, texts, ordered=self.kinds[d] == "ordinal")
            elif (values == np.round(values)).all():
                cells[name] = pd.array(values.astype(np.int64), dtype="Int64")
                cells[name][~seen] = pd.NA
            else:
                cells[name] = np.where(seen, values, np.nan)
        return pd.DataFrame(cells)


def hivae_table(folder: Path, name: str) -> MixedTable:
    """A table of Nazabal, Olmos, Ghahramani & Valera (2020), with the types that they give."""
    with (folder / name / "data_types.csv").open(newline=None) as lines:
        types = list(csv.DictReader(lines))
    x = np.loadtxt(folder / name / "data.csv", delimiter=",")
    kinds = tuple(KINDS[t["type"]] for t in types)
    levelled = ("categorical", "ordinal")
    levels = tuple(int(t["nclass"]) if kind in levelled else 0 for t, kind in zip(types, kinds, strict=True))
    known = ~np.isnan(x)
    for d, n in enumerate(levels):
        if n:  # as they read them: by order, whatever the numbers are
            x[known[:, d], d] = np.unique(x[known[:, d], d], return_inverse=True)[1]
    return MixedTable(
        name, np.where(known, x, 0), known, tuple(f"column {d + 1}" for d in range(len(kinds))), kinds, levels
    )


def hivae_mask(folder: Path, name: str, mask: str, shape: tuple[int, ...]) -> np.ndarray:
    """Observed cells [N, D], by a file of the row and column, from 1, of each hidden one."""
    hidden = np.loadtxt(folder / name / f"{mask}.csv", delimiter=",", dtype=int) - 1
    observed = np.ones(shape, dtype=bool)
    observed[hidden[:, 0], hidden[:, 1]] = False
    return observed


def uci_table(folder: Path, name: str) -> MixedTable:
    """A table of UCI, whose numbers are real or, where all are whole, counts."""
    file, names, levelled, _ = UCI[name]
    with (folder / file).open() as lines:
        rows = [line.replace(",", " ").split() for line in lines if line.strip()]
    rows = [row[1:] if name == "wdbc" else row for row in rows]  # the first is an identifier
    if levelled is not None:
        texts = sorted({row[levelled] for row in rows})
        rows = [[*row[:levelled], str(texts.index(row[levelled])), *row[levelled + 1 :]] for row in rows]
    x = np.array(rows, dtype=float)
    levels = tuple(len(np.unique(x[:, d])) if d == levelled else 0 for d in range(len(names)))
    kinds = tuple(
        "categorical" if d == levelled else "count" if (x[:, d] == np.round(x[:, d])).all() else "positive"
        for d in range(len(names))
    )
    return MixedTable(name, x, np.ones(x.shape, dtype=bool), names, kinds, levels)


def hide(table: MixedTable, how: str, seed: int) -> np.ndarray:
    """Observed cells [N, D]: hidden completely at random, or at random given one column, which is all observed.

    At random: the log-odds of a hole in another column rise or fall by 2 with each standard deviation of that column,
    so that rows with holes differ from those without, and 30 % of the other columns are hidden.
    """
    rng = np.random.default_rng([seed, HIDINGS.index(how)])
    if how != HIDINGS[2]:
        return rng.random(table.x.shape) >= (0.5 if "50" in how else 0.2)
    given = UCI[table.name][3]
    z = (table.x[:, given] - table.x[:, given].mean()) / table.x[:, given].std()
    slope = rng.choice([-2.0, 2.0], size=table.x.shape[1])
    log_odds = np.outer(z, slope)
    low, high = -20.0, 20.0
    for _ in range(60):  # the intercept, by bisection
        middle = (low + high) / 2
        share = (1 / (1 + np.exp(-log_odds - middle))).mean()
        low, high = (middle, high) if share < 0.3 else (low, middle)
    observed = rng.random(table.x.shape) >= 1 / (1 + np.exp(-log_odds - low))
    observed[:, given] = True
    return observed


def cases(data: Path, seed: int = 0) -> Iterator[tuple[str, str, Callable[[], tuple[MixedTable, np.ndarray]]]]:
    """Names of table and mask, with a function that reads both; the files of HI-VAE's masks, and new masks for UCI.

    Args:
        data: the folder with hivae/ and uci/.
        seed: of the masks of UCI.
    """

    def read_hivae(name: str, mask: str) -> tuple[MixedTable, np.ndarray]:
        table = hivae_table(data / "hivae", name)
        return table, hivae_mask(data / "hivae", name, mask, table.x.shape) & table.known

    def read_uci(name: str, how: str) -> tuple[MixedTable, np.ndarray]:
        table = uci_table(data / "uci", name)
        return table, hide(table, how, seed)

    for name in UCI:
        for how in HIDINGS:
            yield name, how, lambda name=name, how=how: read_uci(name, how)
    for name in HIVAE:
        for mask in MASKS:
            yield name, mask, lambda name=name, mask=mask: read_hivae(name, mask)
