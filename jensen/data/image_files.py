"""The images in a folder: their files, in order, the classes that sub-folders are, and the parts of a data set."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from ..core.errors import DataError

__all__ = ["SUFFIXES", "SUFFIXES_OF", "classes_of", "image_files", "names_of", "natural_key", "refuse_parts"]

SUFFIXES_OF = {  # by Pillow's names; formats without a mark of their own at the beginning come last
    "PNG": ".png .apng",
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .mpo",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "DIB": ".dib",
    "TIFF": ".tif .tiff",
    "PPM": ".ppm .pgm .pbm .pnm .pfm",
    "GIF": ".gif",
    "JPEG2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
    "AVIF": ".avif .avifs",
    "QOI": ".qoi",
    "SGI": ".sgi .rgb .rgba .bw",
    "PCX": ".pcx",
    "TGA": ".tga .icb .vda .vst",
}
SUFFIXES = tuple(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes.split())
_PARTS = {  # words in names of folders that hold the parts of a data set, not classes
    "training": {"train", "training", "trainset", "traindata"},
    "validation": {"valid", "val", "validation", "dev", "holdout"},
    "test": {"test", "testing", "testset", "testdata", "eval", "evaluation"},
}


def natural_key(path: str) -> tuple[list[tuple[int, int | str]], str]:
    """Return the key by which paths are sorted as people count, folder by folder: img2 comes before img10.

    Example:
        >>> sorted(["img10.png", "img2.png", "b/1.png", "img02.png"], key=natural_key)
        ['b/1.png', 'img02.png', 'img2.png', 'img10.png']
    """
    parts = [p for part in path.split("/") for p in (*re.findall(r"[0-9]+|[^0-9]+", part), "")]
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts], path


def image_files(folder: Path) -> tuple[list[Path], str | None]:
    """Return the images below a folder (or the one that is named) in natural order, and a note on other files.

    Raises:
        DataError: there are no images.
    """
    if folder.is_file():
        return [folder], None
    files = [p for p in folder.rglob("*") if not p.is_dir()]  # with links to nowhere, which are broken images
    visible = [p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    chosen = [p for p in visible if p.suffix.lower() in SUFFIXES]
    images = sorted(chosen, key=lambda p: natural_key(p.relative_to(folder).as_posix()))
    if not images:
        known = f"Images are {', '.join(s[1:] for s in SUFFIXES)}"
        remedy = f"{known}; or give one of its files: {visible[0]}." if visible else f"{known}."
        raise DataError(f"{folder} holds no images ({len(files)} other files)", remedy)
    skipped = len(files) - len(images)
    if not skipped:
        return images, None
    kinds = sorted({p.suffix.lower() for p in visible if p.suffix and p.suffix.lower() not in SUFFIXES})
    endings = f" ({', '.join(kinds[:6])})" if kinds else ""
    return images, f"{skipped:,} files that are hidden or not images were skipped{endings}"


def _role(name: str) -> str | None:
    """Return the part of a data set that the name of a folder says it is: "training", "validation", "test" or None.

    Example:
        >>> [_role(name) for name in ("train", "seg_test", "val2017", "testA", "cats", "trains")]
        ['training', 'test', 'validation', 'test', None, None]
    """
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
    return next((role for role, known in _PARTS.items() if words & known), None)


def refuse_parts(folder: Path, names: list[str]) -> None:
    """Refuse a folder whose sub-folders are the parts of a data set.

    Raises:
        DataError: with the folders to give in its stead.
    """
    roles: dict[str, str] = {}
    for name in names:
        roles.setdefault(_role(name) or "", name)
    roles.pop("", None)
    if len(roles) < 2:  # a class may be called train
        return
    order = [roles[role] for role in ("training", "test", "validation") if role in roles]
    first, other = order[:2] if "training" in roles else order[::-1]
    parts = ", ".join(f"{name}/" for name in roles.values())
    raise DataError(
        f"{folder} holds the parts of a data set ({parts}), which are not classes",
        f"Give one as the data and another with --test: {folder / first} --test {folder / other}",
    )


def classes_of(folder: Path, images: list[Path], notes: list[str]) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Return sub-folders as classes, if every image lies in one of several."""
    places = [p.relative_to(folder).parts for p in images]
    names = sorted({parts[0] for parts in places if len(parts) > 1})
    outside = any(len(parts) == 1 for parts in places)
    if len(names) < 2 or outside:
        if names and outside:
            notes.append("some images lie outside the folders, so the folders are not taken as classes")
        return None, None
    number = {name: i for i, name in enumerate(names)}
    notes.append(f"{len(names)} folders taken as classes")
    return np.array([number[parts[0]] for parts in places]), tuple(names)


def names_of(folder: Path, images: list[Path]) -> np.ndarray:
    """Return the path of each image, relative to the folder; bytes that are not Unicode are escaped."""
    inside = folder if folder.is_dir() else folder.parent
    names = [os.fsencode(path.relative_to(inside).as_posix()) for path in images]
    return np.array([name.decode(errors="backslashreplace") for name in names])
