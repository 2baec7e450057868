"""Trains breast_cancer.onnx, a small net on a table of cell measures that standardises them itself.

Run it with python -m onnxray.models.train_breast_cancer; it takes seconds and needs torch and scikit-learn.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from torch import nn

from .data import breast_cancer, feature_names
from .network import Minus, Over, steady, train, write

HERE = Path(__file__).parent
LABELS = ["malignant", "benign"]


def main() -> None:
    """Writes breast_cancer.onnx and breast_cancer.csv, a row of each class held out, beside this file."""
    steady()
    split = breast_cancer()
    network = nn.Sequential()
    network.add_module("centre", Minus(split.inputs.mean(0)))
    network.add_module("scale", Over(split.inputs.std(0)))
    network.add_module("fc1", nn.Linear(30, 16))
    network.add_module("relu1", nn.ReLU())
    network.add_module("fc2", nn.Linear(16, 2))
    train(network, split.inputs, split.labels, epochs=60, decay=3.0)
    metadata = {"onnxray.labels": json.dumps(LABELS), "onnxray.features": json.dumps(feature_names())}
    write(network, HERE / "breast_cancer.onnx", "features", (30,), metadata)
    samples = [split.unseen[split.unseen_labels == label][0].tolist() for label in range(2)]
    with (HERE / "breast_cancer.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([feature_names(), *samples])


if __name__ == "__main__":
    main()
