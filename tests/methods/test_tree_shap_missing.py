"""tree-shap of rows with missing values: NaN goes where onnxruntime sends it, in the input and in the background.

shap 0.51 (interventional; 40 background rows, 20 rows, a quarter of the values missing) is the same: relative L2 4e-8
for XGBoost 3.2 (BRANCH_LT, 151 of 784 nodes track true), 1e-7 for LightGBM 4.7 (BRANCH_LEQ, 251 of 862).
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from cli_tools import records
from measures import distance
from onnxray import InputError
from onnxray.cli.app import run
from test_tree_shap import TOLERANCE, behind, game_of
from tree_nets import forest, rows, tree_shap

HOLE = """<ir_version: 10, opset_import: ["" : 18, "ai.onnx.ml" : 3]>
net (float[N, 2] x) => (float[N, 1] y) { y = Identity(x) }"""
ALL = [f"BRANCH_{mode}" for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")]


def with_holes(count: int, seed: int) -> np.ndarray:
    """Rows of which a third of the values are missing."""
    found = rows(count, 5, seed)
    found[np.random.default_rng(seed).random(found.shape) < 1 / 3] = np.nan
    return found


X, BACKGROUND = with_holes(4, 7), with_holes(4, 8)


def tracked(proto: onnx.ModelProto, share: float = 0.5) -> onnx.ModelProto:
    """The same trees, where NaN goes to the first child of some nodes."""
    trees = next(node for node in proto.graph.node if node.op_type.startswith("TreeEnsemble"))
    count = len(next(one for one in trees.attribute if one.name == "nodes_modes").strings)
    flags = (np.random.default_rng(3).random(count) < share).astype(int).tolist()
    trees.attribute.append(onnx.helper.make_attribute("nodes_missing_value_tracks_true", flags))
    return proto


@pytest.mark.parametrize(
    ("modes", "share"),
    [
        (ALL, 0.5),
        (["BRANCH_LT"], 0.0),
        *(
            pytest.param(modes, share, marks=pytest.mark.slow)
            for modes, share in product((ALL, ["BRANCH_LEQ"]), (0.0, 1.0))
        ),
        pytest.param(["BRANCH_LT"], 0.5, marks=pytest.mark.slow),
    ],
)
def test_the_definition_with_missing_values(modes: list[str], share: float) -> None:
    proto = tracked(forest(modes=modes, depth=4, trees=2), share)
    assert (share == 0) or np.abs(game_of(proto, 1)(X) - game_of(forest(modes=modes, depth=4, trees=2), 1)(X)).max() > 0
    found = onnxray.explain(proto, X, "tree-shap", target=1, baseline=BACKGROUND)
    assert np.abs(found.values).sum() > 0
    assert distance(found.values, tree_shap(game_of(proto, 1), X, BACKGROUND)) < TOLERANCE
    assert np.abs(found.delta).max() < 1e-5


def test_an_imputer_fills_holes_before_the_trees() -> None:
    proto = behind(
        "a = Identity(x) z = ai.onnx.ml.Imputer <imputed_value_floats = [0.5], replaced_value_float = nan> (a)", 5
    )
    found = onnxray.explain(proto, X, "tree-shap", target=1, baseline=BACKGROUND)
    assert distance(found.values, tree_shap(game_of(proto, 1), X, BACKGROUND)) < TOLERANCE


def test_missing_values_of_a_table(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Empty cells and nan; the value of a hole is null in JSON, which has no NaN."""
    proto = tracked(forest())
    onnx.save(proto, "trees.onnx")
    np.save("background.npy", BACKGROUND)
    Path("rows.csv").write_text("a,b,c,d,e\n0.5,,nan,-1,0\n")
    shap = ["explain", "trees.onnx", "rows.csv", "-m", "tree-shap", "--baseline", "background.npy", "--target", "1"]
    assert run([*shap, "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    x = np.float32([[0.5, np.nan, np.nan, -1, 0]])
    expected = tree_shap(game_of(proto, 1), x, BACKGROUND)[0]
    found = {one["name"]: one for one in record["features"]}
    np.testing.assert_allclose([found[name]["attribution"] for name in "abcde"], expected, atol=1e-6)
    assert [found[name]["value"] for name in "abcde"] == [0.5, None, None, -1, 0]
    assert run(shap) == 0


@pytest.mark.parametrize(
    "method",
    [
        "feature-ablation",
        pytest.param("kernel-shap", marks=pytest.mark.slow),
        pytest.param("lime", marks=pytest.mark.slow),
    ],
)
def test_a_missing_value_is_hidden_as_any_other(method: str) -> None:
    """NaN times 0 is NaN, and would count as never hidden."""
    proto = onnx.parser.parse_model(HOLE)
    attributes = {"nodes_treeids": [0] * 3, "nodes_nodeids": [0, 1, 2], "nodes_featureids": [1, 0, 0],
                  "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_values": [1.0, 0, 0],
                  "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0], "target_treeids": [0, 0],
                  "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [2.0, 5.0], "n_targets": 1,
                  }  # fmt: skip
    made = onnx.helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    proto.graph.node[0].CopyFrom(made)
    found = onnxray.explain(proto, np.float32([[1, np.nan]]), method, target=0)
    np.testing.assert_allclose(found.values, [[0, 3]], atol=0.05)  # NaN is not at most 1, the baseline 0 is


@pytest.mark.parametrize(
    ("proto", "x", "baseline"),
    [
        (behind("z = Exp(x)", 5), X, np.zeros((2, 5))),
        (forest(), np.full((1, 5), np.inf, np.float32), BACKGROUND),
        (forest(), rows(1, 5), np.full((1, 5), np.inf)),
    ],
    ids=["computed with", "infinite", "infinite background"],
)
def test_what_is_no_missing_value_is_refused(proto: onnx.ModelProto, x: np.ndarray, baseline: Any) -> None:
    with pytest.raises(InputError, match=r"holds NaN or infinity, at index|give a finite number"):
        onnxray.explain(proto, x, "tree-shap", target=1, baseline=baseline)
