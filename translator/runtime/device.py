"""The device to compute on, the number format and the number of threads."""

import contextlib
import functools
from dataclasses import dataclass

import torch

from translator.errors import DeviceError
from translator.runtime.console import say
from translator.runtime.counted import counted
from translator.runtime.device_names import problem_with_device

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Machine:
    """A device and the number format of its matrix products; weights and sums stay in fp32."""

    device: torch.device
    precision: str
    """`fp32`, `bf16` or `fp16`."""

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of `precision`."""
        return _DTYPES[self.precision]

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Run matrix products in `precision`; does nothing for fp32."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def __str__(self) -> str:
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)}, {self.precision}"
        return f"CPU, {counted(torch.get_num_threads(), 'thread')}, {self.precision}"


def choose_machine(device: str = "auto", precision: str = "auto", threads: int | None = None) -> Machine:
    """Resolve `auto` and set the number of CPU threads.

    Raises `DeviceError` for a device that is not supported or does not exist.
    """
    if problem := problem_with_device(device):
        raise DeviceError(f"device: {problem}; found {device!r}")
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu" and (unused := unused_devices()):
            _say_once(f"device: auto takes the CPU; {unused} is not supported")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device: cuda was asked for, but PyTorch sees no CUDA device; install a CUDA build of torch "
            "(`translator doctor` shows which is installed) or set device=cpu"
        )
    chosen = torch.device(device)
    if precision == "auto":
        precision = "bf16" if computes_bf16_well(chosen) else "fp32"
    if precision == "fp16" and chosen.type == "cpu":
        raise DeviceError("precision: fp16 needs a CUDA device; use bf16 or fp32 on the CPU")
    return Machine(chosen, precision)


def unused_devices() -> str | None:
    """Name the GPU of this machine that PyTorch could use and this program cannot, if there is one."""
    if torch.backends.mps.is_available():
        return "this machine's GPU (Apple's, mps)"
    if torch.xpu.is_available():
        return f"this machine's GPU ({torch.xpu.get_device_name(0)}, xpu)"
    return None


@functools.cache
def _say_once(message: str) -> None:
    say(message)


def hint_about_precision(machine: Machine) -> None:
    """Say so if fp16 is used on a device that computes in bf16 just as fast and without loss scaling."""
    if machine.precision == "fp16" and computes_bf16_well(machine.device):
        say(
            "precision: this device computes in bf16 as fast as in fp16, with the range of fp32; precision=bf16 "
            "skips no steps"
        )


def has_flash_attention(device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether PyTorch's FlashAttention runs in this format: fp16 or bf16, CUDA, compute capability 8.0 (Ampere).

    V100, T4 and RTX 20, which compute in fp16, are older than that.
    """
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def computes_bf16_well(device: torch.device) -> bool:
    """Tell whether the hardware multiplies matrices in bf16 (CPUs: with AVX-512 BF16 or AMX instructions)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
