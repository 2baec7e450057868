"""GraphBuilder: write ONNX nodes as function calls, ``g.Mul(dy, g.Sub(1, y))``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir

from .infer_node import infer
from .schemas import attributes_of, schema_of
from .shapes import constant_of, repeated_axes, same_shape, static_shape

__all__ = ["GraphBuilder", "Lowering"]

Lowering = Literal["portable", "cpu", "cuda"]
Operand = ir.Value | np.ndarray | Sequence[Any] | float | int | bool | None

_VARIADIC = frozenset({"Add", "Mul", "And"})  # binary in ONNX, folded from the left here


class GraphBuilder:
    """Appends nodes to a graph; every ONNX operator is a method.

    Inputs are values, or literals which take the type that the operator's schema ties them to; attributes are
    keywords, ``**node.attributes`` those of another node, and one that is None is left out; ``outputs=n`` asks for a
    tuple. Each new value is typed and shaped at once; ``emitted`` has the nodes. ``lowering`` tells rules which runtime
    the graph is for, where that decides between equal forms.
    """

    def __init__(self, graph: ir.Graph, lowering: Lowering = "portable", prefix: str = "grad") -> None:
        self.graph = graph
        self.lowering: Lowering = lowering
        self.prefix = prefix
        self.opset = graph.opset_imports[""]
        self._taken = _names_of(graph)
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        self._shapes: dict[ir.Value, ir.Value] = {}
        self.emitted: set[ir.Node] = set()

    def __getattr__(self, op: str) -> Callable[..., Any]:
        try:
            schema = schema_of(op, self.opset)
        except onnx.defs.SchemaError:
            raise AttributeError(f"ONNX opset {self.opset} has no operator {op!r}") from None
        emit = partial(self._emit, schema)
        return partial(self._fold, emit) if op in _VARIADIC else emit

    def _fold(self, emit: Callable[..., ir.Value], *inputs: Operand) -> Operand:
        return reduce(emit, inputs)

    def _emit(self, schema: onnx.defs.OpSchema, *inputs: Operand, outputs: int = 1, **attributes: Any) -> Any:
        node = ir.Node(
            "", schema.name, self._typed(schema, inputs), attributes_of(schema, attributes), num_outputs=outputs
        )
        node.name = self.fresh(f"{self.prefix}/{schema.name}")
        for k, output in enumerate(node.outputs):
            output.name = node.name if k == 0 else self.fresh(f"{node.name}:{k}")
        self.graph.append(node)
        self.emitted.add(node)
        infer(schema, node, self.opset)
        return node.outputs[0] if outputs == 1 else tuple(node.outputs)

    def _typed(self, schema: onnx.defs.OpSchema, inputs: Sequence[Operand]) -> list[ir.Value | None]:
        while inputs and inputs[-1] is None:  # onnxruntime 1.31 crashes on some that are named and left out
            inputs = inputs[:-1]
        formal = [schema.inputs[min(k, len(schema.inputs) - 1)] for k in range(len(inputs))]
        bound = {f.type_str: v.dtype for f, v in zip(formal, inputs, strict=True) if isinstance(v, ir.Value)}
        return [
            v if v is None or isinstance(v, ir.Value) else self.constant(v, bound.get(f.type_str) or _only_type(f))
            for f, v in zip(formal, inputs, strict=True)
        ]

    def fresh(self, name: str) -> str:
        """A name that the graph does not use yet: the one given, or with a number behind it."""
        free = name
        while free in self._taken:
            self._taken[name] += 1
            free = f"{name}_{self._taken[name]}"
        self._taken[free] = 0
        return free

    def constant(self, data: Any, dtype: ir.DataType | None = None) -> ir.Value:
        """An initializer; equal ones are shared."""
        array = np.asarray(data, dtype.numpy() if dtype else None)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._constants:
            name = self.fresh(f"{self.prefix}/const")
            tensor = ir.Tensor(array, name=name)
            value = ir.Value(
                name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
            )
            self.graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def input(self, name: str, dtype: ir.DataType, shape: Sequence[int | str | None] | ir.Shape | None) -> ir.Value:
        """A new graph input; its shape is None where not even the rank is known."""
        known = None if shape is None else ir.Shape(shape)
        value = ir.Value(name=self.fresh(name), shape=known, type=ir.TensorType(dtype))
        self.graph.inputs.append(value)
        return value

    def nested(self, graph: ir.Graph) -> GraphBuilder:
        """A builder for a subgraph, whose names differ from all that are around."""
        graph.opset_imports.update(self.graph.opset_imports)
        inner = GraphBuilder(graph, self.lowering, self.prefix)
        inner._taken = self._taken
        return inner

    def control(
        self, op: str, inputs: Sequence[ir.Value | None], like: Sequence[ir.Value], **attributes: Any
    ) -> Sequence[ir.Value]:
        """A node with subgraphs; its outputs have the types and shapes of the values that are given as their like."""
        given = {name: value for name, value in attributes.items() if value != []}
        node = ir.node(op, list(inputs), given, num_outputs=len(like), name=self.fresh(f"{self.prefix}/{op}"))
        for k, (output, x) in enumerate(zip(node.outputs, like, strict=True)):
            output.name = self.fresh(f"{node.name}:{k}")
            output.type = x.type
            self.shaped_like(output, x)
        self.graph.append(node)
        return node.outputs

    def output(self, value: ir.Value, name: str) -> ir.Value:
        """Gives a value a name of its own and makes it a graph output."""
        named = self.Identity(value)
        named.name = self.fresh(name)
        self.graph.outputs.append(named)
        return named

    def Pad(
        self, x: ir.Value, pads: Operand, value: Operand = None, axes: Operand = None, **attributes: Any
    ) -> ir.Value:
        """A Pad that names no axes: onnxruntime's transpose optimiser permutes pads as if they were for all axes."""
        whole = pads if axes is None else self.whole_pads(x, pads, axes)
        return self.__getattr__("Pad")(x, whole, value, **attributes)

    def MatMul(self, a: Operand, b: Operand) -> ir.Value:
        """A product of matrices: Transpose and MatMul with a vector, onnxruntime would fuse to something wrong."""
        row, column = _is_vector(a), _is_vector(b)
        rows = self.Unsqueeze(a, [0]) if row else a
        y = self.__getattr__("MatMul")(rows, self.Unsqueeze(b, [1]) if column else b)
        return self.Squeeze(y, [-2] * row + [-1] * column) if row or column else y

    def whole_pads(self, x: ir.Value, pads: Operand, axes: Operand) -> ir.Value:
        """The pads of all axes of x, from those of some axes: zeros for the others."""
        named, given = _content(axes), _content(pads)
        if x.shape is not None and named is not None and given is not None:
            whole = np.zeros((2, len(x.shape)), np.int64)
            whole[:, named % len(x.shape)] = given.reshape(2, -1)
            return self.constant(whole.reshape(-1))
        rank = self.Size(self.Shape(x)) if x.shape is None else self.constant(len(x.shape), ir.DataType.INT64)
        positive = self.Mod(self.Cast(axes, to=ir.DataType.INT64) if named is None else named, rank)
        indices = self.Concat(positive, self.Add(positive, rank), axis=0)
        zeros = self.Expand(self.constant([0], ir.DataType.INT64), self.Reshape(self.Mul(rank, 2), [1]))
        return self.ScatterElements(zeros, indices, pads)

    # What rules share ------------------------------------------------------------------------------------

    def as_float32(self, x: ir.Value) -> ir.Value:
        """x in single precision."""
        return x if x.dtype == ir.DataType.FLOAT else self.Cast(x, to=ir.DataType.FLOAT)

    def shape(self, x: ir.Value) -> ir.Value:
        """The shape as an int64 vector: a constant where it is known."""
        if x not in self._shapes:
            known = static_shape(x)
            self._shapes[x] = self.Shape(x) if known is None else self.constant(known, ir.DataType.INT64)
        return self._shapes[x]

    def dim(self, x: ir.Value, axis: int) -> int | ir.Value:
        """One dimension: a number, or a vector of one int64 where only the run will tell."""
        if x.shape is None:
            return self.Gather(self.Shape(x), [axis])
        axis %= self.rank(x)
        known = x.shape[axis]
        return known if isinstance(known, int) else self.Shape(x, start=axis, end=axis + 1)

    def counted(self, x: ir.Value, axis: int) -> ir.Value:
        """0, 1, 2, ... along an axis of x, in int64."""
        size = self.dim(x, axis)
        end = self.Squeeze(size, [0]) if isinstance(size, ir.Value) else self.constant(size, ir.DataType.INT64)
        return self.Range(0, end, 1)

    def vector(self, dims: Sequence[int | ir.Value]) -> ir.Value:
        """Dimensions as one int64 vector: a constant where all are numbers."""
        parts = [d if isinstance(d, ir.Value) else self.constant([d], ir.DataType.INT64) for d in dims]
        numbers = [d for d in dims if isinstance(d, int)]
        return self.constant(numbers, ir.DataType.INT64) if len(numbers) == len(parts) else self.Concat(*parts, axis=0)

    def reshape(self, x: ir.Value, dims: Sequence[int | ir.Value]) -> ir.Value:
        """x in a shape of numbers and run-time dimensions."""
        unknown = [k for k, d in enumerate(dims) if isinstance(d, ir.Value)]
        if len(unknown) == 1 and all(d not in (0, -1) for d in dims if isinstance(d, int)):
            dims = [-1 if isinstance(d, ir.Value) else d for d in dims]
        return self.Reshape(x, self.vector(dims))

    def shaped_like(self, value: ir.Value, x: ir.Value) -> ir.Value:
        """Notes down that a value has the shape of x, where inference could not see it."""
        if x.shape is not None and static_shape(value) is None:
            value.shape = x.shape.copy()
        return value

    def reshape_like(self, value: ir.Value, x: ir.Value) -> ir.Value:
        """The elements of a value in the shape of x."""
        if same_shape(value, x):
            return value
        dims = [d if isinstance(d, int) else -1 for d in x.shape] if x.shape is not None else []
        one_unknown = x.shape is not None and dims.count(-1) <= 1 and 0 not in dims
        target = self.constant(dims, ir.DataType.INT64) if one_unknown else self.shape(x)
        return self.shaped_like(self.Reshape(value, target), x)

    def expand_like(self, value: ir.Value, x: ir.Value) -> ir.Value:
        """A value broadcast to the shape of x."""
        return value if same_shape(value, x) else self.shaped_like(self.Expand(value, self.shape(x)), x)

    def sum_to(self, value: ir.Value, x: ir.Value) -> ir.Value:
        """The adjoint of broadcasting x: sums over the axes along which x was repeated."""
        if same_shape(value, x):
            return value
        axes = repeated_axes(value, x)
        if axes is None:
            return self._sum_to_runtime_shape(value, x)
        return self.reshape_like(self.ReduceSum(value, axes, keepdims=1) if axes else value, x)

    def _sum_to_runtime_shape(self, value: ir.Value, x: ir.Value) -> ir.Value:
        ranked = value.shape is not None and x.shape is not None and len(value.shape) >= len(x.shape)
        if self.lowering == "portable" and ranked:
            return self._sum_axis_by_axis(value, x)
        missing = self.Sub(self.Size(self.Shape(value)), self.Size(self.shape(x)))
        ones = self.Expand(self.constant([1], ir.DataType.INT64), self.Reshape(missing, [1]))
        padded = self.Concat(ones, self.shape(x), axis=0)
        axes = self.Reshape(self.NonZero(self.Equal(padded, 1)), [-1])
        summed = self.ReduceSum(value, axes, keepdims=1, noop_with_empty_axes=1)
        return self.shaped_like(self.Reshape(summed, self.shape(x)), x)

    def _sum_axis_by_axis(self, value: ir.Value, x: ir.Value) -> ir.Value:
        """Every axis whose size is open is summed and cut to that size: OpenVINO takes no axes that a run computes.

        onnxruntime takes twice the time for it.
        """
        lead = self.rank(value) - self.rank(x)
        found = self.ReduceSum(value, [*range(lead)], keepdims=0) if lead else value
        for axis, (had, wanted) in enumerate(zip(list(value.shape or ())[lead:], list(x.shape or ()), strict=True)):
            if wanted == 1:
                found = self.ReduceSum(found, [axis], keepdims=1)
            elif not isinstance(wanted, int) and (had != wanted or had == ir.SymbolicDim(None)):
                size = self.vector([self.dim(x, axis)])
                whole = self.ReduceSum(found, [axis], keepdims=1)
                found = self.Slice(self.Where(self.Equal(size, 1), whole, found), [0], size, [axis])
        return self.shaped_like(found, x)

    def swap_last(self, x: ir.Value) -> ir.Value:
        """x with its last two axes exchanged."""
        rank = self.rank(x)
        return self.Transpose(x, perm=[*range(rank - 2), rank - 1, rank - 2])

    def rank(self, x: ir.Value) -> int:
        """The number of axes; a rank known only at run time is refused."""
        if x.shape is None:
            raise ValueError(f"the rank of {x.name!r} is not known before the model runs")
        return len(x.shape)


def _names_of(graph: ir.Graph) -> dict[str, int]:
    """Every name that the graph uses, with how often a fresh one was derived from it."""
    nodes = list(graph.all_nodes())
    values = itertools.chain(graph.inputs, graph.initializers.values(), *(node.outputs for node in nodes))
    return {item.name: 0 for item in itertools.chain(values, nodes) if item.name}


def _content(operand: Operand) -> np.ndarray | None:
    """The int64 numbers of a literal or of an initializer, None where they are computed."""
    found = constant_of(operand) if isinstance(operand, ir.Value) else operand
    return None if found is None else np.asarray(found, np.int64)


def _is_vector(operand: Operand) -> bool:
    return isinstance(operand, ir.Value) and operand.shape is not None and len(operand.shape) == 1


def _only_type(formal: onnx.defs.OpSchema.FormalParameter) -> ir.DataType | None:
    """The type that the schema fixes for an input, None where it is tied to other inputs."""
    fixed = formal.type_str
    return ir.DataType[fixed[7:-1].upper()] if fixed.startswith("tensor(") else None
