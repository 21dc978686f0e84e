"""Folders of images, read by Pillow into one array; conversions are noted."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..core.errors import DataError
from ..core.wording import plural
from .dataset import Raw
from .file_rows import Array
from .image_files import SUFFIXES_OF, classes_of, image_files, names_of, refuse_parts
from .image_rows import ImageRows
from .image_sizes import Header, Resize, common_size
from .regular_files import open_regular
from .selection import Fit
from .sizes import check_size

__all__ = ["pixels_of", "read_bits", "read_folder"]

MOST_PIXELS = 64 * 10**6
MOST_LISTED = 20  # names of broken images
_GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")


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
        why = "of no known format" if isinstance(error, UnidentifiedImageError) else error or type(error).__name__
        raise DataError(f"{path} is not an image that can be read ({why})", "Replace or remove it.") from error


def _too_large(path: Path) -> DataError:
    """Return the error of an image with too many pixels."""
    return DataError(f"{path} has more than {MOST_PIXELS // 10**6} million pixels", "Make it smaller or remove it.")


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that are read, as far as this installation of Pillow has them."""
    Image.init()
    return tuple(name for name in SUFFIXES_OF if name in Image.OPEN)


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Open an image as a file object: by name, Pillow 13 maps plain TIFF into memory and scrambles rotated images.

    Raises:
        DataError: it is too large.
    """
    with os.fdopen(open_regular(path, follow=True), "rb") as file, Image.open(file, formats=_formats()) as image:
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


def _header(path: Path, counts: Counter[str]) -> Header:
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
        return Header(path, (height, width), _family(image.mode, path))


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


def pixels_of(header: Header, target: str, resize: Resize | None, counts: Counter[str]) -> np.ndarray:
    """Return an image [H, W, C] in the family of the whole folder.

    Raises:
        DataError: the image is damaged.
    """
    with _reading(header.path), _open(header.path) as opened:
        image = ImageOps.exif_transpose(opened)
        if target == "grey16":
            return _deep_pixels(image, header, resize)
        image = _without_alpha(image, counts)
        if target != "bits" or resize is not None:
            image = image.convert("RGB" if target == "colour" else "L")
        pixels = np.asarray(image if resize is None else resize(image), dtype=np.uint8)
        return pixels if pixels.ndim == 3 else pixels[..., None]


def _deep_pixels(image: Image.Image, header: Header, resize: Resize | None) -> np.ndarray:
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
    if resize is not None:
        values = np.asarray(resize(Image.fromarray(values)))
    return np.rint(values).astype(np.uint16)[..., None]


def read_bits(path: Path) -> np.ndarray:
    """Return one image as bool [H, W]: True where it is nearer to white than to black.

    Raises:
        DataError: the image is damaged or too large.
    """
    with _reading(path), _open(path) as opened:
        return np.asarray(_without_alpha(ImageOps.exif_transpose(opened), Counter()).convert("L")) > 127


def _target(headers: list[Header], resize: Resize | None, notes: list[str]) -> str:
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
    return "grey" if target == "bits" and resize is not None else target


def _headers(images: list[Path], broken: dict[Path, str], counts: Counter[str]) -> list[Header]:
    """Return the headers of images, and record why others cannot be read."""
    headers = []
    for path in images:
        try:
            headers.append(_header(path, counts))
        except DataError as error:
            broken[path] = error.what
    return headers


def _decoded(
    headers: list[Header],
    target: str,
    size: tuple[int, int],
    resize: Resize | None,
    broken: dict[Path, str],
    counts: Counter[str],
) -> np.ndarray:
    """Return the pixels of images [N, H, W, C], and record why others cannot be read; their rows hold anything."""
    shape = (*size, 3 if target == "colour" else 1)
    x = np.empty((len(headers), *shape), dtype=np.uint16 if target == "grey16" else np.uint8)
    for row, header in enumerate(headers):
        try:
            pixels = pixels_of(header, target, resize, counts)
        except DataError as error:
            broken[header.path] = error.what
            continue
        if pixels.shape == shape:
            x[row] = pixels
        else:
            broken[header.path] = f"{header.path} is damaged (its pixels do not match its header)"
    return x


def _check_broken(folder: Path, broken: dict[Path, str], n: int, strict: bool) -> None:
    """Refuse broken images, if there are more than half, or any and `strict`.

    Raises:
        DataError: naming them.
    """
    if not broken or not (strict or 2 * len(broken) > n):
        return
    first = next(iter(broken.values()))
    if n == 1:
        raise DataError(first, "Replace or remove it.")
    remedy = "Replace or remove them"
    remedy += "; without --strict they are skipped." if 2 * len(broken) <= n else "."
    raise DataError(f"{_listed(folder, broken, n)}: {first}", remedy)


def _listed(folder: Path, broken: dict[Path, str], n: int) -> str:
    """Return in words how many images cannot be read, and which."""
    names = [str(name) for name in names_of(folder, list(broken))]
    more = f", ... {len(names):,} in all" if len(names) > MOST_LISTED else ""
    return f"{len(names):,} of {n:,} images of {folder} cannot be read ({', '.join(names[:MOST_LISTED])}{more})"


def read_folder(
    folder: Path,
    size: tuple[int, int] | None = None,
    strict: bool = False,
    guess: bool = True,
    stays: Callable[[int], bool] = lambda size: False,
    fit: Fit = "crop",
) -> Raw:
    """Read all images below a folder, in natural order: img2 comes before img10.

    Images are rotated as their EXIF data say. An opaque alpha channel is dropped, and any other composed over black.
    Palettes and CMYK become RGB; a folder of grey and colour images becomes RGB; 1-bit images are binary; 16-bit grey
    ones keep their 65,536 levels; the first frame of an animation is read. Each of these is noted. Broken images are
    skipped, and the result is that of a folder without them; a note lists them.

    Args:
        folder: if all images lie in sub-folders, these are the classes; or a single image.
        size: height and width that all images are resized to, by area averaging.
        strict: whether a broken image is refused.
        guess: whether images of different sizes are resized to a square; else they are refused.
        stays: returns whether pixels of so many bytes are left in their files, and decoded when they are read.
        fit: what becomes of images of other proportions, see `Resize`.

    Raises:
        DataError: no images, images of different sizes without `size` and `guess`, an image that is damaged or too
            large (with `strict`, or if these are more than half), or sub-folders that are the parts of a data set, such
            as train and test.
    """
    images, skipped = image_files(folder)
    if folder.is_dir():
        refuse_parts(folder, sorted({p.relative_to(folder).parts[0] for p in images if p.parent != folder}))
    broken: dict[Path, str] = {}
    while True:
        known, n = len(broken), len(images)
        kept = [path for path in images if path not in broken]
        raw = _read(folder, kept, partial(common_size, size=size, fit=fit, guess=guess), broken, stays)
        _check_broken(folder, broken, n, False)
        if len(broken) == known and raw is not None:
            break
    _check_broken(folder, broken, n, strict)  # when all of them are known
    first = next(iter(broken.values()), "")
    raw.notes[:0] = [] if skipped is None else [skipped]
    skip = "is skipped" if len(broken) == 1 else "are skipped"
    raw.notes += [f"{_listed(folder, broken, n)} and {skip}; the first: {first}"] if broken else []
    return raw


def _read(
    folder: Path,
    images: list[Path],
    sized: Callable[..., tuple[tuple[int, int], Resize | None]],
    broken: dict[Path, str],
    stays: Callable[[int], bool],
) -> Raw | None:
    """Return the content of images, and record those that are broken; None if headers show some already."""
    counts, notes = Counter[str](), list[str]()
    headers = _headers(images, broken, counts)
    if len(headers) < len(images) or not headers:
        return None
    common, resize = sized(headers, notes=notes)
    target = _target(headers, resize, notes)
    entries = len(images) * common[0] * common[1] * (3 if target == "colour" else 1)
    fewer = "Give fewer images, or smaller ones: --size 32,32"
    dtype = np.dtype(np.uint16 if target == "grey16" else np.uint8)
    if stays(entries * dtype.itemsize):
        shape = (*common, 3 if target == "colour" else 1)
        files = [(os.fspath(h.path), h.size, h.family) for h in headers]
        x: Array = ImageRows(files, target, resize, shape, dtype)
    else:
        check_size(entries * dtype.itemsize, str(folder), fewer)
        x = _decoded(headers, target, common, resize, broken, counts)
    notes += [f"{plural(count, 'image')} {what}" for what, count in counts.items() if count]
    labels, classes = classes_of(folder, images, notes) if folder.is_dir() else (None, None)
    raw = Raw(x, labels, None, classes, notes, [str(folder.resolve())], 65536 if target == "grey16" else None)
    raw.identity["file"] = names_of(folder, images)
    if resize is not None:
        raw.resized, raw.fit = resize.size, resize.fit
    return raw
