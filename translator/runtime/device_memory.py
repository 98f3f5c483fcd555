"""How much memory a device has and how much of it was used; the CPU's is the memory of the host."""

import torch

from translator.runtime.host_memory import free_host_bytes, peak_host_bytes


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has used on `device`; 0 if the system does not tell."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_host_bytes()


def available_bytes(device: torch.device) -> int:
    """All that this process may use on `device`: what it has already and what it can still get."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return free_host_bytes() + peak_host_bytes()


def describe_device_memory(device: torch.device) -> str:
    """Say how much memory there is, for a message."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} has {available_bytes(device) / 2**30:.1f} GiB"
    return f"{free_host_bytes() / 2**30:.1f} GiB are free on this machine"
