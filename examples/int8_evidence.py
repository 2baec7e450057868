"""Three forms of one classifier on one photograph: float, int8, and int8 with one wrong scale. Which may be released?

python examples/int8_evidence.py docs/int8_evidence.jpg

The classifier is that of ../shared/data, which is int8; its float form is made of it. In the damaged form the scale of
one layer's weights is three times what it should be. All three say "Egyptian cat". The photographs are those of
scikit-image: cat (CC0 by Stefan van der Walt), coffee (CC0 by Rachel Michetti) and rocket (SpaceX, public domain).
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxray
import skimage
from onnx import numpy_helper
from onnxray.drawing import heatmap
from onnxray.gate.layers.dequantise import dequantised
from PIL import Image

SHARED = Path(__file__).parents[2] / "shared" / "data"
MODEL, LABELS = SHARED / "onnx" / "mobilenetv2like_qdq_244.onnx", SHARED / "synset.txt"
IMAGENET = onnxray.Preprocess.preset("imagenet", size=(244, 244))
PHOTOGRAPHS = ("cat", "coffee", "rocket")
DAMAGED, FACTOR = "onnx::Conv_1013", 3.0  # the weights whose scale is wrong, and by how much
METHODS = ("saliency", "grad-cam")
TILE = 300


def main(out: Path) -> None:
    if not MODEL.exists():
        sys.exit(f"{MODEL} is not here: there is nothing to explain")
    forms = {"float": dequantised(MODEL), "int8": onnx.load(MODEL), "int8, one scale wrong": damaged(onnx.load(MODEL))}
    pictures = [Image.fromarray(getattr(skimage.data, name)()) for name in PHOTOGRAPHS]
    names = LABELS.read_text().splitlines()
    tiles, captions = [pictures[0].resize((244, 244))], ["the photograph"]
    for form, model in forms.items():
        found = onnxray.explain(model, pictures[:1], "grad-cam", preprocess=IMAGENET)
        tiles.append(found.image(0))
        verdict = "the reference" if form == "float" else gate(forms["float"], model, pictures)
        captions.append(f"{form}: {names[found.target[0]].split(' ', 1)[1].split(',')[0]}; {verdict}")
        print(captions[-1])
    heatmap.side_by_side(tiles, captions, tile=TILE).save(out, quality=88)
    print(f"wrote {out}")


def damaged(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the scale of one layer's weights FACTOR times as large."""
    constants: Mapping[str, onnx.TensorProto] = {one.name: one for one in model.graph.initializer}
    node = next(one for one in model.graph.node if one.output[0] == DAMAGED)
    scale = numpy_helper.to_array(constants[node.input[1]])
    model.graph.initializer.append(numpy_helper.from_array(scale * scale.dtype.type(FACTOR), "wrong scale"))
    node.input[1] = "wrong scale"
    return model


def gate(reference: onnx.ModelProto, candidate: onnx.ModelProto, pictures: list[Image.Image]) -> str:
    """The verdict of the gate, and the calibrated score of the method that agrees least."""
    data = IMAGENET(pictures)
    found = onnxray.compare(reference, candidate, data, methods=METHODS, calibrate=True, layers=False)
    worst = min(found.checks, key=lambda one: one.value)
    verdict = "passes" if found.passed else "fails"
    return f"the gate: {verdict.upper()}, {worst.method} {worst.value:.2f}"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "int8_evidence.jpg"))
