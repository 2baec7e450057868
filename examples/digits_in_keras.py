"""Vanilla gradients of a digit classifier in Keras, trained here on scikit-learn's digits scaled up to 28 x 28.

python examples/digits_in_keras.py docs/digits_in_keras.png

To see: below each digit, the gradient of its class: its signed maximum over the channels, scaled to 0..1 and drawn in
jet. The net ends in a softmax; the engine explains the logit before it, as keras-vis did by swapping the activation.
"""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxray
from keras import layers
from onnxray.converters import to_onnx
from onnxray.drawing import heatmap
from PIL import Image
from sklearn.datasets import load_digits

SHOWN = 8


def main(out: Path) -> None:
    x, y = digits()
    net = train(x[SHOWN:], y[SHOWN:])
    attribution = onnxray.explain(to_onnx(net), x[:SHOWN])
    print(f"the first {SHOWN} digits are {y[:SHOWN]}, predicted {attribution.target}")
    maps = [heatmap.colourise(scaled(one), "jet") for one in attribution.map("max")]
    pictures = [Image.fromarray(np.uint8(one[..., 0] * 255)) for one in x[:SHOWN]]
    captions = [f"{label}, predicted {guess}" for label, guess in zip(y[:SHOWN], attribution.target, strict=True)]
    heatmap.grid([pictures, maps], captions, ["digit", "gradient"], tile=150).save(out)
    print(f"wrote {out}")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 28, 28, 1) from 0 to 1, and what they show."""
    found: Any = load_digits()
    large = [np.asarray(Image.fromarray(np.uint8(one * 255 / 16)).resize((28, 28))) for one in found.images]
    return np.stack(large)[..., None].astype(np.float32) / 255, found.target


def train(x: np.ndarray, y: np.ndarray, epochs: int = 4) -> Any:
    """The usual small convolutional net."""
    keras.utils.set_random_seed(0)
    net: Any = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    net.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return net


def scaled(heat: np.ndarray) -> np.ndarray:
    """A map from its smallest value, 0, to its largest, 1."""
    return (heat - heat.min()) / np.ptp(heat)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "digits_in_keras.png"))
