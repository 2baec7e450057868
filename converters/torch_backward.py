"""PyTorch's backward pass without its wrong gradient of batch norms."""

from __future__ import annotations

from typing import Any

from .quiet import require

__all__ = ["right_batch_norms"]


def right_batch_norms() -> Any:
    """A context for ``torch.autograd.grad`` that hands contiguous tensors to the gradient of a batch norm.

    torch 2.13.0 on the CPU computes a wrong one, and says nothing, where the batch is 1 and one of input and arriving
    gradient has the strides of ``flatten(2).transpose(1, 2)``, as behind the convolutions that cut a picture into
    tokens; ``InstanceNorm`` has the same gradient.
    """
    torch = require("torch")
    backward = torch.ops.aten.native_batch_norm_backward.default

    class Contiguous(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is backward:
                args = (args[0].contiguous(), args[1].contiguous(), *args[2:])
            return func(*args, **(kwargs or {}))

    return Contiguous()
