"""Gradients of files that packages bring along, against central differences and against those not optimised."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
from pip_models import PipModel

__all__ = ["Measured", "measure"]

Arrays = dict[str, np.ndarray]
NOISE = 1e-5
STEPS = tuple(10.0**-k for k in np.arange(0, 3.5, 0.5))  # of central differences, in the model's own step


@dataclass(frozen=True)
class Measured:
    """The measurements of a file. ``slopes``: the error along the gradient and along a random direction.

    ``unoptimised``: how far the gradient is from that without onnxruntime's optimiser, over the noise: what a change
    of the inputs by rounding does to it, and 1e-5 at least.
    """

    nodes: int
    operators: int
    explained: tuple[str, ...]
    length: float
    slopes: tuple[float, ...]
    unoptimised: float
    seconds: float


def measure(model: PipModel) -> Measured:
    """Differentiates a file and holds the gradient to central differences; quantised ones have none."""
    begun, proto = time.perf_counter(), onnx.load_model_from_string(model.read())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is explained of ids, and declared shapes that are not computed
        graph = onnxray.differentiate(proto, of=model.of)
    feeds = model.inputs()
    inner = [name for name in graph.gradients if name not in feeds]
    values = run(tapped(proto, [*inner, *graph.seeds]), feeds, [*inner, *graph.seeds])
    rng = np.random.default_rng(1)
    seeds = {name: rng.standard_normal(values[name].shape).astype(np.float32) for name in graph.seeds}
    given = {**feeds, **{graph.seeds[name]: seed for name, seed in seeds.items()}}
    found = run(graph.model, given, list(graph.gradients.values()))
    gradients = {name: found[output] for name, output in graph.gradients.items()}
    length = norm(found)
    slopes = () if model.quantised else differences(model, cut(proto, inner), {**feeds, **values}, gradients, seeds)
    return Measured(
        nodes=len(proto.graph.node),
        operators=len({(node.domain, node.op_type) for node in proto.graph.node}),
        explained=tuple(graph.gradients),
        length=length,
        slopes=slopes,
        unoptimised=unoptimised(graph, lambda seed: {**given, **model.inputs(seed)}),
        seconds=time.perf_counter() - begun,
    )


def unoptimised(graph: onnxray.GradientGraph, draw: Callable[[int], Arrays]) -> float:
    """How far gradients are from those without onnxruntime's optimiser, over the noise; the smallest of four inputs.

    On many an input of a large net something moves a Relu or a maximum to the other side of its kink: the optimiser on
    one, rounding on the next.
    """
    names, errors, noise = list(graph.gradients.values()), [], NOISE
    for feeds in map(draw, range(4)):
        found, plain = (run(graph.model, feeds, names, optimised=optimised) for optimised in (True, False))
        errors.append(distance(found, plain))
        if errors[-1] < NOISE:
            break
        noise = max(noise, distance(run(graph.model, rounded(feeds), names, optimised=False), plain))
    return min(errors) / noise


def rounded(feeds: Arrays) -> Arrays:
    """The inputs, each number moved by as much as float32 rounds."""
    rng = np.random.default_rng(4)
    floats = {name: array for name, array in feeds.items() if array.dtype == np.float32}
    return {
        **feeds,
        **{name: np.nextafter(x, rng.choice([-1, 1], x.shape).astype(x.dtype) * np.inf) for name, x in floats.items()},
    }


def distance(found: Arrays, truth: Arrays) -> float:
    return norm({name: found[name] - truth[name] for name in truth}) / norm(truth)


def differences(
    model: PipModel, proto: onnx.ModelProto, feeds: Arrays, gradients: Mapping[str, np.ndarray], seeds: Arrays
) -> tuple[float, ...]:
    """How far slopes are from what the gradient says, along itself and along a random direction."""
    session = ort.InferenceSession(tapped(proto, list(seeds)).SerializeToString(), quiet())
    taken = {value.name for value in session.get_inputs()}
    rng, size = np.random.default_rng(2), norm(dict(gradients))

    def score(direction: Arrays, step: float) -> float:
        moved = {name: feeds[name] + step * direction[name] for name in direction}
        given = {name: moved.get(name, array) for name, array in feeds.items() if name in taken}
        outputs = session.run(list(seeds), {k: v.astype(np.float32) if k in moved else v for k, v in given.items()})
        return sum(float(np.sum(w * y.astype(np.float64))) for w, y in zip(seeds.values(), outputs, strict=True))

    errors = []
    for k in range(2):
        drawn = {name: rng.standard_normal(g.shape) if k else g.astype(np.float64) for name, g in gradients.items()}
        drawn = {name: d / norm(drawn) for name, d in drawn.items()}
        told = sum(float(np.sum(gradients[name] * d)) for name, d in drawn.items())
        reach = model.step * norm({name: feeds[name] for name in drawn})
        slope = steadiest([(score(drawn, h * reach) - score(drawn, -h * reach)) / (2 * h * reach) for h in STEPS])
        errors.append(abs(slope - told) / max(size * (norm_share(gradients) if k else 1), 1e-30))
    return tuple(errors)


def steadiest(slopes: Sequence[float]) -> float:
    """The mean of the two neighbours that differ least: longer steps are bent, shorter ones drown in rounding."""
    pairs = pairwise(slopes)
    return min((abs(a - b), (a + b) / 2) for a, b in pairs)[1]


def norm_share(gradients: Mapping[str, np.ndarray]) -> float:
    """The part of a gradient's length that a random direction sees."""
    return 1 / np.sqrt(sum(array.size for array in gradients.values()))


def norm(arrays: Mapping[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for array in arrays.values())))


def quiet(optimised: bool = True) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def run(proto: onnx.ModelProto, feeds: Arrays, names: list[str], optimised: bool = True) -> Arrays:
    session = ort.InferenceSession(proto.SerializeToString(), quiet(optimised))
    return dict(zip(names, map(np.asarray, session.run(names, feeds)), strict=True))


def tapped(proto: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The model with more of its tensors as outputs."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    known = {value.name for value in made.graph.output}
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    return made


def cut(proto: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The model that takes tensors which it would compute."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    for node in made.graph.node:
        for k, name in enumerate(node.output):
            if name in names:
                node.output[k] = f"{name}/computed"
    for name in names:
        taken = made.graph.input.add(name=name)
        taken.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return made
