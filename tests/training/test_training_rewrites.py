"""Every rewrite leaves what a model computes as it was, and takes away the form that it is there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx_ir.passes.common import TopologicalSortPass
from onnxray.errors import ModelError
from onnxray.loading.load import load
from onnxray.passes.fix_shapes import fix_shapes
from onnxray.training.request import REWRITES, to_opset, write_out_bodies
from onnxray.training.rewrites.affine_batch_norm import affine_batch_norm
from onnxray.training.rewrites.chain_sums import chain_sums
from onnxray.training.rewrites.complete_layer_norm import complete_layer_norm
from onnxray.training.rewrites.concrete_casts import concrete_casts
from onnxray.training.rewrites.cut_splits import cut_splits
from onnxray.training.rewrites.decompose_activations import decompose_activations
from onnxray.training.rewrites.downgrade import downgrade
from onnxray.training.rewrites.drop_dropout import drop_dropout
from onnxray.training.rewrites.expand_branches import expand_branches
from onnxray.training.rewrites.explicit_pads import explicit_pads
from onnxray.training.rewrites.separate_inputs import separate_inputs
from training_tools import distance, model, numbers, with_weights

IMAGE = "float[2,3,8,8] x"
ACTIVATIONS = {
    "Celu<alpha=0.7>": "Celu", "Elu<alpha=0.7>": "Elu", "HardSigmoid<alpha=0.3,beta=0.4>": "HardSigmoid",
    "HardSwish": "HardSwish", "Mish": "Mish", "Selu": "Selu", "Softplus": "Softplus", "Softsign": "Softsign",
    "ThresholdedRelu<alpha=0.5>": "ThresholdedRelu",
}  # fmt: skip


@dataclass(frozen=True)
class Rewrite:
    """A pass, a graph body that it changes, and the operator that is gone after it."""

    rewrite: Callable[[ir.Model], bool]
    body: str
    gone: str | None = None
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: str = IMAGE
    opset: int = 18
    rank: int = 4

    def __str__(self) -> str:
        return f"{self.rewrite.__name__}-{self.gone or self.body[2:].split(' = ')[-1].split('(')[0]}"


CASES = [
    Rewrite(
        affine_batch_norm,
        "{ v2 = Abs(v) y = BatchNormalization<epsilon=0.01>(x, s, b, m, v2) }",
        "BatchNormalization",
        {"s": (3,), "b": (3,), "m": (3,), "v": (3,)},
    ),
    Rewrite(
        complete_layer_norm,
        "{ a = LayerNormalization(x, s, b) y = LayerNormalization(a, s) }",
        None,
        {"s": (8,), "b": (8,)},
    ),
    *(Rewrite(decompose_activations, f"{{ y = {text}(x) }}", op, opset=22) for text, op in ACTIVATIONS.items()),
    Rewrite(decompose_activations, "{ y = Swish<alpha=1.5>(x) }", "Swish", opset=24),
    Rewrite(decompose_activations, "{ y = PRelu(x, s) }", "PRelu", {"s": (3, 1, 1)}),
    *(
        Rewrite(explicit_pads, f'{{ y = Conv<auto_pad="{how}", strides=[2,2]>(x, w) }}', None, {"w": (4, 3, 3, 3)})
        for how in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    Rewrite(explicit_pads, '{ y = MaxPool<auto_pad="SAME_LOWER", kernel_shape=[3,3], strides=[2,2]>(x) }'),
    Rewrite(explicit_pads, '{ y = AveragePool<auto_pad="SAME_UPPER", kernel_shape=[3,3], strides=[2,2]>(x) }'),
    Rewrite(chain_sums, "{ a = Relu(x) b = Neg(x) y = Sum(x, a, b) }", "Sum"),
    Rewrite(chain_sums, "{ a = Relu(x) b = Neg(x) y = Mean(x, a, b) }", "Mean"),
    Rewrite(chain_sums, "{ y = Sum(x) }", "Sum"),
    Rewrite(drop_dropout, "{ y = Dropout(x) }", "Dropout"),
    Rewrite(separate_inputs, "{ y = Mul(x, x) }"),
    Rewrite(separate_inputs, "{ y = Concat<axis=1>(x, x, x) }"),
    Rewrite(concrete_casts, "{ y = CastLike(x, s) }", "CastLike", {"s": (1,)}),
    Rewrite(cut_splits, "{ y, z = Split<axis=1, num_outputs=2>(x) }", "Split"),
    Rewrite(expand_branches, "{ c = Greater(x, s) y = Where(c, s, x) }", None, {"s": (8,)}),
    Rewrite(
        write_out_bodies,
        "{ y = GroupNormalization<num_groups=3>(x, s, s) }",
        "GroupNormalization",
        {"s": (3,)},
        opset=21,
    ),
    Rewrite(write_out_bodies, "{ y = MeanVarianceNormalization(x) }", "MeanVarianceNormalization"),
    Rewrite(write_out_bodies, "{ y = ReduceSumSquare(x) }", "ReduceSumSquare"),
    Rewrite(to_opset, "{ a = Relu(x) y = MaxPool<kernel_shape=[2,2]>(a) }", opset=22),
    Rewrite(
        to_opset,
        "{ y = RMSNormalization(x, s) }",
        "RMSNormalization",
        {"s": (8,)},
        opset=23,
    ),
]


def test_every_rewrite_has_a_case() -> None:
    assert {*REWRITES} == {case.rewrite for case in CASES}


def made(case: Rewrite) -> onnx.ModelProto:
    output = f"float[{','.join('abcd'[: case.rank])}] y"
    return with_weights(model(case.body, case.inputs, output, case.opset), **case.weights)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_model_computes_the_same(case: Rewrite) -> None:
    program = load(made(case)).copy().program
    x = numbers(2, 3, 8, 8)
    before = run(program, x)
    assert case.rewrite(program)
    TopologicalSortPass()(program)
    onnx.checker.check_model(ir.to_proto(program), full_check=True)
    assert distance(run(program, x), before) <= 1e-6
    assert case.gone not in {node.op_type for node in program.graph}
    assert case.rewrite in (complete_layer_norm, expand_branches) or not case.rewrite(program)


def run(program: ir.Model, x: np.ndarray) -> np.ndarray:
    native = ort.InferenceSession(ir.to_proto(program).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(native.run(["y"], {"x": x})[0])


def test_every_layer_norm_has_names_and_weights_of_its_own() -> None:
    program = load(made(CASES[1])).copy().program
    complete_layer_norm(program)
    norms = [node for node in program.graph if node.op_type == "LayerNormalization"]
    assert all(len(node.inputs) == 3 and all(v.name for v in node.outputs) for node in norms)
    assert len({v for node in norms for v in node.inputs[1:]}) == 4


@pytest.mark.parametrize("opset", [22, 23, 24, 25])
def test_downgrading_refuses_what_the_old_opset_lacks(opset: int) -> None:
    """float4 came with opset 23, CumProd with 26: what there is then depends on the opset."""
    proto = model("{ y = Relu(x) }", IMAGE, "float[2,3,8,8] y", opset)
    program = load(proto).copy().program
    assert downgrade(program, 21)
    assert program.graph.opset_imports[""] == 21


def test_an_operator_that_came_later_is_refused_by_name() -> None:
    proto = model("{ axis = Constant<value_int=0>() y = CumProd(x, axis) }", "float[3] x", "float[3] y", 26)
    with pytest.raises(ModelError, match=r"CumProd .* opset 21 has no such operator"):
        downgrade(load(proto).copy().program, 21)


def test_pads_of_an_open_size_are_refused() -> None:
    proto = with_weights(
        model('{ y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w) }', "float[2,3,H,W] x", "float[2,4,a,b] y"),
        w=(4, 3, 3, 3),
    )
    with pytest.raises(ModelError, match=r"Conv .*Conv_0.*fix the sizes"):
        explicit_pads(load(proto).copy().program)


def test_inputs_are_made_static() -> None:
    source = load(model("{ a = Relu(x) y = Flatten(a) }", "float[N,3,H,W] x", "float[N,k] y")).copy()
    fix_shapes(source, {"x": (2, 3, 8, 8)})
    shapes = [v.shape for node in source.graph for v in node.outputs]
    assert all(shape is not None and shape.is_static() for shape in shapes)
