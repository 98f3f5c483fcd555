"""Several processes that share a model compute what one does, whether each has all of it or a shard."""

import importlib.util
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.patience import PATIENCE
from translator.model import Transformer
from translator.training.optimizer import make_optimizer

SCRIPT = Path(__file__).with_name("ranks.py")
Found = dict[str, Any]


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ranks", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ranks = load_script()
WAYS = [(name, is_sharded) for name in ranks.SETTINGS for is_sharded in (False, True)]


@pytest.fixture(scope="module", params=[2, 3])
def job(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
    start_ranks: Callable[..., list[subprocess.Popen[str]]],
) -> tuple[int, dict[tuple[str, bool], Found]]:  # fmt: skip
    """How many processes there were, and what they found for every model and way."""
    directory = tmp_path_factory.mktemp("ranks")
    processes = start_ranks(request.param, SCRIPT, directory)
    ends = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0] * request.param, ends
    assert ends == [("", "")] * request.param
    return request.param, torch.load(directory / "found")


def one_process(name: str, size: int) -> tuple[Transformer, torch.Tensor]:
    """The model with the gradients of all batches of the job, and their norm."""
    model = ranks.make_model(ranks.SETTINGS[name], seed=1)
    batches = ranks.make_batches(size * ranks.ACCUMULATE)
    for batch in batches:
        ranks.backward(model, batch, sum(each.target_tokens for each in batches))
    return model, torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], atol: float = 0.0) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=atol, rtol=0.0)


@pytest.mark.parametrize("way", WAYS)
def test_gradients_and_step_are_those_of_one_process(way: tuple[str, bool], job: tuple[int, Any]) -> None:
    size, found = job
    model, norm = one_process(way[0], size)
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert_same(found[way]["gradients"], gradients, atol=1e-6)
    assert found[way]["norm"] == pytest.approx(float(norm), abs=1e-5)
    assert norm > ranks.CLIP and not found[way]["reduced early"]
    torch.nn.utils.clip_grads_with_norm_(list(model.parameters()), ranks.CLIP, norm)
    make_optimizer(model, ranks.TRAINING).step()
    assert_same(found[way]["weights"], {n: p.detach() for n, p in model.named_parameters()}, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_every_process_holds_all_or_its_share(way: tuple[str, bool], job: tuple[int, Any]) -> None:
    size, found = job
    numbers = sum(p.numel() for p in ranks.make_model(ranks.SETTINGS[way[0]], seed=1).parameters())
    held = found[way]["shards"]
    if way[1]:
        assert sum(held) == numbers and max(held) < 1.1 * numbers / size
    else:
        assert held == [numbers] * size


@pytest.mark.parametrize("way", WAYS)
def test_a_bad_batch_of_one_process_moves_no_weight_of_any(way: tuple[str, bool], job: tuple[int, Any]) -> None:
    size, found = job
    assert math.isnan(found[way]["bad norm"])
    assert_same(found[way]["after a bad step"], found[way]["weights"])
    # The same with a gradient scaler, which lowers the scale everywhere.
    assert found[way]["scale"] == [2.0] * size
    assert not found[way]["overflow moved"]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_gathered_to_be_saved_is_sharded_again_when_loaded(way: tuple[str, bool], job: tuple[int, Any]) -> None:
    found = job[1][way]
    assert_same(found["loaded"], found["weights"])
    assert len(found["state"]) == 3 * len(found["gradients"])
    assert_same(found["loaded state"], found["state"])
    assert_same(found["resumed"], found["went on"])
    assert any(not torch.equal(found["resumed"][name], weight) for name, weight in found["weights"].items())


@pytest.mark.parametrize("name", list(ranks.SETTINGS))
def test_both_ways_save_the_same(name: str, job: tuple[int, Any]) -> None:
    replicated, sharded = (job[1][name, is_sharded] for is_sharded in (False, True))
    for part in ("weights", "state", "went on"):
        assert_same(sharded[part], replicated[part], atol=1e-6)
    assert sharded["autocast norm"] == pytest.approx(replicated["autocast norm"], rel=1e-2)


@pytest.mark.parametrize("way", WAYS)
def test_each_process_can_evaluate_by_itself(way: tuple[str, bool], job: tuple[int, Any]) -> None:
    found = job[1][way]
    [batch] = ranks.make_batches(1)
    model = ranks.make_model(ranks.SETTINGS[way[0]], seed=1).eval()
    for name, factor in (("evaluated", 1.0), ("evaluated average", 0.75)):
        with torch.inference_mode():
            for parameter_name, parameter in model.named_parameters():
                parameter.copy_(found["weights"][parameter_name] * factor)
            expected = model(batch.source, batch.target)
        output, first = found[name]
        torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
        starts = batch.target.layout.offsets[:-1].long()
        torch.testing.assert_close(first[:, 0], expected[starts], atol=1e-5, rtol=1e-5)
    assert_same(found["after evaluation"], found["weights"])
