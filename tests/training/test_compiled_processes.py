"""Several processes that train a compiled model, replicated or sharded: the training of one plain process."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.patience import PATIENCE
from translator.config import ModelSettings, TrainingSettings
from translator.errors import ConfigError
from translator.model import build_model
from translator.runtime.device import Machine
from translator.training import gradient_sums
from translator.training.gradient_sums import GradientSums
from translator.training.state import TrainingState

SCRIPT = Path(__file__).with_name("compiled_ranks.py")
# The model that it trains.
MODEL = ModelSettings(encoder_layers=2, decoder_layers=3, d_model=16, d_ff=20, num_heads=2, dropout=0.0)


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory, start_ranks: Callable[..., list[subprocess.Popen[str]]]
) -> dict[str, Any]:
    """What a job of two processes found, by the kind of training."""
    directory = tmp_path_factory.mktemp("ranks")
    processes = start_ranks(2, SCRIPT, directory)
    ends = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    return torch.load(directory / "found")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["replicated", "sharded"])
def test_training_compiled_layer_by_layer_is_plain_training(way: str, found: dict[str, Any]) -> None:
    mine, plain = found[way], found["plain"]
    assert mine["graphs"] == (2, {})  # one for the encoder's layers, one for the decoder's
    assert mine["losses"] == pytest.approx(plain["losses"], abs=1e-5)
    for name, weight in plain["weights"].items():
        torch.testing.assert_close(mine["weights"][name], weight, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_weights_are_gathered_in_bf16_and_kept_in_fp32(found: dict[str, Any]) -> None:
    mine, usual = found["bf16"], found["autocast"]
    assert (mine["gathered as"], usual["gathered as"]) == ({"torch.bfloat16"}, {"torch.float32"})
    assert mine["held as"] == {"torch.float32"} == {str(weight.dtype) for weight in mine["weights"].values()}
    assert mine["graphs"] == (2, {})
    # The products are those of autocast; only the norms' weights and the gradients are rounded in addition.
    assert mine["losses"] == pytest.approx(usual["losses"], rel=2e-3)
    before = dict(build_model(MODEL, 40, 40, seed=1).named_parameters())
    names = list(before)
    moved = torch.cat([(usual["weights"][name] - before[name].detach()).flatten() for name in names])
    difference = torch.cat([(mine["weights"][name] - usual["weights"][name]).flatten() for name in names])
    assert difference.norm() < 0.1 * moved.norm()


@pytest.mark.parametrize("setting", ["sharded_gather", "activations"])
def test_numbers_in_bf16_need_products_in_bf16(setting: str) -> None:
    training = TrainingSettings(**{setting: "bf16"})
    with pytest.raises(ConfigError, match=f"training.{setting}: bf16 needs precision=bf16; found fp32"):
        TrainingState.initial(build_model(MODEL, 40, 40, seed=1), training, Machine(torch.device("cpu"), "fp32"))


class Sums:
    """Collectives of a job in which everybody else has the same gradients."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.sizes: list[int] = []
        self.gradients_then: list[int] = []

    def all_reduce(self, flat: Tensor, async_op: bool) -> "Sums":
        assert async_op
        self.sizes.append(flat.numel())
        self.gradients_then.append(sum(each.grad is not None for each in self.model.parameters()))
        flat.mul_(2.0)
        return self

    def wait(self) -> None:
        pass


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> tuple[torch.nn.Sequential, Sums]:
    """Six products one after another, each a bucket of gradients."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(*(torch.nn.Linear(4, 4, bias=False) for _ in range(6)))
    sums = Sums(model)
    monkeypatch.setattr(gradient_sums, "_BUCKET_NUMBERS", 16)
    monkeypatch.setattr(gradient_sums.dist, "all_reduce", sums.all_reduce)
    return model, sums


def test_gradients_are_summed_while_others_are_still_computed(chain: tuple[torch.nn.Sequential, Sums]) -> None:
    model, sums = chain
    together = GradientSums(model.parameters())
    for last in (False, True):
        if last:
            together.begin()
        model(torch.ones(2, 4)).sum().backward()
        if not last:
            assert not sums.sizes
            once = [each.grad.clone() for each in model.parameters()]
            model.zero_grad()
    assert (sums.sizes, sums.gradients_then) == ([16] * 6, [1, 2, 3, 4, 5, 6])
    together.finish()
    for parameter, gradient in zip(model.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 2.0 * gradient)


def test_a_backward_pass_that_fails_leaves_nobody_waiting(chain: tuple[torch.nn.Sequential, Sums]) -> None:
    model, sums = chain
    together = GradientSums(model.parameters())
    together.begin()
    values = model[:3](torch.ones(2, 4))

    def fail(gradient: Tensor) -> None:
        raise torch.OutOfMemoryError("out of memory, says the test")

    values.register_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        model[3:](values).sum().backward()
    assert len(sums.sizes) == 3
    model.zero_grad()
    together.finish()
    assert sums.sizes == [16] * 6
    assert all(torch.equal(each.grad, torch.zeros(4, 4)) for each in list(model.parameters())[:3])
    # Whoever fails before the last backward pass takes part as well.
    sums.sizes.clear()
    together.finish()
    assert sums.sizes == [16] * 6
