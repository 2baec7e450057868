"""Helpers of the tests of the second builder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import measures
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnxray.gradient_graph import GradientGraph, differentiate
from onnxray.loading.load import load
from onnxray.passes.fix_shapes import fix_shapes
from onnxray.training import open_training_session

Feeds = Mapping[str, np.ndarray]


def model(
    body: str, inputs: str = "float[2,3,8,8] x", output: str = "float[2,k] y", opset: int = 18
) -> onnx.ModelProto:
    """A model in ONNX's own text; float weights ``w...`` get random numbers."""
    text = f'<ir_version: 10, opset_import: ["" : {opset}]> g ({inputs}) => ({output}) {body}'
    made = onnx.parser.parse_model(text)
    for k, node in enumerate(made.graph.node):
        node.name = f"{node.op_type}_{k}"
    return made


def with_weights(made: onnx.ModelProto, **shapes: tuple[int, ...]) -> onnx.ModelProto:
    """The model with random initializers, by their shapes."""
    draw = np.random.default_rng(3)
    arrays = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    made.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    return made


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def gradient(
    graph: GradientGraph, feeds: Feeds, cotangents: Feeds, library: bool | None = None
) -> dict[str, np.ndarray]:
    """The gradients, in onnxruntime or in the training build: there by default if a graph has its operators."""
    seeds = {graph.seeds[y]: w for y, w in cotangents.items()}
    names = list(graph.gradients.values())
    types = {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in graph.model.graph.input}
    given = {name: np.asarray(x, types[name]) for name, x in {**feeds, **seeds}.items() if name in types}
    if library if library is not None else any(e.domain == "com.microsoft" for e in graph.model.opset_import):
        session = open_training_session(graph.model)
        found = session.run(given, names)
        session.close()
    else:
        native = ort.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
        found = dict(zip(names, map(np.asarray, native.run(names, given)), strict=True))
    return {x: found[name] for x, name in graph.gradients.items()}


def by(
    builder: str, made: onnx.ModelProto, feeds: Feeds, relu: str = "exact", runtime: str = "onnxruntime"
) -> np.ndarray:
    """The gradient of a model's first output in its first input, from random cotangents."""
    values = run(made, feeds)
    y, x = made.graph.output[0].name, made.graph.input[0].name
    cotangent = {y: numbers(*values[y].shape, seed=5)}
    graph = differentiate(made, [y], [x], relu=relu, builder=builder, runtime=runtime)
    return gradient(graph, feeds, cotangent)[x]


def run(made: onnx.ModelProto, feeds: Feeds) -> dict[str, np.ndarray]:
    native = ort.InferenceSession(load(made).proto().SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in made.graph.output]
    return dict(zip(names, map(np.asarray, native.run(names, dict(feeds))), strict=True))


def fixed(made: onnx.ModelProto, feeds: Feeds) -> onnx.ModelProto:
    """The model with the sizes of these arrays."""
    source = load(made).copy()
    fix_shapes(source, {name: x.shape for name, x in feeds.items()})
    return source.proto()


distance = partial(measures.distance, least=1e-12)  # some gradients are zero
