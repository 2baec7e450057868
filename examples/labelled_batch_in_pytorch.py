"""A batch of labelled pictures in PyTorch: what speaks for the label of each, and Simonyan's cut along it.

python examples/labelled_batch_in_pytorch.py docs/labelled_batch_in_pytorch.png

To see: pictures with the names of their classes; below, in hot, the magnitude of the gradient of the correct class's
score, the largest over the colours; last, what object_mask.py cuts out by that map, and its overlap with the truth. The
pictures are drawn, shapes of one colour on another; the net learns them in seconds. Needs opencv-python-headless.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxray
import torch
from object_mask import cut_out, object_mask, overlap
from onnxray.converters import to_onnx
from onnxray.drawing import heatmap
from PIL import Image, ImageDraw
from torch import nn

NAMES = ("disc", "square", "triangle", "cross")
SIZE, SHOWN = 48, 8


def main(out: Path) -> None:
    x, y, masks = drawn(SHOWN, seed=1)
    attribution = onnxray.explain(to_onnx(trained(), inputs=(1, 3, SIZE, SIZE)), normalised(x), target=y)
    maps = attribution.map("abs-max")
    found = [object_mask(one, heat) for one, heat in zip(x, maps, strict=True)]
    shares = [overlap(one, mask) for one, mask in zip(found, masks, strict=True)]
    print(f"intersection over union: {', '.join(f'{share:.2f}' for share in shares)}; mean {np.mean(shares):.2f}")
    pictures = [Image.fromarray(one) for one in x]
    heats = [heatmap.colourise(heatmap.normalise(one), "hot") for one in maps]
    cuts = [cut_out(one, mask) for one, mask in zip(pictures, found, strict=True)]
    captions = [f"{NAMES[k]} (overlap {share:.2f})" for k, share in zip(y, shares, strict=True)]
    heatmap.grid([pictures, heats, cuts], captions, ["picture", "saliency", "cut out"], tile=128).save(out)
    print(f"wrote {out}")


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures (N, H, W, 3) with 8 bits, their labels, and the masks of what is drawn on them."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(count) % len(NAMES))
    masks = np.stack([shape(NAMES[k], rng) for k in y])
    colours = rng.integers(0, 256, (2, count, 1, 1, 3))
    colours[1] = (colours[0] + rng.integers(90, 167, (count, 1, 1, 3))) % 256
    noise = rng.normal(0, 12, (count, SIZE, SIZE, 3))
    return np.clip(np.where(masks[..., None], *colours) + noise, 0, 255).astype(np.uint8), y, masks


def shape(name: str, rng: np.random.Generator) -> np.ndarray:
    """The mask of one shape somewhere in the picture."""
    picture, r = Image.new("1", (SIZE, SIZE)), int(rng.integers(8, 14))
    (cx, cy), pen = rng.integers(r, SIZE - r, 2).tolist(), ImageDraw.Draw(picture)
    box, thin = (cx - r, cy - r, cx + r, cy + r), r // 3
    if name == "disc":
        pen.ellipse(box, fill=1)
    elif name == "square":
        pen.rectangle(box, fill=1)
    elif name == "triangle":
        pen.polygon([(cx, cy - r), (cx - r, cy + r), (cx + r, cy + r)], fill=1)
    else:
        pen.rectangle((cx - thin, cy - r, cx + thin, cy + r), fill=1)
        pen.rectangle((cx - r, cy - thin, cx + r, cy + thin), fill=1)
    return np.asarray(picture)


def normalised(x: np.ndarray) -> np.ndarray:
    """Pictures as the net takes them: (N, 3, H, W), -1 to 1."""
    return (x.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)


def trained(steps: int = 100) -> nn.Module:
    """Four convolutions, trained on pictures drawn with other seeds."""
    torch.manual_seed(0)
    widths = (3, 16, 32, 48, 64)
    blocks = [
        part
        for inside, outside in pairwise(widths)
        for part in (nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(), nn.MaxPool2d(2))
    ]
    net = nn.Sequential(*blocks, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(widths[-1], len(NAMES)))
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    loss = torch.tensor(0.0)
    for step in range(steps):
        x, y, _ = drawn(32, seed=100 + step)
        loss = nn.functional.cross_entropy(net(torch.from_numpy(normalised(x))), torch.from_numpy(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"loss of the last batch {loss.item():.3f}")
    return net.eval()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "labelled_batch_in_pytorch.png"))
