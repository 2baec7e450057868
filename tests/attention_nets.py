"""Small transformers by hand, and what they compute in numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from by_hand import Array, model, normal
from onnx import numpy_helper

WIDTH, PLACES = 8, 9
BLOCK = """
    [norm{k}] n{k} = LayerNormalization(t{k}, scale)
    q{k} = MatMul(n{k}, Q{k})
    m{k} = MatMul(n{k}, K{k})
    v{k} = MatMul(n{k}, V{k})
    m{k}t = Transpose<perm=[0, 2, 1]>(m{k})
    s{k} = MatMul(q{k}, m{k}t)
    [attention{k}] w{k} = Softmax<axis=-1>(s{k})
    a{k} = MatMul(w{k}, v{k})
    t{next} = Add(t{k}, a{k})
"""


SAFE = """    [attention{k}] u{k} = Softmax<axis=-1>(s{k}) nan{k} = IsNaN(u{k}) w{k} = Where(nan{k}, none, u{k})
"""  # as PyTorch exports attention with a mask


def vision_transformer(blocks: int = 2, registers: int = 0, head: str = "token", block: str = BLOCK) -> onnx.ModelProto:
    """A ViT of one head of attention: patches of 4 x 4 in 3 x 3 places behind a class token and registers."""
    pooled = {"token": "p = Gather<axis=1>(z, zero)", "mean": "p = ReduceMean<keepdims=0>(z, one)"}[head]
    text = f"""net (float[N, 3, 12, 12] x) => (float[N, 5] y) {{
        [patches] c = Conv<strides=[4, 4]>(x, P)
        f = Reshape(c, flat)
        e = Transpose<perm=[0, 2, 1]>(f)
        l = Mul(e, none)
        first = ReduceSum<keepdims=1>(l, one)
        cls = Add(first, tokens)
        t0 = Concat<axis=1>(cls, e)
        {"".join(block.format(k=k, next=k + 1) for k in range(blocks))}
        [norm] z = LayerNormalization(t{blocks}, scale)
        {pooled}
        y = MatMul(p, W)
    }}"""
    weights = {f"{name}{k}": normal(WIDTH, WIDTH, seed=k) / 2 for k in range(blocks) for name in "QKV"}
    weights |= {"P": normal(WIDTH, 3, 4, 4) / 4, "W": normal(WIDTH, 5), "scale": normal(WIDTH) / 4 + 1}
    weights |= {"tokens": normal(1, 1 + registers, WIDTH), "none": np.zeros(1, np.float32)}
    integers = {"flat": np.array([0, WIDTH, PLACES]), "one": np.array([1]), "zero": np.array(0)}
    return model(text, weights | integers)


def with_computed_sizes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same, where the patches are flattened to [N, WIDTH, -1] and N is read at the run, as exporters write it."""
    found = next(k for k, node in enumerate(proto.graph.node) if node.output[0] == "f")
    made = [
        onnx.helper.make_node("Shape", ["c"], ["sizes"], end=2),
        onnx.helper.make_node("Concat", ["sizes", "rest"], ["computed"], axis=0),
    ]
    proto.graph.node[found].input[1] = "computed"
    for node in reversed(made):
        proto.graph.node.insert(found, node)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([-1]), "rest"))
    return proto


# Two heads, with values known in numpy -----------------------------------------------------------------------

HEADS, VOCABULARY, CLASSES = 2, 11, 5
BLOCKS = (0, 1)
ATTENTION = """
    q{k} = MatMul(t{k}, Q{k}) qr{k} = Reshape(q{k}, apart) qh{k} = Transpose<perm=[0, 2, 1, 3]>(qr{k})
    k{k} = MatMul(t{k}, K{k}) kr{k} = Reshape(k{k}, apart) kh{k} = Transpose<perm=[0, 2, 3, 1]>(kr{k})
    v{k} = MatMul(t{k}, V{k}) vr{k} = Reshape(v{k}, apart) vh{k} = Transpose<perm=[0, 2, 1, 3]>(vr{k})
    s{k} = MatMul(qh{k}, kh{k}) sm{k} = Add(s{k}, hidden)
    [softmax{k}] w{k} = Softmax<axis=-1>(sm{k})
    a{k} = MatMul(w{k}, vh{k}) at{k} = Transpose<perm=[0, 2, 1, 3]>(a{k}) ar{k} = Reshape(at{k}, joined)
    u{k} = Add(t{k}, ar{k}) m{k} = MatMul(u{k}, M{k}) h{k} = Tanh(m{k}) t{next} = Add(u{k}, h{k})
"""
PATCHES = """c = Conv<strides=[4, 4]>(x, P) f = Reshape(c, flat) e = Transpose<perm=[0, 2, 1]>(f)
    l = Mul(e, none) first = ReduceSum<keepdims=1>(l, one) cls = Add(first, class) t0 = Concat<axis=1>(cls, e)
    hidden = Identity(none)"""
WORDS = """t0 = Gather(table, ids) open = Cast<to=1>(mask) shut = Sub(unit, open) far = Mul(shut, low)
    hidden = Unsqueeze(far, between)"""
HEAD = {
    "token": "p = Gather<axis=1>(t2, zero) y = MatMul(p, W)",
    "mean": "p = ReduceMean<keepdims=0>(t2, one) y = MatMul(p, W)",
    "masked": "o = Unsqueeze(open, two) z = Mul(t2, o) p = ReduceSum<keepdims=0>(z, one) y = MatMul(p, W)",
    "words": "y = MatMul(t2, W)",
}


@dataclass(frozen=True)
class Attentive:
    """Two blocks of attention of two heads, t + softmax(Q K^T) V and Tanh; of patches, or of words with a mask."""

    of: str = "patches"
    head: str = "token"
    length: int | str = "L"
    attention: str = ATTENTION

    @property
    def weights(self) -> dict[str, Array]:
        made = {f"{name}{k}": normal(WIDTH, WIDTH, seed=k + ord(name)) / 2 for k in BLOCKS for name in "QKVM"}
        return made | {
            "P": normal(WIDTH, 3, 4, 4) / 4, "W": normal(WIDTH, CLASSES), "class": normal(1, 1, WIDTH),
            "table": normal(VOCABULARY, WIDTH), "none": np.zeros(1, np.float32), "unit": np.ones(1, np.float32),
            "low": np.full(1, -1e4, np.float32),
        }  # fmt: skip

    def proto(self) -> onnx.ModelProto:
        words = f"int64[N, {self.length}] ids, int64[N, {self.length}] mask"
        given = "float[N, 3, 12, 12] x" if self.of == "patches" else words
        blocks = "".join(self.attention.format(k=k, next=k + 1) for k in BLOCKS)
        shape = f"N, {self.length}, {CLASSES}" if self.head == "words" else f"N, {CLASSES}"
        text = f"""net ({given}) => (float[{shape}] y) {{
            {PATCHES if self.of == "patches" else WORDS} {blocks} {HEAD[self.head]} }}"""
        integers = {"flat": [0, WIDTH, PLACES], "one": [1], "two": [2], "between": [1, 2],
                    "apart": [0, 0, HEADS, -1], "joined": [0, 0, -1]}  # fmt: skip
        held = self.weights | {name: np.array(v, np.int64) for name, v in integers.items()} | {"zero": np.array(0)}
        made = model(text)
        used = {name for node in made.graph.node for name in node.input}
        made.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in held.items() if name in used)
        return made

    def x(self, count: int = 3, seed: int = 0) -> Array:
        return normal(count, 3, 12, 12, seed=seed)

    def run(
        self, x: Array, mask: Array | None = None, more: dict[int, Array] | None = None
    ) -> tuple[Array, list[Array]]:
        """The scores and the attentions; ``more`` is added to the attention of a block."""
        w, found = {name: value.astype(np.float64) for name, value in self.weights.items()}, []
        t = self._patches(x, w) if self.of == "patches" else w["table"][x]
        kept = np.ones(t.shape[:2]) if mask is None else mask.astype(np.float64)
        for k in BLOCKS:
            q, key, v = (_apart(t @ w[f"{name}{k}"]) for name in "QKV")
            s = q @ key.swapaxes(2, 3) - 1e4 * (1 - kept)[:, None, None]
            p = np.exp(s - s.max(-1, keepdims=True))
            found.append(p / p.sum(-1, keepdims=True))
            a = (found[-1] + (more or {}).get(k, 0)) @ v
            u = t + a.swapaxes(1, 2).reshape(t.shape)
            t = u + np.tanh(u @ w[f"M{k}"])
        pooled = {"token": t[:, 0], "mean": t.mean(1), "masked": (t * kept[..., None]).sum(1), "words": t}[self.head]
        return pooled @ w["W"], found

    def scores(self, x: Array) -> Array:
        return self.run(x)[0]

    def slopes(self, x: Array, score: Callable[[Array], Array], mask: Array | None = None) -> list[Array]:
        """The gradients of a score of each example with respect to the attentions, by central differences."""
        found = []
        for k, attention in enumerate(self.run(x, mask)[1]):
            size = attention[0].size
            steps = 1e-5 * np.eye(size).reshape(size, *attention.shape[1:])
            kept = [None if mask is None else mask[n : n + 1] for n in range(len(x))]
            rows = [(np.repeat(x[n : n + 1], size, 0), one) for n, one in enumerate(kept)]
            ends = [[score(self.run(one, open_, {k: sign * steps})[0]) for one, open_ in rows] for sign in (1, -1)]
            found.append((np.array(ends[0]) - np.array(ends[1])).reshape(attention.shape) / 2e-5)
        return found

    @staticmethod
    def _patches(x: Array, w: dict[str, Array]) -> Array:
        cut = x.astype(np.float64).reshape(len(x), 3, 3, 4, 3, 4)
        e = np.einsum("nchiwj,ocij->nhwo", cut, w["P"]).reshape(len(x), PLACES, WIDTH)
        return np.concatenate([np.broadcast_to(w["class"], (len(x), 1, WIDTH)), e], 1)


def _apart(t: Array) -> Array:
    return t.reshape(*t.shape[:2], HEADS, -1).swapaxes(1, 2)


def attention_rollout(attentions: Sequence[Array], read: Array) -> Array:
    """The weights ``read`` (N, T) of the tokens that the score reads, times the product of the layers."""
    total = np.broadcast_to(np.eye(read.shape[1]), (len(read), *[read.shape[1]] * 2))
    for one in attentions:
        layer = 0.5 * one.mean(1) + 0.5 * np.eye(read.shape[1])
        total = layer / layer.sum(-1, keepdims=True) @ total
    return np.einsum("nt,nts->ns", read, total)


def gradient_rollout(attentions: Sequence[Array], gradients: Sequence[Array], read: Array) -> Array:
    total = one = np.broadcast_to(np.eye(read.shape[1]), (len(read), *[read.shape[1]] * 2))
    for attention, gradient in zip(attentions, gradients, strict=True):
        total = total + np.maximum(gradient * attention, 0).mean(1) @ total
    return np.einsum("nt,nts->ns", read, total - one)


ROLLOUTS = {"attention-rollout": attention_rollout, "gradient-rollout": gradient_rollout}
