"""The backends: which there are, what each says of itself, and that nobody else decides by their names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxray
import pytest
from by_hand import DENSE
from onnxray.attribution.inputs import prepare
from onnxray.autodiff.backward import backward
from onnxray.backends import BACKENDS, BUILDERS, Backend, Onnxruntime, OnnxruntimeTraining, backend_named
from onnxray.errors import InputError
from onnxray.runtime import SessionSettings

ENGINE = Path(onnxray.__file__).parent
RAW = ("ort-training", "training")
HAS = "'ort-training' has 'onnxruntime' and 'training'"


def test_a_builder_and_a_runtime_name_a_backend() -> None:
    assert backend_named("portable").reverse_pass(onnxray.load(DENSE.proto())) is backward
    assert [type(backend_named(*names)) for names in BACKENDS] == [Onnxruntime, Onnxruntime, OnnxruntimeTraining]
    assert [builder for builder, _ in BACKENDS if (builder, "onnxruntime") not in BACKENDS] == []  # runtime's default
    assert backend_named("portable") != backend_named("ort-training")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("fast",), f"no gradient builder 'fast'; choose from {', '.join(BUILDERS)}"),
        (("Portable",), f"no gradient builder 'Portable'; did you mean 'portable'? choose from {', '.join(BUILDERS)}"),
        (("portable", "training"), f"no runtime 'training' for 'portable'; {HAS}"),
        (("ort-training", "gpu"), f"no runtime 'gpu' for 'ort-training'; {HAS}"),
        ((["portable"], ["training"]), f"no runtime ['training'] for ['portable']; {HAS}"),
    ],
)  # fmt: skip
def test_a_pair_that_there_is_not(names: tuple[str, ...], message: str) -> None:
    for refused in (lambda: backend_named(*names), lambda: onnxray.Explainer(DENSE.proto(), **arguments(names))):
        with pytest.raises(InputError) as told:
            refused()
        assert str(told.value) == message
    with pytest.raises(InputError, match=r"no (runtime|gradient builder)"):
        onnxray.differentiate("no such file.onnx", **arguments(names))  # before the file is read


def arguments(names: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(("builder", "runtime"), names, strict=False))


def test_every_backend_is_documented() -> None:
    """Both names of each, wherever users may give them; tests/training asks for a way of ``verify``."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    names = {name for names in BACKENDS for name in names}
    for text in (onnxray.differentiate.__doc__ or "", onnxray.Explainer.__doc__ or ""):
        assert [name for name in names if f'"{name}"' not in text] == []
    assert [name for name in names if name not in page] == []


@pytest.mark.parametrize("names", BACKENDS)
def test_files_hold_standard_operators(names: tuple[str, str]) -> None:
    backend = backend_named(*names)
    assert backend.for_files == backend_named(names[0])
    assert backend.for_files.for_files == backend.for_files


@pytest.mark.parametrize("names", BACKENDS)
@pytest.mark.parametrize(
    ("provider", "lowering"),
    [("CPUExecutionProvider", "cpu"), (("CUDAExecutionProvider", {}), "cuda"), ("DmlExecutionProvider", "portable")],
)
def test_nodes_are_chosen_for_the_first_provider(names: tuple[str, str], provider: str, lowering: str) -> None:
    assert backend_named(*names).lowering([provider, "CPUExecutionProvider"]) == lowering


def test_onnxruntime_takes_models_and_inputs_as_they_are() -> None:
    backend, source = backend_named("portable"), onnxray.load(DENSE.proto())
    given = prepare(source, DENSE.x())
    assert backend.prepare(source) is source
    assert backend.inputs(given) is given
    assert (backend.fixes_sizes, backend.in_process) == (False, True)
    assert backend.providers("cpu") == ["CPUExecutionProvider"]
    found = backend.open(source, SessionSettings("cpu", 1)).run({"x": DENSE.x()})
    np.testing.assert_allclose(found["y"], DENSE.scores(DENSE.x()), rtol=1e-4)


def test_onnxruntime_training_takes_one_batch_size() -> None:
    backend, given = backend_named(*RAW), prepare(onnxray.load(DENSE.proto()), DENSE.x())
    assert (backend.fixes_sizes, backend.in_process) == (True, False)
    assert (given.batch.fixed, backend.inputs(given).batch.fixed) == (None, len(DENSE.x()))
    assert backend.inputs(backend.inputs(given)) == backend.inputs(given)


@pytest.mark.slow
def test_onnxruntime_training_is_imported_late() -> None:
    asked = f"from onnxray.backends import backend_named; backend_named(*{RAW})"
    code = f"import sys; {asked}; print('onnxray.training' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_nothing_but_the_backends_decides_by_a_name() -> None:
    found = [
        f"{file.relative_to(ENGINE)}:{node.lineno}"
        for file in ENGINE.rglob("*.py")
        for node in decisions(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert {one.split(":")[0] for one in found} == {"backends.py"}


def decisions(tree: ast.AST) -> Iterator[ast.Compare | ast.Match]:
    """Comparisons of something called ``builder`` or ``runtime`` with a text, and matches of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Match) and named(node.subject):
            yield node
        elif isinstance(node, ast.Compare) and any(map(named, [node.left, *node.comparators])):
            texts = [one for side in (node.left, *node.comparators) for one in ast.walk(side)]
            if any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in texts):
                yield node


def named(node: ast.AST) -> bool:
    return getattr(node, "id", getattr(node, "attr", None)) in {"builder", "runtime"}


def test_a_backend_is_what_the_protocol_says() -> None:
    """A member that the protocol gains is in both."""
    members = {name for name in (*vars(Backend), *Backend.__annotations__) if not name.startswith("_")}
    assert {"prepare", "providers", "inputs", "open", "reverse_pass", "fixes_sizes"} <= members
    for backend in BACKENDS.values():
        assert [name for name in members if not hasattr(backend, name)] == []
