"""Which features made this decision? A perceptron in Keras that names a wine's grape from 13 measures of it.

python examples/features_of_a_decision.py docs/features_of_a_decision.png

To see: the saliency of the predicted class, features ranked by name, and the three rows of the full Jacobian of the
softmax outputs, which Theano's `jacobian` of the flattened output gave. As the outputs add up to one, the rows of the
Jacobian add up to zero: what speaks for one grape speaks against the others.
"""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxray
from onnxray.converters import to_onnx
from onnxray.drawing import heatmap
from onnxray.drawing.bar_chart import bar_chart, rank_features
from sklearn.datasets import load_wine

ROW = 60


def main(out: Path) -> None:
    wine: Any = load_wine()
    x = standardised(wine.data)
    model = onnxray.load(to_onnx(train(x, wine.target)))
    row = x[ROW : ROW + 1]
    saliency, jacobian = onnxray.explain(model, row), onnxray.jacobian(model, row)[0]
    grape = int(saliency.target[0])
    print(f"wine {ROW} is of class {wine.target[ROW]}, predicted {grape}; Jacobian of shape {jacobian.shape}")
    charts = [chart_of(saliency.values[0], wine.feature_names, f"saliency: logit of grape {grape}, the predicted one")]
    charts += [chart_of(one, wine.feature_names, f"Jacobian: softmax of grape {k}") for k, one in enumerate(jacobian)]
    figure(charts).save(out)
    print(f"wrote {out}")


def standardised(x: np.ndarray) -> np.ndarray:
    """Features in standard deviations, so that gradients compare."""
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def train(x: np.ndarray, y: np.ndarray) -> keras.Model:
    """A perceptron with one hidden layer."""
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    net: Any = keras.Sequential([keras.Input(x.shape[1:]), dense(32, "relu"), dense(3, "softmax")])
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    net.fit(x, y, epochs=15, verbose=0)
    return net


def chart_of(values: np.ndarray, names: list[str], title: str) -> heatmap.Image.Image:
    """Features by size of their gradient."""
    return bar_chart(rank_features(values, names=names), title)


def figure(charts: list[heatmap.Image.Image]) -> heatmap.Image.Image:
    """Two by two."""
    return heatmap.grid([charts[:2], charts[2:]], tile=max(chart.width for chart in charts))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "features_of_a_decision.png"))
