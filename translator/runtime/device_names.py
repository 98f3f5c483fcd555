"""Names of devices that users try, and a sentence about each that is not supported; does not import torch."""

import re

DEVICES = ("auto", "cpu", "cuda")

_NAMES = {
    "mps": "the GPU of Apple computers (mps) is not supported; set device=cpu",
    "xpu": "a GPU by Intel (xpu) is not supported; set device=cpu",
    "rocm": (
        "the ROCm build of PyTorch calls a GPU by AMD cuda; set device=cuda, and choose among several with "
        "CUDA_VISIBLE_DEVICES"
    ),
    "gpu": "set device=cuda for a GPU by NVIDIA or AMD, and choose among several with CUDA_VISIBLE_DEVICES",
}
_OTHER_NAMES = {"hip": "rocm", "amd": "rocm", "intel": "xpu", "metal": "mps", "nvidia": "gpu"}


def problem_with_device(name: str) -> str | None:
    """Say why `name` cannot be a device and what to write instead; None for a name that can."""
    if name in DEVICES:
        return None
    kind, _, index = name.partition(":")
    if kind == "cuda" and re.fullmatch("[0-9]{1,9}", index):
        return f"one device of several is chosen by the environment: set CUDA_VISIBLE_DEVICES={index} and device=cuda"
    kind = kind.lower()
    return _NAMES.get(_OTHER_NAMES.get(kind, kind), "expected auto, cpu or cuda")
