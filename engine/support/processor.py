"""The processor, and those of its features that change the results of a model."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Processor", "cores", "this_processor"]

TELLING = (  # in archspec's words, which are the kernel's
    *("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16", "avx512_bf16", "avx512_fp16"),  # x86
    *("asimd", "asimddp", "i8mm", "bf16", "asimdhp", "sve"),  # Arm
)


@dataclass(frozen=True)
class Processor:
    """The family as compilers name it (zen2, sapphirerapids, neoverse_v1), its features that change results, and the
    number of cores that this process may use."""

    name: str
    vendor: str
    features: tuple[str, ...]
    cores: int


def this_processor() -> Processor:
    """The processor that this process runs on."""
    import archspec.cpu  # looks at the processor when it is imported, which most commands never need

    host = archspec.cpu.host()
    return Processor(host.name, host.vendor, tuple(one for one in TELLING if one in host.features), cores())


def cores() -> int:
    """The cores left to the process, where the system restricts them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
