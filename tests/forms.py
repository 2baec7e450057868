"""The operator forms that gradient graphs hold, each as a model of one node between Transposes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from gradcheck import Case
from onnx import helper, numpy_helper

__all__ = ["Form", "between", "forms_of", "given", "permutations", "run_at"]

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Form:
    """A node with the arrays that it reads, those named in ``constants`` as initializers."""

    node: onnx.NodeProto
    reads: Arrays
    constants: frozenset[str]
    gives: Arrays
    opsets: tuple[onnx.OperatorSetIdProto, ...]

    def __str__(self) -> str:
        reads = [f"{'const ' * (name in self.constants)}{a.dtype}{list(a.shape)}" for name, a in self.reads.items()]
        return f"{self.node.op_type}({', '.join(reads)}; {', '.join(a.name for a in self.node.attribute)})"

    @property
    def key(self) -> tuple:
        """Operator, attributes, and of each input whether it is there, its type, its rank and its kind."""
        held = [(a.dtype, a.ndim, n in self.constants) for n in self.node.input if (a := self.reads.get(n)) is not None]
        attributes = sorted((a.name, a.SerializeToString()) for a in self.node.attribute)
        return self.node.domain, self.node.op_type, tuple(attributes), tuple(map(bool, self.node.input)), tuple(held)


def forms_of(case: Case, lowering: str, symbolic: str) -> Iterator[Form]:
    """The nodes of a case's gradient graph, with what they read and give on onnxruntime as the graph says it."""
    graph = case.gradient(np.float32, symbolic, lowering=lowering)
    seeds = {graph.seeds[y]: w.astype(np.float32) for y, w in case.cotangents.items()}
    feeds = {**case.feeds(np.float32), **seeds}
    held = {t.name: numpy_helper.to_array(t) for t in graph.model.graph.initializer}
    names = [name for node in graph.model.graph.node for name in node.output if name]
    known = {
        **held,
        **feeds,
        **dict(zip(names, run_at("ORT_DISABLE_ALL", _giving(graph.model, names), feeds), strict=True)),
    }
    for node in graph.model.graph.node:
        reads = {name: known[name] for name in node.input if name}
        gives = {name: known[name] for name in node.output if name}
        arrays = all(isinstance(a, np.ndarray) for a in (*reads.values(), *gives.values()))
        if arrays and not any(a.HasField("g") for a in node.attribute):
            yield Form(node, reads, frozenset(held), gives, tuple(graph.model.opset_import))


def _giving(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The model with all that its nodes compute among its outputs."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    del wide.graph.output[:]
    wide.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return wide


def permutations(rank: int) -> list[list[int]]:
    """The last axis to the second place, and all axes in reverse: what comes of NHWC, and of matrices."""
    moved = [0, rank - 1, *range(1, rank - 1)] if rank > 2 else [*range(rank)][::-1]
    return [moved, [*range(rank)][::-1]]


def between(form: Form, which: int) -> tuple[onnx.ModelProto, Arrays]:
    """A model with a Transpose in front of and behind each tensor of two axes and more, and what it is fed."""
    nodes, inputs, feeds, inner = [], [], {}, onnx.NodeProto()
    inner.CopyFrom(form.node)
    for k, name in enumerate(form.node.input):
        if name and name not in form.constants:
            array = form.reads[name]
            feeds[name] = array
            if array.ndim > 1:
                perm = permutations(array.ndim)[which]
                feeds[name] = np.ascontiguousarray(array.transpose(np.argsort(perm)))
                inner.input[k] = f"{name}/inside"
                nodes.append(helper.make_node("Transpose", [name], [inner.input[k]], perm=perm))
    nodes, outputs = [*{node.output[0]: node for node in nodes}.values(), inner], []
    for k, name in enumerate(form.node.output):
        if name and (array := form.gives[name]).ndim > 1:
            inner.output[k] = f"{name}/inside"
            perm = [int(p) for p in np.argsort(permutations(array.ndim)[which])]
            nodes.append(helper.make_node("Transpose", [inner.output[k]], [name], perm=perm))
        outputs += [onnx.ValueInfoProto(name=name)] if name else []
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()
    ]
    held = [numpy_helper.from_array(form.reads[name], name) for name in {*form.reads} & form.constants]
    graph = helper.make_graph(nodes, "form", inputs, outputs, held)
    return helper.make_model(graph, opset_imports=form.opsets, ir_version=10), feeds


def given(form: Form, which: int) -> list[np.ndarray]:
    """The results of the node behind the outer Transposes."""
    arrays = [form.gives[name] for name in form.node.output if name]
    return [a.transpose(np.argsort(permutations(a.ndim)[which])) if a.ndim > 1 else a for a in arrays]


def run_at(level: str, model: onnx.ModelProto, feeds: Arrays) -> list[np.ndarray]:
    """All outputs on onnxruntime at a level of graph optimisation."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options).run(None, dict(feeds))
