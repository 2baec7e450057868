"""Why a map may be zero or the same everywhere: the sentences that several methods give for it."""

__all__ = ["AT_BASELINE", "BLOCKED", "ONE_PLACE", "RECTIFIED"]

AT_BASELINE = "the input is the baseline wherever the gradient is not zero; choose another baseline="
BLOCKED = "its rule for Relu lets no gradient through; saliency shows the gradient"
ONE_PLACE = "the layer's map has one value; name a layer with a larger map by layer="
RECTIFIED = "no place speaks for the score, the ReLU removed all; relu=False (--no-relu) shows what is against"
