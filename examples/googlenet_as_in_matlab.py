"""Gradient attribution as MATLAB's example has it, of a GoogLeNet written in PyTorch and of a real int8 classifier.

python examples/googlenet_as_in_matlab.py docs/googlenet_as_in_matlab.png [--weights googlenet.pth] [--int8 FILE]

To see: gradient, guided backprop, Zeiler-Fergus and integrated gradients of the softmax output of the predicted class,
each summed over the channels' magnitudes, scaled to 0..1 and drawn from white to black in 255 steps; beside them
Grad-CAM and occlusion. With random weights the maps show edges at most; the int8 net is trained.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxray
import skimage.data
from googlenet import googlenet
from onnxray import Preprocess
from onnxray.converters import to_onnx
from onnxray.drawing import heatmap
from PIL import Image

INT8 = Path(__file__).parents[2] / "shared" / "data" / "onnx" / "mobilenetv2like_qdq_244.onnx"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATH = {"steps": 25, "rule": "inclusive"}  # images on the way from black to the picture, both included
GRADIENTS = {
    "gradient": "saliency",
    "guided backprop": "guided-backprop",
    "Zeiler-Fergus": "deconvnet",
    "integrated gradients": "integrated-gradients",
}


def main(out: Path, weights: Path | None = None, int8: Path = INT8, picture: Path | None = None) -> None:
    what = Image.open(picture) if picture else Image.fromarray(skimage.data.chelsea()).crop((75, 0, 375, 300))
    model = to_onnx(googlenet(weights), inputs=(1, 3, 224, 224))
    raw = Preprocess.preset("none", size=(224, 224))
    rows = [attributions(model, what, raw, 0.0, "inception_5b")]
    if int8.exists():
        black = [-mean / std for mean, std in zip(MEAN, STD, strict=True)]
        imagenet = Preprocess.preset("imagenet", size=(244, 244))
        rows.append(attributions(with_softmax(int8), what, imagenet, black, None))
    else:
        print(f"{int8} is not here: the row of the int8 classifier is left out")
    names = [f"GoogLeNet, {'trained' if weights else 'random weights'}", "MobileNetV2, int8, trained"]
    sheet = heatmap.grid(rows, ["picture", *GRADIENTS, "Grad-CAM", "occlusion"], names[: len(rows)], tile=160)
    sheet.quantize(128).save(out)
    print(f"wrote {out}")


def with_softmax(path: Path) -> onnx.ModelProto:
    """A classifier that ends in logits, with a softmax after them."""
    model = onnx.load(path)
    model.graph.node.append(onnx.NodeProto(op_type="Softmax", input=[model.graph.output[0].name], output=["softmax"]))
    model.graph.output[0].name = "softmax"
    return model


def attributions(
    model: onnx.ModelProto, what: Image.Image, recipe: Preprocess, black: float | list[float], layer: str | None
) -> list[Image.Image]:
    """The picture, the gradients of the softmax output in grey, Grad-CAM and occlusion in jet."""
    loaded, row = onnxray.load(model), []
    settings = {"preprocess": recipe, "score": "output"}
    for method in GRADIENTS.values():
        path = PATH | {"baseline": black} if method == "integrated-gradients" else {}
        row.append(white_to_black(onnxray.explain(loaded, what, method, **settings, **path).map("abs-sum")[0]))
    cam = onnxray.explain(loaded, what, "grad-cam", layer=layer, **settings)
    fifth = recipe.size[0] // 5 if recipe.size else 45
    covered = onnxray.explain(loaded, what, "occlusion", window=fifth, stride=fifth // 2, baseline=black, **settings)
    print(f"class {cam.target[0]}, probability {cam.score[0]:.3g}")
    return [cam.pictures[0], *row, cam.image(palette="jet"), covered.image(reduce="sum")]


def white_to_black(heat: np.ndarray) -> Image.Image:
    """A map scaled to 0..1, in 255 steps from white to black."""
    steps = np.rint(254 * (heat - heat.min()) / np.ptp(heat))
    return Image.fromarray(np.uint8(np.rint(255 * (1 - steps / 254))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path("googlenet_as_in_matlab.png"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--int8", type=Path, default=INT8)
    parser.add_argument("--picture", type=Path)
    main(**vars(parser.parse_args()))
