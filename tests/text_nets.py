"""A classifier of token ids whose contributions are known in NumPy, and small tokenizers for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, parser

__all__ = ["CLASSES", "TABLE", "TYPES", "VOCABULARY", "classifier", "contributions", "tokenizer", "tokenizer_file"]

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "fine", "film", "##s", "!", "bad", "not", "is", "it"]
VOCABULARY += ["good", "##ly"]
_RANDOM = np.random.default_rng(5)
TABLE = _RANDOM.standard_normal((len(VOCABULARY), 4)).astype(np.float32)
TYPES = _RANDOM.standard_normal((2, 4)).astype(np.float32)
CLASSES = _RANDOM.standard_normal((4, 3)).astype(np.float32)


def classifier(inputs: str = "input_ids attention_mask token_type_ids", length: int | str = "L") -> onnx.ModelProto:
    """Embeddings of ids and types (inputs 1 and 3), masked (input 2), summed over tokens, times a matrix of classes."""
    ids, mask, kinds = [*inputs.split(), None, None][:3]
    named = ", ".join(f"int64[N, {length}] {name}" for name in (ids, mask, kinds) if name)
    steps = [f"word = Gather(table, {ids})", f"all = Add(word, {'kind' if kinds else 'zero'})"]
    steps[1:1] = [f"kind = Gather(types, {kinds})"] if kinds else []
    steps += [f"float = Cast<to = 1>({mask})", "open = Unsqueeze(float, last)", "kept = Mul(all, open)"] if mask else []
    text = f"""<ir_version: 8, opset_import: ["" : 18]> net ({named}) => (float[N, 3] logits) {{
        {"; ".join(steps)}; summed = ReduceSum<keepdims = 0>({"kept" if mask else "all"}, second)
        logits = MatMul(summed, classes) }}""".replace(";", "\n")
    model = parser.parse_model(text)
    constants = {"table": TABLE, "types": TYPES, "classes": CLASSES, "zero": np.zeros(1, np.float32)}
    constants |= {"last": np.array([2]), "second": np.array([1])}
    used = {name for node in model.graph.node for name in node.input}
    for name, array in constants.items():
        if name in used:
            model.graph.initializer.append(numpy_helper.from_array(array, name))
    assert all(value.type.tensor_type.elem_type == TensorProto.INT64 for value in model.graph.input)
    return model


def contributions(ids: Any, target: int) -> np.ndarray:
    """Input times gradient of the embeddings of the ids, by token: what each adds to the score of a class."""
    return TABLE[np.asarray(ids)] @ CLASSES[:, target]


def tokenizer(padding: bool = False) -> Any:
    """A WordPiece tokenizer with the template of BERT."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    numbered = {token: index for index, token in enumerate(VOCABULARY)}
    made = Tokenizer(models.WordPiece(numbered, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    if padding:
        made.enable_padding(direction="left", pad_id=0, pad_token="[PAD]")
    return made


def tokenizer_file(folder: Path) -> str:
    """The tokenizer as a file."""
    tokenizer().save(str(folder / "tokenizer.json"))
    return str(folder / "tokenizer.json")
