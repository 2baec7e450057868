"""scikit-learn estimators to ONNX through skl2onnx; linear models are written out in standard operators."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxray.errors import ConversionError

from .candidates import Candidate, Feed, Options
from .input_specs import graph_specs, read_inputs
from .parity_session import ParitySession
from .quiet import converting, require
from .sklearn_linear import lower
from .stored_weights import stored

__all__ = ["convert_estimator", "convert_pickle"]

BLACK_BOX = (
    "has no gradients, so only tree-shap (of trees) and black-box methods (such as occlusion) explain it; multilayer "
    "perceptrons and linear models have gradients"
)


def convert_pickle(path: Path, options: Options) -> Candidate:
    """Load a pickled estimator or model, only where the caller says so."""
    if not options.allow_pickle:
        raise ConversionError(
            f"{path}: a pickle runs code of its author while it loads; pass allow_pickle=True if you trust them, "
            "or give the weights as .safetensors or a state_dict"
        )
    from .sources import convert

    with converting(f"{path} cannot be unpickled", "install the packages that it was made with"):
        content = unpickled(path)
    return convert(content, options)


def unpickled(path: Path) -> Any:
    """The content of a pickle or joblib file."""
    try:
        import joblib
    except ImportError:
        return pickle.loads(path.read_bytes())
    return joblib.load(path)


def convert_estimator(estimator: Any, options: Options) -> Candidate:
    """Convert a fitted estimator or pipeline; the graph's only output is its scores, the label is left out."""
    require("skl2onnx")
    source = f"scikit-learn {type(estimator).__name__}"
    if not hasattr(estimator, "n_features_in_"):
        raise ConversionError(f"{source}: is not fitted; call fit first")
    with converting(f"{source} cannot be converted", "see the supported estimators of skl2onnx"):
        proto = exported(estimator, options.opset)
    only_scores(proto)
    proto = lower(proto)
    if any(node.domain == "ai.onnx.ml" for node in proto.graph.node):
        warnings.warn(f"{source}: {BLACK_BOX}", UserWarning, stacklevel=4)
        proto.metadata_props.add(key="onnxray.methods", value="black-box")
    columns = columns_of(proto, estimator.n_features_in_)
    for key, names in (("features", features_of(estimator)), ("labels", labels_of(estimator, columns))):
        if names:
            proto.metadata_props.add(key=f"onnxray.{key}", value=json.dumps(names))
    return Candidate(
        model=proto,
        source=source,
        specs=graph_specs(proto, read_inputs(options.inputs)),
        packages=("scikit-learn", "skl2onnx"),
        outputs=scores_of(estimator, source, columns),
        layers=lambda feed: {},
        scopes={},
        gradients=lambda feed, weights, double: None,
    )


def features_of(estimator: Any) -> list[str]:
    """The names of the columns that an estimator was fitted on, if these had names; tables are read by them."""
    names = getattr(estimator, "feature_names_in_", ())  # a pipeline has those of its first step
    return [str(name) for name in names] if len(names) == estimator.n_features_in_ else []


def labels_of(estimator: Any, columns: int) -> list[str]:
    """The classes of a classifier, one for each of the scores."""
    classes = np.asarray(getattr(estimator, "classes_", ()))
    return [str(name) for name in classes.tolist()] if classes.ndim == 1 and len(classes) == columns else []


def exported(estimator: Any, opset: int) -> onnx.ModelProto:
    """Convert without the list of dictionaries that skl2onnx puts at the end of a classifier by default."""
    skl2onnx, types = require("skl2onnx"), require("skl2onnx.common.data_types")
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    kinds = [("input", types.FloatTensorType([None, estimator.n_features_in_]))]
    target = {"": opset, "ai.onnx.ml": 3}
    try:
        plain = {id(last): {"zipmap": False}}
        return skl2onnx.convert_sklearn(estimator, initial_types=kinds, target_opset=target, options=plain)
    except NameError:  # the estimator has no such option, and in a pipeline it must be given some
        return skl2onnx.convert_sklearn(estimator, initial_types=kinds, target_opset=target, options={id(last): {}})


def columns_of(proto: onnx.ModelProto, features: int) -> int:
    """How many scores a model gives for a row."""
    with stored(proto) as files:
        return ParitySession(files).run({proto.graph.input[0].name: np.zeros((1, features), np.float32)})[0].size


def only_scores(proto: onnx.ModelProto) -> None:
    """Keep the last output, the scores, and what it needs; name the open batch."""
    graph = proto.graph
    del graph.output[:-1]
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    del proto.opset_import[:]
    for domain, version in versions.items():
        proto.opset_import.add(domain=domain, version=version)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def scores_of(estimator: Any, source: str, columns: int) -> Callable[[Feed], list[np.ndarray]]:
    """The estimator's output for a feed: probabilities, decision values of every class, or predictions."""

    def run(feed: Feed) -> list[np.ndarray]:
        rows = next(iter(feed.values()))
        with converting(f"{source} cannot be run", "give inputs= that it accepts"):
            values = np.asarray(scores(estimator, rows, columns), dtype=np.float32)
        return [values.reshape(len(rows), -1)]

    return run


def scores(estimator: Any, rows: np.ndarray, columns: int) -> np.ndarray:
    """The scores of rows; the one decision value of two classes counts against the first, if it has a column."""
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(rows)
    if hasattr(estimator, "decision_function"):
        values = estimator.decision_function(rows)
        return np.stack([-values, values], axis=1) if values.ndim == 1 and columns == 2 else values
    return estimator.predict(rows)
