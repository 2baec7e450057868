"""Every operator form of the gradient graphs between Transposes: onnxruntime with its optimisers as without them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from cases import CASES, linear, shape, slicing
from forms import Form, between, forms_of, given, run_at
from gradcheck import Case, normal
from measures import distance
from onnxray.gradient_graph import differentiate
from real_files import FILES, feeds

TOLERANCE = 1e-5  # of the largest number
SYMBOLIC = {"none": ["none"], "batch": ["none", "batch"], "all": ["none", "all"]}  # what a case allows


def forms(cases: Iterable[Case], lowering: str, symbolic: str) -> list[Form]:
    """One of each kind."""
    fit = [case for case in cases if symbolic in SYMBOLIC[case.symbolic]]
    return list({form.key: form for case in fit for form in forms_of(case, lowering, symbolic)}.values())


def verdict(form: Form, which: int) -> str:
    """The fault of a form under optimisation; empty if there is none."""
    model, feeds = between(form, which)
    off = run_at("ORT_DISABLE_ALL", model, feeds)
    assert all(map(agree, off, given(form, which))), f"{form}: the Transposes of the test are wrong"
    try:
        on = run_at("ORT_ENABLE_ALL", model, feeds)
    except Exception as error:  # noqa: BLE001  onnxruntime raises a dozen types
        return f"{form} fails: {str(error)[:200]}"
    return "" if all(map(agree, on, off)) else f"{form} differs"


def agree(found: np.ndarray, truth: np.ndarray) -> bool:
    if found.shape != truth.shape or found.dtype != truth.dtype or truth.dtype.kind != "f":
        return found.shape == truth.shape and np.array_equal(found, truth)
    most = np.abs(truth[np.isfinite(truth)]).max(initial=0)
    return np.allclose(found, truth, rtol=TOLERANCE, atol=TOLERANCE * most, equal_nan=True)


def is_left_alone(form: Form) -> bool:
    """Forms of models that stay as they are, since the gradient graph puts no Transpose in front of them.

    Quantised tensors of a forward pass are read as they were shipped. A Resize by cubic interpolation, and one whose
    sizes share a scale along some of the axes, has no other form: between Transposes onnxruntime refuses to load it.
    """
    op, given = form.node.op_type, {a.name: a.s for a in form.node.attribute}
    fits = {"axes", "keep_aspect_ratio_policy"} <= given.keys()
    return (op == "DequantizeLinear" and "block_size" in given) or (
        op == "Resize" and (fits or given.get("mode") == b"cubic")
    )


def wrong(cases: Iterable[Case], lowering: str, symbolic: str) -> list[str]:
    held = [form for form in forms(cases, lowering, symbolic) if not is_left_alone(form)]
    assert held
    return [said for form in held for which in (0, 1) if (said := verdict(form, which))]


def test_forms_of_cuts_and_products() -> None:
    """Pad with axes, Resize with axes and MatMul with a vector came out wrong."""
    assert wrong([*slicing.CASES[::2], *linear.CASES[:6], *shape.CASES[::6]], "cpu", "none") == []


@pytest.mark.slow
@pytest.mark.parametrize(("lowering", "symbolic"), [("cpu", "none"), ("cpu", "all"), ("portable", "none")])
def test_all_forms(lowering: str, symbolic: str) -> None:
    assert wrong(CASES, lowering, symbolic) == []


@pytest.mark.slow
def test_what_is_left_alone_never_differs_in_silence_but_for_blocks() -> None:
    """Such a Resize does not load; blocks are for the quantised forward pass, which is as it was shipped."""
    resizes = [case for case in CASES if case.op == "Resize"]
    left = [form for form in forms(resizes, "cpu", "all") if is_left_alone(form)]
    assert left
    assert {said.partition(" fails: ")[1] for form in left for said in [verdict(form, 0)] if said} == {" fails: "}


# Real files ---------------------------------------------------------------------------------------------------

NOISE = {"yolox_nano_224": 5e-5}  # 1.2e-5 was seen, of float32 alone: with transposes off it is the same
QUANTISING = ("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul")


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_gradients_of_real_files(file: Path) -> None:
    """Of quantised files without the int8 kernels, which saturate and round otherwise: see docs/quantised.md."""
    model, graph = onnx.load(file), differentiate(file)
    given = feeds(model, scale=1)
    outputs = dict(zip((y.name for y in model.graph.output), run_at("ORT_DISABLE_ALL", model, given), strict=True))
    kinds = {
        x.name: onnx.helper.tensor_dtype_to_np_dtype(x.type.tensor_type.elem_type) for x in graph.model.graph.input
    }
    given |= {seed: normal(*outputs[y].shape, seed=1).astype(kinds[seed]) for y, seed in graph.seeds.items()}
    level = "ORT_ENABLE_BASIC" if any(n.op_type in QUANTISING for n in model.graph.node) else "ORT_ENABLE_ALL"
    names = [y.name for y in graph.model.graph.output]
    off, on = (dict(zip(names, run_at(how, graph.model, given), strict=True)) for how in ("ORT_DISABLE_ALL", level))
    for name in (*outputs, *graph.gradients.values()):
        gap = distance(on[name], off[name], least=1e-30)
        assert gap <= NOISE.get(file.stem, TOLERANCE), f"{name}: {gap:.1e}"
