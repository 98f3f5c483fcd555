"""Random numbers, devices and the allocator."""

import re

import pytest
import torch

from translator.attention.dropout import Dropout, dropout_scale
from translator.config import load_config
from translator.errors import ConfigError, DeviceError
from translator.runtime import device as module
from translator.runtime import doctor
from translator.runtime.device import choose_machine
from translator.runtime.doctor import diagnose
from translator.runtime.host_memory import give_back_freed_memory, keep_freed_memory
from translator.runtime.seeding import seed_step


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(probability: float) -> None:
    torch.manual_seed(1)
    scale = dropout_scale(torch.empty(1001, 301), probability)
    dropped = (scale == 0).float().mean().item()
    assert dropped == pytest.approx(probability, abs=0.005)
    assert scale.mean().item() == pytest.approx(1.0, abs=0.02)
    kept = scale[scale > 0]
    assert kept.unique().numel() == 1
    assert kept[0].item() == pytest.approx(1 / (1 - probability), rel=1e-4)
    neighbours = ((scale[:, 1:] == 0) & (scale[:, :-1] == 0)).float().mean().item()
    assert neighbours == pytest.approx(probability**2, abs=0.01)


def test_dropout_adds_to_the_residual_and_rests_in_evaluation() -> None:
    dropout = Dropout(0.4)
    residual, values = torch.randn(50, 8), torch.randn(50, 8)
    torch.manual_seed(2)
    added = dropout.add(residual, values)
    torch.manual_seed(2)
    torch.testing.assert_close(added, residual + dropout(values))
    assert not torch.allclose(added, residual + values)
    dropout.eval()
    assert torch.equal(dropout.add(residual, values), residual + values)
    assert dropout(values) is values


def test_a_step_has_its_own_random_numbers() -> None:
    def draw(*position: int) -> list[float]:
        seed_step(*position)
        return torch.rand(4).tolist()

    draws = [draw(1, 1), draw(1, 2), draw(2, 1), draw(1, 1, 1)]
    assert draw(1, 1) == draws[0]
    assert len({tuple(values) for values in draws}) == 4


def test_what_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="sees no CUDA device"):
        choose_machine(device="cuda")
    with pytest.raises(DeviceError, match="fp16 needs a CUDA device"):
        choose_machine(device="cpu", precision="fp16")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cuda:1", "set CUDA_VISIBLE_DEVICES=1 and device=cuda; found 'cuda:1'"),
        ("mps", "Apple computers (mps) is not supported; set device=cpu"),
        ("xpu:0", "Intel (xpu) is not supported; set device=cpu"),
        ("ROCm", "PyTorch calls a GPU by AMD cuda; set device=cuda"),
        ("gpu", "CUDA_VISIBLE_DEVICES"),
        ("tpu", "expected auto, cpu or cuda; found 'tpu'"),
    ],
)
def test_names_of_devices_that_are_not_supported_are_explained(name: str, expected: str) -> None:
    with pytest.raises(DeviceError, match=re.escape(expected)):
        choose_machine(device=name)
    with pytest.raises(ConfigError, match=re.escape(expected)):
        load_config(None, [f"device={name}"])


@pytest.mark.parametrize("gpu", ["mps", "xpu"])
def test_auto_says_that_it_takes_the_cpu(
    gpu: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    module._say_once.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps if gpu == "mps" else torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "get_device_name", lambda index: "Intel Arc")
    for _ in range(2):
        assert choose_machine().device.type == "cpu"
    assert capfd.readouterr().err.count("auto takes the CPU; this machine's GPU") == 1
    assert gpu in diagnose()["other gpu"]
    choose_machine(device="cpu")
    assert not capfd.readouterr().err


def test_the_diagnosis_knows_rocm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4.2")
    assert diagnose()["cuda"].startswith("ROCm 6.4.2")


@pytest.mark.parametrize(("able", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_is_bf16_where_it_is_done_well(
    able: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "computes_bf16_well", lambda device: able)
    machine = choose_machine(device="cpu")
    assert machine.precision == expected
    with machine.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == machine.dtype


def test_the_allocator_takes_its_settings_or_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_freed_memory() in (True, False)
    assert give_back_freed_memory() in (True, False)
    monkeypatch.setattr("sys.platform", "win32")
    assert keep_freed_memory() is False and give_back_freed_memory() is False


def test_the_diagnosis_names_versions_and_choice() -> None:
    facts = diagnose()
    assert facts["torch"] == torch.__version__ or facts["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert "CPU" in facts["auto chooses"] or torch.cuda.is_available()


@pytest.mark.parametrize(
    ("precision", "capability", "attention"),
    [
        ("bf16", (9, 0), "varlen (FlashAttention)"),
        ("fp16", (7, 5), "padded (FlashAttention needs bf16 or fp16, and compute capability 8.0; this device has 7.5)"),
        ("fp32", (7, 5), "padded (FlashAttention needs bf16 or fp16, and compute capability 8.0; this device has 7.5)"),
    ],
)
def test_the_doctor_tells_which_attention_the_device_has(
    precision: str, capability: tuple[int, int], attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a device")
    monkeypatch.setattr(doctor, "choose_machine", lambda: module.Machine(torch.device("cuda:0"), precision))
    assert diagnose()["attention"] == attention
