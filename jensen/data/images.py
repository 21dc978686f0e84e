"""Folders of images, read by Pillow into one array; what had to be converted is noted."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..core.errors import DataError
from .dataset import Raw, check_size

__all__ = ["read_bits", "read_folder"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".gif")
MOST_PIXELS = 64 * 10**6
_GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")


@dataclass(frozen=True)
class _Header:
    """What is known of an image before its pixels are decoded."""

    path: Path
    size: tuple[int, int]  # height, width, after rotation
    family: str  # "bits", "grey", "grey16" or "colour"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever Pillow says about a bad image into one error that names it."""
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
    return DataError(f"{path} has more than {MOST_PIXELS // 10**6} million pixels", "Make it smaller or remove it.")


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """As a file and not by name, for which Pillow 13 maps plain TIFF into memory, and scrambles what is rotated."""
    with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise _too_large(path)
        yield image


def _family(mode: str, path: Path) -> str:
    if mode == "F":
        raise DataError(f"{path} has floating-point pixels", "Save these images as one .npy array [N, H, W].")
    if mode in _GREY16:
        return "grey16"
    return {"1": "bits", "L": "grey", "LA": "grey", "La": "grey"}.get(mode, "colour")


def _is_turned(image: Image.Image) -> bool:
    """Whether the size is that after the rotation: newer versions of Pillow say so of TIFF."""
    stored: Any = getattr(image, "tag_v2", {})
    return image.size == (stored.get(0x0101), stored.get(0x0100))


def _header(path: Path, counts: Counter[str]) -> _Header:
    with _reading(path), _open(path) as image:
        width, height = image.size
        if image.getexif().get(0x0112, 1) in (5, 6, 7, 8) and not _is_turned(image):  # these exchange the axes
            width, height = height, width
        counts["rotated as EXIF says"] += image.getexif().get(0x0112, 1) in range(2, 9)
        counts["animated: the first frame is read"] += bool(getattr(image, "is_animated", False))
        counts["CMYK converted to RGB"] += image.mode == "CMYK"
        counts["with a palette converted to RGB"] += image.mode in ("P", "PA")
        tile = str(getattr(image, "tile", ""))  # how pixels are stored; Pillow has no 16-bit colour
        counts["of 16 bits per colour reduced to 8"] += image.mode in ("RGB", "RGBA") and ";16" in tile
        return _Header(path, (height, width), _family(image.mode, path))


def _without_alpha(image: Image.Image, counts: Counter[str]) -> Image.Image:
    """The image without transparency: dropped where it is opaque, else composed over black."""
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
    """[H, W, C] in the family that the whole folder is read as."""
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
    """A 16-bit grey image; 8-bit ones are stretched to the same range."""
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
    """[H, W] bool of one image: True where it is nearer to white than to black."""
    with _reading(path), _open(path) as opened:
        return np.asarray(_without_alpha(ImageOps.exif_transpose(opened), Counter()).convert("L")) > 127


def _find(folder: Path) -> tuple[list[Path], int]:
    """Images below a folder in sorted order, and how many other files were passed over."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    shown = [p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    images = sorted((p for p in shown if p.suffix.lower() in SUFFIXES), key=lambda p: p.relative_to(folder).parts)
    if not images:
        raise DataError(
            f"{folder} holds no images ({len(files)} other files)", f"Images are {', '.join(s[1:] for s in SUFFIXES)}."
        )
    return images, len(files) - len(images)


def _target(headers: list[_Header], size: tuple[int, int] | None, notes: list[str]) -> str:
    """The family that all images are converted to: the one that loses nothing."""
    families = Counter(h.family for h in headers)
    if {"grey16", "colour"} <= families.keys():
        first = {h.family: h.path for h in reversed(headers)}
        raise DataError(
            f"{first['grey16']} is 16-bit grey and {first['colour']} is in colour", "Convert them to one mode."
        )
    target = next(f for f in ("grey16", "colour", "grey", "bits") if f in families)
    if len(families) > 1:
        told = {"colour": "converted to RGB", "grey16": "stretched to 16 bits", "grey": "converted to 8-bit grey"}
        notes.append(f"{len(headers) - families[target]:,} of {len(headers):,} images {told[target]}, like the others")
    if target == "grey16":
        notes.append("16-bit grey images kept as integers of 65,536 levels")
    return "grey" if target == "bits" and size is not None else target


def _classes(folder: Path, images: list[Path], notes: list[str]) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """The folders at the top as classes, where every image lies in one of several."""
    tops = [p.relative_to(folder).parts for p in images]
    names = sorted({parts[0] for parts in tops if len(parts) > 1})
    if len(names) < 2 or any(len(parts) == 1 for parts in tops):
        if names and any(len(parts) == 1 for parts in tops):
            notes.append("some images lie outside the folders, so the folders are not taken as classes")
        return None, None
    number = {name: i for i, name in enumerate(names)}
    notes.append(f"{len(names)} folders taken as classes")
    return np.array([number[parts[0]] for parts in tops]), tuple(names)


def _common_size(headers: list[_Header], size: tuple[int, int] | None, notes: list[str]) -> tuple[int, int]:
    first, *others = headers
    odd = next((h for h in others if h.size != first.size), None)
    if size is None and odd is not None:
        (h, w), (i, j) = first.size, odd.size
        raise DataError(
            f"images differ in size: {first.path} is {h}x{w} and {odd.path} is {i}x{j} (height x width)",
            f"Resize all of them while reading: --size {h},{w}",
        )
    resized = 0 if size is None else sum(h.size != size for h in headers)
    if size is not None and resized:
        notes.append(f"{resized:,} images resized to {size[0]}x{size[1]} by area averaging")
    return size or first.size


def read_folder(folder: Path, size: tuple[int, int] | None = None) -> Raw:
    """All images below a folder, in sorted order.

    Images are rotated as their EXIF data say. An alpha channel is dropped where it is opaque, and composed over black
    elsewhere. Palettes and CMYK become RGB; a folder of grey and colour images becomes RGB; 1-bit images are binary;
    16-bit grey ones keep their 65,536 levels; of an animation the first frame is read. Each of these is noted.

    Args:
        folder: its sub-folders, where all images lie in them, are the classes.
        size: height and width that all images are resized to, by area averaging.

    Raises:
        DataError: no images, images of different sizes without `size`, or an image that is damaged or too large.
    """
    images, skipped = _find(folder)
    notes = [f"{skipped:,} files that are hidden or not images passed over"] if skipped else []
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
            raise DataError(f"{header.path} is damaged (it has other pixels than it says)", "Save it again.")
        x[row] = pixels
    notes += [f"{count:,} image{'s' * (count > 1)} {what}" for what, count in counts.items() if count]
    labels, classes = _classes(folder, images, notes)
    return Raw(x, labels, None, classes, notes, [str(folder.resolve())], 65536 if deep else None)
