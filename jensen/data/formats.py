"""File formats, recognised by their first bytes (of archives, by their members) and checked against the name."""

from __future__ import annotations

import codecs
import gzip
import re
import zipfile
import zlib
from pathlib import Path

from ..core.errors import DataError
from .regular_files import Irregular, open_regular

__all__ = ["IDX_TYPES", "TABLES", "file_format", "is_image"]

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
HEAD = 512  # bytes at the beginning of a file that show its format

_PACKED = b"\x1f\x8b"  # gzip
_SIGNATURES = (
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (_PACKED, "gz"),
    (b"MATLAB 5.0 MAT-file", "mat"),
    (b"MATLAB 7.3 MAT-file", "hdf5"),
    (b"\x89HDF\r\n", "hdf5"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"FEA1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),  # a stream of record batches
    (b"ORC", "orc"),
    (b"Obj\x01", "avro"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
    (b"X\n\x00\x00", "r"),
    (b"RDX", "r"),
    (b"RDA", "r"),
    (b"A\n2\n", "r"),
    (b"A\n3\n", "r"),
    (b"$FL", "spss"),
    (b"<stata_dta>", "stata"),
    (b"HEADER RECORD*******", "sas"),
    (b"\x00" * 12 + b"\xc2\xea\x81\x60", "sas"),
    (b"SIMPLE  =", "fits"),
    (b"CDF\x01", "netcdf"),
    (b"CDF\x02", "netcdf"),
    (b"SQLite format 3", "sqlite"),
    (b"%PDF", "pdf"),
    (b"BZh", "packed"),
    (b"\xfd7zXZ\x00", "packed"),
    (b"\x28\xb5\x2f\xfd", "packed"),
    (b"7z\xbc\xaf\x27\x1c", "packed"),
    (b"Rar!", "packed"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"\x00\x00\x00\x0cjP  ", "image"),
)
_TEXTS = (
    ("html", r"<(!doctype html|html)\b"),
    ("xml", r"<\?xml\b|<svg\b"),
    ("rtf", r"\{\\rtf"),
    ("postscript", r"%!PS"),
    ("matrix market", r"%%MatrixMarket"),
    ("arff", r"(%[^\n]*\n\s*)*@relation"),
    ("notebook", r'\{\s*"(cells|nbformat|metadata)"'),
    ("json", r"[\[{]\s*([\[\]{}\"'\d.-]|null|NaN)"),
    ("git lfs", r"version https://git-lfs"),
)

_NAMES = {
    "npy": "a NumPy array",
    "npz": "a zip archive of NumPy arrays",
    "sparse": "a sparse matrix of SciPy",
    "sparse arrays": "the arrays of a sparse matrix, without its format",
    "pydata": "a sparse array of the library sparse",
    "gz": "gzip-compressed data",
    "tar": "a tar archive",
    "idx": "IDX data",
    "mat": "a MATLAB v5 file",
    "safetensors": "a safetensors file",
    "hdf5": "an HDF5 file",
    "h5ad": "an AnnData file",
    "parquet": "a Parquet table",
    "arrow": "an Arrow or Feather table",
    "orc": "an ORC table",
    "avro": "an Avro file",
    "xlsx": "an Excel workbook",
    "xls": "an Excel 97 workbook (or another OLE document)",
    "ods": "an OpenDocument spreadsheet",
    "document": "an office document",
    "torch": "a PyTorch file",
    "keras": "a Keras model",
    "r": "an R data file",
    "spss": "an SPSS file",
    "stata": "a Stata file",
    "sas": "a SAS file",
    "fits": "a FITS file",
    "netcdf": "a NetCDF file",
    "sqlite": "an SQLite database",
    "pdf": "a PDF document",
    "html": "an HTML page",
    "xml": "an XML document",
    "rtf": "a document in RTF",
    "postscript": "a PostScript document",
    "json": "JSON text",
    "notebook": "a Jupyter notebook",
    "matrix market": "a Matrix Market file",
    "arff": "an ARFF table",
    "git lfs": "a pointer of Git LFS, not the file itself",
    "image": "an image",
    "zip": "a zip archive without arrays",
    "packed": "a compressed file or archive",
    "text": "text",
    "pickle": "a Python pickle",
    "unknown": "bytes of an unknown format",
}

_SUFFIXES = {".npy": "npy", ".npz": "npz", ".gz": "gz", ".idx": "idx", ".mat": "mat", ".safetensors": "safetensors"}
_SUFFIXES[".h5ad"] = "h5ad"
_TEXT = (".csv", ".tsv", ".tab", ".txt", ".data", ".dat")
_ALSO = {"npz": ("npz", "sparse"), "gz": ("gz", "text", "json"), "mat": ("mat", "hdf5")}  # contents that a name allows
_READABLE = ("npy", "npz", "sparse", "gz", "idx", "mat", "safetensors", "h5ad", "json", "text")
TABLES = ("text", "parquet", "arrow", "xlsx")  # that are read with the types of their columns
_SUFFIXES |= dict.fromkeys((".json", ".jsonl", ".ndjson"), "json")
_BY_NAME = {  # where the content alone does not tell
    **dict.fromkeys((".pt", ".pth", ".ckpt"), "torch"),
    **dict.fromkeys((".rds", ".rda", ".rdata"), "r"),
    **dict.fromkeys((".sav", ".zsav", ".por"), "spss"),
    **dict.fromkeys((".sas7bdat", ".xpt"), "sas"),
    **dict.fromkeys((".h5", ".hdf5", ".loom"), "hdf5"),
    **dict.fromkeys((".arrow", ".feather"), "arrow"),
    ".h5ad": "h5ad",
    ".parquet": "parquet",
    ".dta": "stata",
    ".xls": "xls",
}

_TABLE = "{}.to_csv('x.csv', index=False)"
_MIXED = "Give --recipe table, which reads its types; or save"
_UNREADABLE = {
    "hdf5": "Save its matrix as .npy or .npz: with h5py, np.save('x.npy', file['x'][:]); of an AnnData object, "
    "adata.write_h5ad('x.h5ad'); from MATLAB, save('x.mat', 'x', '-v7').",
    "parquet": f"Save it as .csv or .npy: {_TABLE.format('pandas.read_parquet(FILE)')}.",
    "arrow": f"{_MIXED} it as .csv or .npy: {_TABLE.format('pandas.read_feather(FILE)')}.",
    "orc": f"Save it as .csv or .npy: {_TABLE.format('pandas.read_orc(FILE)')}.",
    "avro": "Save it as .csv or .npy.",
    "xlsx": f"{_MIXED} its sheet as CSV UTF-8, or in Python: {_TABLE.format('pandas.read_excel(FILE)')}.",
    "xls": f"Save its sheet as CSV, or in Python: {_TABLE.format('pandas.read_excel(FILE)')}.",
    "ods": f"Save its sheet as CSV, or in Python: {_TABLE.format('pandas.read_excel(FILE)')}.",
    "document": "Save the table in it as .csv.",
    "torch": "Such files hold pickles, which are never opened: np.save('x.npy', torch.load(FILE).numpy()), or save it "
    "as .safetensors.",
    "keras": "Give data, not a model.",
    "r": "Save it from R: write.csv(x, 'x.csv', row.names = FALSE).",
    "spss": f"Save it as .csv: {_TABLE.format('pandas.read_spss(FILE)')}.",
    "stata": f"Save it as .csv: {_TABLE.format('pandas.read_stata(FILE)')}.",
    "sas": f"Save it as .csv: {_TABLE.format('pandas.read_sas(FILE)')}.",
    "fits": "Save its array: np.save('x.npy', astropy.io.fits.getdata(FILE)).",
    "netcdf": "Save its variable: np.save('x.npy', xarray.open_dataset(FILE)['x'].values).",
    "sqlite": f"Save its table as .csv: {_TABLE.format('pandas.read_sql(QUERY, CONNECTION)')}.",
    "pdf": "Save the table in it as .csv.",
    "html": "It may be the page of a download that failed: download the file itself.",
    **dict.fromkeys(("xml", "rtf", "postscript"), "Save the table in it as .csv."),
    "notebook": "Give the data that it reads or writes.",
    "matrix market": "Save it as .npz: scipy.sparse.save_npz('x.npz', scipy.io.mmread(FILE).tocsr()).",
    "arff": f"Save it as .csv: {_TABLE.format('pandas.DataFrame(scipy.io.arff.loadarff(FILE)[0])')}.",
    "git lfs": "Fetch the file: git lfs pull.",
    "sparse arrays": "Save it with its format: scipy.sparse.save_npz(FILE, x); or name an array of it, FILE and :KEY.",
    "pydata": "Save it dense, np.save('x.npy', x.todense()), or with scipy.sparse.save_npz.",
    "image": "One image is one datum: give the folder that holds all of them.",
    "zip": "Unpack it, and give a file or a folder; arrays are saved with np.savez('x.npz', x=x).",
    "tar": "Unpack it: tar -xf FILE.",
    "packed": "Unpack it first.",
    "pickle": "Pickles can run code and are never opened: save the array with np.save.",
    "unknown": "Give .npy, .npz, IDX, .mat (v5), .safetensors, CSV or a folder of images.",
}


def _sniff(head: bytes) -> str:
    """Return the format that the first bytes of a file indicate."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature) and (name != "image" or signature != b"BM" or b"\x00" in head):
            return name
    if (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or head[4:12] in (b"ftypavif", b"ftypheic", b"ftypheix"):
        return "image"
    if len(head) >= 4 and head[:2] == b"\x00\x00" and head[2] in IDX_TYPES and 1 <= head[3] <= 4:
        return "idx"
    if len(head) >= 2 and head[0] == 0x80 and head[1] in (2, 3, 4, 5):
        return "pickle"
    if head[257:262] == b"ustar":
        return "tar"
    if len(head) > 9 and head[8:9] == b"{" and b"\x00" in head[:8] and head[9:10] in b'"} ':
        return "safetensors"
    if len(head) > 4 and 0x69 <= head[0] <= 0x73 and head[1] in (1, 2) and head[2:4] == b"\x01\x00":
        return "stata"
    return "text" if _is_text(head) else "unknown"


def _is_text(head: bytes) -> bool:
    """Return whether bytes are text, in which zeros belong to characters of two or four bytes."""
    if b"\x00" not in head or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        return True
    halves = (head[::2], head[1::2])
    zeros = [half.count(0) for half in halves]
    return len(head) >= 4 and min(zeros) == 0 and max(zeros) >= 0.9 * len(halves[zeros.index(max(zeros))])


def _text_format(head: bytes) -> str:
    """Return "text", or the format of a text that is no table."""
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    return next((name for name, pattern in _TEXTS if re.match(pattern, text, re.IGNORECASE)), "text")


def _member_format(names: set[str]) -> str:
    """Return the format of a zip archive, by the names of its members."""
    arrays = {n.removesuffix(".npy") for n in names if n.endswith(".npy")}
    if {"format", "shape", "data"} <= arrays:
        return "sparse"
    if {"data", "shape", "fill_value"} <= arrays:
        return "pydata"
    if {"data", "indices", "indptr"} <= arrays or {"data", "row", "col"} <= arrays:
        return "sparse arrays"
    if arrays:
        return "npz"
    if any(n.startswith("xl/") for n in names):
        return "xlsx"
    if any(re.search(r"(^|/)data\.pkl$", n) for n in names):
        return "torch"
    if "model.weights.h5" in names:
        return "keras"
    return "document" if any(n.startswith(("word/", "ppt/")) for n in names) else "zip"


def _zip_format(path: Path) -> str:
    """Return the format of a zip archive; a damaged one is left to the reader of arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "mimetype" in names and archive.getinfo("mimetype").file_size < HEAD:
                kind = archive.read("mimetype")
                return "ods" if b"opendocument.spreadsheet" in kind else "document"
            return _member_format(names)
    except Exception:  # a damaged archive makes the standard library raise almost anything
        return "npz"


def _unpacked(path: Path) -> bytes:
    """Return the first bytes of gzip-compressed data; none if they are damaged."""
    try:
        with gzip.open(path) as stream:
            return stream.read(HEAD)
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError):
        return b""


def _content(path: Path, head: bytes) -> str:
    """Return the format of a file by its content; of compressed data, of what is inside if it can be read or named."""
    content = _sniff(head)
    if content == "zip":
        return _zip_format(path)
    if content == "text":
        return _text_format(head)
    if content != "gz":
        return content
    inner = _unpacked(path)
    kind = _sniff(inner) if inner else "gz"
    kind = _text_format(inner) if kind == "text" else kind
    if kind in ("text", "json", "r", "tar"):
        return kind
    if kind not in ("gz", "idx", "unknown"):
        raise DataError(f"{path} holds {_NAMES.get(kind, kind)}, compressed", f"Unpack it: gunzip {path.name}.")
    return "gz"


def _expected(path: Path) -> str | None:
    """Return the format that the name of a file indicates, None if any."""
    suffix = path.suffix.lower()
    if suffix in _TEXT:
        return "text"
    if re.search(r"idx\d(-u?byte)?$", path.name.lower()):
        return "idx"
    return _SUFFIXES.get(suffix)


def _head(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises:
        DataError: the file is missing, empty or unreadable.
    """
    try:
        with open(open_regular(path, follow=True), "rb") as stream:
            head = stream.read(HEAD)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", "Check the path; `digits` and `sprites` are built in.") from error
    except Irregular as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", "Write its content into a file first, and give that."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror})", "Check its permissions.") from error
    if not head:
        raise DataError(f"{path} is an empty file", "Write or download it again.")
    return head


def is_image(path: Path) -> bool:
    """Return whether a file that can be read is an image, and is not named as something else."""
    try:
        with open(open_regular(path, follow=True), "rb") as file:
            return _sniff(file.read(512)) == "image" and _expected(path) is None
    except OSError:
        return False


def file_format(path: Path, key: str | None = None, also: tuple[str, ...] = ()) -> str:
    """Return the format of a file by its content, which its name must match.

    Args:
        path: of the file.
        key: of an array in it, if one is named; then the arrays of a sparse matrix are an archive of arrays.
        also: other formats that the caller reads, of `TABLES`.

    Returns:
        "npy", "npz", "sparse", "gz" (IDX data, compressed), "idx", "mat", "safetensors", "h5ad", or "json" or "text"
            (compressed or not); or one of `also`.

    Raises:
        DataError: the file is missing, empty or unreadable, of a format that is not read, or its content does not match
            its name.
    """
    head = _head(path)
    content, expected = _content(path, head), _expected(path)
    if content in ("unknown", "packed", "pickle"):
        content = _BY_NAME.get(path.suffix.lower(), content)
    if content == "hdf5" and expected == "h5ad":
        content = "h5ad"
    if content == "text" and expected == "json":
        content = "json"
    if key is not None and content == "sparse arrays":
        content = "npz"
    if expected == "idx" and content != "idx":
        raise DataError(
            f"{path} is named like IDX data, but begins with {head[:4].hex(' ')} ({_NAMES[content]})",
            "An IDX file begins with 00 00, a type and a number of axes; download it again.",
        )
    is_packed = head.startswith(_PACKED)
    if content == "text" and is_packed and re.search(r"idx\d(-u?byte)?\.gz$", path.name.lower()):
        content = "gz"  # its reader says that this is not IDX data
    agrees = expected is None or content in _ALSO.get(expected, (expected,))
    agrees = agrees and (expected != "gz" or is_packed)
    if content not in (*_READABLE, *also):
        belongs = agrees or (expected, content) in (("npz", "pydata"), ("npz", "sparse arrays"))
        remedy = _UNREADABLE[content].replace("FILE", repr(path.name))
        if belongs or is_packed:
            raise DataError(f"{path} is {_NAMES[content]}, which is not read", remedy)
        raise DataError(f"{path} is named {path.suffix or path.name}, but holds {_NAMES[content]}", remedy)
    if not agrees:
        remedy = "Rename it, or give the right file."
        raise DataError(f"{path} is named {path.suffix}, but holds {_NAMES[content]}", remedy)
    return content
