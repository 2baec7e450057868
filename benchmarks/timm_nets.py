"""The architectures of timm that ``timm_architectures.py`` exports: their names, sizes and random weights."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["CLASSES", "NAMES", "SHALLOW", "build", "size_of"]

SIZE, CLASSES = 64, 10
SIZES = {"crossvit_9_240": 240, "efficientformer_l1": 224, "eva02_tiny_patch14_224": 56, "inception_v3": 96}
SIZES |= {"vit_small_patch14_dinov2": 56}
SHALLOW = {  # a block or two of each stage: what a test can afford
    "cait_xxs24_224": {"depth": 2},
    "deit_tiny_patch16_224": {"depth": 2},
    "eva02_tiny_patch14_224": {"depth": 2},
    "pvt_v2_b0": {"depths": (1, 1, 1, 1)},
    "swin_tiny_patch4_window7_224": {"depths": (2, 2, 1, 1)},
    "visformer_tiny": {"depth": (1, 1, 1)},
    "xcit_nano_12_p16_224": {"depth": 2},
    "vit_small_patch14_dinov2": {"depth": 2},
}
PADDED = [  # failed while gradients had a Pad that names axes
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "pvt_v2_b0",
    "vit_small_patch14_dinov2",
    "cait_xxs24_224",
    "coat_tiny",
    "crossvit_9_240",
    "davit_tiny",
    "eva02_tiny_patch14_224",
    "maxvit_rmlp_pico_rw_256",
    "mobilevit_xxs",
    "pit_ti_224",
    "caformer_s18",
    "visformer_tiny",
]
OTHERS = """
    beit_base_patch16_224 botnet26t_256 convit_tiny convmixer_768_32 convnextv2_atto cspresnet50 densenet121
    dla34 dpn68 edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientnet_b0 efficientvit_b0
    efficientvit_m0 ese_vovnet19b_slim fastvit_t8 focalnet_tiny_srf gcvit_xxtiny ghostnet_100 hgnet_tiny
    hiera_tiny_224 hrnet_w18_small inception_next_tiny inception_v3 levit_128s mambaout_femto mixer_s16_224
    mobilenetv3_small_100 mvitv2_tiny nest_tiny nextvit_small nfnet_l0 poolformer_s12 regnetx_002 repvgg_a0
    repvit_m0_9 res2net50_14w_8s resnest14d resnet18 resnetv2_50 rexnet_100 selecsls42b sequencer2d_s
    seresnet18 skresnet18 starnet_s1 swiftformer_xs swinv2_cr_tiny_ns_224 swinv2_tiny_window8_256
    tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m twins_pcpvt_small twins_svt_small vgg11
    vit_relpos_small_patch16_224 vit_tiny_r_s16_p8_224 vitamin_small_224 volo_d1_224 xception41
    xcit_nano_12_p16_224
""".split()  # noqa: SIM905  as a list, the formatter gives each a line
NAMES = [*PADDED, *OTHERS]


def size_of(name: str) -> int:
    """Height and width of the pictures, which the architecture can take."""
    return SIZES.get(name, SIZE)


def import_timm() -> Any:
    """timm; torchvision without compiled operators for this build of torch still asks for the names of two."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
    import timm

    return timm


def build(name: str, size: int, options: dict[str, Any]) -> torch.nn.Module:
    """The architecture for pictures of a size, with random weights."""
    torch.manual_seed(0)
    create = import_timm().create_model
    try:
        net = create(name, num_classes=CLASSES, img_size=size, **options)
    except TypeError:
        net = create(name, num_classes=CLASSES, **options)
    shake(net.eval(), size)
    return net.eval()


def shake(net: torch.nn.Module, size: int) -> None:
    """Draws anew what an architecture starts at a constant, and lets batch norms see pictures."""
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if bool((weight == weight.flatten()[0]).all()):
                last = name.rsplit(".", 1)[-1]
                is_scale = (weight.ndim < 2 and "bias" not in last) or "gamma" in last or "scale" in last
                weight.uniform_(0.5, 1.5) if is_scale else weight.normal_(0, 0.05)
        norms = [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.train().momentum = 1.0
        if norms:
            net(torch.randn(4, 3, size, size))
