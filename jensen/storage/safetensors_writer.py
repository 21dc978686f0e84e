"""A writer of safetensors files from the tensors' own memory, so that saving a model takes no second copy of it.

Format: eight bytes of the header's length, the header as JSON padded with spaces, then the tensors without gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import torch
from torch import Tensor

from ..core.errors import CompositionError

__all__ = ["Packed", "raw_bytes"]

KINDS = {  # widest first, so that each tensor is aligned to its width
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
ORDER = {kind: place for place, kind in enumerate(KINDS)}
ALIGNED = 8  # bytes


class Packed:
    """The bytes of a safetensors file in pieces, identical to those of the safetensors library.

    Tensors are copied only where they lie on an accelerator or are not contiguous, and then one at a time.

    Args:
        tensors: by name; they must not change until they are written.
        metadata: of the file.

    Raises:
        CompositionError: a tensor is of a type that such files cannot hold.

    Example:
        >>> packed = Packed({"a": torch.zeros(2)})
        >>> len(packed), sum(len(piece) for piece in packed)
        (72, 72)
    """

    def __init__(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
        for name, tensor in tensors.items():
            if tensor.dtype not in KINDS:
                what = f"{name} is of {tensor.dtype}, which a safetensors file cannot hold"
                raise CompositionError(what, "Hold it in another type.")
        self.tensors = dict(sorted(tensors.items(), key=lambda pair: (ORDER[pair[1].dtype], pair[0])))
        header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
        end = 0
        for name, tensor in self.tensors.items():
            begin, end = end, end + tensor.nbytes
            header[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        text = msgspec.json.encode(header)
        text += b" " * (-len(text) % ALIGNED)
        self.header = len(text).to_bytes(8, "little") + text
        self.size = len(self.header) + end

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        yield self.header
        for tensor in self.tensors.values():
            yield raw_bytes(tensor)


def raw_bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor's numbers, row after row."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
