"""Shapes and types: what is known of a value before the model runs."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir

__all__ = ["axis_before", "complete", "constant_of", "dims_of", "repeated_axes", "same_shape", "static_shape"]


def static_shape(value: ir.Value) -> tuple[int, ...] | None:
    """The shape as integers, or None where any of it is known only at run time."""
    return value.shape.numpy() if value.shape is not None and value.shape.is_static() else None


def same_shape(a: ir.Value, b: ir.Value) -> bool:
    """Whether two values surely have one shape: equal integers or equal symbols, no unknown dimension."""
    return a.shape is not None and b.shape is not None and _same(list(a.shape), list(b.shape))


def _same(a: list[int | ir.SymbolicDim], b: list[int | ir.SymbolicDim]) -> bool:
    return len(a) == len(b) and all(p == q and _known(p) for p, q in zip(a, b, strict=True))


def _known(dim: int | ir.SymbolicDim) -> bool:
    return isinstance(dim, int) or dim.value is not None


def constant_of(value: ir.Value | None) -> np.ndarray | None:
    """The array behind an initializer, or None where the value is computed or absent."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def repeated_axes(wide: ir.Value, narrow: ir.Value) -> list[int] | None:
    """The axes of ``wide`` along which ``narrow`` was repeated by broadcasting, None where only the run will tell."""
    if wide.shape is None or narrow.shape is None:
        return None
    extra = len(wide.shape) - len(narrow.shape)
    if extra < 0:  # the file declares a rank that what is computed has not
        return None
    axes = list(range(extra))
    for axis, (w, n) in enumerate(zip(list(wide.shape)[extra:], narrow.shape, strict=True), start=extra):
        if n == 1 and w != 1:
            axes.append(axis)
        elif not (isinstance(n, int) or (w == n and _known(n))):
            return None
    return axes


def axis_before(x: ir.Value, y: ir.Value, axis: int) -> int | None:
    """The axis of x whose places a Reshape to y keeps as this axis: all sizes up to it stay, or all from it on."""
    old, new = _counted(list(x.shape or ()), list(y.shape or ()))
    if _same(old[: axis + 1], new[: axis + 1]):
        return axis
    back = axis - len(new)
    return len(old) + back if _same(old[back:], new[back:]) else None


def _counted(*shapes: list[int | ir.SymbolicDim]) -> list[list[int | ir.SymbolicDim]]:
    """Shapes of as many elements, with a -1 for the open size of each where that is surely the same."""
    counts = [[size for size in shape if isinstance(size, int)] for shape in shapes]
    single = all(len(count) == len(shape) - 1 for count, shape in zip(counts, shapes, strict=True))
    if not single or len({math.prod(count) for count in counts}) > 1 or 0 in counts[0]:
        return [*shapes]
    return [[size if isinstance(size, int) else -1 for size in shape] for shape in shapes]


def dims_of(tensor: onnx.TypeProto.Tensor) -> list[int | str | None] | None:
    """The dimensions of a type in a message: a size, a name, None where neither is known; None without a rank."""
    if not tensor.HasField("shape"):
        return None
    return [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]


def complete(node: ir.Node) -> bool:
    """Notes the ranks that the standard's inference leaves out; true where there was one."""
    open_outputs = [y for y in node.outputs if y.shape is None]
    if node.domain == "" and node.op_type in ("Conv", "ConvTranspose"):
        open_outputs += [x for x in node.inputs[:1] if x is not None and x.shape is None]
    if node.domain == "com.microsoft":
        return _complete_contrib(node)
    if node.domain == "ai.onnx.ml":
        return _complete_tabular(node)
    if node.domain == "" and node.op_type == "Loop":
        return _complete_loop(node)
    rank = _rank_left_out(node) if open_outputs and node.domain == "" else None
    for y in open_outputs if rank is not None else ():
        y.shape = ir.Shape([None] * rank) if isinstance(rank, int) else rank
        y.type = y.type or (node.inputs[0].type if node.inputs[0] is not None else None)
    return bool(open_outputs) and rank is not None


def _complete_loop(node: ir.Node) -> bool:
    """Shapes what a Loop carries as far as its start and what a step gives back agree: the standard shapes none."""
    steps = list(node.attributes["body"].as_graph().outputs)[1:]
    found = False
    for y, start, step in zip(node.outputs, node.inputs[2:], steps, strict=False):
        if y.shape is None and start is not None and (shape := _agreed(start.shape, step.shape)) is not None:
            y.shape, y.type, found = shape, y.type or step.type, True
    return found


def _agreed(a: ir.Shape | None, b: ir.Shape | None) -> ir.Shape | None:
    if a is None or b is None or len(a) != len(b):
        return None
    return ir.Shape([p if p == q else None for p, q in zip(a, b, strict=True)])


_LIKE_FIRST = frozenset({"QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax"})


def _complete_contrib(node: ir.Node) -> bool:
    """Types the outputs of onnxruntime's own quantised operators, of which the standard knows nothing."""
    x, y, zero = node.inputs[0], node.outputs[0], node.inputs[-1]
    if y.type is not None or x is None or not node.op_type.startswith("QLinear"):
        return False
    y.type = x.type if node.op_type not in ("QLinearConcat", "QLinearWhere") or zero is None else zero.type
    if node.op_type in _LIKE_FIRST and x.shape is not None:
        y.shape = x.shape.copy()
    elif node.op_type in ("QLinearAdd", "QLinearMul"):
        y.shape = _broadcast(x, node.inputs[3])
    elif node.op_type.endswith("Pool") and x.shape is not None:
        y.shape = ir.Shape([None] * len(x.shape))
    return y.type is not None


_OF_EACH = frozenset({"Imputer", "Normalizer", "Scaler"})
_OF_ROWS = {  # with the attribute that counts the columns
    "FeatureVectorizer": None,
    "LinearRegressor": "targets",
    "SVMRegressor": None,
    "TreeEnsembleRegressor": "n_targets",
}


def _complete_tabular(node: ir.Node) -> bool:
    """Types the outputs of those operators of ai.onnx.ml of which the standard's inference says nothing."""
    x, y = node.inputs[0], node.outputs[0]
    known = y.type is not None and y.shape is not None
    if known or x is None or x.type is None or node.op_type not in {*_OF_EACH, *_OF_ROWS}:
        return False
    before = y.type, y.shape
    y.type = y.type or (x.type if node.op_type == "Imputer" else ir.TensorType(ir.DataType.FLOAT))
    if y.shape is None and x.shape is not None and len(x.shape):
        counted = _OF_ROWS.get(node.op_type)
        columns = node.attributes.get_int(counted, 1) if counted else None
        y.shape = x.shape.copy() if node.op_type in _OF_EACH else ir.Shape([x.shape[0], columns])
    return (y.type, y.shape) != before


def _broadcast(a: ir.Value, b: ir.Value | None) -> ir.Shape | None:
    """The shape of both together, as far as sizes are known."""
    if b is None or a.shape is None or b.shape is None:
        return None
    rank = max(len(a.shape), len(b.shape))
    p, q = ([1] * (rank - len(shape)) + list(shape) for shape in (a.shape, b.shape))
    return ir.Shape([m if n == 1 or m == n else n if m == 1 else None for m, n in zip(p, q, strict=True)])


def _rank_left_out(node: ir.Node) -> int | ir.Shape | None:
    """That of a Reshape is the length of its shape, and images have as many axes as the kernel of their convolution.

    DFT, Pad and Split keep the rank of their input, and some normalisations its shape.
    """
    x = node.inputs[0] if node.inputs else None
    if node.op_type in ("Conv", "ConvTranspose"):
        kernel = node.inputs[1]
        return None if kernel is None or kernel.shape is None else len(kernel.shape)
    if node.op_type == "Reshape":
        length = static_shape(node.inputs[1]) if node.inputs[1] is not None else None
        return None if length is None else length[0]
    if x is None or x.shape is None:
        return None
    if node.op_type in ("DFT", "Pad", "Split"):
        return len(x.shape)
    return x.shape.copy() if node.op_type in ("GroupNormalization", "MeanVarianceNormalization") else None
