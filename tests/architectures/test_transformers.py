"""Gradients of transformers' architectures against autograd, as torch exports them and as onnxruntime optimises them.

The truth is autograd in float64 on the same weights, of a random combination of the outputs. Where the inputs are token
ids it is the gradient of the module that embeds them, which ``differentiate`` is to find by itself.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from measures import distance
from onnxruntime.transformers.optimizer import optimize_model

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from late import late
from torch import Tensor
from transformer_nets import ARCHITECTURES, Architecture

late("transformers")
TOLERANCE = 1e-4
LEVEL = {"mamba": 1}  # at level 0 onnxruntime's optimiser leaves a graph of Mamba that it says is no DAG
FOLDER = TemporaryDirectory()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """torch's exporter and onnxruntime's optimiser tell of every step."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def slow(name: str, opset: int, form: str) -> Any:
    return pytest.param(name, opset, form, id=f"{name}-{opset}-{form}", marks=pytest.mark.slow)


CASES = [slow(name, opset, form) for name in ARCHITECTURES for opset in (18, 20) for form in ("exported", "optimised")]
CASES += [slow(name, 18, "scripted") for name in ("bert", "distilbert")]  # the exporter whose attention is fused


@cache
def exported(name: str, opset: int, dynamo: bool = True, open_axes: bool = False) -> Path:
    one, file = ARCHITECTURES[name], Path(FOLDER.name, f"{name}-{opset}-{dynamo}-{open_axes}.onnx")
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", min=2, max=16)}
    extra = {"dynamic_shapes": (tuple(axes for _ in one.inputs()),)} if open_axes else {}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        torch.onnx.export(
            one.module(), tuple(one.inputs().values()), file, dynamo=dynamo, opset_version=opset,
            input_names=list(one.inputs()), output_names=["y"], **extra,
        )  # fmt: skip
    return file


def optimised(name: str, opset: int, dynamo: bool = True) -> Path:
    source = exported(name, opset, dynamo)
    file, sizes = source.with_suffix(".optimised.onnx"), {"num_heads": 4, "hidden_size": 32}
    kind = ARCHITECTURES[name].kind
    found = optimize_model(str(source), model_type=kind, opt_level=LEVEL.get(name, 0), only_onnxruntime=False, **sizes)
    found.save_model_to_file(str(file))
    assert any(node.domain == "com.microsoft" for node in found.model.graph.node)
    return file


FORMS: dict[str, Callable[[str, int], Path]] = {
    "exported": exported,
    "optimised": optimised,
    "scripted": lambda name, opset: optimised(name, opset, dynamo=False),
}


def autograd(one: Architecture, seed: Tensor, kind: torch.dtype) -> np.ndarray:
    """The gradient of the seeded output with respect to the input, or to what its tokens are embedded as."""
    module, held = one.module().to(kind), []
    inputs = [
        x.to(kind).requires_grad_() if x.is_floating_point() else x for x in map(Tensor.clone, one.inputs().values())
    ]
    if one.tokens:
        module.model.get_submodule(one.tokens).register_forward_hook(lambda _, __, output: held.append(output))
    y = module(*inputs)
    (gradient,) = torch.autograd.grad((y * seed.to(kind)).sum(), held[0] if one.tokens else inputs[0])
    return gradient.numpy()


def seed_for(one: Architecture) -> Tensor:
    with torch.no_grad():
        shape = one.module()(*one.inputs().values()).shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("name", "opset", "form"), CASES)
def test_gradient_is_that_of_autograd(name: str, opset: int, form: str, measured: Callable[[str], None]) -> None:
    one, file = ARCHITECTURES[name], FORMS[form](name, opset)
    seed = seed_for(one)
    truth = autograd(one, seed, torch.float64)
    noise = distance(autograd(one, seed, torch.float32), truth)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        graph = onnxray.differentiate(file)
    assert any("explained is" in str(one.message) for one in said) == bool(one.tokens)
    feeds = {key: x.numpy() for key, x in one.inputs().items()} | {graph.seeds["y"]: seed.numpy()}
    (found,) = ort.InferenceSession(graph.model.SerializeToString()).run(list(graph.gradients.values()), feeds)
    error = distance(found, truth)
    measured(f"relative L2 {error:.1e}, float32 of torch {noise:.1e}, {len(graph.model.graph.node)} nodes")
    assert found.shape == truth.shape
    assert error <= max(TOLERANCE, 3 * noise)


@pytest.mark.slow
def test_open_axes(measured: Callable[[str], None]) -> None:
    """One graph of BERT for every batch and length: rows and tokens taken away change nothing but themselves."""
    one = ARCHITECTURES["bert"]
    seed = seed_for(one)
    truth = autograd(one, seed, torch.float64)
    graph = onnxray.differentiate(exported("bert", 20, open_axes=True))
    session = ort.InferenceSession(graph.model.SerializeToString())
    given = {key: x.numpy() for key, x in one.inputs().items()} | {graph.seeds["y"]: seed.numpy()}
    (found,) = session.run(list(graph.gradients.values()), given)
    measured(f"relative L2 {distance(found, truth):.1e}")
    assert distance(found, truth) < TOLERANCE
    short = {key: array[1:, :5] for key, array in given.items()}
    (less,) = session.run(list(graph.gradients.values()), short)
    assert distance(less, truth[1:, :5]) < TOLERANCE  # the two last tokens are masked


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("bert", marks=pytest.mark.slow), "distilbert"])
@pytest.mark.parametrize("form", ["exported", pytest.param("scripted", marks=pytest.mark.slow)])
def test_tokens_are_explained(name: str, form: str, measured: Callable[[str], None]) -> None:
    """Token by token: saliency is autograd's gradient, integrated gradients add up to the change of the score."""
    one, file = ARCHITECTURES[name], FORMS[form](name, 18)
    given = {key: x.numpy() for key, x in one.inputs().items()}
    seed = torch.eye(3)[[1, 1]]
    truth = autograd(one, seed, torch.float64)
    saliency = onnxray.explain(file, given, target=1)
    assert distance(saliency.values, truth) < TOLERANCE
    np.testing.assert_allclose(saliency.map("sum"), truth.sum(2), rtol=1e-3, atol=1e-5 * np.abs(truth).max())
    assert list(saliency.provenance["tokens"].values()) == ["input_ids"]
    steps = onnxray.explain(file, given, "integrated-gradients", target=1, steps=256)
    changes = np.abs(steps.map("sum")).sum(1)
    measured(f"completeness gap {np.abs(steps.delta / changes).max():.1e} of what the tokens did")
    assert (np.abs(steps.delta) < 5e-3 * changes).all()  # DistilBERT's head has a Relu, with kinks on the way
    left_out = given["attention_mask"] == 0
    assert np.abs(steps.map("sum")[left_out]).max() < 1e-6 * changes.max()


@pytest.mark.slow
def test_what_the_optimiser_fuses_is_here() -> None:
    """The fused operators that these files are meant to hold."""
    held = {node.op_type for node in onnx.load(optimised("distilbert", 18, dynamo=False)).graph.node}
    assert held >= {"Attention", "EmbedLayerNormalization", "SkipLayerNormalization", "BiasGelu"}
