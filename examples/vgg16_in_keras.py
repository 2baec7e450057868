"""VGG16 of Keras as keras-vis showed it: saliency, guided saliency and Grad-CAM in jet, and what four layers compute.

python examples/vgg16_in_keras.py docs/vgg16_in_keras.png [--weights vgg16.weights.h5]

To see: a cat and three maps over it, then 20 feature maps each of four layers. Without a weights file (such as the one
that `keras.applications.VGG16(weights="imagenet")` downloads) the weights are random: the feature maps still show
edges, but the maps of the score show nothing of a cat. The trained nets of ../shared/data/keras, if they are there, get
a row each.
"""

import argparse
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxray
import skimage.data
from onnxray import Preprocess
from onnxray.converters import to_onnx
from onnxray.drawing import heatmap
from PIL import Image

SHARED = Path(__file__).parents[2] / "shared" / "data" / "keras"
LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv2")
MAPS = {"saliency": "saliency", "guided saliency": "guided-backprop", "Grad-CAM": "grad-cam"}
GREY = Preprocess.preset("tf", size=(64, 64), layout="NHWC", channels="L")
TRAINED = {  # file, what it is shown and how, its last feature maps
    "ResNet-8, CIFAR-10": (
        "tiny_pretrainedResnet_cifar10.h5",
        "cat",
        Preprocess.preset("none", size=(32, 32), layout="NHWC"),
        "activation_6",
    ),
    "mini-Xception, emotions": ("fer2013_mini_XCEPTION.102-0.66.hdf5", "face", GREY, "add_4"),
}


def main(out: Path, weights: Path | None = None, trained: Path = SHARED, size: int = 224) -> None:
    model = onnxray.load(to_onnx(vgg16(weights, size)))
    recipe = Preprocess.preset("caffe", size=(size, size), layout="NHWC")
    rows = {f"VGG16, {'trained' if weights else 'random weights'}": maps(model, picture("cat"), recipe, "block5_conv3")}
    for name, (file, what, its_recipe, layer) in TRAINED.items():
        if (trained / file).exists():
            rows[name] = maps(onnxray.load(to_onnx(trained / file)), picture(what), its_recipe, layer)
        else:
            print(f"{trained / file} is not here: the row of {name} is left out")
    top = heatmap.grid(list(rows.values()), ["picture", *MAPS], list(rows))
    grids = [feature_maps(model, picture("cat"), recipe, layer) for layer in LAYERS]
    captions = [f"{layer}: maps 0 to 19" for layer in LAYERS]
    stacked(top, heatmap.grid([grids], captions, tile=top.width // 4 - 16)).save(out)
    print(f"wrote {out}")


def vgg16(weights: Path | None = None, size: int = 224) -> keras.Model:
    """VGG16 of keras.applications; with random weights, those of a seed."""
    keras.utils.set_random_seed(0)
    build: Any = keras.applications.VGG16  # the stub of Keras wants a string where None means random weights
    return build(weights=None if weights is None else str(weights), input_shape=(size, size, 3))


def picture(name: str) -> Image.Image:
    """A photograph that scikit-image brings along: Chelsea the cat (CC0), or a face (NASA, public domain)."""
    cat, face = Image.fromarray(skimage.data.chelsea()), Image.fromarray(skimage.data.astronaut())
    return cat.crop((75, 0, 375, 300)) if name == "cat" else face.crop((150, 10, 300, 160))


def maps(model: onnxray.Model, what: Image.Image, recipe: Preprocess, layer: str) -> list[Image.Image]:
    """The picture, and the three maps over it in jet."""
    found = []
    for method in MAPS.values():
        options = {"layer": layer} if method == "grad-cam" else {}
        found.append(onnxray.explain(model, what, method, preprocess=recipe, **options))
    print(f"class {found[0].target[0]}, score {found[0].score[0]:.4g}")
    return [found[0].pictures[0], *(one.image(palette="jet", fade=0.2) for one in found)]


def feature_maps(model: onnxray.Model, what: Image.Image, recipe: Preprocess, layer: str) -> Image.Image:
    """The first 20 feature maps of a layer, 4 rows of 5, each on a scale of its own."""
    found = onnxray.activations(model, what, layer, preprocess=recipe)[layer][0]
    found = found if model.layer(layer).layout == "NCHW" else np.moveaxis(found, -1, 0)
    tiles = [heatmap.colourise(heatmap.normalise(one), "gray") for one in found[:20]]
    return heatmap.grid([tiles[k : k + 5] for k in range(0, 20, 5)], tile=72)


def stacked(top: Image.Image, below: Image.Image) -> Image.Image:
    """Two pictures, one below the other, in 128 colours."""
    sheet = Image.new("RGB", (max(top.width, below.width), top.height + below.height), "white")
    sheet.paste(top, (0, 0))
    sheet.paste(below, (0, top.height))
    return sheet.quantize(128)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path("vgg16_in_keras.png"))
    parser.add_argument("--weights", type=Path)
    main(**vars(parser.parse_args()))
