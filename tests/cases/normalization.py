"""Normalisations by batch, layer, instance, group, root mean square, neighbourhood and norm."""

import numpy as np
from gradcheck import Case, away, normal, positive


def _batch(*shape: int, name: str, constants: tuple[int, ...] = (), **attributes: float) -> Case:
    """Five inputs in inference mode."""
    c = shape[1]
    vectors = [positive(c), normal(c, seed=1), normal(c, seed=2), positive(c, seed=3)]
    return Case("BatchNormalization", [normal(*shape), *vectors], attributes, constants=constants, id=name)


def _trained(*shape: int, name: str, **attributes: float) -> Case:
    """By the statistics of the batch; the stored ones only enter the outputs that replace them."""
    c = shape[1]
    inputs = [normal(*shape), positive(c), normal(c, seed=1), np.zeros(c, np.float32), np.ones(c, np.float32)]
    return Case("BatchNormalization", inputs, {"training_mode": 1, **attributes}, outputs=3, id=name)


def _affine(op: str, *shape: int, name: str, vector: int, opset: int = 18, **attributes: float) -> Case:
    inputs = [normal(*shape), normal(vector, seed=1), normal(vector, seed=2)]
    return Case(op, inputs, attributes, opset=opset, id=name)


def _layer(*shape: int, scale: tuple[int, ...], bias: tuple[int, ...] | None, name: str, **attributes: float) -> Case:
    inputs = [normal(*shape), normal(*scale, seed=1), *([] if bias is None else [normal(*bias, seed=2)])]
    return Case("LayerNormalization", inputs, attributes, id=name)


def _rms(*shape: int, scale: tuple[int, ...], name: str, **attributes: float) -> Case:
    return Case("RMSNormalization", [normal(*shape), normal(*scale, seed=1)], attributes, opset=23, id=name)


CASES = [
    _batch(2, 3, 4, 4, name="image", constants=(1, 2, 3, 4)),
    _batch(3, 2, name="vector", constants=(1, 2, 3, 4)),
    _batch(2, 3, 4, name="computed", epsilon=1e-2),
    _batch(2, 2, 2, 3, 2, name="volume"),
    _trained(3, 2, 4, 3, name="training"),
    _trained(4, 3, name="training-vector", epsilon=1e-2),
    _layer(2, 3, 4, scale=(4,), bias=(4,), name="last"),
    _layer(2, 3, 4, scale=(4,), bias=None, name="no-bias", epsilon=1e-2),
    _layer(2, 3, 4, 2, scale=(4, 2), bias=(4, 2), name="two-axes", axis=-2),
    _layer(2, 3, 4, scale=(3, 1), bias=(4,), name="broadcast", axis=1),
    _layer(2, 3, 4, scale=(2, 1, 4), bias=(3, 1), name="broadcast-outer", axis=2),
    _layer(2, 3, scale=(2, 3), bias=(2, 3), name="all-axes", axis=0),
    Case("LayerNormalization", [normal(2, 3, 4), normal(4), normal(4)], outputs=3, of=(0, 1, 2), id="statistics"),
    Case(
        "BatchNormalization",
        [normal(3, 2, 4), *(positive(2, seed=k) for k in range(4))],
        {"training_mode": 1},
        outputs=3,
        of=(0, 1, 2),
        id="running-statistics",
    ),
    _affine("InstanceNormalization", 2, 3, 4, 4, vector=3, name="image"),
    _affine("InstanceNormalization", 2, 3, 5, vector=3, name="sequence", epsilon=1e-2),
    _affine("InstanceNormalization", 2, 2, 2, 3, 2, vector=2, name="volume"),
    _affine("GroupNormalization", 2, 4, 3, 3, vector=4, opset=21, num_groups=2, name="image"),
    _affine("GroupNormalization", 2, 6, 5, vector=6, opset=21, num_groups=3, epsilon=1e-2, name="sequence"),
    _affine("GroupNormalization", 3, 6, vector=6, opset=22, num_groups=2, name="vector"),
    _rms(2, 3, 4, scale=(4,), name="last"),
    _rms(2, 3, 4, scale=(3, 1), name="broadcast", axis=1, epsilon=1e-2),
    _rms(2, 3, 4, 2, scale=(4, 2), name="two-axes", axis=-2),
    Case("MeanVarianceNormalization", [normal(2, 3, 4, 4)], {"axes": [0, 2, 3]}),
    Case("MeanVarianceNormalization", [normal(2, 3, 4)], {"axes": [-1, 1]}, id="axes"),
    *(
        Case("LRN", [normal(2, 5, 3, 2)], {"size": size, "alpha": 0.7, "beta": 0.6, "bias": 1.3}, id=f"size-{size}")
        for size in (1, 3, 5, 7)
    ),
    Case("LRN", [normal(2, 4, 3, 3)], {"size": 3}, id="defaults"),
    Case("LpNormalization", [normal(3, 4)]),
    Case("LpNormalization", [normal(2, 3, 4)], {"axis": 1}, id="axis"),
    Case("LpNormalization", [away(3, 4)], {"p": 1}, id="manhattan"),
    Case("LpNormalization", [away(2, 3, 4, 2)], {"p": 1, "axis": -3}, opset=22, id="manhattan-axis"),
]
