"""Graphs as ONNX: written by torch, named and described, and computed by onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ..core.errors import CompositionError, UsageError
from ..core.version import __version__
from .ports import BATCH, Arrays, Graph

__all__ = ["OPSET", "computed_by_onnxruntime", "onnx_bytes", "require_onnx"]

OPSET = 17
FLOAT, DOUBLE = 1, 11  # the numbers of the types in ONNX
MOST = 2**31 - 2**20  # bytes of a file of protocol buffers
INSTALL = "Install them: pip install 'jensen[onnx]'."


def require_onnx() -> None:
    """Refuse to go on without the packages, before any work.

    Raises:
        UsageError: one is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UsageError(f"ONNX needs the package {error.name}, which is not installed", INSTALL) from error


def _asinh(graph: Any, x: Any) -> Any:
    return graph.op("Asinh", x)


def _sinh(graph: Any, x: Any) -> Any:
    """Return sinh by exponentials: onnxruntime has it in single precision alone."""
    half = graph.op("Constant", value_t=torch.tensor(0.5, dtype=torch.float64))
    difference = graph.op("Sub", graph.op("Exp", x), graph.op("Exp", graph.op("Neg", x)))
    return graph.op("Mul", difference, graph.op("CastLike", half, x))


def _round(graph: Any, x: Any) -> Any:
    return graph.op("Round", x)


def _ndtr(graph: Any, x: Any) -> Any:
    """Return the normal distribution function by erf, which onnxruntime has in single precision alone."""
    root, one, half = (graph.op("Constant", value_t=torch.tensor(v)) for v in (2**-0.5, 1.0, 0.5))
    erf = graph.op("Erf", graph.op("Mul", graph.op("Cast", x, to_i=FLOAT), root))
    return graph.op("CastLike", graph.op("Mul", half, graph.op("Add", one, erf)), x)


def _softplus(graph: Any, x: Any, beta: Any, threshold: Any) -> Any:
    """Return softplus; in double precision by exponentials: onnxruntime has it in single precision alone."""
    if x.type().scalarType() != "Double":
        return graph.op("Softplus", x)
    zero, one = (graph.op("Constant", value_t=torch.tensor(v, dtype=torch.float64)) for v in (0.0, 1.0))
    small = graph.op("Log", graph.op("Add", one, graph.op("Exp", graph.op("Neg", graph.op("Abs", x)))))
    return graph.op("Add", graph.op("Max", x, zero), small)


def _expm1(graph: Any, x: Any) -> Any:
    """Return exp(x) - 1 in double precision, where the difference keeps the digits of the single one."""
    one = graph.op("Constant", value_t=torch.tensor(1.0, dtype=torch.float64))
    wide = graph.op("Exp", graph.op("Cast", x, to_i=DOUBLE))
    return graph.op("CastLike", graph.op("Sub", wide, one), x)


def _zeros_like(graph: Any, x: Any, *options: Any) -> Any:
    """Return zeros as a product: torch's exporter takes the number of rows of the traced ones for a constant."""
    zero = graph.op("Constant", value_t=torch.tensor(0.0, dtype=torch.float64))
    return graph.op("Mul", x, graph.op("CastLike", zero, x))


# that torch's exporter does not know, or gives a fixed number of rows, or that onnxruntime lacks in double precision
OPERATIONS = {
    "aten::softplus": _softplus,
    "aten::asinh": _asinh,
    "aten::expm1": _expm1,
    "aten::zeros_like": _zeros_like,
    "aten::sinh": _sinh,
    "aten::round": _round,
    "aten::special_ndtr": _ndtr,
}


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """A scope in which nothing reaches the process's stderr: torch prints a graph that fails from C++, whatever its
    settings."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if sys.stderr is not None:
        sys.stderr.flush()
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    """A scope in which torch's exporter knows more operations, and warns of nothing: its numbers are checked."""
    register, unregister = (
        torch.onnx.register_custom_op_symbolic,  # pyright: ignore[reportPrivateImportUsage]
        torch.onnx.unregister_custom_op_symbolic,  # pyright: ignore[reportPrivateImportUsage]
    )
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        torch._C._jit_set_onnx_log_output_stream("stderr")
        for operation, symbolic in OPERATIONS.items():
            register(operation, symbolic, OPSET)
        try:
            with _silent_stderr():
                yield
        finally:
            for operation in OPERATIONS:
                unregister(operation, OPSET)
            torch._C._jit_set_onnx_log_output_stream("stdout")
            logger.setLevel(level)


def onnx_bytes(graph: Graph, arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """Return a graph as an ONNX model, with a dynamic batch axis, and with texts about it.

    Torch's exporter by tracing is used: of the two it needs no package beside onnx, and takes a tenth of the time.

    Args:
        graph: whose module is traced.
        arrays: inputs of some rows.
        metadata: texts by name, for the model's `metadata_props`.

    Raises:
        CompositionError: ONNX lacks an operation, or the file would be too large.
    """
    import onnx

    size = sum(p.numel() * p.element_size() for p in graph.module.state_dict().values())
    if size > MOST:
        raise CompositionError(
            f"the {graph.name} has {size:,} bytes of weights, and an ONNX file holds at most {MOST:,}", "Use --torch."
        )
    inputs, outputs = [port.name for port in graph.inputs], [port.name for port in graph.outputs]
    buffer = io.BytesIO()
    try:
        with torch.no_grad(), _exporting():
            torch.onnx.export(
                graph.module.eval(),
                (graph.tensors(arrays),),
                buffer,  # pyright: ignore[reportArgumentType]
                input_names=inputs,
                output_names=outputs,
                dynamic_axes={name: {0: BATCH} for name in (*inputs, *outputs)},
                opset_version=OPSET,
                dynamo=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CompositionError(
            f"the {graph.name} of this run cannot be written as ONNX: {reason}", "Try --torch, or another recipe."
        ) from error
    model = onnx.load_from_string(buffer.getvalue())
    _describe(model, graph, metadata)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise CompositionError(
            f"the {graph.name} of this run has an operation that ONNX lacks ({str(error).splitlines()[0]})",
            "Try --torch, or another recipe.",
        ) from error
    return model.SerializeToString(deterministic=True)


def _describe(model: Any, graph: Graph, metadata: Mapping[str, str]) -> None:
    """Name the model and its tensors' shapes, and leave out what torch says of its source."""
    model.producer_name, model.producer_version, model.doc_string = "jensen", __version__, graph.purpose
    model.graph.name = graph.name
    for node in model.graph.node:
        node.ClearField("doc_string")
    for port, value in zip((*graph.inputs, *graph.outputs), (*model.graph.input, *model.graph.output), strict=True):
        value.doc_string = port.meaning
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        shape.dim.add().dim_param = BATCH
        for length in port.shape:
            shape.dim.add().dim_value = length
    for key, text in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text


def computed_by_onnxruntime(content: bytes, graph: Graph) -> Any:
    """Return the function from inputs to outputs that onnxruntime computes of an ONNX model, on one thread.

    Raises:
        CompositionError: onnxruntime does not take the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no class
        raise CompositionError(f"onnxruntime does not take the {graph.name} ({error})", "Use --torch.") from error
    names = [port.name for port in graph.outputs]
    given = {value.name for value in session.get_inputs()}

    def compute(arrays: Arrays) -> Arrays:
        try:
            values = session.run(names, {name: value for name, value in arrays.items() if name in given})
        except Exception as error:  # of operations that depend on the number of rows
            reason, n = str(error).splitlines()[0], len(next(iter(arrays.values())))
            raise CompositionError(
                f"onnxruntime cannot compute the {graph.name} of this run on {n} rows ({reason})",
                "Try --torch, or another recipe.",
            ) from error
        return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}

    return compute
