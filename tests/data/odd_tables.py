"""Tables as people have them: each odd in its own way, with what is to be read from it, or the error that refuses it.

`python tests/data/odd_tables.py FOLDER` writes them as files.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Odd:
    """An odd table.

    Attributes:
        content: of the file.
        kinds: the kind of each column of data, by name.
        cells: of some columns, as they are decoded, "" where missing.
        notes: texts that occur among the notes.
        error: a pattern of the error, where the table is refused.
        suffix: of the file's name.
    """

    content: bytes
    kinds: dict[str, str] = field(default_factory=dict)
    cells: dict[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str | None = None
    suffix: str = ".csv"


COLORS = ["red", "blue", "green", "red", "blue", "green", "red", "blue", "red", "green", "blue", "red"]
SIZES = [1.5, 2.25, 0.5, 7.0, 3.5, 2.0, 1.25, 9.5, 4.0, 6.5, 8.75, 0.75]


def rows(*columns: list[Any], separator: str = ",", head: str | None = None) -> str:
    """Return a table of these columns, with a header."""
    lines = [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([head, *lines] if head is not None else lines) + "\n"


def comma(value: float) -> str:
    return str(value).replace(".", ",")


PLAIN = rows(COLORS, SIZES, head="color,size")
BOTH = {"color": "categorical", "size": "positive"}
ALL = {"color": COLORS, "size": [f"{s:.2f}" for s in SIZES]}
DAYS = [f"2021-{m:02d}-15" for m in range(1, 13)]


def changed(place: int, cell: str) -> list[str]:
    """Return the sizes as text with one of them changed."""
    return [cell if i == place else str(s) for i, s in enumerate(SIZES)]


ODD: dict[str, Odd] = {
    "plain": Odd(PLAIN.encode(), BOTH, ALL),
    "byte order mark": Odd(b"\xef\xbb\xbf" + PLAIN.encode(), BOTH, ALL),
    "utf-16": Odd(PLAIN.encode("utf-16"), BOTH, ALL),
    "windows-1252": Odd(
        PLAIN.replace("green", "gr\u00fcn").encode("cp1252"),
        BOTH,
        {"color": [c.replace("ee", "\u00fc") for c in COLORS]},
    ),
    "windows line ends": Odd(PLAIN.replace("\n", "\r\n").encode(), BOTH, ALL),
    "old mac line ends": Odd(PLAIN.replace("\n", "\r").encode(), BOTH, ALL),
    "no line end at the end": Odd(PLAIN.rstrip("\n").encode(), BOTH, ALL),
    "tabs": Odd(PLAIN.replace(",", "\t").encode(), BOTH, ALL, suffix=".tsv"),
    "semicolons and decimal commas": Odd(
        rows(COLORS, [comma(s) for s in SIZES], separator=";", head="color;size").encode(),
        BOTH,
        {"size": [comma(f"{s:.2f}") for s in SIZES]},
    ),
    "bars": Odd(PLAIN.replace(",", "|").encode(), BOTH, ALL),
    "sep line of a spreadsheet": Odd(b"sep=;\n" + PLAIN.replace(",", ";").encode(), BOTH, ALL),
    "spaces after commas": Odd(PLAIN.replace(",", ", ").encode(), BOTH, ALL),
    "quoted newlines, commas and quotes": Odd(
        rows(['"a, ""x""\nb"' if c == "red" else c for c in COLORS], SIZES, head='color,"size"').encode(),
        BOTH,
        {"color": ['a, "x"\nb' if c == "red" else c for c in COLORS]},
    ),
    "thousands in quotes": Odd(
        rows(COLORS, [f'"{1000 * s + 0.25:,.2f}"' for s in SIZES], head="color,size").encode(),
        BOTH,
        {"size": [f"{1000 * s + 0.25:,.2f}" for s in SIZES]},
    ),
    "points of thousands and decimal commas": Odd(
        rows(
            COLORS,
            [f"{1234 + s:_.2f}".replace(".", ",").replace("_", ".") for s in SIZES],
            separator=";",
            head="color;size",
        ).encode(),
        {"color": "categorical", "size": "real"},
        {"size": [f"{1234 + s:_.2f}".replace(".", ",").replace("_", ".") for s in SIZES]},
    ),
    "currency": Odd(
        rows(COLORS, [f"${s:.2f}" for s in SIZES], head="color,size").encode(),
        BOTH,
        {"size": [f"${s:.2f}" for s in SIZES]},
    ),
    "percentages": Odd(
        rows(COLORS, [f"{10 * s:.1f} %" for s in SIZES], head="color,size").encode(),
        {"color": "categorical", "size": "bounded"},
        {"size": [f"{10 * s:.1f} %" for s in SIZES]},
    ),
    "units": Odd(
        rows(COLORS, [f"{s:.2f} kg" for s in SIZES], head="color,size").encode(),
        BOTH,
        {"size": [f"{s:.2f} kg" for s in SIZES]},
    ),
    "missing in many spellings": Odd(
        rows([*COLORS, "", "?", "NA", "n/a"], [*SIZES, "NaN", "", "#N/A", "NULL"], head="color,size").encode(),
        BOTH,
        {"color": [*COLORS, "", "", "", ""], "size": [*(f"{s:.2f}" for s in SIZES), "", "", "", ""]},
        ("8 missing cells of 32 (25.0%)",),
    ),
    "a mark of missing numbers": Odd(
        rows([*COLORS, *COLORS], [*SIZES, *SIZES[:10], "unknown", "unknown"], head="color,size").encode(),
        BOTH,
        {"size": [*(f"{s:.2f}" for s in (*SIZES, *SIZES[:10])), "", ""]},
        ("'unknown' among numbers or times stand for missing entries",),
    ),
    "duplicate and empty names": Odd(
        rows(COLORS, SIZES, SIZES[::-1], COLORS[::-1], head="a,b,b,").encode(),
        {"a": "categorical", "b": "positive", "b.1": "positive", "4": "categorical"},
        notes=("columns of",),
    ),
    "no header": Odd(rows(COLORS, SIZES).encode(), {"1": "categorical", "2": "positive"}, {"1": COLORS}),
    "names alone as header": Odd(
        rows(COLORS, COLORS[::-1], head="left,right").encode(),
        {"left": "categorical", "right": "categorical"},
        {"left": COLORS},
    ),
    "index without a name": Odd(rows(list(range(12)), COLORS, SIZES, head=",color,size").encode(), BOTH, ALL),
    "header of R, one name less": Odd(
        rows([f"r{i}" for i in range(12)], COLORS, SIZES, head="color,size").encode(), BOTH, ALL
    ),
    "identifiers and free text": Odd(
        rows(
            [f"P{i:03d}" for i in range(12)],
            COLORS,
            SIZES,
            [f"note {i}" for i in range(12)],
            head="id,color,size,remark",
        ).encode(),
        BOTH,
        ALL,
        ("2 columns are no data, and kept beside the results: id",),
    ),
    "comments before the table": Odd(
        b"# made by hand\n# on Monday\n" + PLAIN.encode(), BOTH, ALL, ("2 lines of comments",)
    ),
    "names in a comment": Odd(("# color,size\n" + PLAIN.split("\n", 1)[1]).encode(), BOTH, ALL),
    "a separator at the end of rows": Odd(PLAIN.replace("\n", ",\n").encode(), BOTH, ALL),
    "blank lines": Odd(PLAIN.replace("\n", "\n\n").encode(), BOTH, ALL),
    "rows of separators at the end": Odd((PLAIN + ",\n,\n").encode(), BOTH, ALL, ("2 rows of empty fields",)),
    "leading zeros": Odd(
        rows([f"{i % 4:05d}" for i in range(12)], SIZES, head="place,size").encode(),
        {"place": "categorical", "size": "positive"},
        {"place": [f"{i % 4:05d}" for i in range(12)]},
    ),
    "whole numbers written with a point": Odd(
        rows(COLORS, [f"{20 + 3 * i}.0" for i in range(11)] + [""], head="color,age").encode(),
        {"color": "categorical", "age": "integer"},
        {"age": [*(f"{20 + 3 * i}.0" for i in range(11)), ""]},
    ),
    "truth values": Odd(
        rows(["yes", "no"] * 6, ["TRUE", "FALSE", "FALSE"] * 4, SIZES, head="smokes,member,size").encode(),
        {"smokes": "boolean", "member": "boolean", "size": "positive"},
        {"smokes": ["yes", "no"] * 6},
    ),
    "dates": Odd(rows(DAYS, SIZES, head="day,size").encode(), {"day": "datetime", "size": "positive"}, {"day": DAYS}),
    "German dates": Odd(
        rows([f"{d:02d}.03.2021" for d in range(1, 13)], SIZES, head="day,size").encode(),
        {"day": "datetime", "size": "positive"},
        {"day": [f"{d:02d}.03.2021" for d in range(1, 13)]},
    ),
    "dates that may be American": Odd(
        rows([f"{d:02d}/03/2021" for d in range(1, 13)], SIZES, head="day,size").encode(),
        {"day": "datetime", "size": "positive"},
        {"day": [f"{d:02d}/03/2021" for d in range(1, 13)]},
        ("days and months may be the other way round",),
    ),
    "times with zones": Odd(
        rows([f"2021-03-{d:02d}T10:00:00+02:00" for d in range(1, 13)], SIZES, head="when,size").encode(),
        {"when": "datetime", "size": "positive"},
        {"when": [f"2021-03-{d:02d}T08:00:00+00:00" for d in range(1, 13)]},
    ),
    "times of day": Odd(
        rows([f"{h:02d}:30" for h in range(0, 24, 2)], SIZES, head="at,size").encode(),
        {"at": "circular", "size": "positive"},
        {"at": [f"{h:02d}:30" for h in range(0, 24, 2)]},
    ),
    "a scale of names": Odd(
        rows(["low", "high", "medium"] * 4, SIZES, head="risk,size").encode(),
        {"risk": "ordinal", "size": "positive"},
        {"risk": ["low", "high", "medium"] * 4},
    ),
    "a constant and an empty column": Odd(
        rows(COLORS, SIZES, ["EU"] * 12, [""] * 12, head="color,size,region,spare").encode(),
        {**BOTH, "region": "categorical"},
        notes=("1 column has a single value", "spare (no cell is observed)"),
    ),
    "one column": Odd(rows(COLORS, head="color").encode(), {"color": "categorical"}, {"color": COLORS}),
    # refused
    "a row too short": Odd(PLAIN.replace("red,7.0", "red").encode(), error=r"line 5 of .* has 1 field instead of 2"),
    "a row too long": Odd(
        PLAIN.replace("red,7.0", "red,7.0,9").encode(), error=r"line 5 of .* has 3 fields instead of 2"
    ),
    "an error among numbers": Odd(
        rows(COLORS, changed(3, "7..0"), head="color,size").encode(),
        error=r"line 5, column 2 \(size\) of .* is '7\.\.0'",
    ),
    "an error below a quoted newline": Odd(
        rows(['"a\nb"' if c == "red" else c for c in COLORS], changed(4, "7..0"), head="color,size").encode(),
        error=r"line 8, column 2 \(size\) of .* is '7\.\.0'",
    ),
    "a comma that may be both": Odd(
        rows(COLORS, [f"1,{100 + i}" for i in range(12)], separator=";", head="color;size").encode(),
        error=r"line 2, column 2 \(size\) of .* is '1,100'.*format = ",
    ),
    "quotes that do not match": Odd(
        PLAIN.replace("green,0.5", '"green,0.5').encode(), error=r"row that begins in line 4"
    ),
    "a header alone": Odd(b"color,size\n", error="no rows|no observed|no column"),
    "nothing but blank lines": Odd(b"\n\n\n", error="no rows"),
    "bytes that are no text": Odd(b"color,size\nred,\x00\n", error="unknown format|control character"),
    "a day that does not exist": Odd(
        rows([*DAYS[:11], "2021-02-30"], SIZES, head="day,size").encode(),
        error=r"line 13, column 1 \(day\) of .* is '2021-02-30'",
    ),
}


def write(folder: Path) -> None:
    """Write all tables into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, odd in ODD.items():
        (folder / f"{name.replace(' ', '-')}{odd.suffix}").write_bytes(odd.content)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
