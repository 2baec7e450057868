"""Gradient checks: one rule against central differences in float64, then onnxruntime's float32 against that.

One random direction is enough: with a random direction v and a random cotangent w, <J^T w, v> = <w, J v> fails for a
wrong J with probability one (as jax's check_vjp has it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from measures import distance
from onnx.reference import ReferenceEvaluator
from onnxray.gradient_graph import GradientGraph, differentiate
from onnxray.graph.model import infer_shapes
from reference_ops import REFERENCE_OPS

EPSILON = 1e-6
FLOAT64_TOLERANCE = 1e-6
FLOAT32_TOLERANCE = 1e-3


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    """Away from 0 on the right."""
    return np.abs(normal(*shape, seed=seed)) + 0.5


def away(*shape: int, kinks: Sequence[float] = (0.0,), seed: int = 0) -> np.ndarray:
    """Normal numbers, none within 0.05 of a kink."""
    x = normal(*shape, seed=seed)
    for kink in kinks:
        x = np.where(np.abs(x - kink) < 0.05, kink + 0.3, x)
    return x


def distinct(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers in random order, no two nearer than 0.1: a maximum stays where it is under small changes."""
    order = np.random.default_rng([seed, *shape]).permutation(int(np.prod(shape)))
    return (order.reshape(shape) - order.size // 2) * 0.1


@dataclass(frozen=True)
class Case:
    """One node to be checked.

    ``inputs`` are float64 (or integer, bool) arrays, None where an optional input is left out. ``constants`` are the
    positions that are initializers. ``symbolic`` names how far shapes may be unknown: "all", "batch" (axis 0 of the
    inputs that are no constants) or "none", then ``why`` says why. ``of`` are the differentiated outputs,
    ``flat`` the float inputs whose gradient is zero, ``ranks`` those of outputs that inference cannot tell.
    """

    op: str
    inputs: Sequence[np.ndarray | None]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    of: Sequence[int] = (0,)
    flat: Sequence[int] = ()
    ranks: Sequence[int] = ()
    constants: Sequence[int] = ()
    symbolic: str = "all"
    why: str = ""
    domain: str = ""
    opset: int = 18
    id: str = ""

    def __str__(self) -> str:
        return f"{self.op}-{self.id}" if self.id else self.op

    def differentiable(self) -> list[str]:
        flat = {f"x{k}" for k in self.flat}
        feeds = self.feeds(np.float64, constants=True)
        return [name for name, x in feeds.items() if x.dtype == np.float64 and name not in flat]

    def feeds(self, dtype: type, constants: bool = False) -> dict[str, np.ndarray]:
        """The arrays by input name; floats in the given type."""
        given = {
            f"x{k}": x for k, x in enumerate(self.inputs) if x is not None and (constants or k not in self.constants)
        }
        return {name: np.asarray(x, dtype) if x.dtype == np.float64 else x for name, x in given.items()}

    @cached_property
    def _models(self) -> dict[tuple[type, str], onnx.ModelProto]:
        return {}

    def model(self, dtype: type, symbolic: str = "none") -> onnx.ModelProto:
        """The one-node model, made once: a case is tried with every lowering and builder."""
        if (dtype, symbolic) not in self._models:
            self._models[dtype, symbolic] = self._made(dtype, symbolic)
        return self._models[dtype, symbolic]

    def _made(self, dtype: type, symbolic: str) -> onnx.ModelProto:
        arrays = self.feeds(dtype, constants=True)
        values = {
            name: ir.Value(name=name, type=_type(x), shape=_shape(name, x, symbolic)) for name, x in arrays.items()
        }
        for k in self.constants:
            values[f"x{k}"].const_value = ir.tensor(arrays[f"x{k}"], name=f"x{k}")
            values[f"x{k}"].shape = ir.Shape(arrays[f"x{k}"].shape)
        reads = [values.get(f"x{k}") for k in range(len(self.inputs))]
        node = ir.node(self.op, reads, dict(self.attributes), domain=self.domain, num_outputs=self.outputs, name="node")
        for k, output in enumerate(node.outputs):
            output.name = f"y{k}"
            if self.ranks:
                output.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype)))
                output.shape = ir.Shape([None] * self.ranks[k])
        free = [v for k, v in enumerate(reads) if v is not None and k not in self.constants]
        fixed = [v for k, v in enumerate(reads) if v is not None and k in self.constants]
        opsets = {"": self.opset} | ({self.domain: 1} if self.domain else {})
        graph = ir.Graph(free, node.outputs, nodes=[node], initializers=fixed, opset_imports=opsets, name="case")
        program = ir.Model(graph, ir_version=10)
        infer_shapes(program)  # files declare the types of their outputs
        return ir.to_proto(program)

    def gradient(self, dtype: type, symbolic: str = "none", **options: Any) -> GradientGraph:
        of = [f"y{k}" for k in self.of]
        return differentiate(self.model(dtype, symbolic), of, self.differentiable(), **options)

    @cached_property
    def _found(self) -> dict[bytes, dict[str, np.ndarray]]:
        return {}

    def on_the_runtime(self, graph: GradientGraph) -> dict[str, np.ndarray]:
        """onnxruntime's gradients of a graph that the checker takes; of graphs that are equal, once."""
        key = graph.model.SerializeToString(deterministic=True)
        if key not in self._found:
            onnx.checker.check_model(graph.model, full_check=True)
            self._found[key] = run(graph, self.feeds(np.float32), self.cotangents)
        return self._found[key]

    @cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """The gradients in float64 on the reference evaluator, by the plainest forms."""
        graph = self.gradient(np.float64, lowering="cuda")
        return reference(graph, self.feeds(np.float64), self.cotangents)

    @cached_property
    def cotangents(self) -> dict[str, np.ndarray]:
        outputs = evaluate(self.model(np.float64), self.feeds(np.float64))
        return {f"y{k}": normal(*outputs[f"y{k}"].shape, seed=7 + k) for k in self.of}


def _type(array: np.ndarray) -> ir.TensorType:
    return ir.TensorType(ir.DataType.from_numpy(array.dtype))


def _shape(name: str, array: np.ndarray, symbolic: str) -> ir.Shape:
    unknown = {"all": array.ndim, "batch": min(1, array.ndim), "none": 0}[symbolic]
    return ir.Shape([f"{name}_{k}" if k < unknown else n for k, n in enumerate(array.shape)])


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs on onnx's reference evaluator."""
    results: Any = ReferenceEvaluator(model, new_ops=REFERENCE_OPS).run(None, dict(feeds))
    return dict(zip((output.name for output in model.graph.output), results, strict=True))


def reference(
    graph: GradientGraph, feeds: Mapping[str, np.ndarray], cotangents: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    outputs = evaluate(graph.model, {**feeds, **{graph.seeds[y]: w for y, w in cotangents.items()}})
    return {x: outputs[name] for x, name in graph.gradients.items()}


def run(
    graph: GradientGraph, feeds: Mapping[str, np.ndarray], cotangents: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The gradients on onnxruntime, in float32."""
    session = ort.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    seeds = {graph.seeds[y]: w.astype(np.float32) for y, w in cotangents.items()}
    results = session.run(list(graph.gradients.values()), {**feeds, **seeds})
    return dict(zip(graph.gradients, (np.asarray(r) for r in results), strict=True))


def check_against_differences(case: Case) -> None:
    """Asserts <J^T w, v> = <w, J v>, J v by central differences in float64, for each input and shape for shape."""
    model, feeds = case.model(np.float64), case.feeds(np.float64, constants=True)
    free = as_inputs(model, case)
    for name in case.differentiable():
        assert case.expected[name].shape == feeds[name].shape, name
        direction = normal(*feeds[name].shape, seed=11)
        ahead = evaluate(free, {**feeds, name: feeds[name] + EPSILON * direction})
        behind = evaluate(free, {**feeds, name: feeds[name] - EPSILON * direction})
        numeric = sum(np.sum(w * (ahead[y] - behind[y])) for y, w in case.cotangents.items()) / (2 * EPSILON)
        analytic = np.sum(case.expected[name] * direction)
        scale = np.linalg.norm(case.expected[name]) * np.linalg.norm(direction) + 1e-3
        assert abs(analytic - numeric) <= FLOAT64_TOLERANCE * scale, f"{case} {name}: {analytic} vs {numeric}"


def as_inputs(model: onnx.ModelProto, case: Case) -> onnx.ModelProto:
    """The model with its floating-point constants fed, so that differences can move them."""
    free = onnx.ModelProto()
    free.CopyFrom(model)
    kept = [t for t in free.graph.initializer if t.name not in case.differentiable()]
    moved = [t for t in free.graph.initializer if t.name in case.differentiable()]
    del free.graph.initializer[:]
    free.graph.initializer.extend(kept)
    for tensor in moved:
        free.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return free


def check_on_runtime(case: Case, symbolic: str, lowering: str) -> None:
    """Asserts that onnxruntime's float32 gradients equal the float64 ones, and that the graph is valid."""
    graph = case.gradient(np.float32, symbolic, lowering=lowering)
    assert {o.domain for o in graph.model.opset_import} <= {"", case.domain}
    found = case.on_the_runtime(graph)
    for name, expected in case.expected.items():
        assert found[name].shape == expected.shape, name
        assert found[name].dtype == np.float32
        error = distance(found[name], expected, least=1e-6)
        assert error <= FLOAT32_TOLERANCE, f"{case} {name}: relative error {error}"
