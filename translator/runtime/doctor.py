"""What this machine has: versions, devices, and what `auto` chooses here."""

import importlib.metadata
import os
import platform
import shutil

import torch

import translator
from translator.runtime.counted import counted
from translator.runtime.device import Machine, choose_machine, has_flash_attention, unused_devices
from translator.runtime.host_memory import keep_freed_memory

_LIBRARIES = ("torch", "sentencepiece", "datasets", "pyarrow", "safetensors", "sacrebleu", "pydantic", "typer")


def diagnose() -> dict[str, str]:
    """Return the facts as text, by name."""
    machine = choose_machine()
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    free = shutil.disk_usage(".").free / 2**30
    return {
        "translator": translator.__version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        **{name: _version(name) for name in _LIBRARIES},
        "cuda": _cuda(),
        "cuda devices": ", ".join(devices) or "none",
        "other gpu": f"{unused}, not supported" if (unused := unused_devices()) else "none",
        "cpu": (
            f"{counted(os.cpu_count() or 1, 'core')}, {counted(torch.get_num_threads(), 'thread')}, "
            f"{torch.backends.cpu.get_cpu_capability()}"
        ),
        "allocator": "tuned for training" if keep_freed_memory() else "default of the C library",
        "auto chooses": str(machine),
        "attention": _describe_attention(machine),
        "disk free here": f"{free:.1f} GiB",
    }


def _cuda() -> str:
    # ROCm builds call their devices cuda, too.
    if torch.version.hip is not None:
        return f"ROCm {torch.version.hip} in this build of torch"
    return torch.version.cuda or "none in this build of torch"


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _describe_attention(machine: Machine) -> str:
    if has_flash_attention(machine.device, machine.dtype):
        return "varlen (FlashAttention)"
    if machine.device.type != "cuda":
        return "padded"
    major, minor = torch.cuda.get_device_capability(machine.device)
    return f"padded (FlashAttention needs bf16 or fp16, and compute capability 8.0; this device has {major}.{minor})"
