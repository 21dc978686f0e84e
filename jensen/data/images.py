"""Folders of images, read by Pillow into one array; conversions are noted."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..core.errors import DataError
from ..core.wording import plural
from .dataset import Raw, check_size

__all__ = ["image_files", "natural_key", "read_bits", "read_folder"]

_SUFFIXES_OF = {  # by Pillow's names; formats without a mark of their own at the beginning come last
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
SUFFIXES = tuple(suffix for suffixes in _SUFFIXES_OF.values() for suffix in suffixes.split())
_PARTS = {  # words in names of folders that hold the parts of a data set, not classes
    "training": {"train", "training", "trainset", "traindata"},
    "validation": {"valid", "val", "validation", "dev", "holdout"},
    "test": {"test", "testing", "testset", "testdata", "eval", "evaluation"},
}
MOST_PIXELS = 64 * 10**6
_GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")


@dataclass(frozen=True)
class _Header:
    """The header of an image, read before its pixels."""

    path: Path
    size: tuple[int, int]  # height, width, after rotation
    family: str  # "bits", "grey", "grey16" or "colour"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn any error of Pillow about a damaged image into one that names it.

    Raises:
        DataError: the image is damaged or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise almost anything on a damaged file
        raise DataError(f"{path} is not an image that can be read ({error})", "Replace or remove it.") from error


def _too_large(path: Path) -> DataError:
    """Return the error of an image with too many pixels."""
    return DataError(f"{path} has more than {MOST_PIXELS // 10**6} million pixels", "Make it smaller or remove it.")


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that are read, as far as this installation of Pillow has them."""
    Image.init()
    return tuple(name for name in _SUFFIXES_OF if name in Image.OPEN)


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Open an image as a file object: by name, Pillow 13 maps plain TIFF into memory and scrambles rotated images.

    Raises:
        DataError: it is too large.
    """
    with open(path, "rb") as file, Image.open(file, formats=_formats()) as image:
        if image.width * image.height > MOST_PIXELS:
            raise _too_large(path)
        yield image


def _family(mode: str, path: Path) -> str:
    """Return the family of a mode of Pillow.

    Raises:
        DataError: pixels are floating-point numbers.
    """
    if mode == "F":
        raise DataError(f"{path} has floating-point pixels", "Save these images as one .npy array [N, H, W].")
    if mode in _GREY16:
        return "grey16"
    return {"1": "bits", "L": "grey", "LA": "grey", "La": "grey"}.get(mode, "colour")


def _is_rotated_size(image: Image.Image) -> bool:
    """Return whether the size is that after the EXIF rotation, as newer versions of Pillow return it for TIFF."""
    stored: Any = getattr(image, "tag_v2", {})
    return image.size == (stored.get(0x0101), stored.get(0x0100))


def _header(path: Path, counts: Counter[str]) -> _Header:
    """Return the header of an image, and count conversions.

    Raises:
        DataError: the image is damaged or too large.
    """
    with _reading(path), _open(path) as image:
        width, height = image.size
        if image.getexif().get(0x0112, 1) in (5, 6, 7, 8) and not _is_rotated_size(image):  # these exchange the axes
            width, height = height, width
        counts["rotated as EXIF says"] += image.getexif().get(0x0112, 1) in range(2, 9)
        counts["animated: the first frame is read"] += bool(getattr(image, "is_animated", False))
        counts["CMYK converted to RGB"] += image.mode == "CMYK"
        counts["with a palette converted to RGB"] += image.mode in ("P", "PA")
        tile = str(getattr(image, "tile", ""))  # the storage of pixels; Pillow has no 16-bit colour
        counts["of 16 bits per colour reduced to 8"] += image.mode in ("RGB", "RGBA") and ";16" in tile
        return _Header(path, (height, width), _family(image.mode, path))


def _without_alpha(image: Image.Image, counts: Counter[str]) -> Image.Image:
    """Return the image without its alpha channel, composed over black unless it is opaque."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image
    grey = image.mode in ("1", "L", "LA", "La")
    full = image.convert("RGBA")
    if full.getchannel("A").getextrema()[0] == 255:
        counts["with an opaque alpha channel, which is dropped"] += 1
    else:
        counts["with transparency composed over black"] += 1
        full = Image.alpha_composite(Image.new("RGBA", full.size, (0, 0, 0, 255)), full)
    return full.convert("L" if grey else "RGB")


def _pixels(header: _Header, target: str, size: tuple[int, int] | None, counts: Counter[str]) -> np.ndarray:
    """Return an image [H, W, C] in the family of the whole folder.

    Raises:
        DataError: the image is damaged.
    """
    with _reading(header.path), _open(header.path) as opened:
        image = ImageOps.exif_transpose(opened)
        if target == "grey16":
            return _deep_pixels(image, header, size)
        image = _without_alpha(image, counts)
        if target != "bits" or size is not None:
            image = image.convert("RGB" if target == "colour" else "L")
        if size is not None and image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), Image.Resampling.BOX)
        pixels = np.asarray(image, dtype=np.uint8)
        return pixels if pixels.ndim == 3 else pixels[..., None]


def _deep_pixels(image: Image.Image, header: _Header, size: tuple[int, int] | None) -> np.ndarray:
    """Return a 16-bit grey image; 8-bit ones are scaled to the same range.

    Raises:
        DataError: pixels are outside this range.
    """
    if header.family != "grey16":
        values = np.asarray(_without_alpha(image, Counter()).convert("L"), dtype=np.float32) * 257
    else:
        values = np.asarray(image).astype(np.float32)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"{header.path} has pixels outside 0..65535", "Save these images as one .npy array.")
    if size is not None and values.shape != size:
        values = np.asarray(Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BOX))
    return np.rint(values).astype(np.uint16)[..., None]


def read_bits(path: Path) -> np.ndarray:
    """Return one image as bool [H, W]: True where it is nearer to white than to black.

    Raises:
        DataError: the image is damaged or too large.
    """
    with _reading(path), _open(path) as opened:
        return np.asarray(_without_alpha(ImageOps.exif_transpose(opened), Counter()).convert("L")) > 127


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
    files = [p for p in folder.rglob("*") if p.is_file()]
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


def _refuse_parts(folder: Path, names: list[str]) -> None:
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


def _target(headers: list[_Header], size: tuple[int, int] | None, notes: list[str]) -> str:
    """Return the family that all images can be converted to without loss, and note conversions.

    Raises:
        DataError: there is none for 16-bit grey and colour.
    """
    families = Counter(h.family for h in headers)
    if {"grey16", "colour"} <= families.keys():
        first = {h.family: h.path for h in reversed(headers)}
        raise DataError(
            f"{first['grey16']} is 16-bit grey and {first['colour']} is in colour", "Convert them to one mode."
        )
    target = next(f for f in ("grey16", "colour", "grey", "bits") if f in families)
    if len(families) > 1:
        how = {"colour": "converted to RGB", "grey16": "scaled to 16 bits", "grey": "converted to 8-bit grey"}
        notes.append(f"{len(headers) - families[target]:,} of {len(headers):,} images {how[target]}, like the others")
    if target == "grey16":
        notes.append("16-bit grey images kept as integers of 65,536 levels")
    return "grey" if target == "bits" and size is not None else target


def _classes(folder: Path, images: list[Path], notes: list[str]) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
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


def _common_size(headers: list[_Header], size: tuple[int, int] | None, notes: list[str]) -> tuple[int, int]:
    """Return height and width of all images, after resizing to `size` if given.

    Raises:
        DataError: they differ, and no size is given.
    """
    first, *others = headers
    other = next((h for h in others if h.size != first.size), None)
    if size is None and other is not None:
        (h, w), (i, j) = first.size, other.size
        raise DataError(
            f"images differ in size: {first.path} is {h}x{w} and {other.path} is {i}x{j} (height x width)",
            f"Resize all of them while reading: --size {h},{w}",
        )
    resized = 0 if size is None else sum(h.size != size for h in headers)
    if size is not None and resized:
        notes.append(f"{resized:,} images resized to {size[0]}x{size[1]} by area averaging")
    return size or first.size


def read_folder(folder: Path, size: tuple[int, int] | None = None) -> Raw:
    """Read all images below a folder, in natural order: img2 comes before img10.

    Images are rotated as their EXIF data say. An opaque alpha channel is dropped, and any other composed over black.
    Palettes and CMYK become RGB; a folder of grey and colour images becomes RGB; 1-bit images are binary; 16-bit grey
    ones keep their 65,536 levels; the first frame of an animation is read. Each of these is noted.

    Args:
        folder: if all images lie in sub-folders, these are the classes; or a single image.
        size: height and width that all images are resized to, by area averaging.

    Raises:
        DataError: no images, images of different sizes without `size`, an image that is damaged or too large, or
            sub-folders that are the parts of a data set, such as train and test.
    """
    images, skipped = image_files(folder)
    if folder.is_dir():
        _refuse_parts(folder, sorted({p.relative_to(folder).parts[0] for p in images if p.parent != folder}))
    notes = [] if skipped is None else [skipped]
    counts: Counter[str] = Counter()
    headers = [_header(path, counts) for path in images]
    height, width = _common_size(headers, size, notes)
    target = _target(headers, size, notes)
    deep, channels = target == "grey16", 3 if target == "colour" else 1
    check_size(len(images) * height * width * channels * (2 if deep else 1), str(folder))
    x = np.empty((len(images), height, width, channels), dtype=np.uint16 if deep else np.uint8)
    for row, header in enumerate(headers):
        pixels = _pixels(header, target, size, counts)
        if pixels.shape != x.shape[1:]:
            raise DataError(f"{header.path} is damaged (its pixels do not match its header)", "Save it again.")
        x[row] = pixels
    notes += [f"{plural(count, 'image')} {what}" for what, count in counts.items() if count]
    labels, classes = _classes(folder, images, notes) if folder.is_dir() else (None, None)
    return Raw(x, labels, None, classes, notes, [str(folder.resolve())], 65536 if deep else None)
