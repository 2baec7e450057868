"""The package: what it imports, what it shows, who may import whom, and that all of it is installed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import onnxray
import pytest
from onnxray.converters.quiet import EXTRAS

ROOT = Path(__file__).parent.parent
PACKAGES = {"engine": "onnxray", "converters": "onnxray.converters", "models": "onnxray.models"}
HEAVY = {"jax", "matplotlib", "scipy", "captum", "transformers", "pandas", "skimage", "pyarrow", "jinja2", "tokenizers"}
LATE = HEAVY | {"rich", "typer", *EXTRAS}  # what converters import, and the runtime


def fresh(code: str) -> str:
    """The output of a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Imports at run time ------------------------------------------------------------------------------------------


IMPORTED = """import json, sys, onnxray
first = sorted(name for name in sys.modules if name.partition(".")[0] == "onnxray")
visible = [name for name in dir(onnxray) if name in onnxray.__all__]
names = [getattr(onnxray, name) for name in onnxray.__all__]
kept = [name for name in onnxray.__all__ if name not in vars(onnxray)]
loaded = sorted(sys.modules)
import onnxray.converters
told = {"first": first, "visible": visible, "not kept": kept, "loaded": loaded}
print(json.dumps(told | {"with converters": sorted(sys.modules)}))"""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """What ``import onnxray`` makes visible and loads, what its names load, and what comes with onnxray.converters."""
    return json.loads(fresh(IMPORTED))


def test_import_brings_no_framework(imported: dict[str, list[str]]) -> None:
    """Nor anything else that only some need; benchmarks/imports.py says how long the rest takes."""
    assert imported["first"] == ["onnxray", "onnxray.support", "onnxray.support.late_modules"]
    assert "onnxray.methods" in imported["loaded"]
    assert {name.split(".")[0] for name in imported["loaded"]} & (LATE | {"sympy"}) == set()
    assert "onnxray.converters" in imported["with converters"]
    assert set(imported["with converters"]) & set(EXTRAS) == set()


def test_modules_are_found_behind_the_package() -> None:
    assert onnxray.scores.Contrast.__module__.startswith("onnxray.")
    for name in ("nothing", "_nothing", "no name"):
        with pytest.raises(AttributeError, match=f"module 'onnxray' has no attribute '{name}'"):
            getattr(onnxray, name)


def test_a_command_loads_what_it_needs() -> None:
    """No other command's modules."""
    code = """import sys, onnxray_command
sys.argv = ["onnxray", "methods"]
try:
    onnxray_command.main()
except SystemExit as end:
    assert end.code == 0
print([name for name in sys.modules if name in ("onnxray.gate", "onnxray.runs", "onnxray.training")])"""
    assert fresh(code).splitlines()[-1] == "[]"


LATE_MODULES = """import sys, onnxray
import onnxray.models, onnxray.explainer, onnx_ir
onnxray.Explainer(onnxray.models.path("digits.onnx"))
assert not {"sympy", "onnx_ir._symbolic_shapes"} & set(sys.modules)
assert onnx_ir.__loader__ is onnx_ir.__spec__.loader and onnx_ir.__loader__.get_source("onnx_ir")
"""


@pytest.mark.parametrize(
    "code",
    [
        'import onnx_ir; assert (onnx_ir.SymbolicDim("n") + 1).value == "n + 1" and "sympy" in sys.modules',
        'import sympy, onnx_ir; assert onnx_ir.SymbolicDim(2 * sympy.Symbol("k")).value == "2*k"',
        "import sympy.core, onnx_ir._symbolic_shapes as s; assert s.parse_symbolic_expression('a*b').free_symbols",
    ],
)
def test_sympy_is_imported_where_sizes_are_calculated_with(code: str) -> None:
    """onnx_ir imports it for that alone, and takes 30 MB and 0.3 s with it."""
    fresh(LATE_MODULES + code)


def test_who_has_imported_onnx_ir_has_all_of_it() -> None:
    fresh("import sys, onnx_ir, sympy, onnxray; onnxray.Explainer; assert onnx_ir._core.sympy is sympy")
    fresh("import sys, sympy, onnxray, onnx_ir; onnxray.Explainer; assert onnx_ir._core.sympy is sympy")


# Names --------------------------------------------------------------------------------------------------------


def test_all_is_sorted_and_is_what_is_visible(imported: dict[str, list[str]]) -> None:
    """Errors, types and methods in capitals first, as ``sorted`` has it."""
    capitals = [name for name in onnxray.__all__ if name.isupper()]
    classes = [name for name in onnxray.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in onnxray.__all__ if name[0].islower()]
    assert [*sorted(capitals), *sorted(classes), *sorted(functions)] == onnxray.__all__
    assert sorted(imported["visible"]) == sorted(onnxray.__all__)
    assert all(getattr(onnxray, name) is not None for name in onnxray.__all__)


def test_the_contract_is_there() -> None:
    promised = "load explain Explainer differentiate jacobian activations Attribution GradientGraph Preprocess Model"
    errors = "OnnxrayError ModelError UnsupportedOperator NoGradientPath InputError RuntimeUnavailable ConversionError"
    assert {*promised.split(), *errors.split(), "METHODS"} <= set(onnxray.__all__)


@pytest.mark.parametrize("name", [n for n in onnxray.__all__ if n != "METHODS"])
def test_public_things_say_what_they_are(name: str) -> None:
    assert (getattr(onnxray, name).__doc__ or "").strip()


def test_the_package_is_typed() -> None:
    assert (ROOT / "engine" / "py.typed").read_bytes() == b""  # complete, of PEP 561: no stubs of parts
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert "py.typed" in tomllib.load(file)["tool"]["setuptools"]["package-data"]["onnxray"]


# Packaging ----------------------------------------------------------------------------------------------------


def test_every_folder_of_code_is_packaged() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    found = {package(folder) for folder in PACKAGES for folder in code_folders(ROOT / folder)}
    assert sorted(listed) == sorted(found)


def code_folders(top: Path) -> set[Path]:
    return {file.parent for file in top.rglob("*.py")}


def package(folder: Path) -> str:
    first, *rest = folder.relative_to(ROOT).parts
    return ".".join([PACKAGES[first], *rest])


# Who imports whom ---------------------------------------------------------------------------------------------


def files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def imports(file: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever in the file it does; relative ones resolved."""
    inside = ast.walk(parsed(file))
    for node in inside:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(file, node) if node.level else [node.module or ""]


def _from(file: Path, node: ast.ImportFrom) -> list[str]:
    if file.relative_to(ROOT).parts[0] not in PACKAGES:
        return []
    here = package(file.parent).split(".")
    base = ".".join(here[: len(here) - node.level + 1])
    return [f"{base}.{node.module}"] if node.module else [f"{base}.{alias.name}" for alias in node.names]


def test_only_the_command_line_prints() -> None:
    printing = [
        file.name
        for file in files("engine")
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert set(printing) <= {"app.py", "terminal.py"}


def test_nothing_goes_by_the_folders_names() -> None:
    """A second copy under another name would carry a registry of its own."""
    wrong = {
        str(file.relative_to(ROOT)): name
        for file in files("engine", "converters", "models", "tests", "examples", "benchmarks")
        for name in imports(file)
        if name.split(".")[0] in ("engine", "converters", "models")
    }
    assert wrong == {}


def test_imports_within_the_engine_are_relative() -> None:
    """But for the sibling packages, whose folders lie elsewhere."""
    siblings = {package for folder, package in PACKAGES.items() if folder != "engine"}
    wrong = {
        str(file.relative_to(ROOT)): name
        for file in files("engine")
        for node in ast.walk(parsed(file))
        for name in absolute_names(node)
        if name.split(".")[0] == "onnxray" and ".".join(name.split(".")[:2]) not in siblings
    }
    assert wrong == {}


def absolute_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_no_assert_on_what_users_give() -> None:
    """``python -O`` would drop it."""
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in files("engine", "converters")
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Assert)
    ]
    assert wrong == []
