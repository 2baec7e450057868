"""Why a map may be zero everywhere: the sentences that several methods give for their ``relaxed`` maps."""

__all__ = ["AT_BASELINE", "BLOCKED", "RECTIFIED"]

AT_BASELINE = "the input is the baseline wherever the gradient is not zero; choose another baseline="
BLOCKED = "its rule for Relu lets no gradient through; saliency shows the gradient"
RECTIFIED = "no place speaks for the score, the ReLU removed all; relu=False (--no-relu) shows what is against"
